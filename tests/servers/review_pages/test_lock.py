"""What drives the browser comes from a lock of its own, which is whole, and the pictures of the docs can be renewed."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from PIL import Image

from tests.docs.locks import DEV_LOCK, PYTHONS, ROOT, SYSTEMS, complaints, environment, not_as_locked, pins

LOCK = (ROOT / "requirements-servers.lock").read_text(encoding="utf-8")
GROUPS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_has_what_it_requires_and_nothing_else(python: str, system: str) -> None:
    asked = [Requirement(line) for line in GROUPS["servers"]]
    assert complaints(LOCK, asked, environment(python, system)) == []


def test_what_it_names_is_installed_and_stands_beside_what_developing_needs() -> None:
    assert not_as_locked(LOCK) == []
    developing = {pin.name: pin.version for pin in pins(DEV_LOCK.read_text(encoding="utf-8"))}
    assert [pin for pin in pins(LOCK) if developing.get(pin.name, pin.version) != pin.version] == []


def test_the_pictures_of_the_documentation_are_made_by_a_script(tmp_path: Path) -> None:
    # A process of its own: an event loop of pytest's may be there, in which this way of driving a browser doesn't work.
    subprocess.run([sys.executable, "-m", "docs.screenshots", str(tmp_path)], cwd=ROOT, check=True)
    made = sorted(tmp_path.iterdir())
    assert len(made) == 4
    for path in made:
        with Image.open(path) as picture, Image.open(ROOT / "docs" / "images" / path.name) as kept:
            assert picture.size == kept.size
            assert picture.width == 1280
    pages = "".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("review.md", "watch-a-run.md"))
    assert all(f"](images/{path.name})" in pages for path in made)
