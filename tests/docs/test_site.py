"""The documentation's site: it is built without a complaint, and shows itself without a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT

# What a browser fetches to show a page; links that a reader follows are no part of it.
FETCHED = re.compile(
    r"""<(?:script|img|iframe)[^>]*\ssrc=["']?(?P<src>[^"'\s>]+)|<link[^>]*\shref=["']?(?P<href>[^"'\s>]+)"""
)


pytestmark = pytest.mark.xdist_group("site")  # which is built once


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder


@pytest.mark.slow
def test_the_site_has_every_page(site: Path) -> None:
    assert {path.stem for path in site.glob("*.html")} == PAGES.keys() - {"README"} | {"404"}


@pytest.mark.slow
def test_nothing_is_fetched_from_elsewhere_to_show_a_page(site: Path) -> None:
    for page in site.glob("*.html"):
        if page.stem == "404":  # its address isn't known beforehand, so its links begin at the site's
            continue
        wanted = [found["src"] or found["href"] for found in FETCHED.finditer(page.read_text(encoding="utf-8"))]
        assert wanted
        assert [link for link in wanted if not (site / link.partition("?")[0]).exists()] == [], page.name
    styles = "".join(path.read_text(encoding="utf-8") for path in site.glob("**/*.css"))
    assert re.findall(r"(?:@import|url\()\s*[\"']?https?:", styles) == []


@pytest.mark.slow
def test_drawings_are_svg_and_the_scripts_of_the_pages_are_left_out(site: Path) -> None:
    assert sorted(path.name for path in site.glob("images/*")) == [
        "before-and-after.jpg",
        "house.svg",
        "path.svg",
        "review-gallery.jpg",
        "review-grid.jpg",
        "review-job.jpg",
        "review-run.jpg",
    ]
    assert list(site.glob("**/*.py")) == []


def test_every_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#([^)]+))?\)", PAGES["README"])
    assert len(links) > 25
    for path, anchor in links:
        assert (ROOT / path).is_file(), path
        headings = re.findall(r"^#+ (.*)$", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
        assert not anchor or anchor in [heading.lower().replace(" ", "-") for heading in headings], anchor


@pytest.mark.parametrize(("page", "folder"), [("README", "docs/"), ("index", "")])
def test_the_first_pages_lead_to_every_other_one(page: str, folder: str) -> None:
    links = set(re.findall(r"\]\(([^)#]+)", PAGES[page]))
    assert [name for name in PAGES if name not in ("README", "index") and f"{folder}{name}.md" not in links] == []
