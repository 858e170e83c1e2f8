"""What a ledger has of a manifest's jobs: what is done, what changed and in what, what is gone.

A request that is done may be known to the ledger by another fingerprint than the one that the manifest gives it: an
earlier version made it, its endpoint's file has gained a parameter since, or the manifest an `identity`. Such requests
are recognized here, so that nothing is bought again for it; `import_jobs` then gives them their new fingerprints.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import orjson

from batch_editor.ledger.kept import Kept, keep
from batch_editor.ledger.redos import RejectedImage, find_rejected
from batch_editor.records import EditRequest, Redo, Shape, fingerprint_of, former_fingerprints_of, known_by

MAX_VARIANTS = 100
# What a ledger's column table has of the shapes by which its requests were hashed.
HASHED_BY = "hashed_by"

# renamed: requests of the ledger, `old`, by what the manifest calls them, `new`. moves: that name takes the former
# one's place; the others, which share a done request with it, get its image as their own.
RENAMED = """
CREATE TABLE renamed (
    new TEXT PRIMARY KEY, old TEXT NOT NULL, variant INTEGER, identity TEXT, moves INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Changes:
    """How a manifest differs from what was done before.

    remade: requests of jobs that had their image and would be sent again. differs: in how many of these a parameter, or
    the endpoint, is another. links_alone: how many differ in nothing but their input links.
    identified: done jobs that keep their image though the manifest knows their links by an `identity` now.
    known, gone: jobs that the last run's manifest named, and those of them that this one doesn't. renamed: those of the
    gone whose requests this one has under other ids; counted where more than half are gone. kept: done jobs that
    keep another endpoint's image. forced: done jobs that are made again for that was asked for. meant: those of the
    remade that another endpoint makes, as asked for. rejected: chosen jobs whose image was rejected. pruned: requests
    that were done, and would be sent again since their image was removed as old. moved: jobs of the last run's
    manifest that have other inputs in this one, and are another shard's by these. behind_links: chosen jobs that have
    another picture behind a link than before.
    """

    remade: int = 0
    differs: Mapping[str, int] = field(default_factory=dict)
    links_alone: int = 0
    identified: int = 0
    known: int = 0
    gone: int = 0
    renamed: int = 0
    kept: Kept = field(default_factory=Kept)
    forced: int = 0
    meant: int = 0
    moved: int = 0
    rejected: Sequence[RejectedImage] = ()
    pruned: int = 0
    behind_links: int = 0


def compare(
    db: sqlite3.Connection,
    ledger: Path,
    shapes: Mapping[str, Shape],
    *,
    former: Mapping[str, Shape] | None,
    redo: Collection[Redo],
    rejected: Iterable[tuple[str, str]] = (),
) -> Changes:
    """Mark what a ledger has of the staging's jobs: which are known, and which of them a run would not send.

    `shapes` are those of the manifest's endpoints, by name; `former` those of the endpoints that the ledger's requests
    went to, as far as they are known, or None where their images aren't kept. `rejected` are the images that were
    rejected, by fingerprint and SHA-256, where they are to be made again.
    """
    db.execute("ATTACH ? AS ledger", (f"{ledger.resolve().as_uri()}?mode=ro",))
    try:
        renamed = _hash_anew(db, shapes)
        unchanged = _find_known(db, renamed=renamed, redo=redo)
        kept = Kept() if former is None else keep(db, shapes, former)
        changes = _look_at_changed(db, shapes)
        if "endpoint" in redo:
            changes = replace(changes, meant=changes.differs.get("endpoint", 0))
        images = find_rejected(db, rejected) if "rejected" in redo else ()
        forced = _make_all_again(db) - len(images) if "all" in redo else 0
        known, gone = _known_and_gone(db, unchanged)
        moved = _in_another_shard(db) if gone else 0
        gone -= moved
        pruned = _pruned(db)
        # Two indexes over a million jobs take seconds.
        other_ids = _under_other_ids(db) if known < 2 * gone else 0
    finally:
        db.execute("DETACH ledger")
    changes = replace(changes, known=known, gone=gone, renamed=other_ids, pruned=pruned, moved=moved)
    return replace(changes, kept=kept, forced=forced, rejected=images)


def _pruned(db: sqlite3.Connection) -> int:
    """How many requests are to be sent again since their image was removed as old."""
    if not db.execute("SELECT EXISTS (SELECT 1 FROM ledger.requests WHERE pruned_at IS NOT NULL)").fetchone()[0]:
        return 0
    ((count,),) = db.execute(
        "SELECT count(*) FROM staged LEFT JOIN past USING (position) WHERE selected AND sends AND fault IS NULL"
        " AND NOT coalesce(done, 0) AND fingerprint NOT IN (SELECT fingerprint FROM elsewhere)"
        " AND coalesce(known_as, fingerprint) IN (SELECT fingerprint FROM ledger.requests WHERE pruned_at IS NOT NULL)"
    )
    return int(count)


def _make_all_again(db: sqlite3.Connection) -> int:
    """Let every selected job be sent again; return how many of them are done. Not what the provider still works on."""
    open_attempts = "SELECT fingerprint FROM ledger.attempts WHERE state IN ('sent', 'accepted', 'received')"
    done = "SELECT position FROM staged WHERE selected AND fault IS NULL AND fingerprint NOT IN"
    return db.execute(
        f"UPDATE past SET done = 0 WHERE done AND known = 'unchanged' AND position IN ({done} ({open_attempts}))"
    ).rowcount


def _hash_anew(db: sqlite3.Connection, shapes: Mapping[str, Shape]) -> bool:
    """Find the present fingerprints of stored requests, where those may differ from what they are stored under.

    Return whether the manifest has any of those that do.
    """
    anew = requests_anew(db, "ledger", shapes)
    if anew is None:
        return False
    db.execute("CREATE TEMP TABLE anew (old TEXT PRIMARY KEY, new TEXT, variant INTEGER, identity TEXT, rank INTEGER)")
    db.execute("BEGIN")
    db.executemany("INSERT INTO temp.anew VALUES (?, ?, ?, ?, ?)", anew)
    # Of several that are one now (links renewed, and paid for each time) the newest image counts.
    db.execute(
        "INSERT INTO renamed (new, old, variant, identity) SELECT new, old, variant, identity FROM"
        " (SELECT *, row_number() OVER (PARTITION BY new ORDER BY rank DESC, new = old DESC, old) AS turn"
        " FROM temp.anew) WHERE turn = 1"
    )
    db.execute("COMMIT")
    db.execute("DROP TABLE temp.anew")
    found = db.execute(
        "UPDATE staged SET known_as = renamed.old FROM renamed WHERE renamed.new = staged.fingerprint"
        " AND renamed.new <> renamed.old"
    )
    return found.rowcount > 0


def requests_anew(db: sqlite3.Connection, schema: str, shapes: Mapping[str, Shape]) -> Iterator[tuple[Any, ...]] | None:
    """The requests of an attached ledger whose endpoints' shapes have changed since they were hashed, each with the
    fingerprint that it has now: old, new, variant, identity, rank (the newest image has the highest). None: no shape
    has changed.
    """
    hashed_by = hashed_by_of(db, schema)
    stale = [name for name, shape in shapes.items() if hashed_by.get(name) != shape.digest]
    if not stale:
        return None
    rows = db.execute(
        "SELECT fingerprint, endpoint, params, variant, identity, state = 'succeeded', coalesce(ended_at, 0)"
        f" FROM {schema}.requests WHERE endpoint IN (SELECT value FROM json_each(?))",
        (orjson.dumps(stale).decode(),),
    )
    return _anew(rows, shapes)


def hashed_by_of(db: sqlite3.Connection, schema: str) -> dict[str, str]:
    """The digests of the endpoints' shapes by which a ledger's requests were hashed last, by endpoint."""
    row = db.execute(f"SELECT value FROM {schema}.columns WHERE name = ?", (HASHED_BY,)).fetchone()
    found: dict[str, str] = orjson.loads(row[0]) if row else {}
    return found


def _anew(rows: Iterator[tuple[Any, ...]], shapes: Mapping[str, Shape]) -> Iterator[tuple[Any, ...]]:
    """Rows of requests with their present fingerprints, but for those whose parameters are not whole."""
    for old, endpoint, params, variant, identity, succeeded, ended_at in rows:
        shape = shapes[endpoint]
        request = EditRequest(endpoint, orjson.loads(params), variant or 0, identity, shape.inputs)
        if variant is None:
            request = _with_variant(request, old)
        if not request.variant:
            continue  # a rebuilt ledger has of local files the links that they were uploaded to
        whole = request._replace(params={**shape.defaults, **request.params})
        yield old, fingerprint_of(whole), request.variant, identity, ended_at + (succeeded << 40)


def _with_variant(request: EditRequest, fingerprint: str) -> EditRequest:
    """The request with the variant that this or an earlier version gives that fingerprint; as it was if none."""
    candidates = (request._replace(variant=variant) for variant in range(1, MAX_VARIANTS + 1))
    found = (each for each in candidates if fingerprint in (fingerprint_of(each), *former_fingerprints_of(each)))
    return next(found, request)


def _find_known(db: sqlite3.Connection, *, renamed: bool, redo: Collection[Redo]) -> int:
    """Fill `past`; return how many jobs of the last manifest have nothing to be done."""
    db.executescript(
        """
        CREATE TEMP TABLE unfinished AS SELECT fingerprint FROM ledger.requests WHERE state <> 'succeeded';
        CREATE INDEX temp.unfinished_by_fingerprint ON unfinished (fingerprint);
        """
    )
    # Nearly all that is known when a run resumes is unchanged and done: requests of what is left alone are looked
    # up by their fingerprints, which lie in no order. A LEFT JOIN that finds nothing costs half a NOT EXISTS.
    known_as = "coalesce(s.known_as, s.fingerprint)" if renamed else "s.fingerprint"
    unchanged = db.execute(
        "INSERT INTO past SELECT s.position, 'unchanged', 1, 0 FROM staged s JOIN ledger.jobs j USING (job_id)"
        f" LEFT JOIN unfinished u ON u.fingerprint = {known_as}"
        f" WHERE j.fingerprint = {known_as} AND u.fingerprint IS NULL AND j.active"
    ).rowcount
    # The first condition on an attempt's state lets SQLite use the index attempts_open.
    db.execute(
        "INSERT INTO past SELECT s.position,"
        " CASE WHEN s.fault IS NOT NULL THEN 'faulty' WHEN r.state = 'unknown' THEN 'unknown'"
        " WHEN r.state = 'failed' AND NOT r.passing THEN 'failed'"
        f" WHEN j.fingerprint = {known_as} THEN 'unchanged' WHEN j.fingerprint IS NOT NULL THEN 'changed'"
        " ELSE 'new' END,"
        " coalesce(s.fault IS NOT NULL OR r.state = 'succeeded'"
        " OR (NOT ? AND r.state = 'unknown') OR (NOT ? AND r.state = 'failed' AND NOT r.passing)"
        " OR r.fingerprint IN (SELECT fingerprint FROM ledger.attempts"
        " WHERE state IN ('sent', 'accepted', 'received') AND state = 'accepted'), 0), coalesce(j.active, 0)"
        " FROM staged s LEFT JOIN past p USING (position) LEFT JOIN ledger.jobs j USING (job_id)"
        f" LEFT JOIN ledger.requests r ON r.fingerprint = {known_as} WHERE p.position IS NULL",
        ("unknown" in redo or "all" in redo, "failed" in redo or "all" in redo),
    )
    db.execute("DROP TABLE temp.unfinished")
    return unchanged


def _known_and_gone(db: sqlite3.Connection, unchanged: int) -> tuple[int, int]:
    """How many jobs the last run's manifest named, and how many of them this one doesn't."""
    ((others, active),) = db.execute(
        "SELECT (SELECT count(*) FROM past WHERE was_active), (SELECT count(*) FROM ledger.jobs WHERE active)"
    )
    return active, active - unchanged - others


def _in_another_shard(db: sqlite3.Connection) -> int:
    """How many jobs are in the manifest as before, and in another shard since they have other inputs."""
    ((count,),) = db.execute(
        "SELECT count(*) FROM ledger.jobs WHERE active AND job_id IN (SELECT job_id FROM of_other_shards)"
    )
    return int(count)


def _under_other_ids(db: sqlite3.Connection) -> int:
    """How many jobs are gone by their ids, while the manifest asks for what they asked for."""
    ((count,),) = db.execute(
        "SELECT count(*) FROM ledger.jobs WHERE active AND job_id NOT IN (SELECT job_id FROM staged)"
        " AND fingerprint IN (SELECT coalesce(known_as, fingerprint) FROM staged)"
    )
    return int(count)


def _look_at_changed(db: sqlite3.Connection, shapes: Mapping[str, Shape]) -> Changes:
    """Compare done jobs, whose request is another now, with that one."""
    differs: Counter[str] = Counter()
    remade = links_alone = identified = 0
    rows = db.execute(
        "SELECT s.position, s.selected AND s.sends AND s.fingerprint NOT IN (SELECT fingerprint FROM elsewhere),"
        " s.fingerprint, k.endpoint, s.params, s.variant, s.identity,"
        " r.fingerprint, r.endpoint, r.params, r.variant, r.identity"
        " FROM past p JOIN staged s USING (position) JOIN kinds k USING (kind) JOIN ledger.jobs j USING (job_id)"
        " JOIN ledger.requests r ON r.fingerprint = j.fingerprint"
        " WHERE p.known = 'changed' AND NOT p.done AND r.state = 'succeeded'"
    ).fetchall()
    for position, wanted, new, endpoint, params, variant, identity, old, *stored in rows:
        shape = shapes[endpoint]
        now = EditRequest(endpoint, orjson.loads(params), variant, identity, shape.inputs)
        was = EditRequest(stored[0], orjson.loads(stored[1]), stored[2] or variant, stored[3], shape.inputs)
        if was.endpoint == endpoint and _is_what_was_sent(now, was, old, shape):
            names = []
        else:
            names = _differences(now, was, shape)
        if not names:
            identified += identity is not None and was.identity is None
            db.execute("INSERT OR IGNORE INTO renamed VALUES (?, ?, ?, ?, 1)", (new, old, variant, identity))
            db.execute("UPDATE past SET known = 'unchanged', done = 1 WHERE position = ?", (position,))
        elif wanted:
            remade += 1
            links_alone += set(names) <= set(shape.inputs)
            differs.update(names)
    _let_one_move(db)
    return Changes(remade, dict(differs.most_common()), links_alone, identified)


def _is_what_was_sent(now: EditRequest, was: EditRequest, fingerprint: str, shape: Shape) -> bool:
    """Whether a request differs from one of that fingerprint only in what has a default since.

    By the fingerprint, for a rebuilt ledger knows a local file by the link that it was uploaded to. It has of each
    parameter that wasn't sent nothing or null, and the fingerprint may have its default all the same: a run between two
    versions of the endpoint's file hashed the request anew.
    """
    gained = [name for name in now.params if name not in was.params]
    at_default = [name for name in gained if name in shape.defaults and now.params[name] == shape.defaults[name]]
    if any(now.params[name] is not None for name in gained if name not in at_default):
        return False
    for kept in product((False, True), repeat=len(at_default)):
        left_out = {name for name, is_kept in zip(at_default, kept, strict=True) if not is_kept}
        sent = now._replace(params={name: value for name, value in now.params.items() if name not in left_out})
        if fingerprint in (fingerprint_of(sent), *former_fingerprints_of(sent)):
            return True
    return False


def _differences(now: EditRequest, was: EditRequest, shape: Shape) -> list[str]:
    """The names of what makes a request another one than that which was sent; none if they ask for the same."""
    if now.endpoint != was.endpoint:
        # Parameters mean something else there, but for the edit itself.
        edit = [shape.roles[role] for role in ("prompt", "images", "mask") if shape.roles.get(role, "") in was.params]
        return ["endpoint", *(name for name in edit if _known_by(now.params.get(name)) != _known_by(was.params[name]))]
    before = {**shape.defaults, **was.params}
    missing = object()
    names = [
        name
        for name in dict.fromkeys((*now.params, *before))
        if _known_by(now.params.get(name, missing)) != _known_by(before.get(name, missing))
    ]
    if now.identity is not None and was.identity in (None, now.identity):
        names = [name for name in names if name not in now.inputs]
    elif now.identity is not None:
        names = [*(name for name in names if name not in now.inputs), "identity"]
    return names if now.variant == was.variant else [*names, "variants"]


def _known_by(value: Any) -> object:
    return known_by(value) if isinstance(value, (str, list)) else value


def _let_one_move(db: sqlite3.Connection) -> None:
    """Of the names for one done request, let one take its place; none if the manifest names it by the former one."""
    if not db.execute("SELECT EXISTS (SELECT 1 FROM renamed WHERE new <> old)").fetchone()[0]:
        return
    db.execute("CREATE INDEX renamed_by_old ON renamed (old)")
    db.execute(
        "UPDATE renamed SET moves = 0 WHERE new <> old AND (old IN (SELECT fingerprint FROM staged)"
        " OR new <> (SELECT min(other.new) FROM renamed other WHERE other.old = renamed.old))"
    )
