"""What a run tells Prometheus: the provider's own figures, on a port while it is at work and in a file at its end."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import stat
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from batch_editor import BatchOptions
from batch_editor.runs.progress import Quiet
from tests.support.bench import LOW_USD, RETRY_FAILED, Bench, arrived, job, jobs, sandbox, with_options

Figures = dict[tuple[str, str], float]


class Heard(Quiet):
    """Keeps what a run says."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def figures(text: str, out: Path) -> Figures:
    """What a text has of an output directory: by name, and by its one other label."""
    found: Figures = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = {name: value for name, value in sample.labels.items() if name != "le"}
            assert labels.pop("output") == str(out)
            if sample.labels.get("le", "+Inf") == "+Inf":
                found[sample.name.removeprefix("batch_editor_"), ",".join(labels.values())] = sample.value
    return found


def written(textfile: Path, out: Path) -> Figures:
    return figures(textfile.read_text(encoding="utf-8"), out)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def textfile(bench: Bench) -> Path:
    return bench.folder / "night.prom"


async def test_the_textfile_has_the_figures_of_the_run(bench: Bench, textfile: Path) -> None:
    wanted = [*jobs(4), job("bad", "refuse it"), job("twin", "edit job-0"), job("slow", "fail once")]
    async with sandbox(faults=("400:prompt~refuse", "502@1")) as provider:
        began_at = time.time()
        summary = await bench.run(wanted, provider, metrics__textfile=textfile)
        assert summary.exit_code == 1
    found = written(textfile, bench.out)
    assert {labels: value for (name, labels), value in found.items() if name == "attempts_total"} == {
        "200": 5,
        "400": 1,
        "502": 1,
    }
    assert {labels: value for (name, labels), value in found.items() if name == "jobs"} == {
        "succeeded": 6,
        "failed": 1,
        "unknown": 0,
        "pending": 0,
    }
    assert found["spent_usd_total", "confirmed"] == pytest.approx(5 * LOW_USD)
    assert found["spent_usd_total", "possibly_billed"] == pytest.approx(summary.cost.possibly_billed)
    assert found["spent_usd_total", "possibly_billed"] > 0
    assert (found["retries_total", ""], found["latency_seconds_count", ""]) == (1, 7)
    assert found["latency_seconds_bucket", ""] == 7
    assert (found["last_run_exit_code", ""], found["run_at_work", ""], found["in_flight_requests", ""]) == (1, 0, 0)
    assert began_at <= found["last_run_timestamp_seconds", ""] <= time.time()
    assert ("last_success_timestamp_seconds", "") not in found


async def test_the_last_success_stays_known(bench: Bench, textfile: Path) -> None:
    async with sandbox(faults=("400:prompt~refuse",)) as provider:
        await bench.run(jobs(1), provider, metrics__textfile=textfile)
        first = written(textfile, bench.out)["last_success_timestamp_seconds", ""]
        await bench.run([*jobs(1), job("bad", "refuse")], provider, metrics__textfile=textfile)
    found = written(textfile, bench.out)
    assert found["last_success_timestamp_seconds", ""] == first
    assert found["last_run_timestamp_seconds", ""] > first


async def test_while_a_run_is_at_work_a_port_tells_how_it_stands(bench: Bench) -> None:
    port = free_port()
    async with sandbox(latency="1.5") as provider, aiohttp.ClientSession() as client:

        async def scraped() -> Figures:
            async with client.get(f"http://127.0.0.1:{port}/metrics") as response:
                assert response.status == 200
                return figures(await response.text(), bench.out)

        run = asyncio.create_task(bench.run(jobs(6), provider, concurrency=2, metrics__port=str(port)))
        await arrived(provider.books, 4)
        await asyncio.sleep(1.2)  # it is told once a second
        found = await scraped()
        assert found["in_flight_requests", ""] == 2
        assert found["reserved_usd", ""] > 0
        assert (found["jobs", "succeeded"], found["jobs", "pending"]) == (2, 4)
        assert (found["run_at_work", ""], found["breaker_open", ""]) == (1, 0)
        assert found["pace_per_minute", ""] > 0
        assert (await run).exit_code == 0
        with pytest.raises(aiohttp.ClientConnectorError):
            await scraped()


