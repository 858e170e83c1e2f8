"""A file is whole under its name or not there, whoever else writes it, and whenever a process dies."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from batch_editor.files import whole_file

# Writes half of the file given, says so, and waits for a line to write the rest.
WRITER = """
import sys
from pathlib import Path
from batch_editor.files import whole_file
with whole_file(Path(sys.argv[1])) as file:
    file.write(b"first half, ")
    file.flush()
    print("half", flush=True)
    sys.stdin.readline()
    file.write(b"second half")
"""
WHOLE = b"first half, second half"


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


@pytest.fixture
def writer(tmp_path: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, tmp_path / "file"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"half\n"
    return process


def test_of_two_processes_that_write_one_file_the_second_is_told(
    tmp_path: Path, writer: subprocess.Popen[bytes]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(OSError, match="another process is writing it") as caught, whole_file(path):
        pass
    assert caught.value.errno == errno.EBUSY
    assert path.read_bytes() == b"before"
    writer.communicate(b"\n")
    assert (writer.returncode, path.read_bytes()) == (0, WHOLE)
    assert names(tmp_path) == ["file"]


def test_what_a_process_left_that_was_killed_is_removed_by_the_next_one(
    tmp_path: Path, writer: subprocess.Popen[bytes]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    writer.kill()
    writer.communicate()
    assert (names(tmp_path), path.read_bytes()) == ([".file.part", "file"], b"before")
    with whole_file(path) as file:
        file.write(WHOLE)
    assert (names(tmp_path), path.read_bytes()) == (["file"], WHOLE)


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_nothing_is_written_through_what_stands_in_the_place_of_its_beginnings(tmp_path: Path, kind: str) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"untouched")
    part = tmp_path / ".file.part"
    part.symlink_to(other) if kind == "link" else os.mkfifo(part)
    with whole_file(tmp_path / "file") as file:
        file.write(WHOLE)
    assert (other.read_bytes(), (tmp_path / "file").read_bytes()) == (b"untouched", WHOLE)
    assert names(tmp_path) == ["file", "other"]


def test_a_block_that_raises_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(ZeroDivisionError), whole_file(path) as file:
        file.write(b"half" * (1 // 0))
    assert (names(tmp_path), path.read_bytes()) == (["file"], b"before")
