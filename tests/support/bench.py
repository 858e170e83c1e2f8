"""A manifest, an output directory and the real package on one bench; the sandbox's books are the judge."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from pydantic import SecretStr

from batch_editor import BatchOptions, Selection, Settings, Summary, load_settings, run_batch
from batch_editor.sandbox import Books, Sandbox, SandboxOptions, body_sha256, read_stamp

KEY = "SG_0123456789abcdef"
# Nobody listens there: the sandbox then edits a placeholder, and fetches nothing.
INPUT = "http://127.0.0.1:9/mug.png"
SMALL = 0.02

Row = dict[str, str]
Job = dict[str, Any]


def job(id: str, prompt: str | None = None, **parameters: Any) -> Job:
    return {"id": id, "prompt": prompt or f"edit {id}", "image_urls": [INPUT], **parameters}


def jobs(count: int, **parameters: Any) -> list[Job]:
    return [job(f"job-{number}", **parameters) for number in range(count)]


def body_of(job: Job, **changes: Any) -> dict[str, Any]:
    """What is to be sent for a job of this bench: every parameter, defaults included."""
    body: dict[str, Any] = {
        "prompt": "",
        "image_urls": [],
        "mask": None,
        "size": "1024x1024",
        "quality": "low",
        "background": "opaque",
        "output_compression": 95,
        "output_format": "png",
        "moderation": "auto",
    }
    given = {name: value for name, value in job.items() if name in body}
    return {**body, **given, **changes}


def sha256_of(job: Job, **changes: Any) -> str:
    """The name of a job's request in the books and in its image."""
    return body_sha256(body_of(job, **changes))


@dataclass(frozen=True)
class Finished:
    """A process that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


class Process:
    """A command line at work."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # it had ended just then
            self._process.send_signal(number)

    async def line(self) -> str:
        """The next line of standard output."""
        assert self._process.stdout is not None
        return (await self._process.stdout.readline()).decode()

    async def error_line(self) -> str:
        """The next line of standard error; empty at its end."""
        assert self._process.stderr is not None
        return (await self._process.stderr.readline()).decode()

    async def finished(self) -> Finished:
        out, err = await self._process.communicate()
        assert self._process.returncode is not None
        return Finished(self._process.returncode, out.decode(), err.decode())

    async def end(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.communicate()


class Bench:
    """Runs on the folder's `out` directory. Prices, rates and pauses are such that nothing takes long."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.images = self.out / "images"

    def write(self, jobs: Sequence[Job], *, name: str = "jobs.yaml") -> Path:
        """A manifest of these jobs, of the cheapest kind."""
        path = self.folder / name
        # JSON is YAML.
        path.write_text(
            json.dumps({"defaults": {"size": "1024x1024", "quality": "low"}, "jobs": list(jobs)}), encoding="utf-8"
        )
        return path

    def settings(self, sandbox: Sandbox | str, **flags: Any) -> Settings:
        """Settings for a run against a sandbox; those of a part are joined to its name by `__`."""
        base_url = sandbox if isinstance(sandbox, str) else sandbox.base_url
        return load_settings(flags=_nested({**_QUICK, "api__base_url": base_url, **flags}))

    async def run(
        self,
        jobs: Sequence[Job] | Path,
        sandbox: Sandbox | str,
        *,
        selection: Selection | None = None,
        retry_failed: bool = False,
        rehearsal: bool = False,
        out: Path | None = None,
        **flags: Any,
    ) -> Summary:
        """A run of these jobs in this process. `flags` are those of `settings`."""
        settings = self.settings(sandbox, **flags)
        manifest = jobs if isinstance(jobs, Path) else self.write(jobs)
        options = BatchOptions(
            selection=selection or Selection(),
            output=out or self.out,
            redo=["failed", "unknown"] if retry_failed else [],
            sandbox=rehearsal,
            yes=True,  # jobs of another name each time, in many a test
        )
        return await run_batch([manifest], settings, SecretStr(KEY), options)

    def rows(self, out: Path | None = None) -> list[Row]:
        """The output manifest."""
        with ((out or self.out) / "manifest.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def row(self, id: str) -> Row:
        return next(row for row in self.rows() if row["job_id"] == id)

    def statuses(self) -> dict[str, str]:
        return {row["job_id"]: row["status"] for row in self.rows()}

    def files(self) -> list[str]:
        """Everything below the images folder, the history included, what is on its way excluded."""
        paths = (path.relative_to(self.images) for path in self.images.rglob("*") if path.is_file())
        return sorted(path.as_posix() for path in paths)

    def stamp(self, id: str) -> str:
        """The request that the image of a job was made for; every pixel of it is decoded."""
        path = self.out / self.row(id)["output_path"]
        with Image.open(path) as image:
            image.load()
        return read_stamp(path)

    @asynccontextmanager
    async def started(
        self, *arguments: str | Path, key: str | None = KEY, environment: Mapping[str, str] | None = None
    ) -> AsyncIterator[Process]:
        """A process of the command line in the bench's folder; it is gone when the block ends."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("BATCH_EDITOR_", "SEGMIND_", "COV_"))
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "batch_editor", *map(str, arguments)),
            cwd=self.folder,
            env={**kept, **({"SEGMIND_API_KEY": key} if key else {}), **(environment or {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        command = Process(process)
        try:
            yield command
        finally:
            await command.end()

    async def command(self, *arguments: str | Path, **how: Any) -> Finished:
        """What a process of the command line comes to."""
        async with self.started(*arguments, **how) as process:
            return await process.finished()

    def run_arguments(self, manifest: Path, sandbox: Sandbox, *more: str | Path) -> list[str | Path]:
        """Arguments of a run against a sandbox, as quick as `run`'s."""
        quick = ("--base-url", sandbox.base_url, "--rate", _QUICK["rate_limit"], "--progress", "none")
        return ["run", manifest, "-o", self.out, *quick, *more]


def sandbox(**options: Any) -> Sandbox:
    """A sandbox that makes small images at once, unless the options say otherwise."""
    return Sandbox(SandboxOptions(**{"size_scale": SMALL, "key": KEY, **options}))


async def arrived(books: Books, count: int) -> None:
    """Wait until so many requests have arrived. The books have no event for it: polled."""
    while books.requests < count:  # noqa: ASYNC110
        await asyncio.sleep(0.005)


def requests_of(books: Books, job: Job) -> int:
    """How many requests arrived for a job."""
    return books.arrived_by_body[sha256_of(job)]


UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

_QUICK: dict[str, Any] = {
    "rate_limit": "100000/s",
    "retry__backoff_s": 0.01,
    "retry__backoff_max_s": 0.05,
}


def _nested(flags: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in flags.items():
        part, joined, leaf = name.partition("__")
        if joined:
            nested.setdefault(part, {})[leaf] = value
        else:
            nested[part] = value
    return nested
