"""Is a request what the API page says it should be? Strict where the page is silent: a wrong guess shows."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from batch_editor.endpoints import Endpoint, Parameter, Rule
from batch_editor.errors import did_you_mean

_DATA_LINK = re.compile(r"data:(image/[a-z0-9.+-]+);base64,", re.IGNORECASE)


class Refusal(Exception):
    """A request that is answered with an error, and not charged.

    `parameter` is the one at fault, if it is one; `code` names the fault for APIs whose errors have codes.
    """

    def __init__(
        self,
        status: int,
        text: str,
        headers: Mapping[str, str] | None = None,
        *,
        parameter: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers or {}
        self.parameter = parameter
        self.code = code


def body_sha256(body: Mapping[str, Any]) -> str:
    """A request body's name in the books and in its image: the SHA-256 of its canonical JSON.

    >>> body_sha256({"b": 1, "a": 2}) == body_sha256({"a": 2, "b": 1})
    True
    """
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


class Body:
    """A request body as it arrived. Even one that is no JSON object has a hash to be found by."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sha256 = hashlib.sha256(data).hexdigest()
        self._found: dict[str, Any] | Refusal
        try:
            self._found = _parsed(data)
            self.sha256 = body_sha256(self._found)
        except Refusal as refusal:
            self._found = refusal
        except UnicodeEncodeError:
            # JSON can escape half of a surrogate pair, which is no text.
            self._found = Refusal(400, "Invalid JSON: a lone surrogate")

    @property
    def prompt(self) -> str:
        """The prompt, or nothing where there is none."""
        prompt = self._found.get("prompt") if isinstance(self._found, dict) else None
        return prompt if isinstance(prompt, str) else ""

    def parameters(self) -> dict[str, Any]:
        """The JSON object.

        Raises:
            Refusal: 400, it is none.
        """
        if isinstance(self._found, Refusal):
            raise self._found
        return self._found


def check_body(endpoint: Endpoint, body: Mapping[str, Any]) -> None:
    """Pass a body that the endpoint takes.

    Raises:
        Refusal: 400, naming the first parameter at fault.
    """
    for name in body:
        if name not in endpoint.parameters and name not in endpoint.constants:
            hint = did_you_mean(name, list(endpoint.parameters))
            raise Refusal(400, f"unknown parameter {name!r}{hint}", parameter=name, code="unknown_parameter")
    for name, value in endpoint.constants.items():
        if name not in body:
            raise _missing(name)
        if (type(body[name]), body[name]) != (type(value), value):
            raise _unexpected(name, body[name], _shown(value))
    for name, parameter in endpoint.parameters.items():
        if name in body:
            _check_value(name, parameter, body[name])
        elif parameter.required:
            raise _missing(name)
    for rule in endpoint.rules:
        _check_rule(endpoint, rule, body)


def decode_data_link(link: str) -> tuple[str, bytes]:
    """The media type and the bytes of a base64 `data:` link to an image.

    >>> decode_data_link("data:image/png;base64,aGk=")
    ('image/png', b'hi')

    Raises:
        ValueError: with what is wrong, if it is no such link.
    """
    head = _DATA_LINK.match(link)
    if head is None:
        raise ValueError("not a data:image/…;base64, link")
    try:
        return head[1].lower(), base64.b64decode(link[head.end() :], validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"Invalid JSON: {error}") from error
    if not isinstance(value, dict):
        raise Refusal(400, f"Invalid request: the body is {_shown(value)}; expected a JSON object")
    return value


def _check_value(name: str, parameter: Parameter, value: object) -> None:
    if value is None and parameter.nullable:
        return
    # type(…) and not isinstance: JSON's true is no integer, though Python's is.
    kind = type(value)
    match parameter.type:
        case "string" if kind is not str:
            raise _unexpected(name, value, "a string")
        case "integer" if kind is not int:
            raise _unexpected(name, value, "an integer")
        case "number" if kind not in (int, float):
            raise _unexpected(name, value, "a number")
        case "boolean" if kind is not bool:
            raise _unexpected(name, value, "true or false")
        case "link" if not _is_link(value):
            raise _unexpected(name, value, "a link" + (" or null" if parameter.nullable else ""))
        case "links":
            _check_links(name, parameter, value)
    if isinstance(value, str):
        _check_text(name, parameter, value)
    if isinstance(value, int | float):
        _check_range(name, parameter, value)


def _check_links(name: str, parameter: Parameter, value: object) -> None:
    if not isinstance(value, list) or not value:
        raise _unexpected(name, value, "a list of one link or more")
    if parameter.max_items is not None and len(value) > parameter.max_items:
        text = f"{name} has {len(value)} links; expected at most {parameter.max_items}"
        raise Refusal(400, text, parameter=name, code="array_above_max_length")
    for place, link in enumerate(value):
        if not _is_link(link):
            raise _unexpected(f"{name}[{place}]", link, "a link")


def _check_text(name: str, parameter: Parameter, text: str) -> None:
    if (parameter.choices or parameter.sizes is not None) and not parameter.offers(text):
        *others, last = [*parameter.choices, *([str(parameter.sizes)] if parameter.sizes is not None else [])]
        raise _unexpected(name, text, f"{', '.join(others)} or {last}" if others else last)
    if parameter.required and not text.strip():
        raise Refusal(400, f"{name} is empty", parameter=name, code="empty_string")
    if parameter.max_length is not None and len(text) > parameter.max_length:
        said = f"{name} has {len(text)} characters; expected at most {parameter.max_length}"
        raise Refusal(400, said, parameter=name, code="string_above_max_length")


def _check_range(name: str, parameter: Parameter, number: float) -> None:
    if parameter.minimum is not None and number < parameter.minimum:
        raise _unexpected(name, number, f"at least {parameter.minimum:g}")
    if parameter.maximum is not None and number > parameter.maximum:
        raise _unexpected(name, number, f"at most {parameter.maximum:g}")


def _check_rule(endpoint: Endpoint, rule: Rule, body: Mapping[str, Any]) -> None:
    sent = {name: body.get(name, parameter.default) for name, parameter in endpoint.parameters.items()}
    if any(str(sent[name]) != value for name, value in rule.when.items()):
        return
    for name, allowed in rule.need.items():
        if str(sent[name]) not in allowed:
            raise _unexpected(name, sent[name], f"{' or '.join(allowed)}, as {rule.why}")


def _is_link(value: object) -> bool:
    if not isinstance(value, str):
        return False
    if value.startswith("data:"):
        return _DATA_LINK.match(value) is not None
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", value)


def _unexpected(name: str, value: object, wanted: str) -> Refusal:
    return Refusal(400, f"{name} is {_shown(value)}; expected {wanted}", parameter=name, code="invalid_value")


def _missing(name: str) -> Refusal:
    return Refusal(400, f"{name} is required", parameter=name, code="missing_required_parameter")


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is no JSON number")
