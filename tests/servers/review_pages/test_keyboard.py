"""Reviewing without a mouse."""

from __future__ import annotations

import time

from playwright.sync_api import Route

from tests.docs.pages import PAGES
from tests.servers.review_pages.conftest import Visit
from tests.servers.review_pages.served import Served, Visitor

FIRST = ["B00000-beach", "B00000-studio", "B00000-winter", "B00001-beach"]


def test_a_and_r_judge_the_current_picture_and_go_on_to_the_next(visitor: Visitor, server: Served) -> None:
    assert visitor.current() == FIRST[0]
    visitor.press("a", "r", "a")
    visitor.until_current(FIRST[3])
    visitor.until_counts(approved=2, rejected=1, to_judge=28)
    assert sorted(verdict or "" for verdict, _ in server.verdicts().values()) == ["approved", "approved", "rejected"]


def test_with_shift_they_judge_and_stay(visitor: Visitor) -> None:
    visitor.press("Shift+A")
    visitor.until_counts(approved=1)
    assert visitor.current() == FIRST[0]
    visitor.press("Shift+R")
    visitor.until_counts(rejected=1, approved=0)
    assert visitor.current() == FIRST[0]


def test_thirty_pictures_are_judged_on_their_own_pages_by_keys_alone(visitor: Visitor, server: Served) -> None:
    visitor.press("Enter")
    visitor.page.wait_for_url("**/job/**")
    judged = 0
    seen = []
    while True:
        visitor.until("document.querySelector('#stage').dataset.ready !== undefined")
        job = visitor.current()
        seen.append(job)
        last = visitor.page.is_disabled("#next")
        if visitor.page.query_selector(".judge"):
            visitor.press("r" if judged % 5 == 4 else "a")
            judged += 1
        elif not last:
            visitor.press("ArrowRight")
        if last:
            break
        visitor.until("job => document.querySelector('#job-id').textContent !== job", job)
    assert (len(seen), len(set(seen)), judged) == (32, 32, 31)
    visitor.press("Escape")
    visitor.page.wait_for_url(f"{server.origin}/")
    visitor.shown()
    visitor.until_counts(approved=25, rejected=6, to_judge=0)
    assert visitor.current() == seen[-1]
    assert len(server.verdicts()) == 31


def slowly(route: Route) -> None:
    time.sleep(1)
    route.continue_()


def test_a_verdict_is_kept_though_its_page_is_left_at_once(visitor: Visitor, server: Served) -> None:
    visitor.page.route("**/api/verdicts", slowly)
    visitor.go(f"/job/{FIRST[0]}")
    visitor.press("Shift+A", "Shift+R", "Escape")
    visitor.page.wait_for_url(f"{server.origin}/")
    assert [verdict for verdict, _ in server.verdicts().values()] == ["rejected"]
    visitor.shown()
    visitor.press("Shift+A", "Enter")
    visitor.page.wait_for_url("**/job/**")
    assert [verdict for verdict, _ in server.verdicts().values()] == ["approved"]


def test_a_key_pressed_before_the_next_picture_is_in_sight_judges_nothing(visitor: Visitor, server: Served) -> None:
    visitor.page.route(f"**/api/jobs/{FIRST[1]}*", lambda _: None)  # it never comes
    visitor.go(f"/job/{FIRST[0]}")
    visitor.press("ArrowRight", "a", "r")
    visitor.page.wait_for_timeout(500)
    assert visitor.current() == FIRST[0]
    assert server.verdicts() == {}


def test_back_goes_to_the_picture_just_judged_though_the_filter_has_lost_it(visitor: Visitor) -> None:
    visitor.go("/job/B00000-beach?verdict=none")
    visitor.press("a")
    visitor.until_current(FIRST[1])
    visitor.page.wait_for_timeout(2_500)  # until the page has asked what is new, and been told
    visitor.press("ArrowLeft")
    visitor.until_current(FIRST[0])
    assert visitor.page.get_attribute(".judge.approved", "aria-pressed") == "true"
    visitor.press("ArrowRight")
    visitor.until_current(FIRST[1])


