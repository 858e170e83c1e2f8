"""Pictures that change behind the same link: what was there when images were made of them, and what is there now.

A request's `contents` are what was seen behind its input links when it was last to be sent, or first recorded since;
where something else is there now, its job is a changed one. The fingerprint stays: with or without tracking, and to any
version, it is the same request. That a changed one is to be sent, and what is behind its links, become durable together
(see `import_jobs`), so nothing that comes between loses it.
"""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from batch_editor.ledger.database import Ledger
from batch_editor.ledger.repeats import share_requests
from batch_editor.records import EditRequest, LinkToAsk, SeenPicture, Shape, fingerprint_of, known_by

# asked: links by what they are known by, one of their jobs' as it is written, what was seen there before, and now.
# tracked: requests that have links, with their contents, `was` and `now`; the ledger knows them as `called`.
# uses: which link is which input of a request; 0 is the mask. Contents are JSON, {input: content}.
TRACKING = """
CREATE TABLE asked (
    id INTEGER PRIMARY KEY, link TEXT UNIQUE, given TEXT, content TEXT, etag TEXT, last_modified TEXT, now TEXT
);
CREATE TABLE tracked (
    fingerprint TEXT PRIMARY KEY, called TEXT, made_by TEXT, done INTEGER, succeeded INTEGER, was TEXT, now TEXT,
    changed INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE uses (fingerprint TEXT, input INTEGER, id INTEGER, PRIMARY KEY (fingerprint, input)) WITHOUT ROWID;
"""
_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class PictureChanges:
    """What pictures that changed behind their links mean: chosen jobs that change so, requests that were done and are
    made again for that, and those of the jobs that another endpoint's image was kept for, by that endpoint.
    """

    jobs: int = 0
    remade: int = 0
    no_longer_kept: Mapping[str, int] = field(default_factory=dict)


