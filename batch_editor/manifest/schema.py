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
_FILE: Schema = {"type": "string", "pattern": r"\.ya?ml$"}
_ANY = "any endpoint"
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
    "endpoint": {
        "type": "string",
        "minLength": 1,
        "description": "Where the job goes, if not where the manifest says: a shipped endpoint, the path of an endpoint"
        " file, or a template.",
    },
    "matrix": {
        "type": "object",
        "minProperties": 1,
        "description": "Names, each with a list of values: one job for each row and combination. Values of endpoint say"
        " where the jobs go.",
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

    A job that goes to a shipped endpoint is held to its parameters; where rows or a matrix say where, or nothing
    does, to those of all; one that goes to an endpoint file may have any. Defaults are held to the manifest's endpoint
    where no job names another.
    """
    shipped = [load_endpoint(name) for name in shipped_endpoints()]
    kinds = {endpoint.name: [endpoint] for endpoint in shipped}
    definitions: Schema = {}
    for name, endpoints in {**kinds, _ANY: shipped}.items():
        parameters = _parameters(endpoints)
        definitions[f"job of {name}"] = _job(parameters)
        definitions[f"defaults of {name}"] = _defaults(parameters)
        definitions[f"jobs of {name}"] = _held_to(name, [*kinds])
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "batch-editor manifest",
        "type": "object",
        "required": ["jobs"],
        "properties": {
            "endpoint": {
                "description": "A shipped endpoint, or the path of an endpoint file.",
                "anyOf": [{"enum": [*kinds, None]}, _FILE],
            },
            "defaults": {
                "description": "Parameters of every job that doesn't give them itself, redo_prompt and finish."
            },
            "jobs": {"type": "array", "minItems": 1},
        },
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
        "allOf": [
            *({"if": _names({"enum": [name]}), "then": _definition(f"jobs of {name}")} for name in kinds),
            {"if": {"not": _names({"type": "string"})}, "then": _definition(f"jobs of {_ANY}")},
        ],
        "definitions": definitions,
    }


def _names(value: Schema) -> Schema:
    """That a manifest, or a job, names an endpoint of this schema."""
    return {"required": ["endpoint"], "properties": {"endpoint": value}}


def _chooses(value: Schema) -> Schema:
    """That a job's matrix has an endpoint of this schema."""
    values = {"type": "array", "contains": value}
    return {
        "required": ["matrix"],
        "properties": {"matrix": {"type": "object", "required": ["endpoint"], "properties": {"endpoint": values}}},
    }


def _definition(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}".replace(" ", "%20")}


def _held_to(name: str, shipped: Sequence[str]) -> Schema:
    """The defaults and jobs of a manifest for that endpoint, whose jobs may name others."""
    named, goes_to_file = _names({"type": "string"}), {"anyOf": [_names(_FILE), _chooses(_FILE)]}
    templated, chosen = _names(_TEMPLATE), _chooses({})
    several = {"anyOf": [named, chosen]}
    job = {
        "type": "object",
        "properties": {"endpoint": {"anyOf": [{"enum": [*shipped, None]}, _FILE, _TEMPLATE]}},
        "allOf": [
            *({"if": _names({"enum": [each]}), "then": _definition(f"job of {each}")} for each in shipped),
            {
                "if": {"anyOf": [templated, chosen], "not": goes_to_file},
                "then": _definition(f"job of {_ANY}"),
            },
            {"if": {"not": several}, "then": _definition(f"job of {name}")},
        ],
    }
    return {
        "properties": {"jobs": {"items": job}},
        "allOf": [
            {
                "if": {"not": {"properties": {"jobs": {"contains": goes_to_file}}}},
                "then": {
                    "if": {"properties": {"jobs": {"contains": several}}},
                    "then": {"properties": {"defaults": _definition(f"defaults of {_ANY}")}},
                    "else": {"properties": {"defaults": _definition(f"defaults of {name}")}},
                },
            }
        ],
    }


def _parameters(endpoints: Sequence[Endpoint]) -> Schema:
    """The parameters of all of these endpoints."""
    found: Schema = {}
    for name in dict.fromkeys(name for endpoint in endpoints for name in endpoint.parameters):
        kinds = [_parameter(endpoint.parameters[name]) for endpoint in endpoints if name in endpoint.parameters]
        distinct = [kind for at, kind in enumerate(kinds) if kind not in kinds[:at]]
        found[name] = distinct[0] if len(distinct) == 1 else {"anyOf": distinct}
    return found


def _job(parameters: Schema) -> Schema:
    keys = {name: _or_null(key) for name, key in _JOB_KEYS.items()}
    return {"type": "object", "properties": {**keys, **parameters}, "additionalProperties": False}


def _defaults(parameters: Schema) -> Schema:
    others = {name: _or_null(key) for name, key in (_REDO_PROMPT | _FINISH).items()}
    return {"type": ["object", "null"], "properties": {**others, **parameters}, "additionalProperties": False}


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
            case "link" if parameter.role == "images":
                yield {"type": "array", "items": {"type": "string"}, "maxItems": 1}
                yield {"type": "string"}
            case _:
                yield _TEXT
