"""The key: nowhere but in the header of requests to the API."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from pydantic import SecretStr

from batch_editor import BatchOptions, load_settings, run_batch
from batch_editor.text import redact
from tests.support.bench import KEY, Bench, arrived, job, jobs, sandbox
from tests.support.recorder import Recorder, http

ECHOES = (
    f"400:prompt~refused:text=No such thing for key {KEY} here",
    f"json-error:prompt~odd:text=token={KEY};",
    f"504:prompt~lost:text=upstream {KEY} timed out",
    f"500:prompt~broken:text=key '{KEY}'",
    "redirect:prompt~moved",
    "html:prompt~page",
    "reset:prompt~cut",
)


def contents(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


@pytest.mark.fault(103)
@pytest.mark.slow
async def test_no_byte_that_a_run_leaves_holds_the_key(bench: Bench) -> None:
    words = ("refused", "odd", "lost", "broken", "moved", "page", "cut", "fine")
    manifest = bench.write([job(word, f"a {word} one") for word in words])
    async with sandbox(faults=ECHOES) as provider:
        arguments = bench.run_arguments(manifest, provider, "-v", "--log-file", "run.log")
        finished = await bench.command(*arguments)
        assert finished.code == 1
        produced = [finished.out.encode(), finished.err.encode(), *contents(bench.folder)]
        assert [data for data in produced if KEY.encode() in data] == []
        # The test can fail: the echoes did arrive, with something else in the key's place.
        assert any(b"for key [key] here" in data for data in produced)
        assert b"for key [key] here" in (bench.folder / "run.log").read_bytes()
        assert "[key]" in bench.row("refused")["error"]
        assert provider.books.key_leaks == 0


@pytest.mark.fault(103)
async def test_a_running_command_shows_the_key_to_no_other_process(bench: Bench) -> None:
    manifest = bench.write(jobs(1))
    async with sandbox(faults=(f"401:text=Invalid key {KEY}",), latency="0.2") as provider:
        arguments = bench.run_arguments(manifest, provider, "-v", "--log-file", "run.log")
        async with bench.started(*arguments, anew=True) as process:
            await arrived(provider.books, 1)
            command_line = await asyncio.to_thread(Path(f"/proc/{process.pid}/cmdline").read_bytes)
            assert KEY.encode() not in command_line
            process.send(signal.SIGINT)
            finished = await process.finished()
    assert finished.code in (130, 3)
    assert KEY not in finished.out + finished.err
    assert [data for data in contents(bench.out) if KEY.encode() in data] == []


async def test_a_key_of_any_shape_is_kept_out_of_what_a_program_records(bench: Bench, recorder: Recorder) -> None:
    key = "hunter2-of-no-known-shape"
    recorder.answer = http(f'{{"error": "who is {key}?"}}'.encode(), status="400 Bad Request")
    settings = load_settings(flags={"api": {"base_url": recorder.base_url}})
    await run_batch([bench.write(jobs(1))], settings, SecretStr(key), BatchOptions(output=bench.out))
    assert recorder.requests[0].headers["x-api-key"] == key
    assert [data for data in contents(bench.out) if key.encode() in data] == []
    assert "who is [key]?" in bench.row("job-0")["error"]
    # And no longer: the word may mean something else to the rest of the program.
    assert redact(key) == key