def test_u_takes_back_one_act_after_the_other_and_shows_what_it_was(visitor: Visitor, server: Served) -> None:
    visitor.press("a", "r", "ArrowDown")
    visitor.press("u")
    visitor.until_current(FIRST[1])
    visitor.until_counts(approved=1, rejected=0)
    visitor.press("u")
    visitor.until_current(FIRST[0])
    visitor.until_counts(approved=0, to_judge=31)
    visitor.press("u")
    visitor.until("document.querySelector('#toast').textContent === 'Nothing to take back.'")
    assert server.verdicts() == {}


def test_u_takes_back_on_a_jobs_page_what_was_said_in_the_gallery(visitor: Visitor, server: Served) -> None:
    visitor.press("r")
    visitor.until_counts(rejected=1)
    visitor.press("Enter")
    visitor.page.wait_for_url("**/job/**")
    visitor.shown()
    visitor.press("u")
    visitor.until_current(FIRST[0])
    visitor.until("document.querySelector('.judge.rejected').getAttribute('aria-pressed') === 'false'")
    assert server.verdicts() == {}


def test_n_takes_a_verdict_away_and_leaves_the_note(visitor: Visitor, server: Served) -> None:
    visitor.press("e")
    visitor.page.keyboard.type("Keep the handle")
    visitor.press("Control+Enter")
    visitor.until_counts(rejected=1)
    visitor.press("ArrowLeft", "n")
    visitor.until_counts(rejected=0)
    assert list(server.verdicts().values()) == [(None, "Keep the handle")]


def test_e_writes_a_note_of_several_lines_and_the_next_e_finds_it(visitor: Visitor, server: Served) -> None:
    visitor.press("e")
    assert visitor.page.evaluate("document.activeElement.id") == "note-text"
    visitor.page.keyboard.type("Keep the handle")
    visitor.press("Shift+Enter")
    visitor.page.keyboard.type("and the label; a, r and u are letters here")
    visitor.press("Enter")
    visitor.page.wait_for_selector(".card.current .has-note")
    assert visitor.current() == FIRST[0]
    visitor.press("e")
    note = "Keep the handle\nand the label; a, r and u are letters here"
    assert visitor.page.input_value("#note-text") == note
    visitor.press("Escape")
    assert visitor.page.query_selector("dialog[open]") is None
    visitor.page.keyboard.press("ArrowRight")
    visitor.until_current(FIRST[1])  # the focus is where it was
    assert server.verdicts_of(1) == [(None, note)]


def test_arrows_home_end_and_pages_move_through_the_rows(visitor: Visitor) -> None:
    columns = visitor.page.evaluate("document.querySelectorAll('.row')[0].children.length")
    ids = visitor.ids()
    visitor.press("ArrowDown", "ArrowRight")
    assert visitor.current() == ids[columns + 1]
    visitor.press("ArrowUp")
    assert visitor.current() == ids[1]
    visitor.press("End")
    assert visitor.current() == "single-1"
    visitor.press("Home")
    assert visitor.current() == FIRST[0]
    visitor.press("PageDown")
    down = visitor.page.evaluate("Number(document.querySelector('.card.current').dataset.place)")
    assert down >= columns
    assert down % columns == 0
    visitor.press("PageUp")
    assert visitor.current() == FIRST[0]


def test_question_mark_names_the_keys_and_so_does_the_documentation(visitor: Visitor) -> None:
    for path, key in [("/", "Enter"), ("/job/B00000-beach", "Esc")]:
        visitor.go(path)
        visitor.press("?")
        named = visitor.page.eval_on_selector_all("#help-keys kbd", "all => all.map(each => each.textContent)")
        assert {"A", "R", "E", "N", "U", "Space", key} <= set(named)
        assert [each for each in named if each not in PAGES["review"]] == []
        visitor.press("Escape")
        visitor.until("!document.querySelector('dialog[open]')")


def test_moving_on_can_be_switched_off_and_stays_off(visitor: Visitor) -> None:
    visitor.press("?")
    visitor.page.uncheck("#switch-advance")
    visitor.press("Escape", "a")
    visitor.until_counts(approved=1)
    assert visitor.current() == FIRST[0]
    visitor.page.reload()
    visitor.shown()
    visitor.press("r")
    visitor.until_counts(rejected=1)
    assert visitor.current() == FIRST[0]


