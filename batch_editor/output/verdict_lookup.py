"""What people said of an output directory's images, by what their requests are called now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from batch_editor.ledger import Connection, image_readings
from batch_editor.verdicts import Picture, Verdict, read_verdicts


class VerdictCounts(NamedTuple):
    """Succeeded jobs of the manifest by what was said of their images."""

    approved: int
    rejected: int
    none: int


def verdicts_of(db: Connection, output: Path) -> dict[Picture, Verdict]:
    """What holds of the images of an output directory, whose ledger `db` reads.

    A request that was renamed since, for an upgrade hashes it otherwise or the manifest gave it an `identity`, keeps
    what was said of its image.

    Raises:
        VerdictsError: the verdicts can't be read.
    """
    given = read_verdicts(output)
    renamed = image_readings.fingerprints_since(db) if given else {}
    found = dict(given)
    for picture, verdict in given.items():
        for fingerprint in renamed.get(picture.fingerprint, ()):
            name = Picture(fingerprint, picture.sha256)
            if name not in found or found[name].event < verdict.event:
                found[name] = verdict
    return found


def count_verdicts(db: Connection, verdicts: Mapping[Picture, Verdict], *, succeeded: int) -> VerdictCounts:
    """How many of the `succeeded` jobs have an image that was approved, rejected, or neither."""
    counts: Counter[str] = Counter()
    names = {picture.fingerprint for picture, verdict in verdicts.items() if verdict.verdict}
    for fingerprint, sha256, jobs in image_readings.jobs_with_image(db, names) if names else ():
        verdict = verdicts.get(Picture(fingerprint, sha256))
        if verdict is not None and verdict.verdict is not None:
            counts[verdict.verdict] += jobs
    approved, rejected = counts["approved"], counts["rejected"]
    return VerdictCounts(approved, rejected, succeeded - approved - rejected)
