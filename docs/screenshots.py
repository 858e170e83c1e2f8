"""Renews the pictures of docs/review.md: `make screenshots`. Or makes them in another folder: `python -m
docs.screenshots FOLDER`. A run against the sandbox, looked at in Chromium."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
from PIL import Image, ImageOps
from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).parent
PHOTOS = DOCS.parent / "jobs" / "photos"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
PRODUCTS = [
    {"sku": "espresso-cup", "title": "espresso cup", "photo": "coffee.jpg", "season": "winter"},
    {"sku": "cat-calendar", "title": "cat calendar", "photo": "chelsea.jpg", "season": "summer"},
    {"sku": "space-suit", "title": "space suit", "photo": "astronaut.jpg", "season": "winter"},
    {"sku": "model-rocket", "title": "model rocket", "photo": "rocket.jpg", "season": "summer"},
]
# The keys that lead from the one before, and what is there then.
SHOTS = {
    "review-gallery": ([*"aara", "ArrowRight", "e", *"Keep the whiskers", "Control+Enter", "a"], ".is-rejected"),
    "review-grid": (["g", "Home", "ArrowRight"], ".as-grid .card.current"),
    "review-job": (["g", "Home", "ArrowDown", "Enter"], "img-comparison-slider.rendered"),
}


def make(folder: Path) -> list[Path]:
    """The pictures, as files of a folder."""
    with tempfile.TemporaryDirectory() as work:
        output = Path(work) / "spring"
        _run(Path(work), output)
        with _review(output) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1280, "height": 760}, color_scheme="dark")
            page.goto(address)
            page.wait_for_selector(".card.current")
            made = [_shot(page, folder / f"{name}.jpg", *how) for name, how in SHOTS.items()]
            browser.close()
        made.append(_run_page(Path(work), folder / "review-run.jpg"))
    return made


def _shot(page: Page, path: Path, keys: list[str], shown: str) -> Path:
    for key in keys:
        page.keyboard.press(key)
        page.wait_for_timeout(60)
    page.wait_for_selector(shown)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(5_000)  # longer than a message stays
    page.screenshot(path=path, type="jpeg", quality=84)
    return path


def _run_page(folder: Path, path: Path) -> Path:
    """The page of a run that has been at work for a while."""
    output = folder / "autumn"
    command = [sys.executable, "-m", "batch_editor", "run", str(folder / "spring.yaml"), "--output", str(output)]
    limits = ["--sandbox", "--rate", "12/min", "--max-cost", "2"]
    with subprocess.Popen([*command, *limits], stderr=subprocess.DEVNULL) as run:
        while not (output / ".status.json").exists():
            time.sleep(0.1)
        with _review(output) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1280, "height": 860}, color_scheme="dark")
            page.goto(address)
            page.goto(f"{address.partition('/?')[0]}/run")
            page.wait_for_selector("#latest li:nth-child(9) img", timeout=120_000)
            page.wait_for_timeout(2_000)
            page.screenshot(path=path, type="jpeg", quality=84)
            browser.close()
        run.terminate()
    return path


def _run(folder: Path, output: Path) -> None:
    (folder / "photos").mkdir()
    for photo in PHOTOS.glob("*.jpg"):
        with Image.open(photo) as opened:
            ImageOps.fit(opened, (768, 768)).save(folder / "photos" / photo.name)  # the shape of what is made of it
    job = {
        "id": "{{ sku }}-{{ scene }}",
        "rows": PRODUCTS,
        "matrix": {"scene": ["beach", "studio", "forest", "kitchen"]},
        "prompt": "Show the {{ title }} in a {{ scene }} setting, {{ season }} light",
        "image_urls": ["photos/{{ photo }}"],
    }
    manifest = folder / "spring.yaml"
    manifest.write_bytes(orjson.dumps({"defaults": {"quality": "low", "size": "1024x1024"}, "jobs": [job]}))
    command = [sys.executable, "-m", "batch_editor", "run", str(manifest), "--sandbox", "--rate", "100/s"]
    subprocess.run([*command, "--output", str(output)], check=True, stderr=subprocess.DEVNULL)


@contextmanager
def _review(output: Path) -> Iterator[str]:
    """The address of a `batch-editor review` of it."""
    command = [sys.executable, "-m", "batch_editor", "review", str(output), "--no-open", "--as", "anna"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            found = re.search(r"http://\S+", process.stdout.readline() if process.stdout else "")
            assert found is not None, "review printed no address"
            yield found[0]
        finally:
            process.terminate()


if __name__ == "__main__":
    for made in make(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS / "images"):
        print(made)
