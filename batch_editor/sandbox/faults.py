"""Faults to inject: their grammar, and which one a request meets. Draws depend on the seed alone."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from batch_editor.errors import did_you_mean

FAULT_HELP = """\
KIND[@N|@N-M|@N+][:PROBABILITY][:OPTION]…

KIND is an HTTP status from 400 to 599, or
  reset         the connection is reset in place of an answer
  hang          no answer ever comes
  truncate      half of the body, then the connection ends; with close=1 without a length to miss
  slow          the image drips in over 2 seconds, or over=SECONDS
  html          200 with a web page
  empty         200 without a body
  garbage       200 with bytes that are no image
  json-error    200 with {"error": …}
  redirect      307 to another host
  wrong-format  an image of another format than its label says
  corrupt       an image with one bit flipped
  cut-inside    an image without its second half, but with its end, and with checksums that are right
  wrong-size    an image of half the width and height
  blank         an image all of one colour
  opaque        an image without an alpha channel; for a transparent background, on a painted checkerboard
  unchanged     the input, fitted to the size and encoded anew
  failed        (v2) the job fails, which isn't charged
  lost          (v2) the record is gone when the job is done
  poll-KIND     (v2) a status, reset, hang, html or empty, of the answers to polls

With v2 all kinds but those of the image and the last three are of the answer to the submission; what is charged runs
all the same.

@N, @N-M and @N+ select by the running number of the request (the first is 1). PROBABILITY is from 0 to 1.
Statuses below 500 and redirect are answered at once, all else after the latency.

OPTION is
  first=N              the first N attempts of each distinct body that pass the checks, or polls of each request
  prompt~TEXT          requests whose prompt contains TEXT
  billed=0, billed=1   whether the request is charged: by default statuses and redirect aren't, all else is
  retry-after=SECONDS  the Retry-After header of a status
  text=TEXT            the error's text, of a status, json-error or failed
  over=SECONDS         of slow
  close=1              of truncate

