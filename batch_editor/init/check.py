"""Reads a first manifest as `plan` would, and finds the conditions under which none of its rows is faulty."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from batch_editor.endpoints import load_endpoint
from batch_editor.errors import ManifestError
from batch_editor.init.draft import jinja_text
from batch_editor.manifest import Expansion, Faults, read_manifests
from batch_editor.planning import Catalog
from batch_editor.records import FaultyRow, Job
from batch_editor.shops import Seen
from batch_editor.text import redact

# Jobs to begin with, whose price is said.
FIRST = 3
# Faulty rows whose fault is said; whoever mends those sees the next by doing it again.
MESSAGES_MOST = 10
# Links that are left out one by one; more make a manifest that nobody reads.
_ONE_BY_ONE = 20
_KINDS_MOST = 1_000
_LONGEST = 200  # of a link that is left out by itself


class Kinds:
    """Hosts and endings of links. `are_all_links`: none of them is a path; `has_at`: some have an @."""

    def __init__(self) -> None:
        self.hosts: set[str] = set()
        self.endings: set[str] = set()
        self.are_all_links = True
        self.has_at = False

    def add(self, link: str) -> None:
        """One more."""
        self.are_all_links = self.are_all_links and "://" in link
        self.has_at = self.has_at or "@" in link
        if len(self.hosts) < _KINDS_MOST:
            self.hosts.add(host_of(link))
        if len(self.endings) < _KINDS_MOST:
            self.endings.add(ending_of(link))


@dataclass(slots=True)
class Reading:
    """What reading a manifest gave: how many jobs, the first of them, and of the faulty rows the line and
    what is wrong, and their links.

    `without_links`: faulty rows that no link shows. `good`: what sound links have in common.
    """

    jobs: int = 0
    first: list[Job] = field(default_factory=list)
    faulty: int = 0
    messages: list[tuple[str, str]] = field(default_factory=list)
    links: Counter[str] = field(default_factory=Counter)
    without_links: int = 0
    skipped: int = 0
    good: Kinds = field(default_factory=Kinds)
    has_repeated_ids: bool = False


def read_first(path: Path, catalog: Catalog, images: tuple[str, ...], matrix: str | None) -> Reading:
    """The jobs of a manifest whose links come from these columns; with several, `matrix` says from which.

    Raises:
        ManifestError: it has no jobs, or faults that aren't a row's own.
    """
    faults = Faults()
    expansion = Expansion(
        endpoint=catalog.default,
        load_endpoint=lambda name, folder: load_endpoint(name, beside=folder),
        skip_faulty=True,
        move=catalog.replaced,
    )
    reading = Reading()
    ids = Seen()
    for made in read_manifests([path], expansion, faults):
        link = _link_of(made.extras, images, matrix)
        if isinstance(made, FaultyRow):
            reading.faulty += 1
            if len(reading.messages) < MESSAGES_MOST:
                reading.messages.append((made.where.rpartition(":")[2], made.message))
            if link:
                reading.links[link] += 1
            else:
                reading.without_links += 1
            continue
        reading.jobs += 1
        reading.good.add(link)
        if len(reading.first) < FIRST:
            reading.first.append(made)
        reading.has_repeated_ids = not ids.add(made.id) or reading.has_repeated_ids
    reading.skipped = sum(faults.skipped.values())
    if not reading.jobs and not faults.total:
        raise ManifestError([f"{path}: has no jobs"])
    faults.raise_if_any()
    return reading


def conditions_without(reading: Reading, link: str) -> list[str]:
    """Expressions about the link, by its name in templates, that the faulty links of a reading don't fulfil.

    By what no sound link has: another host, no link at all, another ending; what is left one by one, if it is little.
    """
    left = dict(reading.links)
    found: list[str] = []
    if reading.good.are_all_links and any("://" not in each for each in left):
        found.append(f"'://' in {link}")
        left = {each: count for each, count in left.items() if "://" in each}
    if not reading.good.has_at and any("@" in each for each in left):  # a user's name and password
        found.append(f"'@' not in {link}")
        left = {each: count for each, count in left.items() if "@" not in each}
    for host in _kinds(left, host_of, reading.good.hosts):
        found.append(f"'//{host}/' not in {link}")
        left = {each: count for each, count in left.items() if f"//{host}/" not in each}
    for ending in _kinds(left, ending_of, reading.good.endings):
        found.append(f"not {link}.lower().endswith({jinja_text(ending)})")
        left = {each: count for each, count in left.items() if not each.lower().endswith(ending)}
    single = [each for each in left if len(each) <= _LONGEST and each.isprintable() and not _is_secret(each)]
    if single and len(single) <= _ONE_BY_ONE:
        found.append(f"{link} not in [{', '.join(map(jinja_text, single))}]")
    return found


def _is_secret(link: str) -> bool:
    """Whether a link has what doesn't belong into a manifest."""
    return "@" in link.partition("://")[2].partition("/")[0] or redact(link) != link


def host_of(link: str) -> str:
    """The host of a link as it is written; nothing of a path."""
    if "://" not in link:
        return ""
    try:
        host = urlsplit(link).netloc
    except ValueError:
        return ""
    return host if host.replace(".", "").replace("-", "").isalnum() else ""


def ending_of(link: str) -> str:
    """The ending of a file's name; nothing where there is none."""
    name = link.rpartition("/")[2].lower()
    stem, dot, ending = name.rpartition(".")
    return f".{ending}" if stem and dot and ending.isalnum() and len(ending) <= 5 else ""


def _kinds(links: Mapping[str, int], kind_of: Callable[[str], str], good: set[str]) -> list[str]:
    """The kinds of faulty links that no sound one is of, the most frequent first; a few.

    None where the sound ones have more kinds than were kept.
    """
    if len(good) >= _KINDS_MOST:
        return []
    kinds = Counter[str]()
    for link, count in links.items():
        kinds[kind_of(link)] += count
    return [kind for kind, _ in kinds.most_common() if kind and kind not in good][:5]


def _link_of(extras: Mapping[str, str], images: tuple[str, ...], matrix: str | None) -> str:
    name = images[0] if matrix is None else extras.get(matrix, "")
    return extras.get(name, "").strip()
