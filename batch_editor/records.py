"""The records that travel from a manifest to the ledger: frozen, slotted, picklable.

Each station adds one thing: `Job` and `EditRequest` identity, `Failure` or `SavedImage` an attempt's outcome. Those
two are made for each row of a manifest, and named tuples take a quarter of a frozen dataclass's time to make.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias

import orjson

from batch_editor.links.encoded import VERSION as ENCODING
from batch_editor.links.encoded import as_encoded
from batch_editor.links.signed import digest as signed_links_digest
from batch_editor.links.signed import unsigned, unsigned_0_1

ParamValue: TypeAlias = "str | int | float | bool | list[str] | None"

PERIODS_S = {"s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` requests in any window of `period_s` seconds, wherever it starts."""

    count: int
    period_s: float

    @classmethod
    def parse(cls, text: str) -> Rate:
        """A rate as it is written: `60/min`, `10/s`, `500/h`.

        >>> Rate.parse("60/min")
        Rate(count=60, period_s=60.0)

        Raises:
            ValueError: it is written otherwise.
        """
        count, slash, unit = text.strip().partition("/")
        if not (slash and count.isascii() and count.isdigit() and int(count) > 0 and unit in PERIODS_S):
            raise ValueError(f"rate is {text!r}; expected a count and a period, such as 60/min, 10/s or 500/h")
        return cls(int(count), PERIODS_S[unit])

    def __str__(self) -> str:
        unit = next((unit for unit, period in PERIODS_S.items() if period == self.period_s), f"{self.period_s:g}s")
        return f"{self.count}/{unit}"


# What a run sends again on request: what the provider refused for good; what may have been billed without a result;
# images that people rejected; done jobs whose image another endpoint made; all of it, finished or not.
Redo: TypeAlias = Literal["failed", "unknown", "rejected", "endpoint", "all"]

LOCAL = "sha256:"  # a link of a request that stands for a local file, by its content


@dataclass(frozen=True, slots=True)
class LocalFile:
    """An input image on this machine, known by its content."""

    path: str
    sha256: str
    format: Literal["png", "jpeg", "webp"]
    width: int
    height: int
    has_alpha: bool
    size_bytes: int

    @property
    def link(self) -> str:
        """What stands in a request's parameters until the file has been uploaded."""
        return LOCAL + self.sha256


class EditRequest(NamedTuple):
    """An image edit to ask for: every parameter as it is sent, defaults included, in the endpoint's order.

    A local file stands as `sha256:<hex>`. `variant` counts from 1; higher ones are the same request again on
    purpose. `identity` stands for the values of the parameters named in `inputs` where a manifest says that these
    links are renewed.
    """

    endpoint: str
    params: Mapping[str, ParamValue]
    variant: int = 1
    identity: str | None = None
    inputs: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """32 hex digits that hash what would be sent, see `fingerprint_of`."""
        return fingerprint_of(self)


