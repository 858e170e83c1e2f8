"""The files of the review's pages: each page names beforehand what it needs, and no text becomes markup."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

import batch_editor.review

ROOM = Path(batch_editor.review.__file__).parent
STATIC = ROOM / "static"
MODULES = {path.stem: path.read_text(encoding="utf-8") for path in STATIC.glob("*.js")}


def needed(entry: str) -> set[str]:
    """The modules that one imports, and those that they import."""
    found: set[str] = set()
    waiting = {entry}
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= set(re.findall(r'from "\./(\w+)\.js"', MODULES[name])) - found
    return found - {entry}


@pytest.mark.parametrize("page", ["gallery", "job", "run"])
def test_a_page_asks_at_once_for_every_module_that_it_needs(page: str) -> None:
    template = (ROOM / "templates" / f"{page}.html").read_text(encoding="utf-8")
    listed = re.search(r"{% for name in \[(.*?)\] %}", template)
    assert listed is not None
    assert re.findall(r'"(\w+)"', listed[1]) == sorted(needed(page))


def test_every_module_is_needed_by_a_page() -> None:
    pages = ["gallery", "job", "run"]
    assert set().union(pages, *map(needed, pages)) == MODULES.keys()


@pytest.mark.parametrize("name", MODULES)
def test_no_module_makes_markup_or_code_of_text(name: str) -> None:
    ways = (
        r"innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|document\.write|\beval\(|new Function|srcdoc"
    )
    assert re.findall(ways, MODULES[name]) == []


def test_no_page_has_a_script_a_style_or_a_handler_of_its_own() -> None:
    for path in ROOM.glob("templates/*.html"):
        text = path.read_text(encoding="utf-8")
        assert re.findall(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|\|\s*safe|https?:", text) == [], path.name


@pytest.mark.parametrize(
    ("name", "files"), [("img-comparison-slider", ["index.js"]), ("uplot", ["uPlot.esm.js", "uPlot.min.css"])]
)
def test_what_others_have_written_is_as_they_have_published_it(name: str, files: list[str]) -> None:
    folder = STATIC / "vendor" / name
    said = re.findall(r"[0-9a-f]{64}", (folder / "README.md").read_text(encoding="utf-8"))
    assert said == [hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in files]
    assert "Permission is hereby granted" in (folder / "LICENSE").read_text(encoding="utf-8")
