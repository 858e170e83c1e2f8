"""One job's page: its picture beside what it was made from, and all that is known of it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from tests.servers.review_pages.conftest import Visit
from tests.servers.review_pages.served import Served, Visitor


def canvas(visitor: Visitor) -> tuple[float, float]:
    box = visitor.page.locator(".canvas").last.bounding_box()
    assert box is not None
    return box["width"], box["height"]


def test_the_slider_has_the_input_on_the_left_and_the_picture_on_the_right(visit: Visit) -> None:
    visitor = visit(path="/job/B00000-beach")
    slider = visitor.page.locator("img-comparison-slider.rendered")
    slider.wait_for()
    assert "/input/" in (slider.locator("[slot=first]").get_attribute("src") or "")
    assert "/image/" in (slider.locator("[slot=second]").get_attribute("src") or "")
    first = "document.querySelector('img-comparison-slider').shadowRoot.querySelector('#first')"
    clip = f"{first}.style.getPropertyValue('--exposure')"
    assert visitor.page.evaluate(clip) == "50%"
    visitor.press("]", "]", "[", "[", "[")
    assert visitor.page.evaluate(clip) == "55%"
    assert slider.get_attribute("aria-valuenow") == "45"
    # Its styles were taken: the policy forbids none that it needs.
    assert visitor.page.evaluate(f"getComputedStyle({first}).position") == "absolute"


def test_the_slider_is_dragged_and_arrows_still_go_from_job_to_job(visit: Visit) -> None:
    visitor = visit(path="/job/B00000-beach")
    box = visitor.page.locator("img-comparison-slider.rendered").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    visitor.page.mouse.move(box["x"] + box["width"] / 2, middle)
    visitor.page.mouse.down()
    visitor.page.mouse.move(box["x"] + box["width"] / 4, middle, steps=4)
    visitor.page.mouse.up()
    visitor.until("Math.abs(document.querySelector('img-comparison-slider').getAttribute('aria-valuenow') - 25) <= 1")
    visitor.press("ArrowRight")
    visitor.until_current("B00000-studio")
    assert visitor.page.get_attribute("img-comparison-slider", "aria-valuenow") == "25"  # it stays for the next one


def test_who_tabs_to_the_divider_moves_it_by_arrows(visit: Visit) -> None:
    visitor = visit(path="/job/B00000-beach")
    visitor.page.locator("img-comparison-slider.rendered").focus()
    visitor.page.keyboard.down("ArrowLeft")
    visitor.until("Number(document.querySelector('img-comparison-slider').getAttribute('aria-valuenow')) < 45")
    visitor.page.keyboard.up("ArrowLeft")
    assert visitor.current() == "B00000-beach"


@pytest.mark.parametrize(
    ("key", "mode", "pictures"), [("1", "slider", 2), ("2", "side", 2), ("3", "difference", 2), ("4", "after", 1)]
)
def test_the_keys_1_to_4_choose_how_pictures_are_compared(key: str, mode: str, pictures: int, visit: Visit) -> None:
    visitor = visit(path="/job/B00000-beach")
    visitor.press(key)
    assert visitor.page.get_attribute(f"[data-mode={mode}]", "aria-pressed") == "true"
    assert visitor.page.locator(".canvas img").count() == pictures
    visitor.press("ArrowRight")
    visitor.until_current("B00000-studio")
    assert visitor.page.locator(f".stage.as-{mode}").count() == 1


def test_a_difference_of_nothing_is_black(visit: Visit) -> None:
    visitor = visit(path="/job/B00000-beach")
    visitor.press("3")
    same = visitor.page.get_attribute(".canvas img.over", "src")
    visitor.page.eval_on_selector(".canvas img:not(.over)", "(image, same) => (image.src = same)", same)
    visitor.until("[...document.querySelectorAll('.canvas img')].every(each => each.complete)")
    shot = visitor.page.locator(".canvas").screenshot()
    with Image.open(io.BytesIO(shot)) as picture:
        middle = picture.convert("L").crop((40, 60, picture.width - 40, picture.height - 60))
        assert sum(middle.histogram()[3:]) == 0


def test_space_shows_one_pixel_as_one_pixel_and_shift_arrows_move_it(visit: Visit) -> None:
    visitor = visit(path="/job/B00000-beach", size=(900, 480))
    fitted = canvas(visitor)
    assert max(fitted) < 480
    visitor.press("Space")
    assert canvas(visitor) == (640, 640)
    before = visitor.page.evaluate("document.querySelector('.pane').scrollTop")
    visitor.press("Shift+ArrowDown")
    assert visitor.page.evaluate("document.querySelector('.pane').scrollTop") > before
    visitor.press("Space")
    assert canvas(visitor) == fitted


def test_side_by_side_both_show_the_same_part(visit: Visit) -> None:
    visitor = visit(path="/job/B00000-beach", size=(900, 480))
    visitor.press("2", "Space", "Shift+ArrowDown", "Shift+ArrowRight")
    tops = "[...document.querySelectorAll('.pane')].map(pane => [pane.scrollLeft, pane.scrollTop])"
    visitor.until(f"(([one, other]) => one[1] > 0 && String(one) === String(other))({tops})")


def test_c_compares_with_each_input_and_the_mask_in_turn(visit: Visit) -> None:
    visitor = visit(path="/job/single-0")
    labels = visitor.page.eval_on_selector_all("#strip button", "all => all.map(each => each.textContent)")
    assert labels == ["Before 1", "Before 2", "Mask", "Before it was made again"]
    shown = []
    for _ in labels:
        shown.append(visitor.text(".tag.before"))
        visitor.press("c")
    assert shown == labels
    assert visitor.text(".tag.before") == "Before 1"


def test_a_picture_that_was_made_again_has_its_former_one_beside_it(visit: Visit) -> None:
    visitor = visit(path="/job/single-0")
    assert "Former pictures" in visitor.text("#panel")
    visitor.page.click(".former .thumb")
    former = visitor.page.get_attribute(".canvas [slot=first]", "src") or ""
    assert former.startswith("/image/")
    assert former != visitor.page.get_attribute(".canvas [slot=second]", "src")


def test_an_input_that_is_gone_is_said_in_words_and_the_picture_is_there(visit: Visit, original_photos: Path) -> None:
    gone = original_photos / "00003.jpg"
    kept = gone.read_bytes()
    gone.unlink()
    try:
        visitor = visit(path="/job/B00003-beach")
        visitor.expected = ("404",)
        visitor.page.wait_for_selector(".caution")
        assert visitor.text(".caution").startswith("Before can't be shown: ")
        assert visitor.page.is_disabled("[data-mode=slider]")
        assert visitor.page.locator(".canvas img").count() == 1
        visitor.press("a")
        visitor.until_current("B00003-studio")
    finally:
        gone.write_bytes(kept)


def test_a_failed_job_shows_its_error_its_input_and_no_verdict(visit: Visit) -> None:
    visitor = visit(path="/job/B00007-studio")
    assert "failed: moderation" in visitor.text("#panel")
    assert visitor.text(".caution") == "No picture: moderation."
    assert visitor.page.query_selector(".judge") is None
    visitor.press("ArrowRight")
    visitor.until_current("B00007-winter")


def test_all_that_is_known_stands_beside_the_picture(visit: Visit) -> None:
    visitor = visit(path="/job/B00000-beach")
    said = visitor.text("#panel")
    for words in [
        "Show the Coffee mug no. 0 in a beach setting",
        "gpt-image-1.5-edit",
        "640 × 640",
        "images/B00000/beach.jpg",
        "Vendor 0",
        "medium",
        "Attempts",
    ]:
        assert words in said, words


def test_a_job_that_is_not_there_is_said(visit: Visit) -> None:
    visitor = visit(path="/")
    visitor.expected = ("404",)
    visitor.page.goto(f"{visitor.origin}/job/no-such-job")
    visitor.page.wait_for_selector(".words")
    assert "no-such-job" in visitor.text(".words")
    visitor.press("Escape")
    visitor.page.wait_for_url(f"{visitor.origin}/")


def test_a_verdict_of_another_browser_shows_while_one_looks(visit: Visit, server: Served) -> None:
    one, other = visit(path="/job/B00000-beach"), visit(path="/job/B00000-beach")
    one.press("Shift+R")
    other.until("document.querySelector('.judge.rejected').getAttribute('aria-pressed') === 'true'")
    assert "by anna" in other.text(".judging")
    assert len(server.verdicts()) == 1
