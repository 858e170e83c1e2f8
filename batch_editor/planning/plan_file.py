"""The file of a plan that people approve: JSON, whole or not there. What was changed in it by hand is known and named.

Checksums find changes, whatever way an editor lays the file out. They are no signature: who can write the file can
approve it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

import orjson

from batch_editor.errors import StorageError, UsageError
from batch_editor.files import open_regular, whole_file
from batch_editor.money import Price
from batch_editor.text import escape_all, escape_bytes, printable, shell_word

VERSION = 1
_MARK = "batch_editor_plan"
TO_APPROVE = "write your name, in quotes, as approved_by in place of null, and change nothing else"
# The fields of a plan's file, in their order; of the last all but `approved_by` have checksums.
_FIELDS = (
    *(_MARK, "plan_id", "approved_by", "to_approve", "made_at", "made_by", "manifests", "counts", "cost_usd"),
    *("amount_usd", "groups", "settings", "endpoints", "parameters", "requests"),
)
# Within these a plan says that it is one, whatever way it is laid out.
_HEAD_BYTES = 4096
_APPROVED_BY, _CHECKSUMS = "approved_by", "checksums"
# Fields whose entries have a checksum each, so that a change is traced to its entry; of requests each column has one.
_BY_ENTRY = ("settings", "endpoints")
_COLUMNS = ("fingerprint", "jobs", "endpoint", "list_usd", "prompt", "inputs", "parameters", "redo_of", "contents")
_RARE = {"redo_of", "contents"}  # which most requests don't have


class PlannedRequest(NamedTuple):
    """A request to send, as a plan's file has it.

    list_usd: its expected price by the price list alone. prompt, inputs: short hashes, which tell whether another
    prompt or other pictures are asked for. parameters: what else is sent. redo_of: the SHA-256 of the rejected image
    that it makes again; None of any other. contents: a short hash of what is behind its links, where it was done and is
    sent again because other pictures are there; else None.
    """

    fingerprint: str
    jobs: Sequence[str]
    endpoint: str
    list_usd: float
    prompt: str
    inputs: str
    parameters: Mapping[str, Any]
    redo_of: str | None = None
    contents: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFile:
    """What a plan's file says; USD. `amount_usd` is what may be spent for it, by all runs together.

    made_by: the version of this program. counts, groups: how many jobs and requests there are, and what requests that
    cost alike come to. settings: those that can make a run more expensive. endpoints: where requests go, and at which
    prices.
    """

    plan_id: str
    made_at: str
    made_by: str
    manifests: Sequence[str]
    counts: Mapping[str, int]
    cost: Price
    amount_usd: float
    groups: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Any]
    endpoints: Mapping[str, Any]
    requests: Sequence[PlannedRequest]
    approved_by: str | None = None

    def write(self, path: Path) -> None:
        """Put it at `path`, in place of what stands there. Blocks.

        Raises:
            UsageError: something else than a plan stands there.
            StorageError: it can't be written.
        """
        try:
            _expect_plan(path)
            with whole_file(path) as file:
                _write(file, escape_all(self._fields()))
        except OSError as error:
            raise StorageError(f"{path}: the plan can't be saved ({error.strerror or error})") from error

    def _fields(self) -> dict[str, Any]:
        numbers: dict[bytes, str] = {}
        parameters: dict[str, Any] = {}
        requests = []
        for each in self.requests:
            key = orjson.dumps(each.parameters)
            if key not in numbers:
                numbers[key] = str(len(numbers) + 1)
                parameters[numbers[key]] = each.parameters
            row = {**each._asdict(), "jobs": list(each.jobs), "parameters": numbers[key]}
            requests.append({name: value for name, value in row.items() if name not in _RARE or value is not None})
        cost = self.cost
        values = (
            *(VERSION, self.plan_id, self.approved_by, TO_APPROVE, self.made_at, self.made_by, list(self.manifests)),
            *(dict(self.counts), {"low": cost.min_usd, "expected": cost.expected_usd, "high": cost.max_usd}),
            *(self.amount_usd, list(self.groups), dict(self.settings), dict(self.endpoints), parameters, requests),
        )
        return dict(zip(_FIELDS, values, strict=True))

    @classmethod
    def read(cls, path: Path) -> PlanFile:
        """The plan at `path`. Blocks.

        Raises:
            UsageError: there is none, or it was changed after it was saved, in more than `approved_by`.
        """
        found = _parse(path)
        _expect_unchanged(path, found)
        cost = found["cost_usd"]
        parameters = found["parameters"]
        return cls(
            plan_id=found["plan_id"],
            made_at=found["made_at"],
            made_by=found["made_by"],
            manifests=found["manifests"],
            counts=found["counts"],
            cost=Price(cost["low"], cost["expected"], cost["high"]),
            amount_usd=found["amount_usd"],
            groups=found["groups"],
            settings=found["settings"],
            endpoints=found["endpoints"],
            requests=[
                PlannedRequest(**{**row, "parameters": parameters[row["parameters"]]}) for row in found["requests"]
            ],
            approved_by=_name(path, found[_APPROVED_BY]),
        )


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """Where a plan was saved, under which id, what may be spent for it in USD, and who has approved it, if anybody.

    is_comparison: it is `compare` that does it.
    """

    path: Path
    plan_id: str
    amount_usd: float
    approved_by: str | None
    is_comparison: bool = False

    def as_json(self) -> dict[str, Any]:
        """The `saved` object of a plan's `--json`."""
        return {
            "file": str(self.path),
            "plan_id": self.plan_id,
            "amount_usd": self.amount_usd,
            "approved_by": self.approved_by,
        }

    def lines(self) -> Iterator[str]:
        """The same for people."""
        yield f"Saved: {self.path}, plan {self.plan_id}, for up to ${self.amount_usd:,.2f}"
        if self.approved_by is None:
            yield f"  to approve it: {TO_APPROVE}"
        else:
            yield f"  approved by {printable(self.approved_by)}"
        instead = "compare in place of plan, --over of --compare" if self.is_comparison else "run in place of plan"
        yield f"  to do it: the same command with {instead}, and --plan {shell_word(str(self.path))}"


