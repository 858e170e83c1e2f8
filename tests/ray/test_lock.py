"""Ray comes from a lock of its own, which is whole."""

from __future__ import annotations

import tomllib

import pytest
from packaging.requirements import Requirement

from tests.docs.locks import DEV_LOCK, PYTHONS, ROOT, SYSTEMS, complaints, environment, not_as_locked, pins

pytestmark = pytest.mark.ray

LOCK = (ROOT / "requirements-ray.lock").read_text(encoding="utf-8")
GROUPS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_has_what_it_requires_and_nothing_else(python: str, system: str) -> None:
    asked = [Requirement(line) for line in GROUPS["ray"]]
    assert complaints(LOCK, asked, environment(python, system)) == []


def test_what_it_names_is_installed_and_stands_beside_what_developing_needs() -> None:
    assert not_as_locked(LOCK) == []
    developing = {pin.name: pin.version for pin in pins(DEV_LOCK.read_text(encoding="utf-8"))}
    assert [pin for pin in pins(LOCK) if developing.get(pin.name, pin.version) != pin.version] == []