Examples: 502:0.05  429:0.1:retry-after=2  502:first=1  504@3  401@10+  truncate:0.02:close=1  400:prompt~mug
"""

_KINDS = (
    *("reset", "hang", "truncate", "slow", "html", "empty", "garbage", "json-error"),
    *("redirect", "wrong-format", "corrupt", "cut-inside", "wrong-size", "blank", "opaque", "unchanged"),
    *("failed", "lost"),
)
_POLL_KINDS = ("reset", "hang", "html", "empty")
# Of these, the submission to v2 shows nothing.
_OF_THE_JOB = (
    *("wrong-format", "corrupt", "cut-inside", "wrong-size", "blank", "opaque", "unchanged"),
    *("failed", "lost"),
)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A parsed spec: what goes wrong, and for which requests.

    `status` is None where the job runs and its answer is spoiled. `numbers` are the first and the last
    running number, `first` counts the attempts of one body. `poll` faults are of polls alone.
    """

    kind: str
    status: int | None = None
    numbers: tuple[int, float] = (1, float("inf"))
    probability: float = 1.0
    first: int | None = None
    prompt: str = ""
    billed: bool = True
    retry_after: str | None = None
    text: str | None = None
    over_s: float = 2.0
    close: bool = False
    poll: bool = False

    @property
    def at_once(self) -> bool:
        """Whether a gateway answers before any job runs, so without the latency."""
        return self.status is not None and self.status < 500

    @property
    def runs_job(self) -> bool:
        """Whether a picture is made, be it only to be charged for."""
        return self.status is None or self.billed

    @property
    def of_the_job(self) -> bool:
        """Whether it is the job that it spoils, and not an answer; v2's submissions go well then."""
        return self.kind in _OF_THE_JOB

    @property
    def answered(self) -> bool:
        """Whether a status line goes out at all."""
        return self.kind not in ("reset", "hang")


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What a fault may look at: a request's place in the run, and its body.

    `number` counts every arrival from 1, `attempt` those of one body that passed the checks.
    """

    number: int
    attempt: int
    body_sha256: str
    prompt: str

    def random(self, seed: int, purpose: str) -> random.Random:
        """Randomness of this attempt alone: the same in any order of arrival."""
        return random.Random(f"{seed}/{purpose}/{self.body_sha256}/{self.attempt}")


def first_fault(faults: Iterable[Fault], sent: Sent, *, seed: int) -> Fault | None:
    """The first of the faults that the request meets, if any."""
    for place, fault in enumerate(faults):
        low, high = fault.numbers
        if (
            low <= sent.number <= high
            and (fault.first is None or sent.attempt <= fault.first)
            and fault.prompt in sent.prompt
            and sent.random(seed, f"fault {place}").random() < fault.probability
        ):
            return fault
    return None


def parse_fault(spec: str) -> Fault:
    """The fault that a spec describes.

    >>> fault = parse_fault("429@10+:0.1:retry-after=2")
    >>> fault.status, fault.numbers, fault.probability, fault.retry_after, fault.billed
    (429, (10, inf), 0.1, '2', False)

    Raises:
        ValueError: the spec isn't of the grammar in FAULT_HELP.
    """
    head, *parts = spec.split(":")
    kind, at, numbers = head.partition("@")
    fault = _of_kind(kind, spec)
    if at:
        fault = replace(fault, numbers=_numbers(numbers, spec))
    for part in parts:
        fault = _with_part(fault, part, spec)
    return fault


def _of_kind(kind: str, spec: str) -> Fault:
    if kind.startswith("poll-"):
        return _of_polls(kind.removeprefix("poll-"), spec)
    if re.fullmatch("[45][0-9][0-9]", kind):
        return Fault(kind=kind, status=int(kind), billed=False)
    if kind == "redirect":
        return Fault(kind=kind, status=307, billed=False)
    if kind not in _KINDS:
        raise ValueError(
            f"fault {spec!r} has the kind {kind!r}; expected a status from 400 to 599, "
            f"{', '.join(_KINDS[:-1])} or {_KINDS[-1]}{did_you_mean(kind, _KINDS)}"
        )
    return Fault(kind=kind, billed=kind != "failed")


def _of_polls(kind: str, spec: str) -> Fault:
    if re.fullmatch("[45][0-9][0-9]", kind):
        return Fault(kind=kind, status=int(kind), poll=True)
    if kind not in _POLL_KINDS:
        raise ValueError(
            f"fault {spec!r} is of polls, of the kind {kind!r}; expected a status from 400 to 599, "
            f"{', '.join(_POLL_KINDS[:-1])} or {_POLL_KINDS[-1]}"
        )
    return Fault(kind=kind, poll=True)


def _numbers(text: str, spec: str) -> tuple[int, float]:
    match = re.fullmatch(r"([1-9][0-9]*)(?:(\+)|-([1-9][0-9]*))?", text)
    if match is None:
        raise ValueError(f"fault {spec!r} selects {text!r}; expected @N, @N-M or @N+")
    low = int(match[1])
    if match[2]:
        return low, float("inf")
    return low, int(match[3] or low)


def _with_part(fault: Fault, part: str, spec: str) -> Fault:
    if part.startswith("prompt~"):
        return replace(fault, prompt=part.removeprefix("prompt~"))
    name, equals, value = part.partition("=")
    match name:
        case "first" if value.isdecimal() and int(value) >= 1:
            return replace(fault, first=int(value))
        case "billed" if value in ("0", "1"):
            return replace(fault, billed=value == "1")
        case "retry-after" if fault.status and _is_number(value):
            return replace(fault, retry_after=value)
        case "text" if equals and (fault.kind in ("json-error", "failed") or fault.status):
            return replace(fault, text=value)
        case "over" if fault.kind == "slow" and _is_number(value):
            return replace(fault, over_s=float(value))
        case "close" if fault.kind == "truncate" and value in ("0", "1"):
            return replace(fault, close=value == "1")
    if not equals and _is_number(part) and float(part) <= 1:
        return replace(fault, probability=float(part))
    raise ValueError(f"fault {spec!r} has {part!r}; expected a probability from 0 to 1 or an option of {fault.kind}")


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[0-9]+(\.[0-9]+)?|\.[0-9]+", text) is not None
