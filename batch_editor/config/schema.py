"""The config file's JSON Schema, for editors that complete and check it."""

from __future__ import annotations

from typing import Any

from batch_editor.config.settings import Settings


def config_schema() -> dict[str, Any]:
    """A JSON Schema (draft-07) of `config.yaml`, made from the settings. null is every setting's default."""
    schema = Settings.model_json_schema(ref_template="#/definitions/{model}")
    definitions = schema.pop("$defs")
    for part in (schema, *definitions.values()):
        for name, setting in part.get("properties", {}).items():
            part["properties"][name] = _or_null(setting)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        **schema,
        "title": "batch-editor config",
        "description": "Settings of batch-editor; config.example.yaml has each with its unit.",
        "definitions": definitions,
    }


def _or_null(setting: dict[str, Any]) -> dict[str, Any]:
    """The setting without pydantic's titles, and null beside its values."""
    default = setting.pop("default", None)
    setting.pop("title", None)
    kinds = setting.pop("anyOf", None) or [setting]
    about = {"default": sorted(default) if isinstance(default, list) else default}
    if default is None or isinstance(default, dict):  # a part's defaults stand at its own settings
        about = {}
    return {**about, "anyOf": [*(kind for kind in kinds if kind != {"type": "null"}), {"type": "null"}]}
