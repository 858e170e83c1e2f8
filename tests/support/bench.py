"""A manifest, an output directory and the real package on one bench; the sandbox's books are the judge."""

from __future__ import annotations

import asyncio
import csv
import json
import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from pydantic import SecretStr

from batch_editor import BatchOptions, Plan, Selection, Settings, Summary, load_settings, make_plan, run_batch
from batch_editor.cli.asking import Ask, send
from batch_editor.config import Keys
from batch_editor.endpoints import Endpoint, load_endpoint
from batch_editor.planning import Planned
from batch_editor.records import Redo
from batch_editor.runs.batch import prepared
from batch_editor.sandbox import Books, Sandbox, SandboxOptions, body_sha256, read_stamp
from tests.support.command import Finished, Process, kept_environment

KEY = "SG_0123456789abcdef"
KEYS = Keys({"segmind": SecretStr(KEY)}, {})
# Nobody listens there: the sandbox then edits a placeholder, and fetches nothing.
INPUT = "http://127.0.0.1:9/mug.png"
SMALL = 0.02
ENDPOINT = load_endpoint("gpt-image-1.5-edit")
LOW_USD = 0.0108  # quality low, 1024x1024: 0.009 × 1.2
MEDIUM_USD = 0.0408
HIGH_USD = 0.1596

Row = dict[str, str]
Job = dict[str, Any]


def job(id: str, prompt: str | None = None, **parameters: Any) -> Job:
    return {"id": id, "prompt": prompt or f"edit {id}", "image_urls": [INPUT], **parameters}


def jobs(count: int, *, name: str = "job", **parameters: Any) -> list[Job]:
    return [job(f"{name}-{number}", **parameters) for number in range(count)]


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


class Bench:
    """Runs on the folder's `out` directory. Prices, rates and pauses are such that nothing takes long."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.images = self.out / "images"

    def write(self, jobs: Sequence[Job], *, name: str = "jobs.yaml", **defaults: Any) -> Path:
        """A manifest of these jobs, of the cheapest kind unless the defaults say otherwise."""
        path = self.folder / name
        kind = {"size": "1024x1024", "quality": "low", **defaults}
        # JSON is YAML. Each job has lines of its own, as in a manifest that somebody writes.
        path.write_text(json.dumps({"defaults": kind, "jobs": list(jobs)}, indent=1), encoding="utf-8")
        return path

    def settings(self, provider: Sandbox | str | None = None, **flags: Any) -> Settings:
        """Quick settings, perhaps for a provider or its base URL; those of a part are joined to its name by `__`."""
        base_url = provider.base_url if isinstance(provider, Sandbox) else provider
        where = {"api__base_url": base_url} if base_url else {}
        return load_settings(flags=_nested({**_QUICK, **where, **flags}))

    def plan(
        self,
        jobs: Sequence[Job] | Path,
        *,
        selection: Selection | None = None,
        history: Sequence[Path] = (),
        redo: Collection[Redo] = (),
        check_inputs: bool = False,
        out: Path | None = None,
        look: Callable[[Planned], None] = lambda _: None,
        **flags: Any,
    ) -> Plan:
        """What a run of these jobs would do. `flags` are those of `settings`."""
        return make_plan(
            [self._manifest(jobs)],
            self.settings(**flags),
            selection=selection,
            output=out or self.out,
            history=history,
            redo=redo,
            check_inputs=check_inputs,
            look=look,
        )

    async def run(
        self,
        jobs: Sequence[Job] | Path,
        provider: Sandbox | str,
        *,
        options: BatchOptions | None = None,
        out: Path | None = None,
        **flags: Any,
    ) -> Summary:
        """A run of these jobs in this process. `flags` are those of `settings`."""
        chosen = replace(options or with_options(), output=out or self.out)
        return await run_batch([self._manifest(jobs)], self.settings(provider, **flags), SecretStr(KEY), chosen)

    async def run_asking(
        self,
        jobs: Sequence[Job] | Path,
        provider: Sandbox,
        *,
        ask: Ask | None = None,
        canary: int = 0,
        **flags: Any,
    ) -> Summary:
        """A run in this process as the command line makes it, with somebody to ask."""
        chosen = with_options(output=self.out)
        async with prepared([self._manifest(jobs)], self.settings(provider, **flags), SecretStr(KEY), chosen) as batch:
            return await send(batch, ask=ask, canary=canary)

    def _manifest(self, jobs: Sequence[Job] | Path) -> Path:
        return jobs if isinstance(jobs, Path) else self.write(jobs)

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
        self,
        *arguments: str | Path,
        key: str | None = KEY,
        environment: Mapping[str, str] | None = None,
        stdin: int = asyncio.subprocess.DEVNULL,
        anew: bool = False,
    ) -> AsyncIterator[Process]:
        """A process of the command line in the bench's folder; it is gone when the block ends.

        `anew`: of a Python that is started for it, see `Forked`.
        """
        command = await Process.started(
            list(map(str, arguments)),
            folder=self.folder,
            environment=self.environment(key=key, **(environment or {})),
            stdin=stdin,
            anew=anew,
        )
        try:
            yield command
        finally:
            await command.end()

    async def command(self, *arguments: str | Path, **how: Any) -> Finished:
        """What a process of the command line comes to."""
        async with self.started(*arguments, **how) as process:
            return await process.finished()

    def environment(self, *, key: str | None = KEY, **more: str) -> dict[str, str]:
        """The variables of a process of the command line."""
        return {**kept_environment(), **({"SEGMIND_API_KEY": key} if key else {}), **more}

    def run_arguments(
        self, manifest: Path, provider: Sandbox, *more: str | Path, out: Path | None = None
    ) -> list[str | Path]:
        """Arguments of a run against a provider, as quick as `run`'s."""
        quick = ("--base-url", provider.base_url, "--rate", _QUICK["rate_limit"], "--progress", "none")
        return ["run", manifest, "-o", out or self.out, *quick, *more]


# yes: many a test runs jobs of another name each time.
with_options = partial(BatchOptions, yes=True)
RETRY_FAILED = with_options(redo=["failed", "unknown"])
REHEARSAL = with_options(sandbox=True)


def priced(factor: float, table: Any = None) -> Endpoint:
    """The shipped endpoint as a provider that charges otherwise has it."""
    changed: dict[str, Any] = {"factor": factor, **({"table": table} if table is not None else {})}
    return ENDPOINT.model_copy(update={"prices": ENDPOINT.prices.model_copy(update=changed)})


def sandbox(*, endpoint: Endpoint | None = None, **options: Any) -> Sandbox:
    """A provider that makes small images at once and by its shipped prices, unless told otherwise."""
    known = SandboxOptions(**{"size_scale": SMALL, "key": KEY, **options})
    return Sandbox(known, endpoints=[endpoint] if endpoint else [])


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