_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Shape:
    """What requests to an endpoint are made of.

    parameters: all that it has, in the order of the output manifest.
    roles: those of them that mean the same at every endpoint, by their role; `quality` is one.
    defaults: what is sent of a parameter that a manifest doesn't name, null included; those left out have none.
    inputs: the parameters that take links to images.
    """

    parameters: tuple[str, ...]
    roles: Mapping[str, str]
    defaults: Mapping[str, ParamValue]
    inputs: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Changes with whatever may give a request that was stored another fingerprint."""
        return hashlib.sha256(orjson.dumps([signed_links_digest(), ENCODING, self.defaults, self.inputs])).hexdigest()[
            :16
        ]


class Job(NamedTuple):
    """An entry of the manifest after expansion, one row of the output manifest.

    `output` is a path below the images folder without ending, not yet made safe; None where the id is to give it.
    `extras` are the row's other columns; `files` the local files that the request names, by content; `where` is
    `file:line`; `template` where the entry is that the job was made from, the same for all its jobs; `axes` are its
    values of the entry's matrix, by name. `redo_prompt` is the template of what is sent when its image was rejected;
    None: the prompt and the note. `finish` is what the manifest says of its finished files, as `finishing` stores it;
    None: nothing, and what the config says holds.
    """

    id: str
    output: str | None
    request: EditRequest
    where: str
    extras: Mapping[str, str] = _NONE
    files: Mapping[str, LocalFile] = _NONE
    template: str = ""
    axes: Mapping[str, str] = _NONE
    redo_prompt: str | None = None
    finish: str | None = None


class FaultyRow(NamedTuple):
    """A row that gives no job, where such rows are left out rather than refused: `message` says what is wrong with it.

    `id` is the job's, or `<manifest>-row-<line>` where that is at fault. `extras` are the row's other columns.
    `request` is what could be read of its request; None: nothing.
    """

    id: str
    where: str
    message: str
    extras: Mapping[str, str] = _NONE
    request: EditRequest | None = None


def fingerprint_of(request: EditRequest) -> str:
    """32 hex digits, the first half of the SHA-256 of the request's canonical JSON.

    Signatures and access tokens of links are left out: a nightly feed signs the same picture anew each time, and
    would otherwise pay for the whole catalog again. Links are hashed encoded, as they are sent since they are.
    """
    return _fingerprint(request, known_by)


def former_fingerprints_of(request: EditRequest) -> tuple[str, str]:
    """What versions called the request that sent links as they were written; the second is version 0.1."""
    return _fingerprint(request, lambda value: _identity(value, unsigned)), fingerprint_of_0_1(request)


def _fingerprint(request: EditRequest, known_by: Callable[[ParamValue], ParamValue]) -> str:
    params = dict(request.params)
    for name, value in request.params.items():
        if isinstance(value, list) or (isinstance(value, str) and value[:4].lower() == "http"):
            params[name] = known_by(value)
    payload: dict[str, object] = {"endpoint": request.endpoint, "params": params}
    if request.identity is not None:
        payload["params"] = {name: value for name, value in params.items() if name not in request.inputs}
        payload["identity"] = request.identity
    if request.variant > 1:
        payload["variant"] = request.variant
    return hashlib.sha256(orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


def fingerprint_of_0_1(request: EditRequest) -> str:
    """What version 0.1 called the request: for what it has paid for. It knew the signatures of four services."""
    if b"sig" in orjson.dumps(request.params).lower():
        params = {name: _identity(value, unsigned_0_1) for name, value in request.params.items()}
    else:
        params = dict(request.params)
    payload: dict[str, object] = {"endpoint": request.endpoint, "params": params}
    if request.variant > 1:
        payload["variant"] = request.variant
    return hashlib.sha256(orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


def known_by(value: ParamValue) -> ParamValue:
    """What a parameter's value counts for in the fingerprint: links are encoded, without signatures and tokens."""
    return _identity(value, lambda link: unsigned(as_encoded(link)))


def _identity(value: ParamValue, unsigned: Callable[[str], str]) -> ParamValue:
    if isinstance(value, str):
        return unsigned(value)
    return [unsigned(item) for item in value] if isinstance(value, list) else value


@dataclass(frozen=True, slots=True)
class SavedImage:
    """An image of the provider, complete and on disk, not yet under its final name."""

    path: str
    sha256: str
    size_bytes: int
    format: Literal["png", "jpeg", "webp", "gif"]
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class SeenPicture:
    """What was seen behind a link: the first half of the content's SHA-256, in hex, and what its host calls it."""

    content: str
    etag: str | None
    last_modified: str | None


class LinkToAsk(NamedTuple):
    """An input link by its number, as it is written, and what was seen there before, if anything was."""

    id: int
    link: str
    seen: SeenPicture | None


Scope = Literal["request", "run", "rate"]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt gave no image, in the terms of what is to be done about it.

    kind: the `error_kind` of the output manifest.
    scope: what is affected: this request alone, the run (it stops) or its rate (every request waits).
    maybe_billed: whether the provider may have charged for it.
    transient: whether the same request may well succeed later, so that a retry is worth it.
    retry_after_s: the provider's own word on when, None if it gave none.
    """

    kind: str
    message: str
    scope: Scope = "request"
    maybe_billed: bool = False
    transient: bool = False
    http_status: int | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class RateSaid:
    """What an answer says of the provider's rate limit, as of when its request came in; None where it doesn't say.

    per_min: requests that it takes a minute. left: how many of them are left. reset_s: seconds until none is counted.
    """

    per_min: int | None
    left: int | None
    reset_s: float | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one attempt: an image or a failure, with the provider's own figures where it gave them.

    `fetchable`: the request was submitted, and a later run can still fetch its result.
    """

    outcome: SavedImage | Failure
    http_status: int | None = None
    latency_s: float | None = None
    cost_usd: float | None = None
    request_id: str | None = None
    remaining_credits: float | None = None
    fetchable: bool = False
    rate: RateSaid | None = None
