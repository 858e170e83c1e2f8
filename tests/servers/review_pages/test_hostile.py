"""What comes from manifests, tables, file names, notes and providers is shown as text, and never as anything else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from playwright.sync_api import Browser

from tests.servers.review_pages.served import Served, Visitor, served, visiting
from tests.support.made_output import PHOTOS

HOSTILE = [
    "<img src=x onerror=\"document.title='taken'\">",
    "</title><script>document.title='taken'</script>",
    "'\"><svg onload=document.title='taken'>",
    "{{ 7 * 7 }} ${7 * 7} {% raw %}",
    "javascript:alert(1)//",
    "\u202egnp.exe\u202c \u200bzero width",
    "../../../etc/passwd?a=b&c=d#e%2F%00",
    "日本語の商品名 مرحبا שלום 🫖",
    "long-" * 38,
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """An output directory whose ids, prompts, columns, cells and file names are hostile, and its ids."""
    folder = tmp_path_factory.mktemp("hostile")
    photo = folder / "<b onmouseover=alert(1)>&amp;.jpg"
    photo.write_bytes((PHOTOS / "chelsea.jpg").read_bytes())
    rows = [
        {"<i>column</i>": text, "kind": f"<u>{number % 2}</u>", "number": number} for number, text in enumerate(HOSTILE)
    ]
    ids = [f"{number} {text}" for number, text in enumerate(HOSTILE)]
    job = {
        "id": "{{ number }} {{ row['<i>column</i>'] }}",
        "rows": rows,
        "prompt": "Show {{ row['<i>column</i>'] }}",
        "image_urls": [str(photo)],
    }
    manifest = folder / "hostile.yaml"
    manifest.write_bytes(orjson.dumps({"defaults": {"quality": "low"}, "jobs": [job]}))
    command = [sys.executable, "-m", "batch_editor", "run", str(manifest), "--sandbox", "--rate", "100/s"]
    done = subprocess.run([*command, "-o", str(folder / "<out>&")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "<out>&", ids


@pytest.fixture
def there(browser: Browser, hostile: tuple[Path, list[str]]) -> Iterator[tuple[Served, Visitor]]:
    with served(hostile[0]) as server, visiting(browser, server) as visitor:
        yield server, visitor
        assert visitor.page.title() != "taken"


def test_ids_and_cells_are_text_in_the_gallery(there: tuple[Served, Visitor], hostile: tuple[Path, list[str]]) -> None:
    _, visitor = there
    shown = visitor.page.eval_on_selector_all("#scroller .name", "all => all.map(each => each.textContent)")
    assert shown == hostile[1]
    assert visitor.text("#output") == "<out>&"
    visitor.page.click("summary:has-text('kind')")
    assert visitor.text("details[open] .values .word") == "<u>0</u>"
    assert visitor.page.query_selector("main img[src=x], main script, main b, #filters u, #filters i") is None


def test_every_job_opens_by_its_link_and_shows_its_prompt_as_text(
    there: tuple[Served, Visitor], hostile: tuple[Path, list[str]]
) -> None:
    _, visitor = there
    visitor.press("Home", "Enter")
    visitor.page.wait_for_url("**/job/**")
    for number, job_id in enumerate(hostile[1]):
        visitor.until_current(job_id)
        assert f"Show {HOSTILE[number]}".strip() in visitor.text("#panel").replace("\xa0", " ")
        visitor.page.reload()
        visitor.shown()
        assert visitor.current() == job_id
        visitor.press("ArrowRight")


def test_a_note_is_text_wherever_it_is_shown(there: tuple[Served, Visitor]) -> None:
    server, visitor = there
    for number, text in enumerate(HOSTILE[:5]):
        visitor.until(f"document.querySelector('.card.current')?.dataset.place === '{number}'")
        visitor.press("e")
        visitor.page.keyboard.insert_text(text)
        visitor.press("Control+Enter")
    visitor.until_counts(rejected=5)
    assert {note for _, note in server.verdicts().values()} == set(HOSTILE[:5])
    visitor.press("Home", "Enter")
    visitor.page.wait_for_url("**/job/**")
    visitor.shown()
    assert visitor.text(".note .text") == HOSTILE[0]
    visitor.press("e")
    assert visitor.page.input_value("#note-text") == HOSTILE[0]


@pytest.mark.parametrize(
    "query",
    [
        "?verdict=<script>&row.<b>=<i>&q=<img src=x onerror=alert(1)>",
        "?sort=alert(1)&descending=%00",
        "?view=<grid>&status=%FF%FE",
        "?__proto__=1&constructor=2&row.__proto__=3",
    ],
)
def test_an_address_that_says_nonsense_shows_words(query: str, there: tuple[Served, Visitor]) -> None:
    _, visitor = there
    visitor.expected = ("400",)
    visitor.page.goto(f"{visitor.origin}/{query}")
    visitor.page.wait_for_selector("#empty:not([hidden]), #trouble:not([hidden]), .card.current")
    assert visitor.page.query_selector("img[src=x]") is None
