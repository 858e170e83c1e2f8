"""What the tests of manifests share: an endpoint, and reading a file of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from batch_editor.endpoints import Endpoint, load_endpoint
from batch_editor.manifest import Expansion, Faults, read_manifests
from batch_editor.records import FaultyRow, Job, ParamValue

ENDPOINT = load_endpoint("gpt-image-1.5-edit")
LINK = "https://example.com/mug.jpg"


@dataclass
class Reading:
    """What came of reading: file names instead of whole paths, so that messages can be pinned."""

    jobs: list[Job]
    total: int
    faults: list[str]
    warnings: list[str]
    faulty: list[FaultyRow] = field(default_factory=list)
    left_out: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    tables: Sequence[str] = ()

    @property
    def ids(self) -> list[str]:
        return [job.id for job in self.jobs]

    @property
    def job(self) -> Job:
        assert self.faults == []
        (job,) = self.jobs
        return job

    @property
    def fault(self) -> str:
        (fault,) = self.faults
        return fault

    def values(self, name: str) -> list[ParamValue]:
        assert self.faults == []
        return [job.request.params[name] for job in self.jobs]


def load_beside(name: str, folder: Path) -> Endpoint:
    return load_endpoint(name, beside=folder)


def read(*paths: Path, skip_faulty: bool = False, only: Sequence[str] = (), **overrides: str) -> Reading:
    faults = Faults()
    expansion = Expansion(
        endpoint=ENDPOINT, load_endpoint=load_beside, overrides=overrides, skip_faulty=skip_faulty, only=only
    )
    made = list(read_manifests(paths, expansion, faults))
    jobs = [each for each in made if isinstance(each, Job)]
    faulty = [each for each in made if isinstance(each, FaultyRow)]
    prefixes = {f"{path.parent}/" for path in paths}

    def short(line: str) -> str:
        for prefix in prefixes:
            line = line.replace(prefix, "")
        return line

    return Reading(
        jobs,
        faults.total,
        list(map(short, faults.lines)),
        list(map(short, faults.warnings)),
        [row._replace(where=short(row.where)) for row in faulty],
        faults.left_out,
        dict(faults.skipped),
        [short(table.said) for table in faults.tables],
    )


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def draw(path: Path, mode: str = "RGB", size: tuple[int, int] = (4, 3)) -> Path:
    """A real image, in the format of the path's ending."""
    Image.new(mode, size).save(path)
    return path
