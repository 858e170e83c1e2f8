"""What ledgers are asked costs the same an item, however many they hold. Counted in steps of SQLite's machine."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from batch_editor import Selection
from batch_editor.config import Settings
from batch_editor.ledger import FILE_NAME, Ledger, Staging, import_jobs
from batch_editor.money import SpendingFile
from batch_editor.output import Store, placing
from batch_editor.output.output_manifest import write_manifest
from batch_editor.planning.calibration import Calibration
from batch_editor.planning.catalog import Catalog, stage_manifests
from tests.scale.counts import TENFOLD, counted, table

pytestmark = pytest.mark.slow

# Steps are counted by so many, which costs a call of Python each time.
STEPS = 10


class Steps:
    """How many steps SQLite took on a connection while the block ran."""

    taken = 0

    def more(self) -> None:
        self.taken += STEPS


@contextmanager
def counted_steps(db: sqlite3.Connection) -> Iterator[Steps]:
    steps = Steps()
    db.set_progress_handler(steps.more, STEPS)
    yield steps
    db.set_progress_handler(None, STEPS)


def renamed(folder: Path, count: int) -> int:
    """Steps to bring the images of so many jobs from their former names to new ones."""
    store = Store(folder)
    store.prepare()
    with closing(store), closing(Ledger(folder / FILE_NAME)) as ledger:
        with ledger.transaction():
            for number in range(count):
                fingerprint = hashlib.sha256(str(number).encode()).hexdigest()
                path = folder / "images" / f"old-{number}.png"
                path.write_bytes(fingerprint.encode())
                sha256 = hashlib.sha256(fingerprint.encode()).hexdigest()
                ledger.connection.execute(
                    "INSERT INTO jobs (job_id, position, active, selected, fingerprint, output, extras,"
                    " placed_path, placed_output, placed_fingerprint) VALUES (?, ?, 1, 1, ?, ?, '{}', ?, ?, ?)",
                    (
                        *(f"job-{number}", number, fingerprint, f"new-{number}"),
                        *(f"images/{path.name}", f"old-{number}", fingerprint),
                    ),
                )
                ledger.connection.execute(
                    "INSERT INTO requests (fingerprint, endpoint, params, files, job_id, state, expected_usd, high_usd,"
                    " image_path, sha256, format) VALUES (?, 'e', '{}', '{}', ?, 'succeeded', 0, 0, ?, ?, 'png')",
                    (fingerprint, f"job-{number}", f"images/{path.name}", sha256),
                )
        with counted_steps(ledger.connection) as steps:
            assert placing.put_all(ledger, store, now=0.0) == 0
        assert len(list((folder / "images").glob("new-*.png"))) == count
    return steps.taken


def test_renaming_images_costs_the_same_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "PAGE", 5)
    assert renamed(tmp_path / "many", 400) <= TENFOLD * renamed(tmp_path / "few", 40)


def resumed(folder: Path, count: int) -> int:
    """Steps to compare so many jobs with a ledger that has all of them done, and to take them over again."""
    folder.mkdir()
    with closing(Ledger(folder / FILE_NAME)) as ledger, Staging() as staging:
        catalog = Catalog(Settings())
        stage_manifests([table(folder, count)], catalog, Selection(), Calibration(folder), staging)

        def import_again() -> None:
            import_jobs(ledger, staging.path, shapes=catalog.shapes, extras=[])

        import_again()
        with ledger.transaction():
            ledger.connection.execute("UPDATE requests SET state = 'succeeded'")
            ledger.connection.execute("UPDATE jobs SET placed_fingerprint = fingerprint")
        with counted_steps(staging._db) as comparing:
            staging.compare(folder / FILE_NAME, catalog.shapes)
        with counted_steps(ledger.connection) as importing:
            import_again()
    return comparing.taken + importing.taken


def test_resuming_costs_the_same_for_each_job_that_is_done(tmp_path: Path) -> None:
    few, many = resumed(tmp_path / "few", 300), resumed(tmp_path / "many", 3000)
    assert many <= TENFOLD * few


def asked_for_room(file: Path, count: int) -> int:
    """Steps of a reservation in a file that has so many of this day."""
    noon = 1_800_000_000.0
    with closing(SpendingFile(file, "here", per_day_usd=1e9, per_month_usd=1e9)) as spending:
        for number in range(count):
            spending.reserve(str(number), 0.2, noon, steady_usd=None, endpoint="a")
        with counted_steps(spending._db) as steps:
            assert spending.reserve("one more", 0.2, noon, steady_usd=None, endpoint="a")
    return steps.taken


def test_a_reservation_costs_the_same_however_much_the_day_has_spent(tmp_path: Path) -> None:
    assert asked_for_room(tmp_path / "many", 400) <= 2 * asked_for_room(tmp_path / "few", 40)


def exported(folder: Path, count: int) -> int:
    """Function calls, Python's and C's, of the output manifest of so many jobs that are done."""
    folder.mkdir()
    catalog = Catalog(Settings())
    with closing(Ledger(folder / FILE_NAME)) as ledger, Staging() as staging:
        stage_manifests([table(folder, count)], catalog, Selection(), Calibration(folder), staging)
        import_jobs(ledger, staging.path, shapes=catalog.shapes, extras=list(staging.extras))
        ledger.connection.execute("UPDATE requests SET state = 'succeeded', latency_s = 57, sent_at = 1, ended_at = 58")
        return counted(lambda: write_manifest(ledger.connection, folder / "manifest.csv")).calls


def test_a_row_of_the_output_manifest_costs_the_same_however_many_there_are(tmp_path: Path) -> None:
    assert exported(tmp_path / "many", 3000) <= TENFOLD * exported(tmp_path / "few", 300)
