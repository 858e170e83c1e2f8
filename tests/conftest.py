from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.bench import Bench
from tests.support.recorder import Recorder
from tests.support.skips import pytest_make_collect_report, pytest_runtest_makereport  # noqa: F401  # hooks

# What is ignored stays so in processes that tests start: under nohup, or as a shell's job, they would hear nothing.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No schedule of the developer's own runs is read or written."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench of its own for each test; no config.yaml or variable of the developer's reaches it."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("BATCH_EDITOR_", "SEGMIND_"))]:
        monkeypatch.delenv(name)
    return Bench(tmp_path)


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    """A server that keeps what it is sent and answers as it is told."""
    async with Recorder() as server:
        yield server
