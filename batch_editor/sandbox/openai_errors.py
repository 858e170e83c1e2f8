"""Errors as OpenAI's API words them: `{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from batch_editor.sandbox.answers import page
from batch_editor.sandbox.checks import Refusal
from batch_editor.sandbox.faults import Fault

_INVALID = "invalid_request_error"


@dataclass(frozen=True)
class _Known:
    """An error that the API is known to give."""

    status: int
    type: str
    message: str


# By their codes, in the API's own words.
KNOWN: Mapping[str, _Known] = {
    "invalid_api_key": _Known(
        401,
        _INVALID,
        "Incorrect API key provided: {said}. You can find your API key at https://platform.openai.com/account/api-keys.",
    ),
    "model_not_found": _Known(404, _INVALID, "The model '{said}' does not exist or you do not have access to it."),
    "rate_limit_exceeded": _Known(
        429, "requests", "Rate limit reached for images per minute: Limit {said}. Please try again later."
    ),
    "insufficient_quota": _Known(
        429,
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details. For more information on this"
        " error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.",
    ),
    "billing_hard_limit_reached": _Known(400, _INVALID, "Billing hard limit has been reached"),
    "moderation_blocked": _Known(
        400,
        "image_generation_user_error",
        "Your request was rejected by the safety system. If you believe this is an error, contact us at"
        " help.openai.com and include the request ID.",
    ),
}
# What a fault of that status is, where it names no code.
_BY_STATUS = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
_SERVER_ERROR = "The server had an error while processing your request. Sorry about that!"
_OVERLOADED = "The engine is currently overloaded, please try again later"


def known_error(code: str, *, said: str = "", headers: Mapping[str, str] | None = None) -> web.Response:
    """One of the errors in `KNOWN`. `said`: what its message repeats."""
    known = KNOWN[code]
    return error(known.status, known.message.format(said=said), type=known.type, code=code, headers=headers)


def error(
    status: int,
    message: str,
    *,
    type: str = _INVALID,
    param: str | None = None,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """An error with these four fields."""
    said = {"message": message, "type": type, "param": param, "code": code}
    return web.json_response({"error": said}, status=status, headers=headers)


def refused(refusal: Refusal, names: Mapping[str, str]) -> web.Response:
    """A refusal in this API's words; `names`: what it calls the parameters."""
    name = names.get(refusal.parameter or "", refusal.parameter)
    if refusal.code is not None and refusal.code in KNOWN:
        return known_error(refusal.code, said=str(refusal), headers=refusal.headers)
    message = str(refusal)
    for ours, theirs in names.items():
        message = re.sub(rf"\b{re.escape(ours)}\b", theirs, message) if ours else message
    if refusal.code == "unknown_parameter":
        message = f"Unknown parameter: '{name}'."
    elif refusal.code == "missing_required_parameter":
        message = f"Missing required parameter: '{name}'."
    return error(refusal.status, message, param=name, code=refusal.code, headers=refusal.headers)


def of_fault(fault: Fault) -> web.Response:
    """The answer of a fault that has a status; `text` may be one of the codes in `KNOWN`. A gateway's is a page."""
    assert fault.status is not None
    headers = {}
    if fault.retry_after:
        headers = {"retry-after": fault.retry_after, "retry-after-ms": str(round(1000 * float(fault.retry_after)))}
    code = fault.text if fault.text in KNOWN else None
    if code is None and fault.text is None:
        code = _BY_STATUS.get(fault.status)
    if code is not None:
        known = KNOWN[code]
        return error(fault.status, known.message.format(said="…"), type=known.type, code=code, headers=headers)
    if fault.status in (500, 503):
        message = fault.text or (_SERVER_ERROR if fault.status == 500 else _OVERLOADED)
        return error(fault.status, message, type="server_error", headers=headers)
    if fault.status > 500 and fault.text is None:
        return page(fault.status, f"{fault.status} Bad gateway", headers)
    return error(fault.status, fault.text or "Refused", headers=headers)