def test_single_keys_can_be_switched_off_for_whoever_dictates(visitor: Visitor, server: Served) -> None:
    visitor.press("?")
    visitor.page.uncheck("#switch-keys")
    visitor.press("Escape", "a", "r", "n", "ArrowRight")
    assert visitor.current() == FIRST[1]
    assert server.verdicts() == {}


def test_letters_typed_into_the_search_are_letters(visitor: Visitor, server: Served) -> None:
    visitor.press("/")
    visitor.page.keyboard.type("nuare")
    visitor.page.wait_for_selector("#empty:not([hidden])")
    visitor.press("Escape")
    visitor.page.wait_for_selector(".card.current")
    assert server.verdicts() == {}


def test_the_grid_is_walked_and_judged_by_the_same_keys(visitor: Visitor, server: Served) -> None:
    visitor.press("g")
    visitor.page.wait_for_selector(".as-grid .card.current")
    assert "view=grid" in visitor.page.url
    visitor.press("ArrowRight", "ArrowDown")
    visitor.until_current("B00001-studio")
    visitor.press("r", "a")
    visitor.until_current("B00002-beach")
    visitor.until_counts(approved=1, rejected=1)
    visitor.press("g")
    visitor.page.wait_for_selector(".as-gallery .card.current")
    visitor.until_current("B00002-beach")
    server.verdicts_of(2)


def test_all_of_a_filter_is_judged_without_a_mouse(visit: Visit, server: Served) -> None:
    visitor = visit(path="/?row.scene=beach")
    visitor.page.focus("#judge-all")
    visitor.press("Enter")
    visitor.page.wait_for_selector("#all-dialog[open]")
    assert visitor.text("#all-title") == "Judge 10 pictures"
    assert visitor.page.evaluate("document.activeElement.textContent") == "Cancel"
    visitor.press("Tab", "Tab", "Enter")
    visitor.until_counts(approved=10)
    assert len(server.verdicts()) == 10
    visitor.press("u")
    visitor.until_counts(approved=0)
    assert server.verdicts() == {}


def test_every_control_is_reached_by_tab_and_has_a_name(visit: Visit) -> None:
    for path in ("/", "/?view=grid", "/job/single-0"):
        visitor = visit(path=path)
        nameless = visitor.page.eval_on_selector_all(
            "button, a, input, select, textarea, [role=slider], [role=grid], [role=gridcell]",
            """all => all
                 .filter(each => !each.matches('.blank, .none, dialog:not([open]) *'))
                 .filter(each => !each.ariaLabel && !each.getAttribute('aria-labelledby'))
                 .filter(each => !each.labels?.[0]?.textContent.trim() && !each.textContent.trim())
                 .map(each => each.outerHTML)""",
        )
        assert nameless == []
        wanted = visitor.page.eval_on_selector_all(
            "button, a, input, select, [tabindex='0']",
            "all => all.filter(each => each.tabIndex >= 0 && !each.disabled && each.checkVisibility()).length",
        )
        visitor.page.evaluate("document.activeElement.blur()")
        reached = set()
        for _ in range(wanted + 3):
            visitor.press("Tab")
            reached.add(visitor.page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
        assert len(reached) >= wanted, path


def test_a_screen_reader_is_told_where_it_is_and_what_was_done(visitor: Visitor) -> None:
    active = "document.getElementById(document.querySelector('#scroller').getAttribute('aria-activedescendant'))"
    assert visitor.page.evaluate(f"{active}.getAttribute('aria-label')") == "B00000-beach, To judge"
    visitor.press("Shift+R")
    assert visitor.page.evaluate(f"{active}.getAttribute('aria-label')") == "B00000-beach, Rejected"
    assert visitor.page.evaluate("document.querySelector('#spoken').textContent") == "Rejected: B00000-beach"
    visitor.press("End", "Home")
    assert visitor.page.evaluate(f"{active}.classList.contains('current')")
