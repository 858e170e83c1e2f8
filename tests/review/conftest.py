from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.made_output import MadeOutput, make_output
from tests.support.page import Page, reviewed


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> MadeOutput:
    return make_output(tmp_path_factory.mktemp("made"), jobs=100, kinds=3, side=96)


@pytest.fixture
def made(_made: MadeOutput, tmp_path: Path) -> MadeOutput:
    """An output directory of 100 jobs; 33 products in three scenes, and a single one with a mask."""
    output = Path(shutil.copytree(_made.path, tmp_path / "out"))
    return MadeOutput(output, _made.manifest, _made.jobs)


@pytest.fixture
async def page(made: MadeOutput) -> AsyncIterator[Page]:
    """A page of a server that reviews `made`."""
    async with reviewed(made.path) as page:
        yield page
