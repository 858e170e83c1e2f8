"""Ten thousand jobs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.servers.review_pages.served import Served, Visitor, served, visiting
from tests.support.made_output import make_output

# One process makes them and serves them to all of these tests; half a minute of it is the making.
pytestmark = [pytest.mark.xdist_group("many"), pytest.mark.timeout(240)]
MOST_CARDS = 80  # of a page of 1280 × 800: those in sight and two rows beyond on each side


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(make_output(tmp_path_factory.mktemp("many") / "catalog", jobs=10_000, kinds=4).path) as server:
        yield server


@pytest.fixture
def visitor(browser: Browser, many: Served) -> Iterator[Visitor]:
    with visiting(browser, many) as visitor:
        yield visitor


def cards(visitor: Visitor) -> int:
    found: int = visitor.page.locator("#scroller .card").count()
    return found


def test_only_the_cards_about_the_window_are_on_the_page(visitor: Visitor) -> None:
    assert visitor.text("#count") == "10,000 jobs"
    assert cards(visitor) <= MOST_CARDS
    visitor.press("End")
    visitor.until_current("single-0")
    assert cards(visitor) <= MOST_CARDS
    visitor.press("Home")
    visitor.until_current("B00000-beach")
    assert cards(visitor) <= MOST_CARDS


def test_the_wheel_goes_down_and_pictures_follow(visitor: Visitor) -> None:
    visitor.page.mouse.move(700, 500)
    for _ in range(40):
        visitor.page.mouse.wheel(0, 900)
    visitor.until("document.querySelector('#scroller').scrollTop > 20000")
    visitor.until("document.querySelectorAll('.card.blank').length === 0")
    visitor.until("[...document.querySelectorAll('.card img[src]')].filter(each => each.complete).length > 10")
    assert cards(visitor) <= MOST_CARDS


def test_pictures_that_rush_by_are_not_asked_for(visitor: Visitor) -> None:
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.url) if "/thumb/" in request.url else None)
    height = visitor.page.evaluate("document.querySelector('#scroller').scrollHeight")
    for step in range(1, 41):
        visitor.page.evaluate("top => (document.querySelector('#scroller').scrollTop = top)", height * step / 41)
    visitor.until("[...document.querySelectorAll('.card img')].some(each => each.complete && each.naturalWidth)")
    assert len(asked) < 4 * MOST_CARDS


def test_a_list_that_was_judged_on_stays_whole_when_more_of_it_is_loaded(visitor: Visitor) -> None:
    visitor.go("/?verdict=none&row.scene=winter")
    total = int(visitor.text("#count").split(" ")[0].replace(",", ""))
    order: list[str] = visitor.page.evaluate(
        """async () => {
             const answer = await fetch("/api/jobs?verdict=none&row.scene=winter&limit=800");
             return (await answer.json()).jobs.map((job) => job.job_id);
           }"""
    )
    visitor.press(*("ar" * 15))
    visitor.until_counts(approved=15, rejected=15)
    for place in (205, 410, 615):  # on pages that weren't loaded before
        visitor.page.evaluate(
            "place => { const view = document.querySelector('#scroller'), row = document.querySelector('.row');"
            " view.scrollTop = Math.floor(place / row.children.length) * row.offsetHeight; }",
            place,
        )
        visitor.page.wait_for_selector(f"#cell-{place}[title='{order[place]}']")
    assert visitor.text("#count").startswith(f"{total:,} of ")
    visitor.press("l")
    visitor.until("words => document.querySelector('#count').textContent.startsWith(words)", f"{total - 30:,} of ")
    for _ in range(30):
        visitor.press("u")
    visitor.until_counts(approved=0, rejected=0)


def test_a_search_finds_one_of_them(visitor: Visitor) -> None:
    visitor.press("/")
    visitor.page.keyboard.type("B02345-studio")
    visitor.until("document.querySelector('#count').textContent === '1 of 10,000 jobs'")
    visitor.press("Enter")
    visitor.press("Enter")
    visitor.page.wait_for_url("**/job/B02345-studio**")


def test_the_grid_of_all_of_them_has_few_cells_on_the_page(visitor: Visitor) -> None:
    visitor.press("g")
    visitor.page.wait_for_selector(".as-grid .card.current")
    visitor.press("End")
    visitor.page.wait_for_selector(".as-grid .card.current[title]")
    assert cards(visitor) <= MOST_CARDS
