"""Runs in processes that may die at any call, a sandbox in another one that doesn't, and what is left on the disk."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
from PIL import Image

from batch_editor.output import REJECTED
from batch_editor.sandbox import read_stamp
from tests.support.bench import KEY, LOW_USD, Job, Row
from tests.support.command import ROOT, kept_environment
from tests.support.system_calls import Death, watch


class Desk:
    """A folder whose `disk` holds all that a run writes: the output directory and the file of shared spending."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.disk = self.folder / "disk"
        self.out = self.disk / "runs" / "out"
        self.images = self.out / "images"
        self.spending = self.disk / "shared" / "spending.sqlite3"
        self.disk.mkdir(parents=True, exist_ok=True)

    def write(self, jobs: Sequence[Job], **config: Any) -> None:
        """The manifest and the config of the runs from now on."""
        manifest = {"defaults": {"size": "1024x1024", "quality": "low"}, "jobs": list(jobs)}
        (self.folder / "jobs.yaml").write_text(json.dumps(manifest), encoding="utf-8")  # JSON is YAML
        settings = {
            "rate_limit": "100000/s",
            # Whatever a sandbox does, every job ends well: so ends can be compared.
            "retry": {"backoff_s": 0.001, "backoff_max_s": 0.01, "max_attempts": 100, "max_possibly_billed": 100},
            **config,
        }
        (self.folder / "config.yaml").write_text(json.dumps(settings), encoding="utf-8")

    def arguments(self, base_url: str, *more: str) -> list[str]:
        """Those of a run."""
        return ["run", "jobs.yaml", "-o", str(self.out), "--base-url", base_url, "--progress", "none", *more]

    def rows(self) -> list[Row]:
        """The output manifest."""
        with (self.out / "manifest.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, strict=True))

    def said(self) -> str:
        """What the last run printed."""
        return "".join((self.folder / name).read_text(encoding="utf-8") for name in ("out", "err"))


# Processes


class RunServer:
    """Starts runs, one at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @asynccontextmanager
    async def started(cls, *libraries: Path) -> AsyncIterator[RunServer]:
        async with _module("run_server", environment={"LD_PRELOAD": ":".join(map(str, libraries))}) as process:
            yield cls(process)

    async def run(
        self,
        desk: Desk,
        arguments: Sequence[str],
        *,
        death: Death | None = None,
        killed_after_s: float | None = None,
        log: Path | None = None,
        synchronous: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> int:
        """The exit code of a command line; -9 if it was killed.

        Its calls go to `log`. `synchronous` is what SQLite is told in place of what the run tells it.
        """
        watched = watch(desk.disk, log=log, death=death)
        told = {
            "arguments": list(arguments),
            "folder": str(desk.folder),
            "environment": {"SEGMIND_API_KEY": KEY, **(environment or {})},
            "watch": watched if death or log else None,
            "synchronous": synchronous,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(told).encode() + b"\n")
        pid = int(await self._line())
        if killed_after_s is None:
            return int(await self._line())
        ended = asyncio.ensure_future(self._line())
        await asyncio.wait([ended], timeout=killed_after_s)
        if not ended.done():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return int(await ended)

    async def _line(self) -> str:
        assert self._process.stdout is not None
        return (await self._process.stdout.readline()).decode()


class SandboxServer:
    """The provider's books, over the wire."""

    def __init__(self, base_url: str, session: aiohttp.ClientSession) -> None:
        self.base_url = base_url
        self._own = base_url.removesuffix("/v1") + "/_sandbox"
        self._session = session

    @classmethod
    @asynccontextmanager
    async def started(cls, **options: Any) -> AsyncIterator[SandboxServer]:
        told = json.dumps({"size_scale": 0.02, "key": KEY, **options})
        async with _module("sandbox_server", told) as process, aiohttp.ClientSession() as session:
            assert process.stdout is not None
            yield cls((await process.stdout.readline()).decode().strip(), session)

    async def reset(self) -> None:
        async with self._session.post(f"{self._own}/reset"):
            pass

    async def books(self) -> Books:
        """What the books say once nothing is in flight any more."""
        while True:
            figures = await self._get("books")
            if not figures["in_flight"]:
                return Books.of(await self._get("requests"))
            await asyncio.sleep(0.01)

    async def _get(self, what: str) -> Any:
        async with self._session.get(f"{self._own}/{what}") as response:
            return await response.json()


@dataclass(frozen=True)
class Books:
    """Requests and charges by prompt, which names a request, and by the hash of the body, which its image bears."""

    arrived: Counter[str]
    billed: Counter[str]
    billed_usd: float
    arrived_by_body: Counter[str]

    @classmethod
    def of(cls, log: Sequence[Mapping[str, Any]]) -> Books:
        billed = [entry for entry in log if entry["billed_usd"] is not None]
        return cls(
            Counter(entry["prompt"] for entry in log),
            Counter(entry["prompt"] for entry in billed),
            sum(entry["billed_usd"] for entry in billed),
            Counter(entry["body_sha256"] for entry in log),
        )


@asynccontextmanager
async def _module(
    name: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"tests.support.{name}", *arguments),
        cwd=ROOT,
        # Threads of OpenBLAS, which pandas brings along, would not survive a fork.
        env={**kept_environment(), "OPENBLAS_NUM_THREADS": "1", **(environment or {})},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        await process.communicate()


# What is on the disk


@dataclass(frozen=True)
class Left:
    """What a process that died left: what its ledger knows as finished, and the whole images, by the body's hash."""

    finished: frozenset[str]
    stamps: frozenset[str]


def look(desk: Desk) -> tuple[Left, list[str]]:
    """What is left, and what is wrong with it: before anybody has put it in order."""
    wrong: list[str] = []
    finished, recorded = _ledger(desk, wrong)
    stamps = set()
    for path in sorted(desk.images.rglob("*")) if desk.images.exists() else ():
        # What was paid for and is no result may be anything.
        if (
            not path.is_file()
            or path.suffix in (".part", ".bad", ".cut")
            or REJECTED in path.relative_to(desk.out).as_posix()
        ):
            continue
        content = path.read_bytes()
        stamp = stamp_of(content)
        name = path.relative_to(desk.out).as_posix()
        if stamp:
            stamps.add(stamp)
        elif not name.startswith("images/."):
            wrong.append(f"{name} is not a whole image")
        elif hashlib.sha256(content).hexdigest() not in recorded:
            wrong.append(f"{name} is no image that the ledger knows")
    manifest = desk.out / "manifest.csv"
    if manifest.exists():
        text = manifest.read_text(encoding="utf-8")
        if not text.endswith("\n") or any(None in row or None in row.values() for row in desk.rows()):
            wrong.append("manifest.csv is not whole")
    return Left(frozenset(finished), frozenset(stamps)), wrong


def _ledger(desk: Desk, wrong: list[str]) -> tuple[set[str], set[str]]:
    """Prompts of the requests whose image the ledger has as received, and the hashes of these images."""
    with tempfile.TemporaryDirectory(dir=desk.folder) as copy:
        for path in desk.out.glob("ledger.sqlite3*"):
            if not path.name.endswith("-shm"):
                shutil.copy(path, copy)
        path = Path(copy) / "ledger.sqlite3"
        if not path.exists():
            return set(), set()
        with closing(sqlite3.connect(path)) as db:
            (verdict,) = db.execute("PRAGMA integrity_check").fetchone()
            if verdict != "ok":
                wrong.append(f"the ledger is damaged: {verdict}")
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'attempts'").fetchone():
                return set(), set()
            finished = db.execute(
                "SELECT json_extract(params, '$.prompt'), a.sha256 FROM requests JOIN attempts a USING (fingerprint)"
                " WHERE a.state IN ('received', 'succeeded')"
            ).fetchall()
    return {prompt for prompt, _ in finished}, {sha256 for _, sha256 in finished}


@cache
def stamp_of(content: bytes) -> str | None:
    """The request that an image was made for; None if it is not a whole image."""
    try:
        with Image.open(BytesIO(content)) as image:
            image.load()
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            return read_stamp(Path(file.name))
    except (OSError, SyntaxError, ValueError):
        return None


def settled(desk: Desk, books: Books) -> list[str]:
    """What is wrong with the end of a run that went on to it, by the provider's books."""
    # The status is what a run said of itself once a second: whole, not durable, and removed by the next one that ends.
    known = {"manifest.csv", "images", "ledger.sqlite3", ".lock", ".status.json", ".status.json.part"}
    left = {path.name for path in desk.out.iterdir()} - known
    landed = [path.name for path in (desk.images / ".landing").iterdir()]
    return [
        *(f"{name} is left over" for name in sorted([*left, *landed])),
        *_rows_wrong(desk, books),
        *_money_wrong(desk, books),
    ]


def _rows_wrong(desk: Desk, books: Books) -> Iterator[str]:
    for row in desk.rows():
        prompt, succeeded = row["prompt"], row["status"] == "succeeded"
        if succeeded:
            path = desk.out / row["output_path"]
            content = path.read_bytes() if path.is_file() else b""
            if hashlib.sha256(content).hexdigest() != row["sha256"] or stamp_of(content) is None:
                yield f"{row['output_path']} is not the image that manifest.csv has there"
        if row["reused_from"]:
            continue
        if books.arrived[prompt] > int(row["attempts"]):
            yield f"{prompt}: {books.arrived[prompt]} requests arrived, the ledger knows {row['attempts']}"
        if books.billed[prompt] > succeeded + int(row["possibly_billed"]):
            yield f"{prompt}: {books.billed[prompt]} charges, {row['possibly_billed']} marked as possible"
        if row["error_kind"] == "result_lost":
            yield f"{prompt}: its image is lost"


def _money_wrong(desk: Desk, books: Books) -> Iterator[str]:
    with closing(sqlite3.connect(desk.out / "ledger.sqlite3")) as db:
        if (verdict := db.execute("PRAGMA integrity_check").fetchone()) != ("ok",):
            yield f"the ledger is damaged: {verdict}"
        charges = dict(
            db.execute(
                "SELECT json_extract(params, '$.prompt'), sum(charged_usd) FROM attempts JOIN requests"
                " USING (fingerprint) GROUP BY 1"
            )
        )
    for prompt, times in books.billed.items():
        if charges.get(prompt, 0.0) < times * LOW_USD - 1e-9:
            yield f"{prompt}: ${charges.get(prompt, 0.0):.4f} counted in the budget for {times} charges"
    if desk.spending.exists():
        with closing(sqlite3.connect(desk.spending)) as db:
            (shared_usd,) = db.execute("SELECT coalesce(sum(usd), 0) FROM spending").fetchone()
        times = books.billed.total()
        if shared_usd < times * LOW_USD - 1e-9:
            yield f"${shared_usd:.4f} in the shared file for {times} charges"
