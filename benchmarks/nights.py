"""A year of nights on one output directory: how large the ledger gets, and what plan, status and history take then.

    python benchmarks/nights.py [--nights 365] [--jobs 10000]

Every night some rows are new, some have another title, some another link and some are gone. Each manifest is expanded
and taken over by the package itself, and each attempt recorded by its ledger; what is left out of a run is the network,
the images and the output manifest. What the commands take is measured as whole processes beside an output directory
that has only the first night, in turn, so within the same minute.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import statistics
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from measure import Measured, Running

from batch_editor import Selection, Settings
from batch_editor.endpoints import TODAY
from batch_editor.ledger import (
    FILE_NAME,
    Expected,
    JobChanges,
    Ledger,
    PendingRequest,
    Staging,
    import_jobs,
    readings,
)
from batch_editor.planning.calibration import Calibration
from batch_editor.planning.catalog import Catalog, stage_manifests
from batch_editor.records import Answer, SavedImage

BEGAN_AT = datetime(2026, 10, 1, 2, tzinfo=UTC)
# Shares of the jobs that change in a night, as a shop with 10,000 products has them.
NEW, TITLES, LINKS, GONE = 0.0045, 0.0131, 0.0012, 0.0045
ROUNDS = 5


class Shop:
    """A shop's rows by their number. Whatever a row is changed to, it never was before."""

    def __init__(self, path: Path, jobs: int) -> None:
        self._path = path
        self._jobs = jobs
        self._draw = random.Random(0)
        self._edits = count()
        self._skus = count()
        self._rows: dict[int, tuple[int, int]] = {}
        self._add(jobs)
        self._write()

    def change(self) -> None:
        """Another day."""
        gone, titles, links, new = (round(self._jobs * share) for share in (GONE, TITLES, LINKS, NEW))
        drawn = iter(self._draw.sample(list(self._rows), gone + titles + links))
        for _ in range(gone):
            del self._rows[next(drawn)]
        for _ in range(titles):
            sku = next(drawn)
            self._rows[sku] = (next(self._edits), self._rows[sku][1])
        for sku in drawn:
            edit, photo = self._rows[sku]
            self._rows[sku] = (edit, photo + 1)
        self._add(new)
        self._write()

    def _add(self, rows: int) -> None:
        for _ in range(rows):
            self._rows[next(self._skus)] = (next(self._edits), 0)

    def _write(self) -> None:
        with self._path.open("w", encoding="utf-8") as file:
            file.write("id,prompt,image_urls,size,quality,title,vendor,price\n")
            for sku, (edit, photo) in self._rows.items():
                prompt = f"Put mug number {sku} with glaze {edit} on a pure white background with a soft shadow"
                link = f"https://cdn.example.com/catalog/{sku % 997}/{sku}-{photo}.jpg"
                file.write(f"product-{sku:07},{prompt},{link},1024x1024,low,Mug {sku},Vendor {sku % 9},4.99\n")


def main() -> None:
    """Print how the ledger grows, and two lines for each command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nights", type=int, default=365)
    parser.add_argument("--jobs", type=int, default=10_000)
    options = parser.parse_args()
    os.environ[TODAY] = f"{BEGAN_AT:%F}"  # before any endpoint retires
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        live(folder, nights=options.nights, jobs=options.jobs)
        compare(folder)


def live(folder: Path, *, nights: int, jobs: int) -> None:
    """Have so many nights in the ledger of `out`; that of the first one stays in `first`."""
    shop, out, first = Shop(folder / "catalog.csv", jobs), folder / "out", folder / "first"
    out.mkdir()
    first.mkdir()
    for night in range(nights):
        if night:
            shop.change()
        with closing(Ledger(out / FILE_NAME)) as ledger:
            run(ledger, folder / "catalog.csv", (BEGAN_AT + timedelta(days=night)).timestamp())
        if not night:
            shutil.copy(out / FILE_NAME, first)
        if night + 1 in (1, nights) or not (night + 1) % 50:
            print(f"night {night + 1:>3}: ledger {(out / FILE_NAME).stat().st_size / 1e6:6.1f} MB", flush=True)
    shop.change()


def run(ledger: Ledger, manifest: Path, now: float) -> None:
    """A run that makes whatever the manifest asks for, as far as the ledger hears of it."""
    staged = Catalog(Settings())
    with Staging() as staging:
        stage_manifests([manifest], staged, Selection(), Calibration(manifest.parent / "none"), staging)
        import_jobs(ledger, staging.path, shapes=staged.shapes, extras=list(staging.extras))
    requests = ledger.requests.pending_after(-1, sys.maxsize)
    changes = JobChanges(len(requests), 0, 0, 0, 0)
    expected = Expected(len(requests), sum(each.expected_usd for each in requests), len(requests) / 1.0, changes)
    run_id = str(uuid.uuid4())
    with ledger.transaction():
        ledger.runs.begin(run_id, now=now, sandbox=False, expected=expected)
        for request in requests:
            answer(ledger, request, run_id, now)
        jobs = readings.standing(ledger.connection).jobs
        ledger.runs.end(run_id, now=now + len(requests), exit_code=0, stop=None, jobs=jobs)


def answer(ledger: Ledger, request: PendingRequest, run_id: str, now: float) -> None:
    """An image came, and stands under the name of its job."""
    (job,) = ledger.jobs.wanting(request.fingerprint)
    path, sha256 = f"images/{job.output}.png", hashlib.sha256(request.fingerprint.encode()).hexdigest()
    image = SavedImage(path, sha256, 2_000_000, "png", 1024, 1024)
    attempt_id, _ = ledger.attempts.intend(request.fingerprint, run_id, now=now, reserved_usd=request.max_usd)
    cost_usd = request.expected_usd
    came = Answer(image, http_status=200, latency_s=57.0, cost_usd=cost_usd, request_id=str(uuid.uuid4()))
    ledger.attempts.received(attempt_id, image, came, now=now + 57, charged_usd=cost_usd)
    ledger.attempts.succeeded(attempt_id, path)
    ledger.jobs.placed(job, path)


def compare(folder: Path) -> None:
    """Print the seconds that each command takes after one night and after all of them: on the wall, of a processor."""
    for command in commands():
        taken: dict[str, list[Measured]] = {"first": [], "out": []}
        for _ in range(ROUNDS):
            for name, measured in taken.items():
                line = [word.format(out=name) for word in command]
                done = Running([sys.executable, "-m", "batch_editor", *line], folder=folder, environment={}).finished()
                assert done.exit_code == 0, done.out
                measured.append(done)
        for kind in ("wall_s", "cpu_s"):
            first, last = ([getattr(each, kind) for each in measured] for measured in taken.values())
            ratio = statistics.median(b / a for a, b in zip(first, last, strict=True))
            print(
                f"{command[0]:<8} {kind:<7} after one night {statistics.median(first):5.2f}, after the last"
                f" {statistics.median(last):5.2f}, ratio {ratio:.2f}",
                flush=True,
            )


def commands() -> Iterator[Sequence[str]]:
    """What is measured, as words of the command line."""
    yield ("plan", "catalog.csv", "-o", "{out}")
    yield ("status", "{out}")
    yield ("history", "{out}")
    yield ("explain", "{out}", "product-0000005")


if __name__ == "__main__":
    main()
