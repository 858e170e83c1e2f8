"""The processes that functions are called in: as many as there may be, each gone with the call it broke over."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from batch_editor import MachineError
from batch_editor.processes import CallFailed, Processes
from tests.support.decoders import children

pytestmark = pytest.mark.slow


@pytest.fixture
def processes() -> Iterator[Processes]:
    pool = Processes(2, limit_s=30)
    pool.start(os.getpid)
    yield pool
    pool.close()
    assert children() == []


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """A file whose reader waits for good: nobody writes."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def test_a_process_serves_call_after_call(processes: Processes) -> None:
    before = children()
    assert [processes.call(math.sqrt, number) for number in (4, 9, 16)] == [2, 3, 4]
    assert processes.call(int, "ff", base=16) == 255
    assert children() == before


def test_there_are_as_many_processes_as_there_may_be(processes: Processes) -> None:
    with ThreadPoolExecutor(8) as threads:
        pids = set(threads.map(lambda _: processes.call(os.getpid), range(40)))
    assert pids <= set(children())
    assert len(children()) == 2


def test_a_call_that_hangs_costs_its_process_and_no_other(fifo: Path) -> None:
    pool = Processes(2, limit_s=1)
    try:
        with ThreadPoolExecutor(1) as thread:
            hung = thread.submit(pool.call, Path.read_bytes, fifo)
            for _ in range(20):
                assert pool.call(math.sqrt, 4) == 2
            with pytest.raises(CallFailed, match=r"^it took longer than 1 s$"):
                hung.result()
        assert pool.call(math.sqrt, 4) == 2
    finally:
        pool.close()
    assert children() == []


def test_a_call_that_crashes_is_told_and_its_process_replaced(processes: Processes) -> None:
    with pytest.raises(CallFailed, match=r"^its process ended$"):
        processes.call(os.abort)
    assert processes.call(math.sqrt, 4) == 2


@pytest.mark.parametrize("killed", [1, 2])
def test_a_process_that_dies_at_rest_costs_no_call(processes: Processes, killed: int) -> None:
    before = children()
    for pid in before[:killed]:
        os.kill(pid, signal.SIGKILL)
    assert processes.call(math.sqrt, 4) == 2
    assert processes.call(os.getpid) not in before[:killed]


def test_what_a_function_raises_is_told_and_costs_no_process(processes: Processes, tmp_path: Path) -> None:
    before = children()
    with pytest.raises(CallFailed, match=r"^FileNotFoundError: \[Errno 2\] No such file or directory: '.*/gone'$"):
        processes.call(Path.read_bytes, tmp_path / "gone")
    assert children() == before


def test_closing_ends_a_call_that_hangs_at_once(fifo: Path) -> None:
    pool = Processes(1, limit_s=30)
    pool.start(os.getpid)
    with ThreadPoolExecutor(1) as thread:
        hung = thread.submit(pool.call, Path.read_bytes, fifo)
        began = time.monotonic()
        pool.close()
        with pytest.raises(CallFailed, match=r"^the run is over$"):
            hung.result()
    assert time.monotonic() - began < 5
    assert children() == []
    with pytest.raises(CallFailed, match=r"^the run is over$"):
        pool.call(math.sqrt, 4)


def test_a_signal_to_all_of_a_service_does_not_end_the_processes(processes: Processes) -> None:
    with ThreadPoolExecutor(2) as threads:  # both are at work, so both have begun
        list(threads.map(lambda _: processes.call(time.sleep, 0.3), range(2)))
    before = children()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        for pid in before:
            os.kill(pid, number)
    assert processes.call(math.sqrt, 4) == 2
    assert children() == before


def test_the_key_is_not_in_the_environment_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGMIND_API_KEY", "SG_0123456789abcdef")
    pool = Processes(1)
    try:
        assert pool.call(os.getenv, "SEGMIND_API_KEY") is None
        assert b"SG_0123456789abcdef" not in Path(f"/proc/{children()[0]}/environ").read_bytes()
    finally:
        pool.close()


def test_ctrl_c_in_a_terminal_reaches_none_of_them(processes: Processes) -> None:
    assert os.getpgrp() not in {os.getpgid(pid) for pid in children()}


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("/nonexistent/python", "[Errno 2] No such file or directory: '/nonexistent/python'"),
        ("/bin/false", "/bin/false ends at once"),
    ],
)
def test_a_machine_that_cannot_run_them_is_told(monkeypatch: pytest.MonkeyPatch, program: str, why: str) -> None:
    monkeypatch.setattr(sys, "executable", program)
    pool = Processes(1)
    try:
        with pytest.raises(MachineError) as told:
            pool.start(os.getpid)
        assert str(told.value) == f"no process can be started to work in: {why}"
    finally:
        pool.close()


SCRIPT = """\
import os, sys, time
from pathlib import Path
from batch_editor.processes import Processes

print("once")
pool = Processes(2, limit_s=1)
pool.start(os.getpid)
"""


def script(folder: Path, last: str) -> list[str]:
    path = folder / "script.py"
    path.write_text(SCRIPT + textwrap.dedent(last))
    return [sys.executable, str(path)]


def test_a_script_without_a_guard_runs_once(tmp_path: Path) -> None:
    done = subprocess.run(
        script(tmp_path, "print(pool.call(int, '7'))\npool.close()\n"), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "once\n7\n", "")


def test_a_script_that_does_not_close_them_leaves_none(tmp_path: Path) -> None:
    done = subprocess.run(
        script(tmp_path, "print(pool.call(os.getpid))\n"), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert is_gone(int(done.stdout.split()[1]))


@pytest.mark.parametrize("module", ["pickle", "struct", "signal", "pebble", "PIL", "batch_editor"])
def test_nothing_in_the_working_directory_passes_for_a_module(tmp_path: Path, module: str) -> None:
    (tmp_path / f"{module}.py").write_text("open('imported', 'w')\n")
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"{SCRIPT}print(pool.call(int, '7'))\npool.close()"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "once\n7\n", "")
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"])
@pytest.mark.parametrize("last", ["time.sleep(60)", "pool.call(Path.read_bytes, Path(sys.argv[0] + '.fifo'))"])
def test_who_started_them_dies_and_they_end_too(tmp_path: Path, last: str, number: signal.Signals) -> None:
    os.mkfifo(tmp_path / "script.py.fifo")
    started = subprocess.Popen(
        script(tmp_path, f"print(pool.call(os.getpid), flush=True)\n{last}\n"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "once\n"
    pid = int(started.stdout.readline())
    began = time.monotonic()
    started.send_signal(number)
    _, err = started.communicate()  # none of them keeps the pipes
    assert (started.returncode, err) == (-number, "")
    assert time.monotonic() - began < 3
    # Idle ones at the end of their pipe; one that is busy when its time is up.
    waited_until = time.monotonic() + 15
    while not is_gone(pid):
        assert time.monotonic() < waited_until
        time.sleep(0.05)


def is_gone(pid: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True
