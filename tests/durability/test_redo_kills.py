"""Runs that make rejected images again and are killed at every step: nothing is lost, or bought twice by itself."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from batch_editor.verdicts import FILE_NAME, Picture, Verdicts
from tests.durability.kills import BIRTH, CHANGES, OFTEN, STEPS
from tests.support.bench import Job, Row, job, sha256_of
from tests.support.durability import Books, Desk, RunServer, SandboxServer, look
from tests.support.system_calls import Death, build

pytestmark = pytest.mark.slow

NOTE = "once more"
# Two rejected images, one of them in a folder and one that two jobs share; and one that nobody rejected.
JOBS: list[Job] = [job("kept"), job("first", output="shelf/first"), job("second"), job("shares", "edit second")]
REJECTED = ("first", "second")


def redo_of(id: str) -> str:
    return f"edit {id}\n\n{NOTE}"


def stamp(prompt: str) -> str:
    return sha256_of(job("any", prompt))


@dataclass
class Tally:
    """Deaths by step, and what was wrong after them."""

    steps: Counter[str] = field(default_factory=Counter)
    saved: int = 0
    resumed: int = 0
    wrong: list[str] = field(default_factory=list)

    def plain_is_next(self) -> bool:
        """Every other time, and otherwise for the first death at a step than for the next."""
        count = self.steps.total()
        return bool((count // 2 + count) % 2)


@dataclass(frozen=True)
class Place:
    """A folder with rejected images, a copy of it to die in, and who runs and who answers."""

    before: Desk
    desk: Desk
    runs: RunServer
    sandbox: SandboxServer

    async def prepare(self, **config: Any) -> None:
        for desk in (self.before, self.desk):
            desk.write(JOBS, **config)
        assert await self.run(self.before) == 0, self.before.said()
        rows = {row["job_id"]: row for row in self.before.rows()}
        verdicts = Verdicts(self.before.out / FILE_NAME)
        pictures = [Picture(rows[id]["fingerprint"], rows[id]["sha256"]) for id in REJECTED]
        verdicts.give(pictures, verdict="rejected", note=NOTE, by="Ada", now=1.0)
        verdicts.close()

    async def run(self, desk: Desk, *more: str, death: Death | None = None) -> int:
        return await self.runs.run(desk, desk.arguments(self.sandbox.base_url, *more), death=death)

    async def die(self, step: str, death: Death, tally: Tally) -> None:
        """Let a redo die there; the next run is a plain one or a redo, in turn."""
        shutil.rmtree(self.desk.disk)
        shutil.copytree(self.before.disk, self.desk.disk, symlinks=True)
        await self.sandbox.reset()
        code = await self.run(self.desk, "--redo", "rejected", death=death)
        if code != -9:
            assert code == 0, self.desk.said()
            return
        tally.steps[step] += 1
        left, wrong = look(self.desk)
        died = await self.sandbox.books()
        wrong += list(self._lacks_former("the death"))
        saved = [id for id in REJECTED if stamp(redo_of(id)) in left.stamps]
        tally.saved += len(saved)
        if tally.plain_is_next():
            wrong += await self._ended("the plain run", died)
            rows = {row["job_id"]: row for row in self.desk.rows()}
            lacking = [id for id in saved if rows[id]["prompt"] != redo_of(id)]
            wrong += [f"{id}: its new image was on the disk, and was not published" for id in lacking]
        code = await self.run(self.desk, "--redo", "rejected")
        books = await self.sandbox.books()
        tally.resumed += sum(books.arrived.values()) > sum(died.arrived.values())
        wrong += [f"exit code {code}: {self.desk.said()}"] if code else []
        wrong += list(self._wrong_at_the_end(left.stamps, books))
        for more in (("--redo", "rejected"), ()):
            wrong += await self._ended("the end", books, *more)
        tally.wrong += [f"{step}: {each}" for each in wrong]

    async def _ended(self, when: str, before: Books, *more: str) -> list[str]:
        """What is wrong with a run that should send nothing."""
        code = await self.run(self.desk, *more)
        found = [f"{when}: exit code {code}: {self.desk.said()}"] if code else []
        if (await self.sandbox.books()).arrived != before.arrived:
            found.append(f"{when}: sent something")
        found += [f"{when}: {row['job_id']} is {row['status']}" for row in self.desk.rows() if _is_wrong(row)]
        return [*found, *self._lacks_former(when), *look(self.desk)[1]]

    def _lacks_former(self, when: str) -> Iterator[str]:
        stamps = look(self.desk)[0].stamps
        for each in JOBS:
            if stamp(each["prompt"]) not in stamps:
                yield f"{when}: the former image of {each['id']} is gone"

    def _wrong_at_the_end(self, saved: frozenset[str], books: Books) -> Iterator[str]:
        rows = {row["job_id"]: row for row in self.desk.rows()}
        for id in REJECTED:
            row, prompt = rows[id], redo_of(id)
            if (row["prompt"], row["verdict"]) != (prompt, ""):
                yield f"{id} was not made again: {row['prompt']!r}"
            if not 1 <= books.arrived[prompt] <= 2:
                yield f"{id}: its redo arrived {books.arrived[prompt]} times"
            if stamp(prompt) in saved and books.arrived[prompt] > 1:
                yield f"{id}: its redo was on the disk, and was bought again"
            if books.arrived[prompt] + 1 > int(row["attempts"]):
                yield f"{id}: {books.arrived[prompt]} redos arrived, the ledger knows {row['attempts']} attempts"
            if books.billed[prompt] > 1 + int(row["possibly_billed"]):
                yield f"{id}: {books.billed[prompt]} charges, {row['possibly_billed']} marked as possible"
        if rows["shares"]["sha256"] != rows["second"]["sha256"]:
            yield "jobs that share a request have two images"
        if books.arrived["edit kept"]:
            yield "an image that nobody rejected was made again"


def _is_wrong(row: Row) -> bool:
    return row["status"] != "succeeded" or not row["output_path"]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("version", "often"), [("v1", (1, 4)), ("v2", (1,))])
async def test_wherever_a_redo_is_killed_nothing_is_lost_and_plain_runs_send_nothing(
    tmp_path: Path, version: str, often: Sequence[int]
) -> None:
    tally = Tally()
    async with (
        RunServer.started(build(tmp_path)) as runs,
        SandboxServer.started(latency="0.005-0.02") as sandbox,
    ):
        place = Place(Desk(tmp_path / "before"), Desk(tmp_path / "killed"), runs, sandbox)
        await place.prepare(concurrency=2, api={"version": version})
        for step, (kinds, pattern) in STEPS.items():
            if step in BIRTH or (version == "v2" and step not in {*OFTEN, *CHANGES}):
                continue
            for nth in often if step in OFTEN else (1,):
                for after in (False, True):
                    when = "after" if after else "before"
                    await place.die(f"{when} {step} ({nth})", Death(kinds, pattern, after, nth), tally)
    assert tally.wrong == []
    assert tally.steps.total() > 20
    assert tally.saved > 10
    assert tally.resumed > 10
