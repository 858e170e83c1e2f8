"""The contact sheet: one file that shows each job beside its input, in every way, whatever names and prompts hold."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote

from PIL import Image

from tests.support.bench import Bench, Job, job, sandbox


class Page(HTMLParser):
    """Elements of a page in order, with what they hold."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


async def compared(bench: Bench, wanted: list[Job], provider: Any, *more: str) -> Page:
    """The sheet of a comparison of jobs at two qualities."""
    path = bench.write(wanted)
    _, _, _, _, *quick = bench.run_arguments(path, provider)
    made = await bench.command("compare", path, *quick, "--over", "quality=low,high", "--json", *more)
    assert made.json["compare"]["sheet"] == "outputs/jobs-compare/compare.html"
    return Page((bench.folder / "outputs/jobs-compare/compare.html").read_text(encoding="utf-8"))


NASTY = """<script>alert(1)</script> "quoted" & 'so' {{ 7 * 7 }}"""


async def test_it_shows_inputs_and_pictures_and_loads_nothing(bench: Bench) -> None:
    Image.new("RGB", (900, 600), "red").save(bench.folder / "red mug.png")
    local = {"id": "<b>mug</b>", "prompt": NASTY.replace("{{", "{").replace("}}", "}"), "image_urls": ["red mug.png"]}
    linked = {"id": "linked", "prompt": "x", "image_urls": ["http://127.0.0.1:9/m.png?token=secret"]}
    async with sandbox() as provider:
        page = await compared(bench, [local, linked], provider)
    # Nothing but data in the page, and no word of a name or a prompt is taken for markup.
    assert not {"script", "link", "iframe"} & {name for name, _ in page.found}
    assert {attributes.get("src", "")[:22] for attributes in page.of("img")} == {"data:image/webp;base64"}  # type: ignore[index]
    assert "default-src 'none'; img-src data:" in str(page.of("meta"))
    assert "<b>mug</b>" in page.text
    assert "<script>alert(1)</script>" in page.text
    assert "secret" not in str(page.found) + page.text
    assert re.search(r"Input: its link \w", page.text)
    pictures = {
        str(each["alt"]): Image.open(io.BytesIO(base64.b64decode(str(each["src"]).partition(",")[2])))
        for each in page.of("img")
    }
    assert list(pictures) == [
        *("Input of <b>mug</b>", "<b>mug</b>, low", "<b>mug</b>, high"),
        *("linked, low", "linked, high"),
    ]
    assert pictures["Input of <b>mug</b>"].size == (400, 267)
    # Each leads to the whole picture beside the page.
    images = {f"images/{path.name}" for path in (bench.folder / "outputs/jobs-compare/images").glob("*.png")}
    links = {unquote(str(each["href"])) for each in page.of("a")}
    assert links == images
    assert len(links) == 4
    assert "$0.0108 each" in page.text
    assert "--set quality=high" in page.text


async def test_a_prompt_that_is_compared_stands_above_its_column_alone(bench: Bench) -> None:
    jobs = [{"id": "mug", "prompt": "As it was", "image_urls": ["http://127.0.0.1:9/m.png"]}]
    async with sandbox() as provider:
        page = await compared(bench, jobs, provider, "--over", 'prompt=["Softly lit", "In a kitchen"]')
    beside_the_input = page.text.partition("m.png")[2]
    assert beside_the_input.split()[:2] != ["Softly", "lit"]


async def test_a_job_that_failed_says_why_in_its_place(bench: Bench) -> None:
    async with sandbox(faults=("400@2",)) as provider:
        page = await compared(bench, [job("a")], provider, "--concurrency", "1")
    assert "failed: HTTP 400" in page.text
    assert "1 of\n1 succeeded" in page.text
    assert "0 of\n1 succeeded" in page.text
    assert "no price yet, 0 of" in page.text
