"""The pipeline with a probe on its event loop, which prints how long the loop was kept busy at once, in milliseconds.

A timer is set for every 5 ms; what it is late by, while requests are in flight, is a stall. Arguments: manifest, base
URL, requests in flight, folder.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from contextlib import suppress
from pathlib import Path

import uvloop
from pydantic import SecretStr

from batch_editor import BatchOptions, load_settings, run_batch
from batch_editor.runs.progress import Quiet, Snapshot

EVERY_S = 0.005


class InFlight(Quiet):
    """Whether requests are in flight."""

    busy = False

    def show(self, snapshot: Snapshot) -> None:
        """Note it."""
        self.busy = snapshot.in_flight > 0


async def probe(progress: InFlight, stalls_s: list[float]) -> None:
    """Measure until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due_at = loop.time() + EVERY_S
        await asyncio.sleep(EVERY_S)
        if progress.busy:
            stalls_s.append(loop.time() - due_at)


async def main(manifest: str, base_url: str, in_flight: int, folder: Path) -> None:
    """Run the manifest beside the probe."""
    stalls_s: list[float] = []
    progress = InFlight()
    watching = asyncio.create_task(probe(progress, stalls_s))
    flags = {"api": {"base_url": base_url}, "rate_limit": "100000/s", "concurrency": in_flight}
    gc.freeze()  # as the command line does
    options = BatchOptions(output=folder, progress=progress)
    summary = await run_batch([manifest], load_settings(flags=flags), SecretStr("none"), options)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    stalls_s.sort()
    print(
        json.dumps(
            {
                "exit_code": summary.exit_code,
                "p99_ms": 1000 * stalls_s[int(0.99 * len(stalls_s))],
                "longest_ms": 1000 * stalls_s[-1],
            }
        )
    )


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])))