async def test_what_requests_waited_for_the_rate_is_added_up(bench: Bench, textfile: Path) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(4), provider, rate_limit="4/s", metrics__textfile=textfile)
    found = written(textfile, bench.out)
    # They stand in line from the beginning, and leave a little more than a quarter of a second apart.
    assert 1.2 < found["rate_wait_seconds_total", ""] < 6


async def test_an_outage_is_shown(bench: Bench) -> None:
    port = free_port()
    async with sandbox(faults=("502@1-12",)) as provider, aiohttp.ClientSession() as client:
        slow: dict[str, Any] = {"retry__backoff_s": 0.5, "retry__backoff_max_s": 3}
        run = asyncio.create_task(bench.run(jobs(8), provider, concurrency=8, metrics__port=str(port), **slow))
        await arrived(provider.books, 8)
        await asyncio.sleep(1.3)
        async with client.get(f"http://127.0.0.1:{port}/metrics") as response:
            assert figures(await response.text(), bench.out)["breaker_open", ""] == 1
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run


async def test_a_port_that_is_taken_costs_no_night(bench: Bench) -> None:
    heard = Heard()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        async with sandbox() as provider:
            options = with_options(progress=heard)
            assert (await bench.run(jobs(1), provider, options=options, metrics__port=port)).exit_code == 0
    warning = f"warning: metrics.port {port} can't be had (Address already in use); the run goes on without it"
    assert warning in heard.lines


async def test_a_textfile_that_can_t_be_written_changes_no_exit_code(bench: Bench) -> None:
    heard = Heard()
    async with sandbox() as provider:
        options = with_options(progress=heard)
        beside = bench.write(jobs(1)) / "in.prom"
        assert (await bench.run(jobs(1), provider, options=options, metrics__textfile=beside)).exit_code == 0
    assert f"warning: metrics.textfile {beside}: can't be written (Not a directory)" in heard.lines


async def test_in_a_folder_each_output_directory_has_a_file(bench: Bench) -> None:
    folder = bench.folder / "node exporter"
    folder.mkdir()
    async with sandbox() as provider:
        for name in ("spring", "summer"):
            await bench.run(jobs(1), provider, out=bench.folder / name, metrics__textfile=folder)
    assert sorted(path.name for path in folder.iterdir()) == ["batch_editor_spring.prom", "batch_editor_summer.prom"]
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o044 for path in folder.iterdir()), "another user reads them"


async def test_a_rehearsal_leaves_the_textfile_alone(bench: Bench, textfile: Path) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(1), provider, options=BatchOptions(sandbox=True), metrics__textfile=textfile)
    assert textfile.name not in [path.name for path in bench.folder.iterdir()]


async def test_a_redo_leaves_the_jobs_as_they_are(bench: Bench, textfile: Path) -> None:
    async with sandbox(faults=("400:prompt~refuse",)) as provider:
        await bench.run([*jobs(1), job("bad", "refuse")], provider)
    async with sandbox() as provider:
        await bench.run([*jobs(1), job("bad", "refuse")], provider, options=RETRY_FAILED, metrics__textfile=textfile)
    found = written(textfile, bench.out)
    assert (found["jobs", "succeeded"], found["jobs", "failed"]) == (2, 0)


@pytest.mark.parametrize(
    ("port", "address"), [("9464", ("127.0.0.1", 9464)), ("0.0.0.0:81", ("0.0.0.0", 81)), ("[::1]:9", ("::1", 9))]
)
def test_a_port_is_this_machine_s_unless_it_says_otherwise(bench: Bench, port: str, address: tuple[str, int]) -> None:
    assert bench.settings(metrics__port=port).metrics.address == address


@pytest.mark.parametrize("port", ["0", "65536", "http", "example.com:9464", "9464/metrics", "-1", "٣"])
async def test_what_is_no_port_is_told(bench: Bench, port: str) -> None:
    (bench.folder / "config.yaml").write_text(json.dumps({"metrics": {"port": port}}))
    done = await bench.command("run", bench.write(jobs(1)), "--sandbox")
    assert done.code == 2
    assert re.fullmatch(
        r"error: config\.yaml:1: metrics\.port is .*; expected a port, such as 9464, or an address and a port, such as"
        r" 0\.0\.0\.0:9464\n",
        done.err,
    )
