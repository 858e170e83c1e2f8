"""What pages can ask for: themselves, jobs as JSON, pictures; and what they can say: verdicts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from batch_editor.errors import UsageError
from batch_editor.ledger import readings, review_readings
from batch_editor.review import answers
from batch_editor.review.filters import Filter
from batch_editor.review.finished import finished_details, read_finished
from batch_editor.review.grid import grid_of
from batch_editor.review.index import Index
from batch_editor.review.inputs import Inputs
from batch_editor.review.judging import Judge
from batch_editor.review.pages import Pages
from batch_editor.review.pictures import NoPicture, Pictures, opened_picture
from batch_editor.verdicts import UNCHANGED, Picture

MOST_CARDS = 1_000
# Of a POST: 100,000 pictures by name.
MOST_BYTES = 16 * 2**20
_BLOCK = 256 * 2**10
_FOR_EVER = "private, max-age=31536000, immutable"
_FOR_NOW = "private, max-age=600"
_NEVER = "no-store"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Api:
    """The answers of one server."""

    def __init__(
        self, output: Path, index: Index, pages: Pages, pictures: Pictures, inputs: Inputs, judge: Judge
    ) -> None:
        self._output = output
        self._name = output.resolve().name  # also of `.`
        self._index = index
        self._pages = pages
        self._pictures = pictures
        self._inputs = inputs
        self._judge = judge
        self._last_overview: tuple[object, bytes] = None, b""

    def routes(self) -> list[web.RouteDef]:
        """Where everything is."""
        return [
            web.get("/", self.gallery),
            web.get("/job/{job_id:.+}", self.job_page),
            web.get("/static/{version}/{name:.+}", self.static),
            web.get("/api/overview", self.overview),
            web.get("/api/jobs", self.jobs),
            web.get("/api/grid", self.grid),
            web.get("/api/jobs/{job_id:.+}", self.job),
            web.get("/api/changes", self.changes),
            web.post("/api/verdicts", self.give),
            web.post("/api/undo", self.undo),
            web.get("/thumb/{fingerprint}/{sha256}", self.thumb),
            web.get("/image/{fingerprint}/{sha256}", self.image),
            web.get("/before/{fingerprint}/{number}", self.before),
            web.get("/input/{fingerprint}/{number}", self.input),
            web.get("/finished/{name}/{sha256}/{job_id:.+}", self.finished),
        ]

    async def gallery(self, _: web.Request) -> web.Response:
        """The page of all jobs."""
        self._pictures.prepare()
        return _html(self._pages.page("gallery", output=self._name))

    async def job_page(self, _: web.Request) -> web.Response:
        """The page of one job."""
        return _html(self._pages.page("job", output=self._name))

    async def static(self, request: web.Request) -> web.Response:
        """A script, a style or a sign."""
        found = self._pages.file(request.match_info["name"])
        if found is None or request.path.startswith(f"{self._pages.prefix}/") is False:
            raise NoPicture("no such file")
        data, type_ = found
        return web.Response(body=data, content_type=type_, charset="utf-8", headers={"Cache-Control": _FOR_EVER})

    async def overview(self, _: web.Request) -> web.Response:
        """All jobs in sums."""

        return await _json(self._made_overview)

    def _made_overview(self) -> bytes:
        """As JSON; kept for as long as nothing changes. Blocks."""
        snapshot, read_only = self._index.snapshot(), self._judge.read_only
        known, overview = self._last_overview
        if known != (snapshot.version, read_only):
            output, by = str(self._output), self._judge.by
            overview = orjson.dumps(answers.overview(snapshot, output=output, user=by, read_only=read_only))
            self._last_overview = (snapshot.version, read_only), overview
        return overview

    async def jobs(self, request: web.Request) -> web.Response:
        """Cards of the jobs that a filter chooses."""
        offset, limit = _window(request)
        wanted = Filter.parse(request.query_string)

        def made() -> bytes:
            """As JSON. Blocks."""
            snapshot = self._index.snapshot()
            return orjson.dumps(answers.cards(snapshot, wanted.chosen(snapshot), offset=offset, limit=limit))

        return await _json(made)

    async def grid(self, request: web.Request) -> web.Response:
        """The same jobs by input, where several were made of one."""
        offset, limit = _window(request)
        wanted = Filter.parse(request.query_string)

        def made() -> bytes:
            """As JSON. Blocks."""
            snapshot = self._index.snapshot()
            found = answers.grid_page(snapshot, grid_of(snapshot, wanted), offset=offset, limit=limit)
            return orjson.dumps(found)

        return await _json(made)

    async def job(self, request: web.Request) -> web.Response:
        """All of one job."""
        wanted = Filter.parse(request.query_string)
        return await _json(partial(self._job, request.match_info["job_id"], wanted))

    def _job(self, job_id: str, wanted: Filter) -> bytes:
        snapshot = self._index.snapshot()
        job = snapshot.job(job_id)
        if job is None:
            raise NoPicture(f"no job of the manifest is called {job_id!r}")
        with readings.reading(self._output) as db:
            attempts = review_readings.attempts_of(db, job.row.fingerprint)
            files = review_readings.job_files(db, job_id, attempts)
            finished = finished_details(db, job_id)
        if files is None:
            raise NoPicture(f"no job of the manifest is called {job_id!r}")
        found = answers.details(snapshot, job, files, attempts) | {"finished": finished}
        return orjson.dumps(found | answers.place(snapshot, job, wanted.chosen(snapshot), wanted))

    async def changes(self, request: web.Request) -> web.Response:
        """Whether anything has changed since a version."""
        since = request.query.get("since", "")

        def made() -> bytes:
            """As JSON. Blocks."""
            version = self._index.snapshot().version
            return orjson.dumps({"version": version, "changed": version != since})

        return await _json(made)

    async def give(self, request: web.Request) -> web.Response:
        """Take what somebody says of some pictures, or of all that a filter chooses."""
        said = await _body(request, {"pictures", "filter", "expect", "verdict", "note"})
        verdict, note = said.get("verdict", UNCHANGED), said.get("note", UNCHANGED)
        if verdict not in ("approved", "rejected", None, UNCHANGED):
            raise UsageError(f"verdict is {verdict!r}; expected approved, rejected or null")
        if not (note is None or note is UNCHANGED or isinstance(note, str)):
            raise UsageError("note is no text")

        def given() -> bytes:
            """Give it, and answer. Blocks."""
            pictures = self._pictures_said(said)
            batch = self._judge.give(pictures, verdict=verdict, note=note, now=time.time())
            version = self._index.judged().version
            return orjson.dumps({"batch": batch, "version": version, "changed": len(pictures)})

        return await _json(given)

    def _pictures_said(self, said: Mapping[str, Any]) -> list[Picture]:
        if "filter" in said:
            return self._judge.of_filter(self._index.snapshot(), said["filter"], expect=said.get("expect"))
        listed = said.get("pictures")
        try:
            pictures = [Picture(str(each["fingerprint"]), str(each["sha256"])) for each in listed or ()]
        except (KeyError, TypeError) as error:
            raise UsageError("pictures is no list of {fingerprint, sha256}") from error
        if not pictures:
            raise UsageError("neither pictures nor a filter")
        return self._judge.known(self._index.snapshot(), pictures)

    async def undo(self, request: web.Request) -> web.Response:
        """Take back what was said at once."""
        said = await _body(request, {"batch"})
        batch = said.get("batch")
        if not isinstance(batch, int):
            raise UsageError("batch is no number")

        def undone() -> bytes:
            """Take it back, and answer. Blocks."""
            pictures = self._judge.undo(batch, now=time.time())
            version = self._index.judged().version
            return orjson.dumps({"version": version, "pictures": [picture._asdict() for picture in pictures]})

        return await _json(undone)

    async def thumb(self, request: web.Request) -> web.Response:
        """A picture's thumbnail."""
        names = request.match_info
        return _webp(await self._pictures.thumb(names["fingerprint"], names["sha256"]), _FOR_EVER)

    async def image(self, request: web.Request) -> web.StreamResponse:
        """A picture as it came."""
        names = request.match_info
        path = await self._pictures.file(names["fingerprint"], names["sha256"])
        return await _sent(request, path, _FOR_EVER)

    async def finished(self, request: web.Request) -> web.Response:
        """A finished file."""
        names = request.match_info
        wanted = names["name"], names["sha256"], names["job_id"]
        body, kind = await asyncio.to_thread(read_finished, self._output, self._pictures.store, *wanted)
        return web.Response(body=body, content_type=kind, headers={"Cache-Control": _FOR_EVER})

    async def before(self, request: web.Request) -> web.Response:
        """The thumbnail of an input."""
        names = request.match_info
        return _webp(await self._inputs.thumb(names["fingerprint"], names["number"]), _FOR_NOW)

    async def input(self, request: web.Request) -> web.StreamResponse:
        """An input as it is."""
        names = request.match_info
        return await _sent(request, await self._inputs.file(names["fingerprint"], names["number"]), _FOR_NOW)


