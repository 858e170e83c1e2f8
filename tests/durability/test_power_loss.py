"""A power cut after any call of a run loses nothing that was promised; power_loss.py has the long form.

The last test takes one station of the order of writes away at a time: a model that could not fail would prove nothing.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.durability.crash_model import Disk
from tests.durability.power_loss import (
    SCENARIOS,
    Judges,
    Recording,
    cuts,
    record,
    sent_first,
    without_clearing,
    without_syncs,
)
from tests.support.durability import RunServer, SandboxServer
from tests.support.system_calls import SYNC, Call, build

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("power loss"),  # they share their recordings
]


@dataclass(frozen=True)
class Lab:
    """Real runs to record, and judges of what power cuts leave of them."""

    folder: Path
    runs: RunServer
    sandbox: SandboxServer
    judges: Judges
    known: dict[str, Recording]

    async def recording(self, scenario: str, *, synchronous: str | None = None) -> Recording:
        name = f"{scenario}-{synchronous}"
        if name not in self.known:
            self.known[name] = await record(
                SCENARIOS[scenario], self.folder / name, self.runs, self.sandbox, synchronous=synchronous
            )
        return self.known[name]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    folder = tmp_path_factory.mktemp("power")
    judges = Judges()
    async with (
        RunServer.started(build(folder)) as runs,
        SandboxServer.started(latency="0.005-0.02") as sandbox,
    ):
        yield Lab(folder, runs, sandbox, judges, {})
    judges.close()


# Where all that was written is there ("max") the power cut is a kill, and test_kills.py has those.
@pytest.mark.parametrize(("scenario", "count"), [("fresh", 210), ("changed", 55), ("rehearsed", 35)])
@pytest.mark.fault(76)
async def test_a_power_cut_at_any_call_loses_nothing(lab: Lab, scenario: str, count: int) -> None:
    recording = await lab.recording(scenario)
    lossy = [cut for cut in cuts(recording, seed=1) if not cut.label.startswith("max")]
    told = random.Random(scenario).sample(lossy, count)
    assert [wrong async for wrong in lab.judges.found(told, recording)] == []


async def test_when_a_run_has_ended_its_images_and_its_manifest_are_durable(lab: Lab) -> None:
    recording = await lab.recording("fresh")
    disk = Disk(recording.root, recording.inode)
    for call in recording.calls:
        disk.make(call)
    durable = {name: content for name, content in disk.least().items() if "/.landing/" not in name}
    there = {name: content for name, content in disk.most().items() if "/.landing/" not in name}
    for name in ("manifest.csv", "images/shelf/0.png", "images/1.png", "ledger.sqlite3"):
        assert durable[f"runs/out/{name}"] == there[f"runs/out/{name}"] is not None


@dataclass(frozen=True)
class Otherwise:
    """A scenario, done in another way than the product does it."""

    scenario: str
    change: Callable[[Sequence[Call]], Iterable[Call]] = iter
    synchronous: str | None = None


OTHERWISE = {
    "commits that are not durable": Otherwise("fresh", synchronous="NORMAL"),
    "a request sent before its commit": Otherwise("fresh", sent_first),
    "no fsync of the image": Otherwise("fresh", without_syncs(r"\.part$")),
    "no fsync of the staging folder": Otherwise("fresh", without_syncs(r"/\.landing$")),
    "no fsync of the images folder": Otherwise("fresh", without_syncs(r"/images$")),
    "no fsync of a folder of images": Otherwise("fresh", without_syncs(r"/images/shelf$")),
    "no fsync for an image at all": Otherwise("fresh", without_syncs(r"\.part$", r"/images(/[^/]*)?$")),
    "no fsync above the output directory": Otherwise("fresh", without_syncs(r"/disk$", r"/runs$")),
    "no fsync of the history": Otherwise("changed", without_syncs(r"/images/\.history")),
    "no fsync of the cleared staging folder": Otherwise("rehearsed", without_clearing),
}


@pytest.mark.parametrize("name", OTHERWISE)
async def test_done_otherwise_a_power_cut_would_lose_something(lab: Lab, name: str) -> None:
    otherwise = OTHERWISE[name]
    recording = await lab.recording(otherwise.scenario, synchronous=otherwise.synchronous)
    if otherwise.synchronous:
        usual = await lab.recording(otherwise.scenario)
        assert _commits(recording) < _commits(usual) / 2
    else:
        changed = recording.changed(otherwise.change)
        assert changed.calls != recording.calls
        recording = changed
    told = [cut for cut in cuts(recording, seed=1) if cut.label.startswith(("posix-min", "ext4-min"))]
    random.Random(name).shuffle(told)
    async with aclosing(lab.judges.found(told, recording, size=5)) as found:
        assert await anext(found, None) is not None


def _commits(recording: Recording) -> int:
    return sum(call.kind == SYNC and call.path.endswith("-wal") for call in recording.calls)
