import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from batch_editor.errors import UsageError, VerdictsError
from batch_editor.verdicts import FILE_NAME, Picture, Verdict, Verdicts, read_verdicts

MUG, LAMP = Picture("a" * 32, "1" * 64), Picture("b" * 32, "2" * 64)


@pytest.fixture
def verdicts(tmp_path: Path) -> Iterator[Verdicts]:
    opened = Verdicts(tmp_path / FILE_NAME)
    yield opened
    opened.close()


def test_what_was_said_last_of_a_picture_holds(verdicts: Verdicts, tmp_path: Path) -> None:
    verdicts.give([MUG, LAMP], verdict="approved", by="Ada", now=1.0)
    verdicts.give([MUG], verdict="rejected", note="the handle is gone", by="Ben", now=2.0)

    assert verdicts.of(MUG) == Verdict("rejected", "the handle is gone", "Ben", 2.0, 3)
    assert verdicts.of(LAMP) == Verdict("approved", None, "Ada", 1.0, 2)
    assert read_verdicts(tmp_path) == verdicts.all() == {MUG: verdicts.of(MUG), LAMP: verdicts.of(LAMP)}


def test_a_verdict_leaves_the_note_and_a_note_the_verdict(verdicts: Verdicts) -> None:
    verdicts.give([MUG], note="too dark", by="Ada", now=1.0)
    assert verdicts.of(MUG) == Verdict(None, "too dark", "Ada", 1.0, 1)

    verdicts.give([MUG], verdict="rejected", by="Ada", now=2.0)
    assert verdicts.of(MUG) == Verdict("rejected", "too dark", "Ada", 2.0, 2)

    verdicts.give([MUG], note=None, by="Ada", now=3.0)
    assert verdicts.of(MUG) == Verdict("rejected", None, "Ada", 3.0, 3)


def test_a_picture_of_which_nothing_holds_any_more_has_no_verdict(verdicts: Verdicts, tmp_path: Path) -> None:
    verdicts.give([MUG], verdict="approved", by="Ada", now=1.0)
    verdicts.give([MUG], verdict=None, by="Ada", now=2.0)

    assert verdicts.of(MUG) is None
    assert verdicts.all() == read_verdicts(tmp_path) == {}


def test_another_picture_of_the_same_request_has_no_verdict(verdicts: Verdicts) -> None:
    verdicts.give([MUG], verdict="rejected", by="Ada", now=1.0)

    assert verdicts.of(MUG._replace(sha256="3" * 64)) is None


def test_undo_brings_back_what_held_before(verdicts: Verdicts) -> None:
    verdicts.give([MUG], verdict="approved", note="good", by="Ada", now=1.0)
    batch = verdicts.give([MUG, LAMP], verdict="rejected", by="Ada", now=2.0)

    assert verdicts.undo(batch, by="Ada", now=3.0) == [MUG, LAMP]
    assert verdicts.all() == {MUG: Verdict("approved", "good", "Ada", 1.0, 1)}


def test_undo_leaves_what_somebody_else_has_said_since(verdicts: Verdicts) -> None:
    batch = verdicts.give([MUG, LAMP], verdict="rejected", by="Ada", now=1.0)
    verdicts.give([MUG], verdict="approved", by="Ben", now=2.0)

    assert verdicts.undo(batch, by="Ada", now=3.0) == [LAMP]
    assert verdicts.all() == {MUG: Verdict("approved", None, "Ben", 2.0, 3)}


def test_what_was_said_before_holds_again_after_two_undos(verdicts: Verdicts) -> None:
    first = verdicts.give([MUG], verdict="approved", by="Ada", now=1.0)
    second = verdicts.give([MUG], verdict="rejected", by="Ada", now=2.0)

    assert [verdicts.undo(batch, by="Ada", now=3.0) for batch in (second, first)] == [[MUG], [MUG]]
    assert verdicts.all() == {}


def test_undo_of_what_is_undone_changes_nothing(verdicts: Verdicts) -> None:
    verdicts.give([MUG], verdict="approved", by="Ada", now=1.0)
    batch = verdicts.give([MUG], verdict="rejected", by="Ada", now=2.0)
    verdicts.undo(batch, by="Ada", now=3.0)

    assert verdicts.undo(batch, by="Ada", now=4.0) == []
    assert verdicts.undo(0, by="Ada", now=4.0) == verdicts.undo(99, by="Ada", now=4.0) == []
    assert verdicts.of(MUG) == Verdict("approved", None, "Ada", 1.0, 1)


def test_nothing_said_of_no_pictures_can_be_undone_without_harm(verdicts: Verdicts) -> None:
    nothing = verdicts.give([], verdict="approved", by="Ada", now=1.0)
    verdicts.give([MUG], verdict="approved", by="Ada", now=2.0)

    assert verdicts.undo(nothing, by="Ada", now=3.0) == []
    assert verdicts.of(MUG) is not None


def test_a_picture_named_twice_gets_one_verdict(verdicts: Verdicts) -> None:
    batch = verdicts.give([MUG, MUG], verdict="approved", by="Ada", now=1.0)

    assert verdicts.undo(batch, by="Ada", now=2.0) == [MUG]


def test_the_version_grows_with_each_verdict_and_each_undo(verdicts: Verdicts) -> None:
    versions = [verdicts.version()]
    batch = verdicts.give([MUG], verdict="approved", by="Ada", now=1.0)
    versions.append(verdicts.version())
    verdicts.undo(batch, by="Ada", now=2.0)
    versions.append(verdicts.version())

    assert versions == sorted(set(versions))
    assert versions[0] == 0