class Tracking:
    """The input links of the staging's jobs that were made before, and what is behind them now."""

    def __init__(self, db: sqlite3.Connection, shapes: Mapping[str, Shape]) -> None:
        self._db = db
        self._shapes = shapes

    def find(self, ledger: Path) -> int:
        """Find the links, after `Staging.compare` with that ledger; return how many there are. Once.

        Those of chosen jobs whose request is done, refused or unknown, or was to be made again before; not while the
        provider may still give an answer.
        """
        with self._attached(ledger):
            rows = self._db.execute(
                "SELECT s.fingerprint, r.fingerprint, r.endpoint, p.done, r.state = 'succeeded', r.contents,"
                " k.endpoint, s.params FROM staged s JOIN past p USING (position) JOIN kinds k USING (kind)"
                " LEFT JOIN renamed n ON n.new = s.fingerprint"
                " JOIN ledger.requests r ON r.fingerprint = coalesce(s.known_as, n.old, s.fingerprint)"
                " WHERE s.selected AND s.sends AND s.fault IS NULL AND (p.done OR r.contents IS NOT NULL)"
                " AND r.fingerprint NOT IN (SELECT fingerprint FROM ledger.attempts"
                " WHERE state IN ('sent', 'accepted', 'received'))"
            )
            self._db.execute("BEGIN")
            while page := rows.fetchmany(_PAGE):
                self._add(page)
            self._db.execute(
                "UPDATE asked SET content = l.content, etag = l.etag, last_modified = l.last_modified"
                " FROM ledger.input_links l WHERE l.link = asked.link"
            )
            self._db.execute("COMMIT")
        return self.count()

    def _add(self, page: Iterable[Sequence[Any]]) -> None:
        uses, tracked = [], []
        for *request, endpoint, params in page:
            links = list(_inputs(orjson.loads(params), self._shapes[endpoint]))
            uses += [(request[0], number, known_by(link), link) for number, link in links]
            tracked += [request] if links else []
        self._db.executemany(
            "INSERT OR IGNORE INTO asked (link, given) VALUES (?, ?)", ((known, link) for _, _, known, link in uses)
        )
        self._db.executemany("INSERT INTO uses SELECT ?, ?, id FROM asked WHERE link = ?", (use[:3] for use in uses))
        self._db.executemany(
            "INSERT INTO tracked (fingerprint, called, made_by, done, succeeded, was) VALUES (?, ?, ?, ?, ?, ?)",
            tracked,
        )

    def count(self, *, seen: bool = False) -> int:
        """How many links there are; with `seen` those that were asked before."""
        where = "WHERE content IS NOT NULL" if seen else ""
        ((count,),) = self._db.execute(f"SELECT count(*) FROM asked {where}")
        return int(count)

    def links(self, *, seen: bool = False) -> Iterator[LinkToAsk]:
        """The links, drawn as they are needed; with `seen` those that were asked before."""
        where = "AND content IS NOT NULL" if seen else ""
        last = 0
        sql = (
            f"SELECT id, given, content, etag, last_modified FROM asked WHERE id > ? {where} ORDER BY id LIMIT {_PAGE}"
        )
        while page := self._db.execute(sql, (last,)).fetchall():
            for number, given, content, etag, last_modified in page:
                yield LinkToAsk(number, given, content and SeenPicture(content, etag, last_modified))
            last = page[-1][0]

    def saw(self, found: Iterable[tuple[int, SeenPicture]]) -> None:
        """Note what is behind links now, by their ids."""
        self._db.execute("BEGIN")
        self._db.executemany(
            "UPDATE asked SET now = ?, etag = ?, last_modified = ? WHERE id = ?",
            ((seen.content, seen.etag, seen.last_modified, number) for number, seen in found),
        )
        self._db.execute("COMMIT")

    def compare(self, ledger: Path) -> PictureChanges:
        """Mark the jobs that have another picture behind a link than their image was made of. Once, after `saw`."""
        with self._attached(ledger):
            self._db.execute("BEGIN")
            last = ""
            while page := self._db.execute(_CONTENTS, (last,)).fetchall():
                self._db.executemany(
                    "UPDATE tracked SET now = ?, changed = ? WHERE fingerprint = ?",
                    ((*_compared(*contents), fingerprint) for fingerprint, *contents in page),
                )
                last = page[-1][0]
            # What is taken from another output directory costs nothing, whatever it was made of.
            self._db.execute("UPDATE tracked SET changed = 0 WHERE fingerprint IN (SELECT fingerprint FROM elsewhere)")
            kept = self._let_go_of_kept()
            changes = PictureChanges(*self._mark(), kept)
            self._db.execute("COMMIT")
        return changes

    def _let_go_of_kept(self) -> Counter[str]:
        """Let jobs that keep another endpoint's image ask for one of their own, if their pictures changed.

        Unless that was refused, or may have been billed in vain, of the same pictures before: then it isn't sent again.
        """
        rows = self._db.execute(
            "SELECT s.position, k.endpoint, s.params, s.variant, s.identity, t.* FROM tracked t"
            " JOIN staged s USING (fingerprint) JOIN kinds k USING (kind) WHERE t.changed AND k.endpoint <> t.made_by"
        ).fetchall()
        kept = Counter[str]()
        for position, endpoint, params, variant, identity, former, _, made_by, _, _, _, now, _ in rows:
            asked = EditRequest(endpoint, orjson.loads(params), variant, identity, self._shapes[endpoint].inputs)
            fingerprint = fingerprint_of(asked)
            self._db.execute("UPDATE tracked SET changed = 0 WHERE fingerprint = ?", (former,))
            tried = self._db.execute(
                "SELECT contents FROM ledger.requests WHERE fingerprint = ?"
                " AND (state = 'unknown' OR (state = 'failed' AND NOT passing))",
                (fingerprint,),
            ).fetchone()
            if tried is not None and not _differs(tried[0], now):
                continue
            kept[made_by] += 1
            self._db.execute(
                "INSERT OR REPLACE INTO tracked VALUES (?, ?, ?, 1, 1, NULL, ?, 1)",
                (fingerprint, fingerprint, endpoint, now),
            )
            self._db.execute(
                "UPDATE staged SET fingerprint = ?, known_as = NULL WHERE position = ?", (fingerprint, position)
            )
        if kept:
            self._db.execute("UPDATE staged SET owns = 1, sends = 1")
            share_requests(self._db)
        return kept

    def _mark(self) -> tuple[int, int]:
        """Let the jobs that changed be sent; how many are chosen, and how many of their requests were done."""
        changed = "fingerprint IN (SELECT fingerprint FROM tracked WHERE changed) AND fault IS NULL"
        self._db.execute(
            "UPDATE past SET known = iif(known = 'new', 'new', 'changed'), done = 0"
            f" WHERE position IN (SELECT position FROM staged WHERE {changed})"
        )
        ((jobs, remade),) = self._db.execute(
            "SELECT count(*) FILTER (WHERE known = 'changed'), coalesce(sum(sends AND succeeded), 0) FROM staged"
            f" JOIN tracked USING (fingerprint) JOIN past USING (position) WHERE selected AND {changed}"
        )
        return int(jobs), int(remade)

    @contextmanager
    def _attached(self, ledger: Path) -> Iterator[None]:
        """Within the block, the ledger is there as `ledger`, to be read."""
        self._db.execute("ATTACH ? AS ledger", (f"{ledger.resolve().as_uri()}?mode=ro",))
        try:
            yield
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._db.execute("DETACH ledger")


