from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.servers.review_pages.served import Served, Visitor, served, visiting
from tests.support.made_output import MadeOutput, make_output

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
# As root in a container there is no sandbox to be had; and nothing is asked for beyond the page.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
]


# Not for the session: while it is open its event loop runs, and tests that are coroutines can't begin.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium, one for all tests here that a process runs in a row; each visitor has a context of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> MadeOutput:
    """32 jobs: ten products in three scenes, and two singles with two inputs and a mask. Number 23 failed."""
    return make_output(tmp_path_factory.mktemp("original") / "spring", jobs=32, kinds=4)


@pytest.fixture
def original_photos(original: MadeOutput) -> Path:
    """Where its inputs are, which copies share."""
    return original.manifest.parent / "photos"


@pytest.fixture
def output(original: MadeOutput, tmp_path: Path) -> Path:
    """A copy of it, for verdicts of a test's own."""
    return Path(shutil.copytree(original.path, tmp_path / "spring"))


@pytest.fixture
def server(output: Path) -> Iterator[Served]:
    with served(output) as server:
        yield server


Visit = Callable[..., Visitor]


@pytest.fixture
def visit(browser: Browser, server: Served) -> Iterator[Visit]:
    """Comes in with a browser of its own, as often as asked; afterwards none of them may have met trouble."""
    with ExitStack() as stack:

        def come(**how: Any) -> Visitor:
            return stack.enter_context(visiting(browser, server, **how))

        yield come


@pytest.fixture
def visitor(visit: Visit) -> Visitor:
    """One who looks at the gallery at 1280 × 800."""
    return visit()
