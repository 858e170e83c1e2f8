"""The page of the run in a browser: what it shows of a run that goes, is killed, begins again and is stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from playwright.sync_api import Browser

from batch_editor.ledger import figure_readings, readings
from tests.servers.review_pages.conftest import Visit
from tests.servers.review_pages.served import TELEPHONE, Served, Visitor, served, visiting

STATE = "document.querySelector('#state').textContent"


def table(visitor: Visitor, selector: str) -> list[list[str]]:
    """The cells of a table, its head first."""
    found: list[list[str]] = visitor.page.eval_on_selector_all(
        f"{selector} tr", "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return found


def painted(visitor: Visitor, plot: str) -> int:
    """How many colours a plot's canvas has."""
    found: int = visitor.page.evaluate(
        "id => { const canvas = document.querySelector(`#${id} canvas`);"
        " const all = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;"
        " return new Set(new Uint32Array(all.buffer)).size }",
        plot,
    )
    return found


def test_a_run_that_has_ended_is_shown_with_the_ledger_s_figures(visit: Visit, server: Served) -> None:
    visitor = visit()
    visitor.page.click("#to-run")
    visitor.page.wait_for_url("**/run")
    visitor.until("document.querySelectorAll('.u-wrap canvas').length === 4")
    with readings.reading(server.output) as db:
        figures, standing = figure_readings.figures(db), readings.standing(db)
    assert figures is not None
    assert visitor.text("#state").startswith("The last run has ended")
    assert visitor.text(".tile .value") == f"{standing.jobs.succeeded} of {standing.jobs.total}"
    assert f"Money of the last run, confirmed\n\n${figures.sums.confirmed_usd:,.2f}" in visitor.text("#tiles")
    groups = table(visitor, "#groups")
    assert [row[0] for row in groups[1:]] == [group.label for group in figures.groups]
    assert [row[1] for row in groups[1:]] == [str(group.sums.images) for group in figures.groups]
    visitor.page.click("#numbers summary")
    numbers = table(visitor, "#numbers")
    assert len(numbers) == len(figures.buckets) + 1
    assert numbers[-1][1] == str(figures.sums.images)
    for plot in ("images", "cost", "pace", "latency"):
        assert painted(visitor, f"plot-{plot}") > 2, plot
    failures = {row[0]: row[1] for row in table(visitor, "#failing")[1:]}
    with readings.reading(server.output) as db:
        assert failures == {each.kind.replace("_", " "): str(each.count) for each in readings.examples(db)}
    visitor.page.emulate_media(media="print")
    for cut in ("body", "#run", "#run .wide"):
        assert visitor.page.eval_on_selector(cut, "cut => getComputedStyle(cut).overflow") == "visible"
    assert (
        visitor.page.evaluate("document.documentElement.scrollHeight - document.querySelector('#run').scrollHeight")
        >= 0
    )
    visitor.page.emulate_media(media="screen")
    visitor.page.click("#failing a")
    visitor.page.wait_for_url("**/job/**")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_telephone_nothing_is_wider_than_the_page(visit: Visit, scheme: str) -> None:
    visitor = visit(size=TELEPHONE, scheme=scheme, path="/run")
    visitor.until("document.querySelectorAll('.u-wrap canvas').length === 4")
    visitor.page.click("#numbers summary")
    assert visitor.page.evaluate("document.querySelector('#run').scrollWidth") <= TELEPHONE[0]
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= TELEPHONE[0]


@contextmanager
def provider(folder: Path) -> Iterator[str]:
    """A sandbox whose answers take two seconds; its address."""
    command = [sys.executable, "-m", "batch_editor", "sandbox", "--latency", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@contextmanager
def run_of(folder: Path, address: str) -> Iterator[subprocess.Popen[str]]:
    jobs: list[dict[str, Any]] = [
        {"id": f"<b>{n}</b>", "prompt": f"edit {n}", "image_urls": ["http://127.0.0.1:9/x.png"]} for n in range(16)
    ]
    (folder / "jobs.yaml").write_bytes(orjson.dumps({"defaults": {"quality": "low"}, "jobs": jobs}))
    command = [sys.executable, "-m", "batch_editor", "run", "jobs.yaml", "-o", "out", "--base-url", address]
    more = ["--rate", "100/s", "--concurrency", "2", "--progress", "none", "--max-cost", "2"]
    environment = {**os.environ, "SEGMIND_API_KEY": "any"}
    with subprocess.Popen(
        [*command, *more], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_run_is_seen_as_it_goes_is_killed_begins_again_and_is_stopped(browser: Browser, tmp_path: Path) -> None:
    with provider(tmp_path) as address, run_of(tmp_path, address) as run:
        _wait_for(tmp_path / "out" / ".status.json")
        with served(tmp_path / "out") as server, visiting(browser, server, path="/run") as visitor:
            visitor.until(f"{STATE}.startsWith('A run is at work')")
            visitor.until("document.querySelectorAll('#latest img').length >= 2")
            visitor.until("[...document.querySelectorAll('#latest img')].every(each => each.naturalWidth > 0)")
            assert "budget $2.00" in visitor.text("#tiles")
            assert visitor.page.is_visible("#stop")
            run.send_signal(signal.SIGKILL)
            run.wait()
            visitor.until(f"{STATE}.startsWith('The run died (')")
            assert not visitor.page.is_visible("#stop")
            with run_of(tmp_path, address) as again:
                visitor.until(f"{STATE}.startsWith('A run is at work')")
                visitor.page.click("#stop")
                assert re.match(r"\d requests? in flight (is|are) paid for", visitor.text("#stop-about"))
                visitor.page.click("#stop-dialog [data-act=cancel]")
                visitor.page.click("#stop")
                visitor.page.click("#stop-dialog [data-act=stop]")
                visitor.until(f"{STATE}.startsWith('The last run has ended with exit code 130')")
                assert again.wait() == 130
            assert visitor.page.query_selector("main b") is None  # ids are text
            visitor.until("document.querySelector('#course-about').textContent.startsWith('2 runs')")
            assert "Money of the last 2 runs, confirmed" in visitor.text("#tiles")
            server.end()
            visitor.expected = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "Failed to load")
            visitor.until("!document.querySelector('#trouble').hidden")
            assert "No answer from batch-editor review" in visitor.text("#trouble")


def _wait_for(path: Path) -> None:
    while not path.exists():
        subprocess.run(["sleep", "0.1"], check=True)
