from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import AsyncIterator, Generator
from pathlib import Path

import hypothesis
import pytest

from batch_editor.endpoints import TODAY
from tests.support.bench import Bench
from tests.support.command import OF_THE_NETWORK
from tests.support.recorder import Recorder
from tests.support.skips import pytest_make_collect_report, pytest_runtest_makereport  # noqa: F401  # hooks

# A day before any endpoint retires: what plans say of that, and which one is the default, depends on it.
os.environ[TODAY] = "2026-10-15"
# What is ignored stays so in processes that tests start: under nohup, or as a shell's job, they would hear nothing.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGTERM, signal.SIG_DFL)

# How long an example takes is the machine's affair, whose cores others use as well.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")

# A process whose libraries must be compiled anew takes 1.0 s to start instead of 0.5, and tests start hundreds.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A run waits for its disk some twenty times; in memory a test takes half as long, and nothing of it outlives the test.
_MEMORY = "/dev/shm"
_ROOM = 4 << 30
_NUMBERS = itertools.count()


def _is_roomy(folder: str) -> bool:
    """Whether tests' files have room there, the environments of tests/install included, and libraries can be loaded."""
    if not os.access(folder, os.W_OK):
        return False
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize >= _ROOM and not found.f_flag & os.ST_NOEXEC


if _is_roomy(_MEMORY):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", _MEMORY)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Doctests stand in the package alone: looked for in tests, each of their files would be imported twice."""
    collectors = yield
    return [each for each in collectors if type(each).__name__ != "DoctestModule"]


@pytest.fixture(autouse=True)
def _state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No shared rate limit of the developer's own runs is read or written, and no proxy of the developer's asked.

    A file of authorities that the environment names would be read several times in each run: 0.3 of its 0.45 s of CPU.
    """
    # Not by `mktemp`, which looks at all those of former tests.
    folder = tmp_path_factory.getbasetemp() / "states" / str(next(_NUMBERS))
    folder.mkdir(parents=True)
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    for name in [name for name in os.environ if name.upper() in OF_THE_NETWORK]:
        monkeypatch.delenv(name)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench of its own for each test; no config.yaml or variable of the developer's reaches it."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("BATCH_EDITOR_", "SEGMIND_"))]:
        if name != TODAY:
            monkeypatch.delenv(name)
    return Bench(tmp_path)


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    """A server that keeps what it is sent and answers as it is told."""
    async with Recorder() as server:
        yield server
