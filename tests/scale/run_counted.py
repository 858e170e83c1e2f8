"""Runs a manifest and counts what that costs; prints one JSON object. For a process of its own."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import threading
import tracemalloc
from collections import Counter
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from pydantic import SecretStr

import batch_editor.runs.batch  # beforehand: loading modules is no job's cost
from batch_editor import BatchOptions, load_settings, run_batch
from batch_editor.planning import estimate
from batch_editor.scheduling.simulation import simulate_often

PACKAGE = str(Path(batch_editor.__file__).parent)


def main(manifest: str, base_url: str) -> None:
    """Count calls of the package's functions, SQL statements and fsyncs, on all threads; and the bytes held at most."""
    counts: Counter[str] = Counter()

    def on_call(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            counts["calls"] += 1
        elif event == "c_call" and argument.__name__ in ("fsync", "fdatasync"):
            counts["fsyncs"] += 1
        elif event == "c_call" and isinstance(getattr(argument, "__self__", None), sqlite3.Connection):
            counts["statements"] += argument.__name__.startswith("execute")

    # Of the plan's simulation one run is enough: how many there are depends on the jobs, and their sum is bounded.
    vars(estimate)["simulate_often"] = partial(simulate_often, repeats=1)
    tracemalloc.start()
    threading.setprofile(on_call)
    sys.setprofile(on_call)
    flags = {"api": {"base_url": base_url}, "rate_limit": "100000/s", "concurrency": 8}
    options = BatchOptions(output=Path(f"{manifest}.out"))
    summary = asyncio.run(run_batch([manifest], load_settings(flags=flags), SecretStr("a-key"), options))
    sys.setprofile(None)
    counts["peak_bytes"] = tracemalloc.get_traced_memory()[1]
    sys.stdout.write(json.dumps({"succeeded": summary.jobs.succeeded, "pandas": "pandas" in sys.modules, **counts}))


if __name__ == "__main__":
    main(*sys.argv[1:])
