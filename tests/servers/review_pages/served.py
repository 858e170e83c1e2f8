"""A `batch-editor review` at work, and visitors who come in with a browser."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page

from batch_editor.verdicts import read_verdicts
from tests.support.command import Forked

PATIENCE_S = 45.0
DESKTOP = (1280, 800)
TELEPHONE = (390, 844)
SHOWN = "#scroller .card.current, #panel section, #empty:not([hidden]), #run:not([hidden])"


@dataclass
class Served:
    """An output directory that is served; each address that it says is good for one browser."""

    process: Forked
    output: Path
    addresses: Queue[str]

    @property
    def origin(self) -> str:
        """What its addresses begin with."""
        return self._origin

    def __post_init__(self) -> None:
        first = self.address()
        self._origin = "{0.scheme}://{0.netloc}".format(urlsplit(first))
        self.addresses.put(first)

    def address(self) -> str:
        """The next address that a browser may come in by."""
        return self.addresses.get(timeout=PATIENCE_S)

    def end(self) -> None:
        """As Ctrl-C ends it."""
        self.process.send(signal.SIGINT)
        self.process.wait()

    def verdicts(self) -> dict[str, tuple[str | None, str | None]]:
        """By a picture's fingerprint: its verdict and its note, as they are on disk."""
        return {picture.fingerprint: (said.verdict, said.note) for picture, said in read_verdicts(self.output).items()}

    def verdicts_of(self, pictures: int) -> list[tuple[str | None, str | None]]:
        """Verdict and note of each picture, once so many have one: a page shows what it was told before it is saved."""
        ends_at = time.monotonic() + PATIENCE_S
        while len(found := self.verdicts()) != pictures:
            assert time.monotonic() < ends_at, f"{len(found)} pictures have a verdict, not {pictures}: {found}"
            time.sleep(0.025)
        return list(found.values())


@contextmanager
def served(output: Path, *options: str) -> Iterator[Served]:
    """`batch-editor review` of an output directory, while the block lasts."""
    arguments = ["review", str(output), "--no-open", "--as", "anna", *options]
    addresses: Queue[str] = Queue()
    said, told = os.pipe()
    with Path(os.devnull).open("rb") as nothing, os.fdopen(told, "wb") as words:
        standard = [nothing.fileno(), words.fileno(), words.fileno()]
        process = Forked(arguments, standard, folder=Path.cwd(), environment=dict(os.environ))
    with os.fdopen(said, encoding="utf-8") as lines:
        reader = threading.Thread(target=_read, args=(lines, addresses))
        reader.start()
        try:
            server = Served(process, output, addresses)
            yield server
            server.end()
        finally:
            process.send(signal.SIGKILL)
            process.wait()
            reader.join()


def _read(lines: Iterable[str], addresses: Queue[str]) -> None:
    for line in lines:
        if found := re.search(r"http://\S+\?token=\S+", line):
            addresses.put(found[0])


@dataclass
class Visitor:
    """A page in a browser of its own, and what went wrong in it."""

    page: Page
    origin: str
    query: str = ""
    troubles: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()

    def watch(self) -> None:
        """Note errors, questions and requests to anybody else from now on."""
        self.page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        self.page.on("console", self._said)
        self.page.on("dialog", self._was_asked)
        self.page.on("request", self._asked)

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(f"{message.type}: {message.text}")

    def _was_asked(self, dialog: Any) -> None:
        self.troubles.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((f"{self.origin}/", "data:", "blob:")):
            self.troubles.append(f"request: {request.url}")

    def left(self) -> list[str]:
        """The troubles that the test didn't expect."""
        return [each for each in self.troubles if not any(words in each for words in self.expected)]

    def go(self, path: str) -> None:
        """Open a page of the server and wait until it shows something."""
        self.page.goto(f"{self.origin}{path}")
        self.shown()

    def shown(self) -> None:
        """Wait until the gallery, or a job, is there."""
        self.page.wait_for_selector(SHOWN, timeout=PATIENCE_S * 1e3)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def ids(self) -> list[str]:
        """The ids of the cards in the order of the page."""
        found: list[str] = self.page.eval_on_selector_all(
            "#scroller .card[data-place]",
            "cards => cards.map(card => card.querySelector('.name')?.textContent)",
        )
        return found

    def current(self) -> str:
        """The id of the current job, in the gallery or on its own page."""
        found: str = self.page.evaluate(
            "document.body.classList.contains('job') ? document.querySelector('#job-id').textContent"
            " : document.querySelector('.card.current')?.title ?? ''"
        )
        return found

    def until(self, claim: str, argument: object = None) -> None:
        """Wait until a claim, a JavaScript expression or function, holds.

        Playwright's own way looks again from within the page, where the policy forbids to evaluate anything.
        """
        ends_at = time.monotonic() + PATIENCE_S
        while not self.page.evaluate(claim, argument):
            assert time.monotonic() < ends_at, f"never came true: {claim} of {argument!r}"
            self.page.wait_for_timeout(25)

    def until_current(self, job_id: str) -> None:
        self.until(
            "id => (document.body.classList.contains('job') ? document.querySelector('#job-id').textContent"
            " : document.querySelector('.card.current')?.title) === id",
            job_id,
        )

    def until_counts(self, **counts: int) -> None:
        """Wait until the bar says so, as in `approved=3`; what there is none of isn't said, but for that."""
        tally = "document.querySelector('#tally').textContent"
        for word, number in counts.items():
            words = word.replace("_", " ")
            if number or word == "to_judge":
                self.until(f"words => {tally}.includes(words)", f"{number:,} {words}")
            else:
                self.until(f"words => !{tally}.includes(words)", words)

    def text(self, selector: str) -> str:
        found: str = self.page.inner_text(selector)
        return found


@contextmanager
def visiting(
    browser: Browser, server: Served, *, size: Sequence[int] = DESKTOP, scheme: str = "light", path: str = "/"
) -> Iterator[Visitor]:
    """A browser that has come in by an address of the server's, looking at a page of it."""
    wide, high = size
    context: BrowserContext = browser.new_context(
        viewport={"width": wide, "height": high},
        color_scheme=scheme,
        has_touch=wide < 500,
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="UTC",
    )
    try:
        visitor = Visitor(context.new_page(), server.origin)
        visitor.watch()
        visitor.page.goto(server.address())
        if path == "/":
            visitor.shown()
        else:
            visitor.go(path)
        yield visitor
        left = visitor.left()
        assert not left, left
    finally:
        context.close()
