"""Nothing of a run blocks its event loop: whatever waits for a disk, a lock or a database does so on a thread.

The calls themselves are caught, by blockbuster, so that a slow machine proves nothing and a quick one hides nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest
from blockbuster import BlockingError, blockbuster_ctx
from PIL import Image
from pydantic import SecretStr

import batch_editor
from batch_editor import BatchOptions, Summary, run_batch
from batch_editor.sandbox import Sandbox
from tests.support.bench import KEY, Bench, Job, job, jobs, sandbox


async def unblocked(bench: Bench, wanted: Sequence[Job], provider: Sandbox, **flags: Any) -> Summary:
    """A run in which a blocking call of the package on the loop raises; the sandbox is not the run's."""
    settings, manifest = bench.settings(provider, **flags), bench.write(wanted)
    with blockbuster_ctx(batch_editor, excluded_modules=["batch_editor.sandbox"]):
        return await run_batch([manifest], settings, SecretStr(KEY), BatchOptions(output=bench.out))


@pytest.mark.slow
async def test_a_run_with_failures_retries_and_uploads_never_blocks_its_loop(bench: Bench) -> None:
    Image.effect_noise((1024, 1024), 60).save(bench.folder / "mug.png")
    wanted = [
        *jobs(20),
        job("local", image_urls=["mug.png"]),
        job("twice", "the same"),
        job("again", "the same"),
        job("refused", "refuse me"),
        job("large", size="1536x1024", quality="high"),
    ]
    faults = ("400:prompt~refuse", "502:first=1", "429@7:retry-after=1", "truncate@11")
    async with sandbox(faults=faults, size_scale=1.0) as provider:
        ledger = bench.folder / "spending.sqlite3"
        first = await unblocked(bench, wanted, provider, concurrency=8, budget__ledger=ledger)
        again = await unblocked(bench, [*wanted, *[job("one-more")]], provider)
    assert (first.jobs.succeeded, first.jobs.failed) == (24, 1)
    assert again.jobs.succeeded == 25


async def test_what_would_block_is_caught(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batch_editor.runs.attempts.decide", lambda *_: time.sleep(0.001))
    async with sandbox(faults=("502@1",)) as provider:
        with pytest.raises(BlockingError, match=r"time\.sleep"):
            await unblocked(bench, jobs(1), provider)
