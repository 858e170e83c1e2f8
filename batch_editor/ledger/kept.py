"""Done jobs that keep the image that another endpoint made of the same edit: a new model buys nothing again."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from batch_editor.ledger.repeats import share_requests
from batch_editor.records import EditRequest, ParamValue, Shape, fingerprint_of, former_fingerprints_of, known_by

# What may well be another one at another endpoint, and is worth a word.
_OUTCOME = ("size", "quality", "format")


@dataclass(frozen=True, slots=True)
class Kept:
    """How many done jobs keep an image, by the endpoint that made it; in how many of them a parameter is another."""

    jobs: Mapping[str, int] = field(default_factory=dict)
    differs: Mapping[str, int] = field(default_factory=dict)


def keep(db: sqlite3.Connection, shapes: Mapping[str, Shape], former: Mapping[str, Shape]) -> Kept:
    """Let the staging's jobs ask for what another endpoint has done for them, where that is the same edit.

    The same prompt, inputs, mask and variant. `past` is filled, and the ledger attached as `ledger`.
    """
    jobs: Counter[str] = Counter()
    differs: Counter[str] = Counter()
    rows = db.execute(
        "SELECT s.position, k.endpoint, s.params, s.variant, s.identity,"
        " r.fingerprint, r.endpoint, r.params, r.variant, r.identity"
        " FROM past p JOIN staged s USING (position) JOIN kinds k USING (kind) JOIN ledger.jobs j USING (job_id)"
        " LEFT JOIN ledger.requests a ON a.fingerprint = j.fingerprint JOIN ledger.requests r"
        " ON r.fingerprint = iif(a.state = 'succeeded', j.fingerprint, j.placed_fingerprint)"
        " WHERE (NOT p.done OR p.known IN ('failed', 'unknown')) AND r.state = 'succeeded' AND r.endpoint <> k.endpoint"
    ).fetchall()
    for position, endpoint, params, variant, identity, old, *stored in rows:
        now = EditRequest(endpoint, orjson.loads(params), variant, identity)
        was = EditRequest(stored[0], orjson.loads(stored[1]), stored[2] or variant, stored[3])
        roles, former_roles = shapes[endpoint].roles, former.get(was.endpoint, shapes[endpoint]).roles
        if not _is_one_edit(_edit(now, roles), now, _edit(was, former_roles), was, old, former_roles):
            continue
        jobs[was.endpoint] += 1
        differs.update(
            role
            for role in _OUTCOME
            if now.params.get(roles.get(role, "")) != was.params.get(former_roles.get(role, ""))
        )
        db.execute("UPDATE staged SET fingerprint = ?, known_as = NULL WHERE position = ?", (old, position))
        db.execute("UPDATE past SET known = 'unchanged', done = 1 WHERE position = ?", (position,))
    if jobs:
        db.execute("UPDATE staged SET owns = 1, sends = 1")
        share_requests(db)
    return Kept(dict(jobs), dict(differs))


@dataclass(frozen=True, slots=True)
class _Edit:
    """What is asked for, whatever the endpoint calls it."""

    prompt: ParamValue
    images: list[Any]
    mask: ParamValue


def _edit(request: EditRequest, roles: Mapping[str, str]) -> _Edit:
    prompt, images, mask = (request.params.get(roles.get(role, "")) for role in ("prompt", "images", "mask"))
    listed = images if isinstance(images, list) else [images] if images else []
    return _Edit(prompt, [known_by(each) for each in listed], known_by(mask))


def _is_one_edit(
    asked: _Edit, now: EditRequest, done: _Edit, was: EditRequest, fingerprint: str, roles: Mapping[str, str]
) -> bool:
    if now.variant != was.variant:
        return False
    if asked.prompt == done.prompt:
        if now.identity is not None and was.identity in (None, now.identity):
            return True
        if (asked.images, asked.mask) == (done.images, done.mask):
            return True
    # A rebuilt ledger knows a local file by the link that it was uploaded to, and of a redo the words that it sent.
    if now.identity is not None and was.identity is None:
        was = was._replace(
            identity=now.identity, inputs=tuple(roles[role] for role in ("images", "mask") if role in roles)
        )
    return any(
        fingerprint in (fingerprint_of(each), *former_fingerprints_of(each)) for each in _as_sent(asked, was, roles)
    )


def _as_sent(asked: _Edit, was: EditRequest, roles: Mapping[str, str]) -> Iterator[EditRequest]:
    """The former request with the inputs that are asked for now."""
    images = roles.get("images")
    if images is None:
        return
    is_list = isinstance(was.params.get(images), list)
    if not is_list and len(asked.images) != 1:
        return
    params = {**was.params, images: asked.images if is_list else asked.images[0]}
    if (prompt := roles.get("prompt")) is not None:
        params[prompt] = asked.prompt
    mask = roles.get("mask")
    if mask is None:
        yield was._replace(params=params)
        return
    yield was._replace(params={**params, mask: asked.mask})
    if asked.mask is None:
        yield was._replace(params={name: value for name, value in params.items() if name != mask})
