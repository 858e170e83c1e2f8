"""A second name for a file, or a copy of it where there can be none."""

from __future__ import annotations

import stat
from pathlib import Path

from batch_editor.output.hard_link import hard_link

ELSEWHERE = Path("/proc/version")  # of another file system, whatever the others are


def test_a_file_of_another_file_system_is_copied_with_its_mode(tmp_path: Path) -> None:
    target = tmp_path / "copy"
    assert hard_link(ELSEWHERE, target)
    assert target.read_bytes() == ELSEWHERE.read_bytes()
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(ELSEWHERE.stat().st_mode)
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_what_stands_there_stays(tmp_path: Path) -> None:
    target = tmp_path / "kept"
    target.write_text("kept", encoding="utf-8")
    assert not hard_link(ELSEWHERE, target)
    assert target.read_text(encoding="utf-8") == "kept"
