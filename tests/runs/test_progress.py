from __future__ import annotations

import io
from dataclasses import replace

import pytest

from batch_editor.runs.progress import Bar, Plain, Quiet, Snapshot, details, progress_for
from batch_editor.text import duration

HALF = Snapshot(
    total=10, done=5, succeeded=4, failed=1, retried=2, in_flight=3, per_min=61.04, spent_usd=1234.5, eta_s=8.0
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.4, "0s"),
        (59.4, "59s"),
        (59.6, "1m 0s"),
        (61, "1m 1s"),
        (3599.4, "59m 59s"),
        (3599.6, "1h 0m"),
        (3725, "1h 2m"),
        (86400, "24h 0m"),
        (47 * 3600 + 59 * 60, "47h 59m"),
        (48 * 3600, "2d 0h"),
        (10 * 86400 + 3 * 3600, "10d 3h"),
    ],
)
def test_a_duration_is_said_as_people_say_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_details_say_what_the_bar_does_not() -> None:
    assert details(HALF) == "8s left, $1,234.50, 4 succeeded, 1 failed, 2 retried, 3 in flight, 61.0/min"


def test_what_is_unknown_or_did_not_happen_is_left_out() -> None:
    calm = replace(HALF, eta_s=None, failed=0, retried=0)
    assert details(calm) == "$1,234.50, 4 succeeded, 3 in flight, 61.0/min"


def test_plain_progress_is_a_line_now_and_then() -> None:
    stream, now = io.StringIO(), 0.0
    progress = Plain(stream, every_s=30.0, clock=lambda: now)
    for second in range(100):
        now = float(second)
        progress.show(HALF)
    progress.close()
    assert stream.getvalue().splitlines() == [f"5/10 jobs, {details(HALF)}"] * 3


def test_plain_progress_does_not_catch_up_on_lines_it_missed() -> None:
    stream, now = io.StringIO(), 0.0
    progress = Plain(stream, every_s=30.0, clock=lambda: now)
    now = 300.0
    progress.show(HALF)
    progress.show(HALF)
    assert len(stream.getvalue().splitlines()) == 1


def test_every_style_says_what_it_is_told() -> None:
    for style in (Quiet, Plain, Bar):
        stream = io.StringIO()
        progress = style(stream)
        progress.say("paused for 7s")
        progress.close()
        assert stream.getvalue() == "paused for 7s\n"


def test_no_progress_shows_nothing() -> None:
    stream = io.StringIO()
    progress = Quiet(stream)
    progress.show(HALF)
    progress.close()
    assert stream.getvalue() == ""


def test_a_bar_moves_to_where_the_run_is_and_stays() -> None:
    stream = io.StringIO()
    bar = Bar(stream)
    bar.show(replace(HALF, done=2))
    bar.show(HALF)
    bar.say("a line")
    bar.show(replace(HALF, done=10, eta_s=0.0))
    bar.close()
    painted = stream.getvalue()
    assert " 20% |" in painted
    assert "a line\n" in painted
    last = painted.split("\r")[-1]
    assert last.startswith("100% |")
    assert "10/10, 0s left" in last
    assert "$1,234.50, 4 succeeded, 1 failed, 2 retried, 3 in flight, 61.0/min" in last


def test_a_bar_of_a_run_without_jobs_may_be_closed() -> None:
    Bar(io.StringIO()).close()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_auto_is_a_bar_on_a_terminal_and_plain_lines_elsewhere() -> None:
    assert isinstance(progress_for("auto", Terminal()), Bar)
    assert isinstance(progress_for("auto", io.StringIO()), Plain)
    assert isinstance(progress_for("bar", io.StringIO()), Bar)
    assert isinstance(progress_for("plain", Terminal()), Plain)
    assert type(progress_for("none", Terminal())) is Quiet
