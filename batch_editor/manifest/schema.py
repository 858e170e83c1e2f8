"""The manifest's JSON Schema, for editors that complete and check it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from batch_editor.endpoints import Endpoint, Parameter, load_endpoint, shipped_endpoints
from batch_editor.finishing import finish_schema
from batch_editor.manifest.table_files import FORMATS

Schema: TypeAlias = dict[str, Any]

# A number that stands without quotes is read as it is written.
_TEXT: Schema = {"type": ["string", "number"]}
_TEMPLATE: Schema = {"type": "string", "pattern": r"\{[{%]", "description": "A template, read from each row."}
_NAMES: Schema = {"anyOf": [{"type": "array", "items": {"type": "string"}, "minItems": 1}, {"type": "string"}]}
_ROW: Schema = {"type": "object", "additionalProperties": {"type": ["string", "number", "null"]}}
_REDO_PROMPT: Schema = {
    "redo_prompt": {
        "type": "string",
        "description": "What is sent when a rejected image is made again: a template that knows prompt and note alone.",
        "default": "{{ prompt }}\n\n{{ note }}",
    }
}
_FINISH: Schema = {"finish": finish_schema()}

_JOB_KEYS: Schema = {
    "id": {**_TEXT, "description": "Names the job. Unique; default: the manifest's name and the job's number."},
    "output": {**_TEXT, "description": "Path of the image below images/, without ending. Default: the id."},
    "rows": {
        "description": "A table beside the manifest, or a list of mappings: one job for each row.",
        "anyOf": [{"type": "string"}, {"type": "array", "items": _ROW, "minItems": 1}],
    },
    "format": {
        "enum": [*FORMATS],
        "description": "How the table of rows is read: auto knows a shop's export by its columns; plain takes it as it"
        " stands. Of a shop's export each row is one picture.",
        "default": "auto",
    },
    "when": {
        "type": ["string", "number", "boolean"],
        "description": "A template; a row for which it gives nothing, false, no, none or 0 is skipped.",
    },
    "carry": {
        "description": "Columns whose blank cells take the value above; {handle: [title]}: within one handle.",
        "anyOf": [*_NAMES["anyOf"], {"type": "object", "additionalProperties": _NAMES, "minProperties": 1}],
    },
    "matrix": {
        "type": "object",
        "minProperties": 1,
        "description": "Names, each with a list of values: one job for each row and combination.",
        "additionalProperties": {"type": "array", "items": _TEXT, "minItems": 1},
    },
    "variants": {
        "description": "The same request so many times, to choose from.",
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": 100},
            {"type": "string", "pattern": "^0*([1-9][0-9]?|100)$"},
        ],
    },
    "identity": {**_TEXT, "description": "A template that stands for the links, where they change with every export."},
    **_REDO_PROMPT,
    **_FINISH,
}


def manifest_schema() -> Schema:
    """A JSON Schema (draft-07) of YAML manifests, made from the shipped endpoints.

    A manifest that names a shipped endpoint is held to its parameters, and one that names none to those of them all;
    one that names a file of its own may have any.
    """
    shipped = [load_endpoint(name) for name in shipped_endpoints()]
    kinds = {endpoint.name: _jobs([endpoint]) for endpoint in shipped}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "batch-editor manifest",
        "type": "object",
        "required": ["jobs"],
        "properties": {
            "endpoint": {
                "description": "A shipped endpoint, or the path of an endpoint file.",
                "anyOf": [{"enum": [*kinds, None]}, {"type": "string", "pattern": r"\.ya?ml$"}],
            },
            "defaults": {
                "description": "Parameters of every job that doesn't give them itself, redo_prompt and finish."
            },
            "jobs": {"type": "array", "minItems": 1},
        },
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
        "allOf": [
            *({"if": _names([name]), "then": {"$ref": f"#/definitions/{name}"}} for name in kinds),
            {"if": {"not": _names(None)}, "then": {"$ref": "#/definitions/any"}},
        ],
        "definitions": {**kinds, "any": _jobs(shipped)},
    }


def _names(endpoints: Sequence[str] | None) -> Schema:
    """That a manifest names one of these endpoints; None: any."""
    value = {"type": "string"} if endpoints is None else {"enum": endpoints}
    return {"required": ["endpoint"], "properties": {"endpoint": value}}


def _jobs(endpoints: Sequence[Endpoint]) -> Schema:
    """What the defaults and jobs of a manifest may say that is for one of these endpoints."""
    parameters: dict[str, Schema] = {}
    for name in dict.fromkeys(name for endpoint in endpoints for name in endpoint.parameters):
        kinds = [_parameter(endpoint.parameters[name]) for endpoint in endpoints if name in endpoint.parameters]
        distinct = [kind for at, kind in enumerate(kinds) if kind not in kinds[:at]]
        parameters[name] = distinct[0] if len(distinct) == 1 else {"anyOf": distinct}
    keys = {name: _or_null(key) for name, key in _JOB_KEYS.items()}
    job = {"type": "object", "properties": {**keys, **parameters}, "additionalProperties": False}
    others = {name: _or_null(key) for name, key in (_REDO_PROMPT | _FINISH).items()}
    defaults = {"type": ["object", "null"], "properties": {**others, **parameters}, "additionalProperties": False}
    return {"properties": {"defaults": defaults, "jobs": {"items": job}}}


def _or_null(key: Schema) -> Schema:
    """The same of a key that may be left empty, which says nothing."""
    if "anyOf" in key:
        return {**key, "anyOf": [*key["anyOf"], {"type": "null"}]}
    if "enum" in key:
        return {**key, "enum": [*key["enum"], None]}
    kinds = key["type"] if isinstance(key["type"], list) else [key["type"]]
    return {**key, "type": [*kinds, "null"]}


def _parameter(parameter: Parameter) -> Schema:
    """A parameter's values, or a template; null says nothing."""
    default = {} if parameter.default is None else {"default": parameter.default_value}
    about = {"description": parameter.about} if parameter.about else {}
    return {**about, **default, "anyOf": [*_values(parameter), _TEMPLATE, {"type": "null"}]}


def _values(parameter: Parameter) -> Iterator[Schema]:
    if parameter.choices:
        yield {"enum": list(parameter.choices)}
    if parameter.sizes is not None:
        yield {"type": "string", "pattern": "^[0-9]+x[0-9]+$"}
    elif not parameter.choices:
        match parameter.type:
            case "integer" | "number":
                limits = {"minimum": parameter.minimum, "maximum": parameter.maximum}
                yield {"type": parameter.type, **{name: limit for name, limit in limits.items() if limit is not None}}
                yield {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}  # in quotes
            case "boolean":
                yield {"enum": [True, False, "true", "false"]}
            case "links":
                most = {} if parameter.max_items is None else {"maxItems": parameter.max_items}
                yield {"type": "array", "items": {"type": "string"}, **most}
                yield {"type": "string"}
            case _:
                yield _TEXT
