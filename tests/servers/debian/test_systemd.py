"""The units of `schedule`, by systemd's own check."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

# What systemd would take for something else than it is.
FOLDERS = ("catalog", 'my cat\'s 50% "$HOME"')


def verified(folder: Path, *units: str) -> str:
    """What `systemd-analyze verify` says; nothing where it takes the units as they are."""
    with tempfile.TemporaryDirectory(dir="/tmp") as runtime:  # a short path, for sockets of other units are named in it
        done = subprocess.run(
            ["systemd-analyze", "verify", "--user", *units],
            cwd=folder,
            env={**os.environ, "XDG_RUNTIME_DIR": runtime},
            capture_output=True,
            text=True,
            check=False,
        )
    return f"{done.returncode} {done.stdout}{done.stderr}"


@pytest.mark.parametrize("name", FOLDERS)
def test_systemd_takes_the_units(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "catalog.csv").write_text("prompt,image_urls\n", encoding="utf-8")
    command = ["schedule", "catalog.csv", "--at", "02:00", "--as", "systemd", "--to", "units", "--set"]
    made = subprocess.run(
        [sys.executable, "-m", "batch_editor", *command, 'prompt=50% of $HOME; "{{ title }}" it\'s \\x'],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0
    units = sorted(path.name for path in (folder / "units").iterdir() if path.suffix != ".env")
    assert units == ["batch-editor-catalog.service", "batch-editor-catalog.timer"]
    assert verified(folder / "units", *(f"./{unit}" for unit in units)) == "0 "
    service = folder / "units" / units[0]
    service.write_text(service.read_text(encoding="utf-8").replace("KillMode=", "KilMode="), encoding="utf-8")
    assert "Unknown key 'KilMode'" in verified(folder / "units", f"./{units[0]}")


@pytest.mark.parametrize("when", ["*-*-* 02:00:00 Europe/Berlin"])
def test_the_timer_is_due_at_that_time_of_that_zone(when: str) -> None:
    done = subprocess.run(["systemd-analyze", "calendar", when], capture_output=True, text=True, check=True)
    assert "Normalized form: *-*-* 02:00:00 Europe/Berlin" in done.stdout
