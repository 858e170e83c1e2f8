"""An output directory as a run leaves it, without a run: the manifest's jobs, read as ever, and what became of each."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from batch_editor import Selection, load_settings
from batch_editor.ledger import FILE_NAME, Ledger, Staging, import_jobs
from batch_editor.manifest.table_files import TableFormat
from batch_editor.output import keep_table
from batch_editor.planning.calibration import Calibration
from batch_editor.planning.catalog import Catalog, stage_manifests

SET = {"prompt": "Show {{ title }}", "size": "1024x1024", "quality": "low"}


def done_output(
    out: Path,
    manifests: Sequence[Path],
    *,
    format: TableFormat = "auto",
    overrides: Mapping[str, str] = SET,
    fates: Callable[[str], str | None] = lambda _: None,
) -> None:
    """Every job of the manifests has its image, but for those that are `failed`, `pending` or `unknown` by `fates`.

    A job's image holds its request's fingerprint, as far as its sha256 tells: no file is written.
    """
    settings = load_settings()
    catalog = Catalog(settings)
    out.mkdir(parents=True, exist_ok=True)
    with Staging() as staging, closing(Ledger(out / FILE_NAME)) as ledger:
        calibration = Calibration(out)
        selection = Selection(overrides=dict(overrides), format=format)
        report = stage_manifests(manifests, catalog, selection, calibration, staging)
        now = time.time()
        for table in report.tables:
            if table.export is not None:
                keep_table(out, table.file.open, ending=table.file.ending, read_at=now)
        import_jobs(ledger, staging.path, shapes=catalog.shapes, extras=list(staging.extras))
        db = ledger.connection
        db.execute("BEGIN")
        for fingerprint, job_id in db.execute("SELECT fingerprint, job_id FROM requests").fetchall():
            state = fates(job_id) or "succeeded"
            kind = {"failed": "moderation", "unknown": "timeout"}.get(state)
            db.execute(
                "UPDATE requests SET state = ?, error_kind = ?, error = ?, sha256 = ? WHERE fingerprint = ?",
                (state, kind, kind and f"as {job_id} met it", sha256_of(fingerprint), fingerprint),
            )
        db.execute(
            "UPDATE jobs SET placed_path = 'images/' || output || '.png', placed_output = output,"
            " placed_fingerprint = fingerprint WHERE active"
        )
        db.execute("COMMIT")


def sha256_of(fingerprint: str) -> str:
    """What the image of a request is known by."""
    return hashlib.sha256(fingerprint.encode()).hexdigest()
