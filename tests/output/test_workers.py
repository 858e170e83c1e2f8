"""The processes that look at pixels: as many as there may be, each gone with the picture it broke over."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from batch_editor import MachineError
from batch_editor.output import Unchecked, Workers
from tests.support.decoders import children

pytestmark = pytest.mark.slow


@pytest.fixture
def workers() -> Iterator[Workers]:
    pool = Workers(2, limit_s=30)
    yield pool
    pool.close()
    assert children() == []


def order(path: Path) -> dict[str, Any]:
    return {"path": str(path), "format": "png", "transparent": False, "inputs": []}


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.png"
    Image.linear_gradient("L").save(path)
    return path


@pytest.fixture
def hanging(tmp_path: Path) -> Path:
    """A file whose reader waits for good: nobody writes."""
    path = tmp_path / "hanging.png"
    os.mkfifo(path)
    return path


def test_a_process_serves_picture_after_picture(workers: Workers, good: Path, tmp_path: Path) -> None:
    blank = tmp_path / "blank.png"
    Image.new("L", (8, 8)).save(blank)
    workers.start()
    before = children()
    assert [workers.ask(order(path)) for path in (good, blank, good)] == [None, "blank: every pixel is #000000", None]
    assert children() == before
    assert len(before) == 1


def test_never_more_processes_than_there_may_be(workers: Workers, good: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda _: workers.ask(order(good)), range(40))) == [None] * 40
    assert 1 <= len(children()) <= 2


def test_a_picture_that_hangs_costs_its_process_and_no_other(good: Path, hanging: Path) -> None:
    pool = Workers(2, limit_s=1)
    try:
        with pytest.raises(Unchecked, match=r"^the process that decoded it ended, or took longer than 1 s$"):
            pool.ask(order(hanging))
        assert children() == []
        assert pool.ask(order(good)) is None
    finally:
        pool.close()


def test_a_process_that_dies_is_told_and_replaced(workers: Workers, good: Path, hanging: Path) -> None:
    workers.start()
    (process,) = children()
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(workers.ask, order(hanging))
        os.kill(process, signal.SIGKILL)
        with pytest.raises(Unchecked):
            asked.result()
    assert workers.ask(order(good)) is None


def test_a_file_that_is_not_there_says_nothing_of_a_picture(workers: Workers, good: Path, tmp_path: Path) -> None:
    with pytest.raises(Unchecked):
        workers.ask(order(tmp_path / "gone.png"))
    assert workers.ask(order(good)) is None


def test_closing_ends_a_process_that_hangs(hanging: Path) -> None:
    pool = Workers(1, limit_s=30)
    pool.start()
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(pool.ask, order(hanging))
        pool.close()
        with pytest.raises(Unchecked):
            asked.result()
    assert children() == []


def test_ctrl_c_does_not_end_the_processes(workers: Workers, good: Path) -> None:
    workers.start()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(children()[0], number)
    before = children()
    assert workers.ask(order(good)) is None
    assert children() == before


def test_the_key_is_not_in_the_environment_of_a_decoder(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGMIND_API_KEY", "SG_0123456789abcdef")
    workers.start()
    assert b"SG_0123456789abcdef" not in Path(f"/proc/{children()[0]}/environ").read_bytes()


@pytest.mark.parametrize("program", ["/nonexistent/python", "/bin/false"])
def test_a_machine_that_cannot_run_them_is_told(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(sys, "executable", program)
    pool = Workers(1)
    try:
        with pytest.raises(MachineError, match="to check images in"):
            pool.start()
    finally:
        pool.close()
