"""A job of a run costs the same, however many there are: calls, SQL statements, fsyncs, memory."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from batch_editor.sandbox import Sandbox, SandboxOptions
from tests.scale.counts import TENFOLD, table

pytestmark = pytest.mark.slow

COUNTER = Path(__file__).with_name("run_counted.py")
FEW, MANY = 20, 200


async def counts(folder: Path, sandbox: Sandbox, count: int) -> dict[str, int]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(COUNTER), str(table(folder, count)), sandbox.base_url),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    found = json.loads(out)
    assert isinstance(found, dict)
    assert found.pop("succeeded") == count
    assert not found.pop("pandas")  # half a second and 80 MB
    return found


@pytest.mark.timeout(180)
async def test_a_job_of_a_run_costs_so_much_and_ten_times_the_jobs_no_more_each(tmp_path: Path) -> None:
    async with Sandbox(SandboxOptions(latency="0", size_scale=0.02)) as sandbox:
        few = await counts(tmp_path, sandbox, FEW)
        many = await counts(tmp_path, sandbox, MANY)
    each = {name: (many[name] - few[name]) / (MANY - FEW) for name in many}
    # Measured: 455 calls of this package's functions, of which one simulated run of the plan is 90.
    assert each["calls"] <= 490
    # Measured: 12.1, the transactions of an attempt's life and pages of 64 to send; SQLite's time is spent there.
    assert each["statements"] <= 14
    # Measured: 2.1. The image; the folder it lands in and the one where it gets its name are shared by a group. The
    # ledger's own are SQLite's affair.
    assert each["fsyncs"] <= 3.0
    # Measured: 700 to 860, most of it lists of what was seen lately, which are bounded. A request that is kept takes
    # twice as much, an image more.
    assert each["peak_bytes"] <= 1500
    assert all(many[name] <= TENFOLD * few[name] for name in few), (few, many)
