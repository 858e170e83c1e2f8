"""Requests to OpenAI's API, as JSON or as a form with files, read as the parameters that endpoint files know."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import BodyPartReader, web

from batch_editor.endpoints import Endpoint
from batch_editor.sandbox.checks import Refusal

_KINDS = ("image/jpeg", "image/png", "image/webp")
# What the official client may send besides: of no consequence here, if it has these values.
_IDLE = {"stream": False, "partial_images": 0}
_FREE = ("user", "safety_identifier")


@dataclass(frozen=True)
class Asked:
    """A request's fields, by the names of this API: pictures are links, files among them as `data:` links.

    images, mask: what this API calls these in requests of that form. is_form: what else it has are texts.
    """

    fields: Mapping[str, Any]
    images: str
    mask: str = "mask"
    is_form: bool = False

    def names(self, endpoint: Endpoint) -> dict[str, str]:
        """What the request calls the endpoint's parameters."""
        return {endpoint.images or "": self.images, endpoint.mask or "": self.mask}

    def parameters(self, endpoint: Endpoint) -> dict[str, Any]:
        """The body by the names of the endpoint's parameters and constants.

        Raises:
            Refusal: 400, it has a picture by that name.
        """
        fields = self.fields
        if self.is_form:
            fields = {name: _from_text(value, _type_of(endpoint, name)) for name, value in fields.items()}
        body = {"n": 1, **fields} if "n" in endpoint.constants else dict(fields)
        for name, role in ((self.images, endpoint.images), (self.mask, endpoint.mask)):
            if role is None or role == name:
                continue
            if role in body:
                raise Refusal(400, "", parameter=role, code="unknown_parameter")
            if name in body:
                body[role] = body.pop(name)
        return body


async def read_request(request: web.Request) -> Asked:
    """What a request asks for.

    Raises:
        Refusal: 400, its form is none of this API's.
    """
    if request.content_type == "multipart/form-data":
        return await _from_form(request)
    if request.content_type == "application/json":
        return _from_json(await request.read())
    raise Refusal(
        400,
        f"Unsupported content type: '{request.content_type}'. This API method only accepts 'multipart/form-data' or"
        " 'application/json' requests.",
        code="unsupported_content_type",
    )


def _from_json(data: bytes) -> Asked:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Refusal(400, "We could not parse the JSON body of your request.")
    if "image" in body:
        raise Refusal(400, "", parameter="image", code="unknown_parameter")
    fields = _without_idle(body)
    if "images" in fields:
        if not isinstance(fields["images"], list):
            raise _invalid_type("images", "an array of objects")
        fields["images"] = [_link(each, f"images[{place}]") for place, each in enumerate(fields["images"])]
    if "mask" in fields:
        fields["mask"] = _link(fields["mask"], "mask")
    return Asked(fields, "images")


def _link(value: object, where: str) -> str:
    if not isinstance(value, dict):
        raise _invalid_type(where, "an object")
    for name in value:
        if name not in ("image_url", "file_id"):
            raise Refusal(400, "", parameter=f"{where}.{name}", code="unknown_parameter")
    if len(value) != 1:
        raise Refusal(400, f"{where}: expected image_url or file_id", parameter=where, code="invalid_value")
    if "file_id" in value:
        raise Refusal(400, f"{where}.file_id: no such file", parameter=f"{where}.file_id", code="invalid_value")
    if not isinstance(value["image_url"], str):
        raise _invalid_type(f"{where}.image_url", "a string")
    return value["image_url"]


async def _from_form(request: web.Request) -> Asked:
    fields: dict[str, Any] = {}
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader) or part.name is None:
            raise Refusal(400, "We could not parse the form of your request.")
        data = bytes(await part.read())
        name = part.name.removesuffix("[]")
        if name in ("image", "mask"):
            link = _file_link(name, part, data)
            if name == "image":
                fields.setdefault("image", []).append(link)
                continue
            value: Any = link
        else:
            value = data.decode(errors="replace")
            value = _from_text(value, type(_IDLE[name])) if name in _IDLE else value
        if name in fields:
            raise Refusal(400, f"Duplicate parameter: '{name}'.", parameter=name, code="duplicate_parameter")
        fields[name] = value
    return Asked(_without_idle(fields), "image", is_form=True)


def _file_link(name: str, part: BodyPartReader, data: bytes) -> str:
    kind = part.headers.get("Content-Type", "application/octet-stream").partition(";")[0].strip()
    if kind not in _KINDS or part.filename is None:
        raise Refusal(
            400,
            f"Invalid file '{name}': unsupported mimetype ('{kind}'). Supported file formats are 'image/jpeg',"
            " 'image/png', and 'image/webp'.",
            parameter=name,
            code="unsupported_file_mimetype",
        )
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _type_of(endpoint: Endpoint, name: str) -> type:
    """What a parameter's or a constant's values are in JSON, as far as a form can't tell them from text."""
    if name in endpoint.constants:
        return type(endpoint.constants[name])
    parameter = endpoint.parameters.get(name)
    return {"integer": int, "boolean": bool}.get("" if parameter is None else parameter.type, str)


def _from_text(value: Any, wanted: type) -> Any:
    """A form's value as JSON would have it: forms have text alone, and a prompt may be `42` or `true`."""
    if wanted is bool and value in ("true", "false"):
        return value == "true"
    if wanted is int and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return value


def _without_idle(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body without what changes nothing, null included."""
    kept = {name: value for name, value in body.items() if value is not None and name not in _FREE}
    for name, value in _IDLE.items():
        if name in kept and kept.pop(name) != value:
            raise Refusal(400, f"{name}: this stand-in doesn't stream", parameter=name, code="invalid_value")
    return kept


def _invalid_type(name: str, wanted: str) -> Refusal:
    return Refusal(400, f"Invalid type for '{name}': expected {wanted}.", parameter=name, code="invalid_type")