def test_verdicts_given_at_once_through_two_openings_are_all_kept(tmp_path: Path) -> None:
    pictures = [Picture(f"{number:032x}", "1" * 64) for number in range(40)]
    openings = [Verdicts(tmp_path / FILE_NAME), Verdicts(tmp_path / FILE_NAME)]
    with ThreadPoolExecutor(4) as threads:
        for number, picture in enumerate(pictures):
            threads.submit(openings[number % 2].give, [picture], verdict="approved", by="Ada", now=1.0)
    for opening in openings:
        opening.close()

    assert read_verdicts(tmp_path).keys() == set(pictures)


def test_verdicts_survive_the_process_that_gave_them(tmp_path: Path) -> None:
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom batch_editor.verdicts import Picture, Verdicts\n"
        "Verdicts(Path(sys.argv[1])).give([Picture('f', 's')], verdict='rejected', by='Ada', now=1.0)\nos._exit(9)"
    )
    died = subprocess.run([sys.executable, "-c", program, tmp_path / FILE_NAME], check=False)

    assert died.returncode == 9
    assert read_verdicts(tmp_path) == {Picture("f", "s"): Verdict("rejected", None, "Ada", 1.0, 1)}


def test_nobody_else_may_read_the_file(tmp_path: Path) -> None:
    Verdicts(tmp_path / FILE_NAME).close()

    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o660 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize(
    ("note", "kept"),
    [
        (" the handle\r\n is gone \n", "the handle\n is gone"),
        ("a\tb", "a b"),
        ("x" * 4_000, "x" * 4_000),
        ("= 1 + 1 \U0001f600", "= 1 + 1 \U0001f600"),
        (" \n ", None),
    ],
)
def test_a_note_is_kept_trimmed(verdicts: Verdicts, note: str, kept: str | None) -> None:
    verdicts.give([MUG], verdict="rejected", note=note, by="Ada", now=1.0)

    found = verdicts.of(MUG)
    assert found is not None
    assert found.note == kept


@pytest.mark.parametrize(
    ("note", "message"),
    [
        ("x" * 4_001, "a note has 4,001 characters; expected at most 4,000"),
        ("a\0b", "a note has the character U+0000; expected text and line breaks"),
        ("a\x1b[31m", "a note has the character U+001B; expected text and line breaks"),
        ("a\rb", "a note has the character U+000D; expected text and line breaks"),
        ("a\ud800b", "a note has the character U+D800; expected text and line breaks"),
    ],
)
def test_what_is_no_note_is_refused(verdicts: Verdicts, note: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        verdicts.give([MUG], note=note, by="Ada", now=1.0)

    assert str(refused.value) == message
    assert verdicts.version() == 0


@pytest.mark.parametrize("name", ["", "  ", "A\nda", "\ud800", "x" * 201])
def test_who_gives_a_verdict_has_a_name(verdicts: Verdicts, name: str) -> None:
    with pytest.raises(UsageError) as refused:
        verdicts.give([MUG], verdict="approved", by=name, now=1.0)

    assert str(refused.value) == (
        f"the name of who gives verdicts is {name.strip()!r}; expected one line of 1 to 200 characters"
    )


def test_without_a_file_nothing_was_said(tmp_path: Path) -> None:
    assert read_verdicts(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_nothing_was_written_to_says_nothing(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).touch()
    assert read_verdicts(tmp_path) == {}

    Verdicts(tmp_path / FILE_NAME).close()
    assert read_verdicts(tmp_path) == {}


def _garbage(path: Path) -> None:
    path.write_bytes(b"no database at all, " * 100)


def _newer(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 2")
    db.close()


def _another(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE cookies (name TEXT)")
    db.close()


def _link(path: Path) -> None:
    other = path.with_name("elsewhere")
    other.touch()
    path.symlink_to(other)


def _side_fifo(path: Path) -> None:
    path.touch()
    os.mkfifo(path.with_name(f"{FILE_NAME}-journal"))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            _garbage,
            (
                "file is not a database; bring it back from a copy, or move it away: "
                "manifest.csv has the verdicts of the last run's end"
            ),
        ),
        (_newer, "its schema is version 2, this program knows 1"),
        (_another, "another program's database"),
        (os.mkfifo, "a FIFO; expected a file"),
        (Path.mkdir, "a folder; expected a file"),
        (_link, "a link; expected a file"),
        (_side_fifo, "{path}-journal: a FIFO; expected a file"),
    ],
)
def test_what_is_no_file_of_verdicts_is_refused(tmp_path: Path, make: Callable[[Path], None], words: str) -> None:
    path = tmp_path / FILE_NAME
    make(path)

    for use in (lambda: Verdicts(path), lambda: read_verdicts(tmp_path)):
        with pytest.raises(VerdictsError) as refused:
            use()
        assert str(refused.value) == f"{path}: the verdicts can't be used ({words.format(path=path)})"
        assert refused.value.exit_code == 6


def test_a_file_that_was_removed_takes_no_more_verdicts(verdicts: Verdicts, tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.unlink()
    path.touch()

    with pytest.raises(VerdictsError) as refused:
        verdicts.give([MUG], verdict="approved", by="Ada", now=1.0)
    assert str(refused.value) == f"{path}: the verdicts can't be used (another file has taken its place)"


def test_a_file_that_somebody_holds_is_said_to_be_held(verdicts: Verdicts, tmp_path: Path) -> None:
    holder = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(VerdictsError) as refused:
            verdicts.give([MUG], verdict="approved", by="Ada", now=1.0)
    finally:
        holder.close()

    assert str(refused.value) == (
        f"{tmp_path / FILE_NAME}: the verdicts can't be used "
        "(database is locked; another program has it open, close that)"
    )
