"""Images that other output directories have paid for, and that a run takes from there for nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from batch_editor.config import Settings
from batch_editor.errors import UsageError
from batch_editor.ledger import Staging, readings
from batch_editor.manifest import default_output_name
from batch_editor.output import has_image, picture_store
from batch_editor.planning.catalog import Selection
from batch_editor.records import Shape
from batch_editor.shard import Shard

# What `compare` adds to the name of a run's output directory.
COMPARED = "-compare"


def output_of(manifest: Path, settings: Settings, selection: Selection) -> Path:
    """The output directory of a run of these jobs, where none is named."""
    output = settings.outputs.directory / default_output_name(manifest)
    if selection.over:
        return compared_output(output)
    return output if selection.shard is None else output.with_name(output.name + selection.shard.ending)


def compared_output(output: Path) -> Path:
    """Where `compare` puts its images, beside a run's output directory."""
    return output.with_name(f"{output.name}{COMPARED}")


def reusable(output: Path, named: Sequence[Path] = (), *, shard: Shard | None = None) -> list[Path]:
    """The output directories that a run takes images from: those that are named, and its comparison's if there is one.
    A shard's comparison is that of all jobs.

    Raises:
        UsageError: one that is named has no ledger.
        LedgerError: one of them can't be looked at.
    """
    for each in named:
        if not readings.begun(each):
            raise UsageError(f"--reuse {each}: no ledger here; expected the output directory of a run")
    own = output.resolve()
    ending = "" if shard is None else shard.ending
    compared = compared_output(own.with_name(own.name.removesuffix(ending)))
    found = dict.fromkeys(each.resolve() for each in [*named, *([compared] if readings.begun(compared) else [])])
    return [each for each in found if each != own]


def find_images(staging: Staging, sources: Sequence[Path], shapes: Mapping[str, Shape]) -> Iterator[str]:
    """Look for the staged jobs' images in other output directories; draws the warnings. Blocks.

    Raises:
        LedgerError: a ledger can't be read.
    """
    for source in sources:
        with readings.reading(source) as db:
            if readings.is_rehearsal(db):
                yield f"{source}: holds a rehearsal, from which no image is taken"
                continue
            with closing(picture_store(source)) as pictures:
                staging.find_elsewhere(readings.file_of(db), source, shapes, has_image(pictures))