_CONTENTS = (
    "SELECT t.fingerprint, t.done, t.was, json_group_object(u.input, a.now) FROM"
    f" (SELECT * FROM tracked WHERE fingerprint > ? ORDER BY fingerprint LIMIT {_PAGE}) t"
    " JOIN uses u USING (fingerprint) JOIN asked a USING (id) GROUP BY t.fingerprint ORDER BY t.fingerprint"
)


def _inputs(params: Mapping[str, Any], shape: Shape) -> Iterator[tuple[int, str]]:
    """A request's input links, with the number of each input: the mask is 0, whatever the images are."""
    mask = shape.roles.get("mask")
    images: list[Any] = []
    for name in shape.inputs:
        value = params.get(name)
        if name == mask:
            yield from _links([value], 0)
        else:
            images += value if isinstance(value, list) else [value]
    yield from _links(images, 1)


def _links(values: Iterable[Any], first: int) -> Iterator[tuple[int, str]]:
    for number, value in enumerate(values, start=first):
        if isinstance(value, str) and value[:4].lower() == "http":
            yield number, value


def _compared(done: int, was_text: str | None, now_text: str) -> tuple[str | None, bool]:
    """A request's contents from now on, and whether its job has changed."""
    was: dict[str, str] = orjson.loads(was_text or "{}")
    now: dict[str, str] = {name: seen for name, seen in orjson.loads(now_text).items() if seen is not None}
    changed = bool(done) and any(was.get(name, seen) != seen for name, seen in now.items())
    # What isn't seen now counts as it was. But what is to be sent is made of what is there then, which isn't known.
    then = now if changed or not done else {**now, **was}
    return orjson.dumps(then, option=orjson.OPT_SORT_KEYS).decode() if then else None, changed


def _differs(was_text: str | None, now_text: str) -> bool:
    was, now = orjson.loads(was_text or "{}"), orjson.loads(now_text)
    return any(was.get(name) != seen for name, seen in now.items())


def record_seen(ledger: Ledger, links: Iterable[tuple[str, SeenPicture]]) -> None:
    """Record what is behind links, for whoever asks them next. Durable at once.

    Raises:
        LedgerError: it can't be.
    """
    with ledger.translated(), ledger.transaction():
        ledger.connection.executemany(
            "INSERT OR REPLACE INTO input_links VALUES (?, ?, ?, ?)",
            ((known_by(link), seen.content, seen.etag, seen.last_modified) for link, seen in links),
        )


def record_first(ledger: Ledger, staging: Path) -> None:
    """Record what is behind the links of done requests of which that wasn't known.

    What was behind links that no job has any more is forgotten, where all jobs are chosen.

    Raises:
        LedgerError: it can't be.
    """
    db = ledger.connection
    with ledger.translated():
        db.execute("ATTACH ? AS staging", (os.fsencode(staging),))
        try:
            with ledger.transaction():
                db.execute(
                    "UPDATE main.requests SET contents = t.now FROM staging.tracked t"
                    " WHERE t.called = requests.fingerprint AND t.done AND NOT t.changed AND t.now IS NOT t.was"
                )
                db.execute(
                    "DELETE FROM main.input_links WHERE link NOT IN (SELECT link FROM staging.asked)"
                    " AND NOT EXISTS (SELECT 1 FROM staging.staged WHERE NOT selected)"
                )
        finally:
            db.execute("DETACH staging")


def take_over_tracking(db: sqlite3.Connection) -> None:
    """Make those of the attached staging's requests pending whose pictures changed; not what is still answered.

    What their former images cost stays counted.
    """
    db.execute(
        "UPDATE main.requests SET state = 'pending', forgiven = possibly_billed, pictures_changed = 1, cost_usd = NULL,"
        " former_expected_usd = former_expected_usd + iif(state = 'succeeded', expected_usd, 0),"
        " former_cost_usd = iif(cost_usd IS NULL OR state <> 'succeeded', former_cost_usd,"
        " coalesce(former_cost_usd, 0) + cost_usd)"
        " WHERE state <> 'pending' AND fingerprint IN (SELECT fingerprint FROM staging.tracked WHERE changed)"
        " AND fingerprint NOT IN (SELECT fingerprint FROM main.attempts"
        " WHERE state IN ('sent', 'accepted', 'received'))"
    )


def note_contents(db: sqlite3.Connection) -> None:
    """Note what is behind the links of the requests that are to be sent; where that wasn't asked, nothing is known."""
    db.execute(
        "UPDATE main.requests SET contents = (SELECT now FROM staging.tracked t"
        " WHERE t.fingerprint = requests.fingerprint) WHERE state = 'pending' AND position IS NOT NULL"
        " AND (contents IS NOT NULL OR fingerprint IN (SELECT fingerprint FROM staging.tracked))"
    )
