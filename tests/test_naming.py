from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batch_editor.naming import MAX_BYTES, collision_key, distinct, safe_output

hostile = st.one_of(
    st.text(),
    st.text(alphabet="./\\ -~:a", max_size=12),
    st.sampled_from(
        ["..", ".", "-rf", "~", "con", "COM¹", "nul.txt", "C:evil", "a\0b", "\u202egnp", "é" * 200, "\ud800", "a" * 999]
    ),
)


@pytest.mark.parametrize(
    "text", ["B00042.MAIN", "mug-white", "Café", "00123", "a b", "SKU_1 (2)", "日本語", "v1.5+x=y"]
)
def test_a_safe_name_is_kept_as_it_is(text: str) -> None:
    assert safe_output(text, folders=False) == text
    assert safe_output(f"{text}/{text}", folders=True) == f"{text}/{text}"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("../../etc/passwd", "etc-passwd-3754d6cb3a"),
        ("a/b", "a-b-c14cddc033"),
        ("con", "con-1143da2bc5"),
        ("nul.txt", "nul-txt-7f3cbdd58a"),
        ("nul .txt", "nul -txt-dda1d35b2f"),
        ("..", "5ec1f7e700"),
        ("", "e3b0c44298"),
    ],
)
def test_an_unsafe_name_carries_its_hash(text: str, name: str) -> None:
    assert safe_output(text, folders=False) == name


@pytest.mark.parametrize("folder", ["mug.png", "Mug.JPG", "report.csv", "Report.CSV"])
def test_no_folder_has_the_name_of_a_file(folder: str) -> None:
    name, _, rest = safe_output(f"{folder}/a", folders=True).partition("/")
    assert (name[:-10], rest) == (f"{folder}-", "a")


@given(text=hostile, folders=st.booleans())
@example(text="a/../b", folders=True)
@example(text="/", folders=True)
@example(text="a//b", folders=True)
@pytest.mark.fault(92)
def test_no_name_leaves_the_folder_or_means_something_to_a_file_system(text: str, folders: bool) -> None:
    path = PurePosixPath(safe_output(text, folders=folders))
    assert path.parts
    assert folders or len(path.parts) == 1
    assert not path.is_absolute()
    for part in path.parts:
        assert part not in (".", "..")
        assert 0 < len(part.encode()) <= MAX_BYTES
        assert part == part.strip(" .")
        assert not part.startswith(("-", "~"))
        assert not set(part) & set('<>:"\\|?*\0\n\r\t')
        assert part.isprintable()
        assert not PureWindowsPath(part + ".png").is_reserved()


@given(first=hostile, second=hostile, folders=st.booleans())
@example(first="a/b", second="a-b", folders=False)
@example(first="a//b", second="a/b", folders=True)
@example(first="a?", second="a*", folders=False)
def test_different_texts_stay_different(first: str, second: str, folders: bool) -> None:
    if safe_output(first, folders=folders) == safe_output(second, folders=folders):
        assert first == second


@pytest.mark.parametrize(
    ("first", "second"),
    [("Mug", "mug"), ("café", "cafe\u0301"), ("ﬁsh", "fish"), ("STRASSE", "straße"), ("Å", "å"), ("ϔ", "ϋ")],
)
@pytest.mark.fault(93)
def test_names_that_some_file_system_takes_for_one_have_one_key(first: str, second: str) -> None:
    assert collision_key(first) == collision_key(second)


@given(text=st.text(alphabet="abcABC019_é", min_size=1, max_size=MAX_BYTES // 2))
def test_a_distinct_name_differs_from_the_plain_one_and_stays_in_its_folder(text: str) -> None:
    output = f"folder/{text}"
    made = distinct(output, text)
    assert made.startswith("folder/")
    assert made != output
    assert len(made.removeprefix("folder/").encode()) <= MAX_BYTES


def test_distinct_names_of_different_texts_differ() -> None:
    assert distinct("mug", "Mug") != distinct("mug", "mug")
