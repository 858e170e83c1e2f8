from __future__ import annotations

import subprocess
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_editor.text import guarded, printable, redact

KEY = "SG_0123456789abcdef"


@pytest.mark.parametrize("text", [KEY, f"key={KEY}", f"{KEY}{KEY}", f"\n{KEY}\x00", "SG_ABCDEF0123456789"])
def test_whatever_has_the_shape_of_a_key_is_removed(text: str) -> None:
    assert "0123456789" not in redact(text)
    assert "[key]" in redact(text)


@pytest.mark.parametrize("text", ["SG_123", "SG_0123456789abcdeg", "no key here", ""])
def test_other_text_stays(text: str) -> None:
    assert redact(text) == text


def test_a_guarded_secret_is_removed_whatever_its_shape() -> None:
    with guarded("correct horse battery"):
        assert redact("401: correct horse battery staple") == "401: [key] staple"


@pytest.mark.parametrize("word", ["the", "test", "none", "sandbox"])
def test_a_secret_too_short_to_be_one_does_not_eat_the_text(word: str) -> None:
    with guarded(word):
        assert redact(f"{word} text, {word}ing") == f"{word} text, {word}ing"


def test_a_secret_is_guarded_no_longer_than_its_longest_run_is_on() -> None:
    with guarded("horse battery"):
        with pytest.raises(ZeroDivisionError), guarded("horse battery"), guarded("correct staple"):
            raise ZeroDivisionError
        assert redact("horse battery, correct staple") == "[key], correct staple"
    assert redact("horse battery") == "horse battery"


def test_secrets_may_come_and_go_while_texts_are_redacted() -> None:
    def work(number: int) -> None:
        for turn in range(300):
            with guarded(f"secret of {number}, {turn}"):
                assert redact(f"a secret of {number}, {turn}!") == "a [key]!"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert redact("a secret of 1, 1") == "a secret of 1, 1"


def test_a_process_may_guard_a_secret_for_good() -> None:
    script = (
        "from batch_editor.text import guard, guarded, redact\n"
        "guard('horse battery')\nwith guarded('horse battery'): pass\nprint(redact('horse battery'))"
    )
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert finished.stdout == "[key]\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain", "plain"),
        ("a\nb\r\n\tc", "a b c"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ("\u202egnp.exe", "gnp.exe"),
        ("a\u2028b\u2029c\u200bd", "a b c d"),
        ("\ud800x", r"\ud800x"),
        ("caf\udce9.jpg", r"caf\xe9.jpg"),
        ("  much   space  ", "much space"),
        (f"key {KEY}", "key [key]"),
        ("", ""),
    ],
)
def test_printable_text_is_one_harmless_line(text: str, line: str) -> None:
    assert printable(text) == line


def test_printable_text_is_bounded() -> None:
    assert printable("x" * 10**6) == "x" * 499 + "…"
    assert printable("abcdef", limit=3) == "ab…"
    assert printable("abc", limit=3) == "abc"


@given(text=st.text(), limit=st.integers(1, 50))
def test_no_text_gets_a_control_or_a_line_end_through(text: str, limit: int) -> None:
    line = printable(text, limit=limit)
    assert len(line) <= limit
    assert not {unicodedata.category(c) for c in line} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(before=st.integers(0, 260), limit=st.integers(10, 60))
def test_no_part_of_a_key_shows_where_the_text_is_cut(before: int, limit: int) -> None:
    for filler in "x ":
        assert "SG_0" not in printable(filler * before + KEY + "y" * 300, limit=limit)