def _write(file: BinaryIO, fields: Mapping[str, Any]) -> None:
    """One request a line: so the file can be searched and compared by lines, and its head be read."""
    checksums = _checksums(fields)
    file.write(b"{\n")
    for name, value in fields.items():
        file.write(f'  "{name}": '.encode())
        if name == "requests":
            rows = b",\n    ".join(map(orjson.dumps, value))
            file.write(b"[\n    " + rows + b"\n  ]" if value else b"[]")
        else:
            file.write(json.dumps(value, indent=2, ensure_ascii=False).replace("\n", "\n  ").encode())
        file.write(b",\n")
    file.write(f'  "{_CHECKSUMS}": '.encode())
    file.write(json.dumps(checksums, indent=2).replace("\n", "\n  ").encode() + b"\n}\n")


def _expect_plan(path: Path) -> None:
    """See that what stands in a plan's way is another one: a manifest, for instance, is not to be lost."""
    with suppress(FileNotFoundError), open(path, "rb", opener=open_regular) as file:
        start = file.read(_HEAD_BYTES)
        if start and _MARK.encode() not in start:
            raise UsageError(f"{path}: stands there already, and is no plan; expected a new name for the plan")


def _parse(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb", opener=open_regular) as file:
            text = file.read().decode("utf-8-sig")
        found = json.loads(text, object_pairs_hook=_no_repeats, parse_constant=_no_number)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: there is no such file; `plan … --save {path}` makes it") from error
    except OSError as error:
        raise UsageError(f"{path}: the plan can't be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{path}: is no JSON any more ({error}); expected the file that `plan --save` wrote"
        ) from error
    if not isinstance(found, dict) or _MARK not in found:
        raise UsageError(f"{path}: is no plan to be approved; expected a file that `plan --save` wrote")
    if found[_MARK] != VERSION:
        raise UsageError(
            f"{path}: is a plan of version {found[_MARK]!r}, and this program reads version {VERSION}; save it anew"
        )
    return found


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)} stands there twice")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _expect_unchanged(path: Path, found: Mapping[str, Any]) -> None:
    """See that nothing but `approved_by` is other than it was saved.

    Raises:
        UsageError: something is; the message says what.
    """
    odd = sorted({*_FIELDS, _CHECKSUMS} ^ set(found))
    if odd:
        raise _changed(path, f"the field {odd[0]} is {'new' if odd[0] in found else 'gone'}")
    expected = found[_CHECKSUMS]
    try:
        actual = _checksums(found)
    except (AttributeError, KeyError, OverflowError, TypeError) as error:
        raise _changed(path, "its fields are not of the kind that they were") from error
    if not isinstance(expected, dict):
        raise _changed(path, _CHECKSUMS)
    # Of the names in the order of the file, those of the parts first: they tell more than their whole.
    for name in dict.fromkeys((*actual, *expected)):
        if actual.get(name) != expected.get(name):
            raise _changed(path, name)


def _changed(path: Path, what: str) -> UsageError:
    return UsageError(
        f"{path}: was changed after it was saved, in more than {_APPROVED_BY}: {escape_bytes(what)}. Nothing was sent."
        " Save the plan anew with `plan --save`, and have that approved"
    )


def _name(path: Path, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise UsageError(f"{path}: {_APPROVED_BY} is {json.dumps(value)}; expected a name in quotes")
    return printable(value, limit=200) or None


def _checksums(fields: Mapping[str, Any]) -> dict[str, str]:
    """A short hash of each part of a plan but `approved_by`, by its name; of that plan alone."""
    plan_id = fields["plan_id"]
    parts: dict[str, Any] = {}
    for name in _FIELDS:
        value = fields[name]
        if name in _BY_ENTRY:
            parts.update({f"{name}.{entry}": each for entry, each in value.items()})
        elif name == "requests":
            parts["number of requests"] = len(value)
            parts.update({f"{column} of requests": [row.get(column) for row in value] for column in _COLUMNS})
            parts["fields of requests"] = sorted({column for row in value for column in row} - _RARE)
        elif name != _APPROVED_BY:
            parts[name] = value
    return {name: short_hash([plan_id, name, _as_floats(value)]) for name, value in parts.items()}


def _as_floats(value: Any) -> Any:
    """The same with every number as a float: an editor may write 12.0 as 12."""
    if isinstance(value, dict):
        return {name: _as_floats(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_as_floats(each) for each in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def short_hash(value: Any) -> str:
    """Sixteen hex digits by which a part of a plan is known."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
