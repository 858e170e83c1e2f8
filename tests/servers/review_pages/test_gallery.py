"""The gallery and the grid: what they show of a filter, and that nothing moves by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
from playwright.sync_api import Browser

from tests.servers.review_pages.conftest import Visit
from tests.servers.review_pages.served import TELEPHONE, Served, Visitor, served, visiting
from tests.support.made_output import PHOTOS

FAILED = "B00007-studio"


def places(visitor: Visitor) -> dict[str, list[float]]:
    """Where each card in sight is."""
    found: dict[str, list[float]] = visitor.page.eval_on_selector_all(
        "#scroller .card[title]",
        "cards => Object.fromEntries("
        "cards.map(card => [card.title, card.getBoundingClientRect()]).map(([id, box]) => [id, [box.x, box.y]]))",
    )
    return found


def test_a_filter_is_in_the_address_and_the_back_button_takes_it_away(visitor: Visitor) -> None:
    assert visitor.text("#count") == "32 jobs"
    visitor.page.click("summary:has-text('scene')")
    visitor.page.check("label:has-text('beach') input")
    visitor.until("document.querySelector('#count').textContent === '10 of 32 jobs'")
    visitor.page.check("label:has-text('To judge') input")
    visitor.until("location.search === '?row.scene=beach&verdict=none'")
    visitor.page.go_back()
    visitor.until("location.search === '?row.scene=beach'")
    visitor.until("!document.querySelector('input[data-key=\"verdict=none\"]').checked")
    visitor.page.go_back()
    visitor.until("document.querySelector('#count').textContent === '32 jobs'")


def test_values_of_a_name_add_up_and_names_narrow_down(visit: Visit) -> None:
    visitor = visit(path="/?row.scene=beach&row.scene=studio&row.season=spring")
    assert visitor.text("#count") == "6 of 32 jobs"
    assert visitor.page.eval_on_selector_all(".chip", "all => all.map(each => each.textContent)") == [
        "scene: beach",
        "scene: studio",
        "season: spring",
    ]
    visitor.page.click(".chip:has-text('studio')")
    visitor.until("document.querySelector('#count').textContent === '3 of 32 jobs'")


def test_a_search_is_one_step_back_however_long_it_was_typed(visitor: Visitor) -> None:
    visitor.page.click("#search")
    visitor.page.keyboard.type("B00007", delay=250)
    visitor.until("document.querySelector('#count').textContent === '3 of 32 jobs'")
    assert visitor.page.evaluate("document.activeElement.id") == "search"
    visitor.page.go_back()
    visitor.until("document.querySelector('#count').textContent === '32 jobs'")


def test_sorting_by_cost_shows_the_dearest_first(visitor: Visitor) -> None:
    visitor.page.select_option("#sort", "cost:descending")
    visitor.until("location.search === '?sort=cost&descending=1'")
    visitor.until("document.querySelector('.card.current') && document.querySelector('.card.current').id !== 'cell-0'")
    visitor.page.focus("#scroller")
    visitor.press("Home")
    visitor.until("(document.querySelector('.card[data-place=\"0\"]')?.title ?? 'B00000-beach') !== 'B00000-beach'")
    costs = visitor.page.eval_on_selector_all(
        ".card:not(.is-unmade) .figures", "all => all.map(each => parseFloat(each.textContent.slice(1)))"
    )
    assert costs == sorted(costs, reverse=True)
    assert len(costs) > 9


def test_what_is_judged_away_keeps_its_place_until_it_is_taken_off(visit: Visit) -> None:
    visitor = visit(path="/?verdict=none")
    before = places(visitor)
    visitor.press("a", "r", "a")
    visitor.until_counts(approved=2, rejected=1)
    assert places(visitor) == before
    assert visitor.text("#renew") == "3 judged here: take them off the list"
    assert visitor.text("#judge-all") == "Judge all 28…"
    visitor.press("l")
    visitor.until("document.querySelector('#count').textContent === '28 of 32 jobs'")
    visitor.until_current("B00001-beach")
    assert visitor.ids()[0] == "B00001-beach"


def test_two_browsers_see_and_keep_each_others_verdicts(visit: Visit, server: Served) -> None:
    one, other = visit(), visit()
    before = places(other)
    one.press("a")
    other.until("document.querySelector('.card[title=\"B00000-beach\"]').classList.contains('is-approved')")
    other.press("ArrowRight", "r")
    other.until_counts(approved=1, rejected=1)
    one.until_counts(approved=1, rejected=1)
    one.press("u")
    other.until_counts(approved=0, rejected=1)
    assert places(other) == before
    assert [verdict for verdict, _ in server.verdicts().values()] == ["rejected"]


def test_a_verdict_of_ones_own_hides_nobody_elses(visit: Visit) -> None:
    one, other = visit(), visit()
    one.expected = ("ERR_FAILED",)
    one.page.route("**/api/changes*", lambda route: route.abort())
    other.press("a")
    other.until_counts(approved=1)
    one.press("ArrowRight", "r")
    one.until_counts(rejected=1)
    one.page.unroute("**/api/changes*")
    one.until("document.querySelector('.card[title=\"B00000-beach\"]').classList.contains('is-approved')")


def test_what_is_taken_back_belongs_to_the_filter_again(visit: Visit) -> None:
    visitor = visit(path="/?verdict=none")
    before = places(visitor)
    visitor.press("a", "r", "u")
    visitor.until_current("B00000-studio")
    visitor.until("document.querySelector('#renew').textContent === '1 judged here: take them off the list'")
    visitor.press("u")
    visitor.until("document.querySelector('#renew').hidden")
    visitor.until_counts(approved=0, rejected=0, to_judge=31)
    assert places(visitor) == before
    assert visitor.text("#count") == "31 of 32 jobs"


def test_a_filter_that_shows_another_number_by_now_asks_again(visit: Visit, server: Served) -> None:
    visitor = visit(path="/?verdict=none")
    visitor.expected = ("409",)
    visitor.page.route("**/api/changes*", lambda route: route.abort())  # it hears nothing of the other
    visitor.expected += ("ERR_FAILED",)
    visitor.page.click("#judge-all")
    visitor.page.wait_for_selector("#all-dialog[open]")
    other = visit()
    other.press("a")
    other.until_counts(approved=1)
    visitor.page.click("#all-dialog [data-act=rejected]")
    visitor.until("document.querySelector('#all-title').textContent === 'Judge 30 pictures'")
    assert visitor.text("#all-about").startswith("Nothing was judged: meanwhile there are 30 instead of 31.")
    assert len(server.verdicts()) == 1
    visitor.page.click("#all-dialog [data-act=rejected]")
    visitor.page.wait_for_selector("#empty h2:has-text('Everything is judged')")
    assert "batch-editor plan MANIFEST --redo rejected" in visitor.text("#empty")
    assert sorted(verdict or "" for verdict, _ in server.verdicts().values()) == ["approved"] + 30 * ["rejected"]


def test_a_job_without_a_picture_says_why_and_cant_be_judged(visitor: Visitor, server: Served) -> None:
    visitor.page.click(f".card[title='{FAILED}']")
    said = visitor.text(f".card[title='{FAILED}']")
    assert "Failed: moderation" in said
    assert "your request was rejected by our safety system" in said
    visitor.press("a")
    visitor.until("document.querySelector('#toast').textContent === 'There is no picture to judge.'")
    assert visitor.current() == FAILED
    assert server.verdicts() == {}


def test_a_click_on_a_mark_judges_that_card_and_a_second_one_takes_it_back(visitor: Visitor, server: Served) -> None:
    mark = ".card[title='B00001-studio'] .mark.rejected"
    visitor.page.click(mark)
    visitor.until_counts(rejected=1)
    assert visitor.current() == "B00001-studio"
    visitor.page.click(mark)
    visitor.until_counts(rejected=0)
    assert server.verdicts() == {}


def test_coming_back_from_a_job_it_is_the_current_one_in_sight(visitor: Visitor) -> None:
    visitor.press("End", "ArrowLeft", "Enter")
    visitor.page.wait_for_url("**/job/**")
    visitor.shown()
    visitor.page.go_back()
    visitor.until_current("single-0")
    box = visitor.page.locator(".card.current").bounding_box()
    assert box is not None
    assert 0 < box["y"] < 800


def test_before_and_after_stand_together_when_asked(visitor: Visitor) -> None:
    visitor.press("b")
    visitor.page.wait_for_selector(".card .pair img[src*='/before/']")
    visitor.page.reload()
    visitor.page.wait_for_selector(".card .pair")
    visitor.press("b")
    assert visitor.page.query_selector(".card .pair") is None


def test_the_grid_has_a_row_for_each_input_and_the_price_of_each_value(visit: Visit) -> None:
    visitor = visit(path="/?view=grid")
    assert visitor.text("#count") == "11 inputs"
    heads = visitor.page.eval_on_selector_all(
        ".way", "all => all.map(each => each.querySelector('strong').textContent)"
    )
    assert [head.rpartition(" ")[2] for head in heads] == ["Input", "beach", "studio", "winter", "1", "2"]
    prices = visitor.page.eval_on_selector_all(".way .price", "all => all.map(each => each.textContent)")
    assert len(prices) == 5
    assert all(price.startswith("$0.0") for price in prices)


def test_a_telephone_shows_two_columns_and_the_filters_on_demand(visit: Visit) -> None:
    visitor = visit(size=TELEPHONE)
    assert visitor.page.evaluate("document.querySelector('.row').children.length") == 2
    assert visitor.page.evaluate("document.documentElement.scrollWidth") == 390
    assert not visitor.page.is_visible("#search")
    visitor.page.tap("#open-filters")
    visitor.page.check("label:has-text('To judge') input")
    visitor.until("document.querySelector('#count').textContent === '31 of 32 jobs'")
    visitor.page.tap("#close-filters")
    visitor.page.tap(".card[title='B00000-studio'] .mark.approved")
    visitor.until_counts(approved=1)
    visitor.page.tap(".card[title='B00001-beach'] .picture")
    visitor.page.wait_for_url("**/job/B00001-beach?verdict=none")
    visitor.shown()
    visitor.page.tap(".judge.rejected")
    visitor.until("document.querySelector('.judge.rejected').getAttribute('aria-pressed') === 'true'")
    assert visitor.page.evaluate("document.documentElement.scrollWidth") == 390


def test_no_match_offers_to_clear_the_filters(visit: Visit) -> None:
    visitor = visit(path="/?q=nothing+is+called+that")
    assert visitor.text("#empty h2") == "No job matches"
    visitor.page.click("#empty button")
    visitor.until("document.querySelector('#count').textContent === '32 jobs'")
    visitor.shown()


def catalog(folder: Path, count: int) -> Path:
    """A manifest of so many jobs over the demo's photographs."""
    photos = sorted(PHOTOS.glob("*.jpg"))
    jobs: list[dict[str, Any]] = [
        {"id": f"job-{number:02}", "prompt": f"Edit {number}", "image_urls": [str(photos[number % len(photos)])]}
        for number in range(count)
    ]
    path = folder / "catalog.yaml"
    path.write_bytes(orjson.dumps({"defaults": {"quality": "low"}, "jobs": jobs}))
    return path


def test_beside_a_run_pictures_come_in_where_their_cards_are(browser: Browser, tmp_path: Path) -> None:
    output = tmp_path / "live"
    run = [
        sys.executable,
        "-m",
        "batch_editor",
        "run",
        str(catalog(tmp_path, 16)),
        "--output",
        str(output),
        "--sandbox",
    ]
    stopped = subprocess.run([*run, "--max-cost", "0.12"], capture_output=True, check=False)
    assert stopped.returncode == 4
    with served(output) as server, visiting(browser, server) as visitor:
        before = places(visitor)
        assert len(before) > 9
        assert " pending" in visitor.text("#tally")
        visitor.until("document.querySelector('.card.current') !== null")
        with subprocess.Popen([*run, "--rate", "4/s"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as more:
            visitor.press("a")
            visitor.until_counts(approved=1)
            visitor.until("document.querySelectorAll('.card.is-unmade').length === 0")
            assert places(visitor) == before
            assert more.wait(60) == 0
        visitor.until("!document.querySelector('#tally').textContent.includes('A run is at work')")
        visitor.until_counts(approved=1, to_judge=15)
    assert [verdict for verdict, _ in server.verdicts().values()] == ["approved"]