async def _json(made: Callable[[], bytes]) -> web.Response:
    """What a function that blocks makes, as JSON."""
    return web.Response(
        body=await asyncio.to_thread(made), content_type="application/json", headers={"Cache-Control": _NEVER}
    )


def _html(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html", headers={"Cache-Control": _NEVER})


def _webp(data: bytes, keep: str) -> web.Response:
    return web.Response(body=data, content_type="image/webp", headers={"Cache-Control": keep})


async def _sent(request: web.Request, path: Path, keep: str) -> web.StreamResponse:
    """The answer of a picture's file, block by block. Not a FileResponse: that may find `mug.png.gz` beside it."""
    file, kind, size_bytes = await asyncio.to_thread(opened_picture, path)
    try:
        response = web.StreamResponse(headers={"Content-Type": kind, "Cache-Control": keep})
        response.content_length = size_bytes
        await response.prepare(request)
        while request.method != "HEAD" and (block := await asyncio.to_thread(file.read, _BLOCK)):
            await response.write(block)
        return response
    finally:
        file.close()


def _window(request: web.Request) -> tuple[int, int]:
    """Which of many are asked for: how many to leave out, and how many to give."""
    try:
        offset, limit = int(request.query.get("offset", "0")), int(request.query.get("limit", "200"))
    except ValueError as error:
        raise UsageError("offset or limit is no number") from error
    if offset < 0 or not 0 < limit <= MOST_CARDS:
        raise UsageError(f"offset is {offset}, limit {limit}; expected 0 or more, and 1 to {MOST_CARDS}")
    return offset, limit


async def _body(request: web.Request, names: set[str]) -> dict[str, Any]:
    try:
        said = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise UsageError(f"broken JSON: {error}") from error
    if not isinstance(said, dict) or not said.keys() <= names:
        raise UsageError(f"expected an object with some of: {', '.join(sorted(names))}")
    return said
