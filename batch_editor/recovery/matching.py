"""Which of the provider's rows is which of our attempts. Pure.

The provider has no name for an attempt whose answer was lost: it is known by what was sent, when, and how often.
"""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from batch_editor.client import HistoryRow
from batch_editor.links.encoded import as_encoded
from batch_editor.links.signed import unsigned
from batch_editor.records import LOCAL

# Between the provider's clock and ours, and between a request's arrival and its row.
CLOCKS_S = 300.0


@dataclass(frozen=True, slots=True)
class Sent:
    """An attempt to find: what it sent, when, until when it may have been at work; `sure` if it was charged."""

    attempt_id: int
    params: Mapping[str, Any]
    request_id: str | None
    sent_at: float
    until_at: float
    sure: bool


class Bodies:
    """Names bodies, ours and the provider's, so that the same request has the same name.

    Signatures of links don't count, nor how links are encoded, nor parameters that we didn't send, nor null. A local
    file is its content, whether it was uploaded (`uploads` has its link by content) or went inline.
    """

    def __init__(self, uploads: Mapping[str, str]) -> None:
        self._contents = {_known_by(link): LOCAL + sha256 for sha256, link in uploads.items()}

    def name(self, body: Mapping[str, Any], parameters: Iterable[str]) -> str:
        """The name of a body as far as it has these parameters; nothing of one that can't be ours."""
        try:
            plain = {name: self._plain(body[name]) for name in parameters if body.get(name) is not None}
            return hashlib.sha256(orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)).hexdigest()
        except (TypeError, RecursionError):  # nested without end, or a number beyond what we send
            return ""

    def _plain(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._plain(item) for item in value]
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if not isinstance(value, str):
            return value
        if value.startswith("data:"):
            try:
                content = base64.b64decode(value.partition(",")[2], validate=True)
            except ValueError:  # binascii's own, or of what is not ASCII
                return value
            return LOCAL + hashlib.sha256(content).hexdigest()
        return self._contents.get(_known_by(value), _known_by(value))


@dataclass(frozen=True, slots=True)
class Matches:
    """Rows by attempt; the names of all bodies in the history; and attempts without a row that may yet have one.

    `under_way`: a job of that body isn't done. `unread`: something was charged whose body the history doesn't show.
    """

    rows: Mapping[int, HistoryRow]
    under_way: frozenset[int]
    unread: frozenset[int]
    names: frozenset[str]


def match(sent: Sequence[Sent], rows: Sequence[HistoryRow], bodies: Bodies, *, taken: frozenset[str]) -> Matches:
    """Give each attempt its row, and no row to two. `taken` are rows of attempts that are not looked for.

    First by the provider's id. The rest by body, in the order of time: attempts that surely were charged before those
    that may have been, for whom only rows that were charged count.
    """
    by_id = {row.request_id: row for row in rows}
    found = {each.attempt_id: by_id[each.request_id] for each in sent if each.request_id in by_id}
    left = [row for row in rows if row.request_id not in taken | {row.request_id for row in found.values()}]
    names: set[str] = set()
    under_way: set[int] = set()
    unread: set[int] = set()
    for parameters, group in _by_parameters(sent).items():
        by_name: dict[str, list[HistoryRow]] = defaultdict(list)
        for row in left:
            if row.body is not None:
                by_name[bodies.name(row.body, parameters)].append(row)
        names |= {bodies.name(row.body, parameters) for row in rows if row.body is not None}
        for each in sorted(group, key=lambda each: (not each.sure, each.sent_at)):
            if each.attempt_id in found:
                continue
            candidates = by_name[bodies.name(each.params, parameters)]
            near = [row for row in candidates if _near(row, each)]
            made = next((row for row in near if row.made), None)
            if made is not None:
                found[each.attempt_id] = made
                candidates.remove(made)
            elif any(row.state not in ("COMPLETED", "FAILED") for row in near):
                under_way.add(each.attempt_id)
            elif any(row.body is None and row.made and _near(row, each) for row in left):
                unread.add(each.attempt_id)
    return Matches(found, frozenset(under_way), frozenset(unread), frozenset(names))


def _by_parameters(sent: Iterable[Sent]) -> Mapping[tuple[str, ...], list[Sent]]:
    groups: dict[tuple[str, ...], list[Sent]] = defaultdict(list)
    for each in sent:
        groups[tuple(sorted(each.params))].append(each)
    return groups


def _known_by(link: str) -> str:
    return unsigned(as_encoded(link))


def _near(row: HistoryRow, sent: Sent) -> bool:
    return row.at is None or sent.sent_at - CLOCKS_S <= row.at <= sent.until_at + CLOCKS_S
