"""How soon review shows 10,000 jobs in Chromium, and the memory that it takes.

    python -m benchmarks.review_pages

Needs what `make test-servers` installs, and Chromium. Prints medians of several visits.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, sync_playwright

from tests.support.made_output import make_output

JOBS = 10_000
VISITS = 7
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
THUMBNAILS = (
    "[...document.querySelectorAll('.card img')].filter((image) => image.complete && image.naturalWidth).length"
)


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        output = make_output(Path(folder) / "catalog", jobs=JOBS).path
        command = [sys.executable, "-m", "batch_editor", "review", str(output), "--no-open"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            found = re.search(r"http://\S+", process.stdout.readline() if process.stdout else "")
            assert found is not None, "review printed no address"
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
                figures = _visits(browser, found[0])
                browser.close()
            figures["memory of the server and its processes, MB"] = _memory_mb(process.pid)
            process.terminate()
    for name, value in figures.items():
        print(f"{name}: {value:,.0f}")


def _visits(browser: Browser, address: str) -> dict[str, float]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    began = time.perf_counter()
    page.goto(address)
    page.wait_for_selector(".card.current")
    first_ms = (time.perf_counter() - began) * 1e3
    painted, cards, pictures = [], [], []
    for _ in range(VISITS):
        began = time.perf_counter()
        page.goto(page.url)
        page.wait_for_selector(".card.current")
        cards.append((time.perf_counter() - began) * 1e3)
        while page.evaluate(THUMBNAILS) < 10:
            page.wait_for_timeout(10)
        pictures.append((time.perf_counter() - began) * 1e3)
        painted.append(page.evaluate(PAINTED))
    context.close()
    return {
        "the first visit of all, to the first card, ms": first_ms,
        "first contentful paint, ms": median(painted),
        "to the first card, ms": median(cards),
        "to ten thumbnails, ms": median(pictures),
    }


def _memory_mb(pid: int) -> float:
    """Resident memory of a process and those that it started."""
    parents = {
        int(path.parent.name): int(path.read_text(encoding="utf-8").rpartition(") ")[2].split()[1])
        for path in Path("/proc").glob("[0-9]*/stat")
    }
    tree = {pid}
    while more := {child for child, parent in parents.items() if parent in tree} - tree:
        tree |= more
    return sum(_resident_kb(each) for each in tree) / 1024


def _resident_kb(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    return int(found[1]) if found else 0


if __name__ == "__main__":
    main()
