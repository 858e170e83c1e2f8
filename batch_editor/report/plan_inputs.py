"""Which input pictures of a plan are on this machine already: local files, and links that `review` has shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from batch_editor.ledger import example_readings, files_from
from batch_editor.output import find_input
from batch_editor.planning import Planned
from batch_editor.records import LOCAL


@dataclass(frozen=True, slots=True)
class ShownInput:
    """An input picture that can be shown: what it is called, and its file."""

    link: str
    name: str
    file: Path


@dataclass(frozen=True, slots=True)
class FoundInputs:
    """The distinct input pictures of the requests to send, how many of them are on this machine, and some of these."""

    total: int
    here: int
    shown: Sequence[ShownInput]

    @property
    def elsewhere(self) -> int:
        """How many can't be shown."""
        return self.total - self.here


def find_inputs(planned: Planned, *, most: int) -> FoundInputs:
    """At most so many of them to show, evenly over the manifest. Blocks; fetches and writes nothing."""
    outputs = [each for each in dict.fromkeys((planned.output, *planned.sources)) if each.is_dir()]
    total = 0
    here: list[ShownInput] = []
    for name in dict.fromkeys(group.endpoint for group in planned.plan.groups):
        images = planned.catalog.sendable[name].images
        if images is None:
            continue
        for link, files in example_readings.image_links(planned.staging, name, images):
            total += 1
            file = file_of(link, {sha256: path for sha256, (path, _) in files_from(files).items()}, outputs)
            if file is not None:
                here.append(ShownInput(link, name_of(link, file), file))
    step = max(len(here) / most, 1.0)
    shown = [here[int(number * step)] for number in range(min(most, len(here)))]
    return FoundInputs(total, len(here), shown)


def file_of(link: str, files: Mapping[str, str], outputs: Sequence[Path]) -> Path | None:
    """The file of an input picture, if it is on this machine; `files`: those of its request, by their content."""
    if link.startswith(LOCAL):
        path = files.get(link.removeprefix(LOCAL))
        return None if path is None else Path(path)
    return next((file for output in outputs if (file := find_input(output, link)) is not None), None)


def name_of(link: str, file: Path | None) -> str:
    """What an input is called: a file's name, or a link without what may be a token in it."""
    if link.startswith(LOCAL):
        return "a local file" if file is None else file.name
    return "a data: link" if link.startswith("data:") else link.partition("?")[0]
