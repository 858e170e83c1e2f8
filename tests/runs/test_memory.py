"""Memory grows with requests in flight, not with the length of the manifest."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.support.bench import INPUT, Bench
from tests.support.recorder import Recorder

pytestmark = pytest.mark.slow

RUN = """
import asyncio, json, resource, sys
from pathlib import Path
from pydantic import SecretStr
from batch_editor import BatchOptions, load_settings, run_batch
manifest, base_url = sys.argv[1:]
flags = {"api": {"base_url": base_url}, "rate_limit": "100000/s", "concurrency": 16}
summary = asyncio.run(
    run_batch([manifest], load_settings(flags=flags), SecretStr("a-key"), BatchOptions(output=Path(manifest + ".out")))
)
peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"succeeded": summary.jobs.succeeded, "peak_mib": peak_kib / 1024}))
"""


def write_manifest(path: Path, count: int) -> None:
    rows = (f"job-{number},{number} {'x' * 2000},{INPUT},low,1024x1024" for number in range(count))
    path.write_text("\n".join(["id,prompt,image_urls,quality,size", *rows]), encoding="utf-8")


async def peak_mib(bench: Bench, recorder: Recorder, count: int) -> float:
    manifest = bench.folder / f"{count}.csv"
    write_manifest(manifest, count)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", RUN, str(manifest), recorder.base_url),
        cwd=bench.folder,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    found = json.loads(out)
    assert found["succeeded"] == count
    return float(found["peak_mib"])


@pytest.mark.timeout(120)
@pytest.mark.fault(86)
async def test_a_run_of_1000_jobs_needs_hardly_more_memory_than_one_of_200(bench: Bench, recorder: Recorder) -> None:
    few = await peak_mib(bench, recorder, 200)
    many = await peak_mib(bench, recorder, 1000)
    # 800 jobs with prompts of 2,000 characters; the table of them takes a few MB, once, at the end.
    assert many - few < 15, (few, many)
