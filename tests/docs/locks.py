"""What is wrong with a lock: from its text and from what the installed packages say they require.

Needs no network. A release that isn't installed here, because its marker is of another Python or system, is taken to
require, everywhere, what the lock itself says that it brought in (uv's "# via").
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
RUN_LOCK = ROOT / "requirements.lock"
DEV_LOCK = ROOT / "requirements-dev.lock"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
SYSTEMS: dict[str, dict[str, str]] = {
    "Linux": {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64", "os_name": "posix"},
    "macOS": {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64", "os_name": "posix"},
}

_ENTRY = re.compile(
    r"^(?P<requirement>[^\s#].*?) \\\n"
    r"(?P<hashes>(?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)"
    r"(?P<via>(?: +#.*\n)*)",
    re.MULTILINE,
)


class Pin(NamedTuple):
    """One entry of a lock."""

    requirement: Requirement
    via: frozenset[str]

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        return next(iter(self.requirement.specifier)).version


def pins(lock: str) -> list[Pin]:
    """The entries of a lock, from its text."""
    found = []
    for entry in _ENTRY.finditer(lock):
        via = {canonicalize_name(word) for word in re.findall(r"# +(?:via +)?([A-Za-z0-9._-]+)", entry["via"])}
        found.append(Pin(Requirement(entry["requirement"]), frozenset(via)))
    return found


def asked_for(*groups: str) -> list[Requirement]:
    """What pyproject.toml asks for: to run, and the named dependency groups."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lines: list[str] = list(project["project"]["dependencies"])
    waiting: list[str | Mapping[str, str]] = [line for group in groups for line in project["dependency-groups"][group]]
    while waiting:
        line = waiting.pop(0)
        if isinstance(line, str):
            lines.append(line)
        else:
            waiting.extend(project["dependency-groups"][line["include-group"]])
    return [Requirement(line) for line in lines]


def environment(python: str, system: str) -> dict[str, str]:
    """The markers' values on CPython of that version, its first release, on that system."""
    here = {name: str(value) for name, value in default_environment().items()}
    return (
        here
        | SYSTEMS[system]
        | {
            "python_version": python,
            "python_full_version": f"{python}.0",
            "implementation_name": "cpython",
            "implementation_version": f"{python}.0",
            "platform_python_implementation": "CPython",
        }
    )


def complaints(lock: str, roots: Iterable[Requirement], markers: Mapping[str, str]) -> list[str]:
    """Why a lock isn't closed under these markers: what is missing, doesn't fit or is too much; nothing if it is."""
    every = pins(lock)
    here = [pin for pin in every if _holds(pin.requirement, markers)]
    found = []
    waiting = [("pyproject.toml", root) for root in roots if _holds(root, markers)]
    reached, seen = set(), set()
    while waiting:
        asker, wanted = waiting.pop()
        if str(wanted) in seen:
            continue
        seen.add(str(wanted))
        named = [pin for pin in here if pin.name == canonicalize_name(wanted.name)]
        if len(named) != 1:
            found.append(f"{asker} requires {wanted}, and the lock has {len(named)} of it")
            continue
        (pin,) = named
        reached.add(pin.name)
        if not wanted.specifier.contains(pin.version, prereleases=True):
            found.append(f"{asker} requires {wanted}, and the lock has {pin.version}")
        if lacking := wanted.extras - pin.requirement.extras:
            found.append(f"{asker} requires {wanted}, and the lock has it without {', '.join(sorted(lacking))}")
        waiting += [(pin.name, each) for each in _required(pin, every, wanted.extras, markers)]
    found += [f"nothing requires {pin.name}" for pin in here if pin.name not in reached]
    return found + [each for pin in here for each in _of_another_python(pin, markers["python_full_version"])]


def not_as_locked(lock: str) -> list[str]:
    """What should be installed here by this lock, and isn't in that version."""
    here = {name: str(value) for name, value in default_environment().items()}
    return [str(pin.requirement) for pin in pins(lock) if _holds(pin.requirement, here) and not _installed(pin)]


def _required(
    pin: Pin, every: Sequence[Pin], extras: Iterable[str], markers: Mapping[str, str]
) -> Iterator[Requirement]:
    installed = _installed(pin)
    if installed is None:
        yield from (Requirement(name) for name in sorted({each.name for each in every if pin.name in each.via}))
        return
    for line in installed.requires or ():
        required = Requirement(line)
        if any(_holds(required, {**markers, "extra": extra}) for extra in ("", *extras)):
            yield required


def _of_another_python(pin: Pin, python: str) -> Iterator[str]:
    installed = _installed(pin)
    if installed and "Requires-Python" in installed.metadata:
        wanted = installed.metadata["Requires-Python"]
        if not SpecifierSet(wanted).contains(python):
            yield f"{pin.name} {pin.version} requires Python {wanted}"


def _installed(pin: Pin) -> Distribution | None:
    try:
        found = distribution(pin.name)
    except PackageNotFoundError:
        return None
    return found if found.version == pin.version else None


def _holds(requirement: Requirement, markers: Mapping[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(dict(markers))
