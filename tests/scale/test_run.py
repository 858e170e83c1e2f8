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
async def test_ten_times_the_jobs_cost_no_more_each(tmp_path: Path) -> None:
    async with Sandbox(SandboxOptions(latency="0", size_scale=0.02)) as sandbox:
        few = await counts(tmp_path, sandbox, FEW)
        many = await counts(tmp_path, sandbox, MANY)
    assert all(many[name] <= TENFOLD * few[name] for name in few), (few, many)
