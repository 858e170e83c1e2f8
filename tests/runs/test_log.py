"""The log: which keys each event has, what a line may hold, and a file that is rotated beneath a run."""

from __future__ import annotations

import json
import logging
import stat
from pathlib import Path
from typing import Any

import pytest

from batch_editor.cli.logs import JsonLines, Lines
from docs.reference import events
from tests.support.bench import KEY, Bench, arrived, job, jobs, sandbox

# Fixed: other people's programs read them. More may be added, none is renamed.
EVENTS = {
    "sent": {"attempt_id", "in_flight", "job_id", "redo"},
    "fetching result": {"attempt_id", "job_id", "redo"},
    "succeeded": {"cost_usd", "job_id", "latency_s", "redo", "request_id"},
    "other than asked": {"difference", "job_id", "redo"},
    "failed": {
        *("again_in_s", "error", "error_kind", "http_status", "job_id", "possibly_billed", "redo", "status"),
    },
    "unsaved": {"error", "job_id", "redo"},
    "outage": {"error", "next_try_s"},
    "outage over": set(),
    "rate_lowered": {"limit", "new", "old", "requests", "why"},
    "rate_raised": {"limit", "new", "old", "requests", "why"},
    "concurrency_lowered": {"new", "old", "requests", "why"},
    "slow": {"cause", "why"},
    "not slow any more": set(),
    "clock jumped": {"jump_s"},
    "stopping": {"kind", "reason"},
    "not told": {"error"},
}
ODD = "a\nb\r\x1b[31m\x9b5m\x7f\u2028\u202e\x00" + KEY


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def record(**carried: object) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": "failed", "levelname": "INFO", **carried})


def test_no_event_and_no_key_of_the_log_is_renamed() -> None:
    found = events()
    assert {event: keys for event, keys in EVENTS.items() if not keys <= found.get(event, set())} == {}


async def test_a_run_s_log_has_these_keys_and_no_others(bench: Bench) -> None:
    wanted = [*jobs(3), job("bad", "refuse it")]
    async with sandbox(faults=("400:prompt~refuse", "429@2", "502@1")) as provider:
        await bench.command(*bench.run_arguments(bench.write(wanted), provider, "--log-file", "run.jsonl"))
    found = lines(bench.folder / "run.jsonl")
    assert {"sent", "succeeded", "failed"} <= {line["event"] for line in found}
    known = events()
    for line in found:
        assert list(line)[:3] == ["ts", "level", "event"]
        assert set(line) - {"ts", "level", "event"} <= known[line["event"]]
        assert line["level"] in ("debug", "info", "warning", "error")
        assert line["ts"].endswith("+00:00")


@pytest.mark.parametrize("formatter", [JsonLines(), Lines()])
def test_no_line_has_a_line_break_a_control_or_a_key_in_it(formatter: logging.Formatter) -> None:
    said = formatter.format(record(error=ODD, why={"deep": [ODD]}))
    assert not [character for character in said if not character.isprintable()]
    assert KEY not in said


def test_what_is_escaped_in_the_log_is_read_back() -> None:
    said = JsonLines().format(record(error=ODD.removesuffix(KEY)))
    assert json.loads(said)["error"] == ODD.removesuffix(KEY)


async def test_a_log_that_is_moved_is_begun_anew_and_loses_no_line(bench: Bench) -> None:
    log, moved = bench.folder / "run.jsonl", bench.folder / "run.jsonl.1"
    async with sandbox(latency="0.1") as provider:
        arguments = bench.run_arguments(bench.write(jobs(12)), provider, "--concurrency", "1", "--log-file", log)
        async with bench.started(*arguments) as process:
            await arrived(provider.books, 4)
            log.rename(moved)
            assert (await process.finished()).code == 0
    first, second = ([line["job_id"] for line in lines(path) if line["event"] == "succeeded"] for path in (moved, log))
    assert (len(first) >= 2, len(second) >= 2) == (True, True)
    assert first + second == [each["id"] for each in jobs(12)]
    assert stat.S_IMODE(log.stat().st_mode) & 0o007 == 0, "nobody else reads it"


async def test_a_log_whose_folder_is_gone_says_so_once_and_the_run_goes_on(bench: Bench) -> None:
    folder = bench.folder / "logs"
    folder.mkdir()
    async with sandbox(latency="0.1") as provider:
        arguments = bench.run_arguments(bench.write(jobs(6)), provider, "--log-file", folder / "run.jsonl")
        async with bench.started(*arguments, "--concurrency", "1") as process:
            await arrived(provider.books, 2)
            folder.rename(bench.folder / "old")
            done = await process.finished()
    assert done.code == 0
    said = [line for line in done.err.splitlines() if "--log-file" in line]
    assert said == [
        f"warning: --log-file {folder}/run.jsonl: can't be written (No such file or directory); the log has gaps"
    ]
