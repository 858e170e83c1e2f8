"""Plans and runs of one manifest on one bench, against a provider whose books are the truth about money."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from batch_editor import BatchOptions, Plan, Selection, Settings, Summary, load_settings, make_plan, run_batch
from batch_editor.endpoints import Endpoint, load_endpoint
from batch_editor.records import Redo
from batch_editor.sandbox import Books, Sandbox, SandboxOptions

KEY = "SG_0123456789abcdef"
# Nobody listens there: the sandbox then edits a placeholder, and fetches nothing.
INPUT = "http://127.0.0.1:9/mug.png"
ENDPOINT = load_endpoint("gpt-image-1.5-edit")
LOW_USD = 0.0108  # quality low, 1024x1024: 0.009 × 1.2
MEDIUM_USD = 0.0408
HIGH_USD = 0.1596

Job = dict[str, Any]


def job(id: str, prompt: str | None = None, **parameters: Any) -> Job:
    return {"id": id, "prompt": prompt or f"edit {id}", "image_urls": [INPUT], **parameters}


def jobs(count: int, *, name: str = "job", **parameters: Any) -> list[Job]:
    return [job(f"{name}-{number}", **parameters) for number in range(count)]


def priced(factor: float, table: Any = None) -> Endpoint:
    """The shipped endpoint as a provider that charges otherwise has it."""
    changed: dict[str, Any] = {"factor": factor, **({"table": table} if table is not None else {})}
    return ENDPOINT.model_copy(update={"prices": ENDPOINT.prices.model_copy(update=changed)})


def sandbox(*, endpoint: Endpoint | None = None, **options: Any) -> Sandbox:
    """A provider that makes tiny images at once and by its shipped prices, unless told otherwise."""
    known = SandboxOptions(**{"size_scale": 0.02, "key": KEY, **options})
    return Sandbox(known, endpoints=[endpoint] if endpoint else [])


async def arrived(books: Books, count: int) -> None:
    """Wait until so many requests have arrived. The books have no event for it: polled."""
    while books.requests < count:  # noqa: ASYNC110
        await asyncio.sleep(0.005)


def snapshot(folder: Path) -> dict[str, str]:
    """Every file and folder below, with a hash of what is in it."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "/"
        for path in sorted(folder.rglob("*"))
    }


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


class Bench:
    """One folder, one output directory in it, no config and no variable of the developer's."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.out = folder / "out"
        monkeypatch.chdir(folder)
        for name in [name for name in os.environ if name.startswith(("BATCH_EDITOR_", "SEGMIND_"))]:
            monkeypatch.delenv(name)

    def write(self, jobs: Sequence[Job], *, name: str = "jobs.yaml", **defaults: Any) -> Path:
        """A manifest of these jobs, of the cheapest kind unless the defaults say otherwise."""
        path = self.folder / name
        kind = {"size": "1024x1024", "quality": "low", **defaults}
        path.write_text(json.dumps({"defaults": kind, "jobs": list(jobs)}, indent=1), encoding="utf-8")  # JSON is YAML
        return path

    def settings(self, provider: Sandbox | None = None, **flags: Any) -> Settings:
        """Quick settings. `flags` are settings, those of a part joined by `__`."""
        where = {"api__base_url": provider.base_url} if provider else {}
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
        **flags: Any,
    ) -> Plan:
        return make_plan(
            [jobs if isinstance(jobs, Path) else self.write(jobs)],
            self.settings(**flags),
            selection=selection,
            output=out or self.out,
            history=history,
            redo=redo,
            check_inputs=check_inputs,
        )

    async def run(
        self,
        jobs: Sequence[Job] | Path,
        provider: Sandbox,
        *,
        options: Callable[..., BatchOptions] | None = None,
        out: Path | None = None,
        **flags: Any,
    ) -> Summary:
        """A run in this process; `options` is a partial of BatchOptions."""
        manifest = jobs if isinstance(jobs, Path) else self.write(jobs)
        chosen = (options or with_options())(output=out or self.out)
        return await run_batch([manifest], self.settings(provider, **flags), SecretStr(KEY), chosen)

    def rows(self, out: Path | None = None) -> list[dict[str, str]]:
        """The output manifest."""
        with ((out or self.out) / "manifest.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    @asynccontextmanager
    async def started(
        self, *arguments: str | Path, key: str | None = KEY, environment: Mapping[str, str] | None = None
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """A process of the command line in the bench's folder; it is gone when the block ends."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "batch_editor", *map(str, arguments)),
            cwd=self.folder,
            env=self.environment(key=key, **(environment or {})),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()

    async def command(
        self, *arguments: str | Path, key: str | None = KEY, environment: Mapping[str, str] | None = None
    ) -> Finished:
        """What a process of the command line comes to."""
        async with self.started(*arguments, key=key, environment=environment) as process:
            return await finished(process)

    def environment(self, *, key: str | None = KEY, **more: str) -> dict[str, str]:
        """The variables of a process of the command line."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("COV_")}
        return {**kept, **({"SEGMIND_API_KEY": key} if key else {}), **more}

    def run_arguments(self, manifest: Path, provider: Sandbox, *more: str | Path, out: Path | None = None) -> list[str]:
        """Arguments of a run against a provider, as quick as `run`'s."""
        quick = ["--base-url", provider.base_url, "--rate", _QUICK["rate_limit"], "--progress", "none"]
        return [str(part) for part in ("run", manifest, "-o", out or self.out, *quick, *more)]


async def finished(process: asyncio.subprocess.Process) -> Finished:
    """What a process comes to."""
    out, err = await process.communicate()
    assert process.returncode is not None
    return Finished(process.returncode, out.decode(), err.decode())


def kill(process: asyncio.subprocess.Process) -> None:
    """End a process as a power cut would."""
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)


# yes: many a test runs jobs of another name each time.
with_options = partial(partial, BatchOptions, yes=True)

_QUICK: dict[str, Any] = {"rate_limit": "100000/s", "retry__backoff_s": 0.01, "retry__backoff_max_s": 0.05}


def _nested(flags: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in flags.items():
        part, joined, leaf = name.partition("__")
        if joined:
            nested.setdefault(part, {})[leaf] = value
        else:
            nested[part] = value
    return nested
