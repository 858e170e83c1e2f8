"""An output directory of many jobs, made in seconds: planned by the package itself, answered by statements of SQL.

Also from a shell: `python -m tests.support.made_output FOLDER --jobs 10000` prints where it is.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import orjson
from PIL import Image, ImageEnhance, ImageOps

from batch_editor import BatchOptions, load_settings
from batch_editor.ledger import Expected, Ledger, PendingRequest, Staging
from batch_editor.output import HISTORY, write_manifest
from batch_editor.planning import Catalog
from batch_editor.records import Answer, Failure, SavedImage
from batch_editor.runs.opening import open_output
from batch_editor.runs.preparing import plan_run
from batch_editor.runs.taking_over import take_over
from batch_editor.sandbox.images import Edit, edited

PHOTOS = Path(__file__).parents[2] / "jobs" / "photos"
BEGAN_AT = 1_792_000_000.0  # 2026-10-14, for a run of the night
SCENES = ("beach", "studio", "winter")
TITLES = ("Coffee mug", "Space suit", "Cat cushion", "Rocket lamp", "Linen shirt", "Oak chair", "Trail shoe")


@dataclass(frozen=True)
class Fate:
    """What becomes of one request in so many; its number decides, so that the same count gives the same output."""

    every: int
    state: Literal["pending", "failed", "unknown"]
    failure: Failure | None = None

    def befall(self, ledger: Ledger, request: PendingRequest, run_id: str, *, at: float) -> None:
        if self.failure is None:  # never sent
            return
        reserved = request.max_usd
        attempt_id, _ = ledger.attempts.intend(request.fingerprint, run_id, now=at, reserved_usd=reserved)
        answer = Answer(self.failure, http_status=self.failure.http_status, latency_s=2.5, request_id=None)
        charged_usd = reserved if self.failure.maybe_billed else 0.0
        ledger.attempts.failed(attempt_id, self.failure, answer, state=self.state, now=at + 3, charged_usd=charged_usd)


FAILURES = (
    Fate(
        23,
        "failed",
        Failure("moderation", "refused: 'your request was rejected by our safety system'", http_status=400),
    ),
    Fate(47, "failed", Failure("input_unreachable", "image_urls: the link answers HTTP 404", http_status=400)),
    Fate(61, "pending"),
    Fate(89, "unknown", Failure("timeout", "no answer within 300 s; it may have been billed", maybe_billed=True)),
)
REMADE = 31  # one request in so many was rejected once, and made again


@dataclass(frozen=True)
class MadeOutput:
    """An output directory, the manifest that it is of, and how many jobs that has."""

    path: Path
    manifest: Path
    jobs: int

    @property
    def command(self) -> list[str]:
        """A plain run of the same jobs."""
        return ["run", str(self.manifest), "-o", str(self.path)]


def make_output(
    folder: Path, *, jobs: int = 10_000, scenes: tuple[str, ...] = SCENES, kinds: int = 12, side: int = 640
) -> MadeOutput:
    """An output directory `folder/out` with so many jobs: products in some scenes each, as a night's run leaves it.

    Most succeeded, some failed, are pending or unknown, some were made again: their former picture is in the history.
    Pictures of `side` pixels are of `kinds` different photographs, and are hard links otherwise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    photos = _photos(folder / "photos", kinds=kinds, side=side)
    manifest = _manifest(folder, photos, jobs=jobs, scenes=scenes)
    settings = load_settings()
    output = folder / "out"
    options = BatchOptions(yes=True)
    with ExitStack() as stack:
        catalog, staging = Catalog(settings), stack.enter_context(Staging())
        planned = plan_run([manifest], settings, catalog, options, output, staging)
        opened = open_output(stack, output, planned)
        take_over(opened, planned, now=BEGAN_AT)
        pictures = [_Picture.made(folder / "pictures", photo, scene) for photo in photos for scene in scenes]
        former = [_Picture.made(folder / "pictures", photo, "first try") for photo in photos]
        _answer(opened.ledger, output, pictures, former)
        write_manifest(opened.ledger.connection, output / "manifest.csv")
    return MadeOutput(output, manifest, jobs)


def _photos(folder: Path, *, kinds: int, side: int) -> list[Path]:
    """Photographs in several shapes, some turned by their EXIF alone."""
    folder.mkdir(exist_ok=True)
    sources = sorted(PHOTOS.glob("*.jpg"))
    made = []
    for number in range(kinds):
        with Image.open(sources[number % len(sources)]) as source:
            shape = ((side, side), (side, side * 3 // 4), (side * 3 // 4, side))[number // len(sources) % 3]
            picture = ImageEnhance.Color(ImageOps.fit(source.convert("RGB"), shape)).enhance(0.5 + number % 5 / 4)
        exif = Image.Exif()
        if number % 7 == 6:
            exif[0x0112] = 6  # lies on its side until it is turned
            picture = picture.transpose(Image.Transpose.ROTATE_90)
        path = folder / f"photo-{number:02}.jpg"
        picture.save(path, quality=80, exif=exif)
        made.append(path)
    return made


def _smaller(photo: Path) -> bytes:
    with Image.open(photo) as opened:
        data = io.BytesIO()
        small = opened.resize((opened.width // 2, opened.height // 2))
        small.save(data, "JPEG", quality=75, exif=opened.getexif())
    return data.getvalue()


def _manifest(folder: Path, photos: list[Path], *, jobs: int, scenes: tuple[str, ...]) -> Path:
    drawn = [_smaller(photo) for photo in photos]
    rows = io.StringIO()
    writer = csv.writer(rows)
    writer.writerow(["sku", "title", "season", "vendor", "photo"])
    for number in range(jobs // len(scenes)):
        title = f"{TITLES[number % len(TITLES)]} no. {number}"
        season = ("spring", "summer", "autumn", "winter")[number % 4]
        writer.writerow([f"B{number:05}", title, season, f"Vendor {number % 9}", f"photos/{number:05}.jpg"])
        # Each product has a photograph of its own, though they look alike: a comment makes the difference.
        comment = f"product {number}".encode()
        data = drawn[number % len(drawn)]
        marked = data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2) + comment + data[2:]
        (folder / "photos" / f"{number:05}.jpg").write_bytes(marked)
    (folder / "products.csv").write_text(rows.getvalue(), encoding="utf-8")
    job = {
        "id": "{{ sku }}-{{ scene }}",
        "rows": "products.csv",
        "matrix": {"scene": list(scenes)},
        "prompt": "Show the {{ title }} in a {{ scene }} setting, {{ season }} light",
        "image_urls": ["{{ photo }}"],
        "output": "{{ sku }}/{{ scene }}",
    }
    path = folder / "catalog.yaml"
    defaults = {"quality": "medium", "size": "1024x1024", "output_format": "jpeg"}
    # The rest stand alone, with two inputs and a mask; every third repeats the request of another.
    with Image.open(photos[0]) as first:
        mask = Image.new("RGBA", first.size, "white")
    mask.paste((255, 255, 255, 0), (mask.width // 4, mask.height // 4, mask.width * 3 // 4, mask.height * 3 // 4))
    mask.save(folder / "photos" / "mask.png")
    single = [
        {
            "id": f"single-{number}",
            "prompt": f"Put picture {number - number % 3 // 2} beside the other",
            "image_urls": [f"photos/{photos[0].name}", f"photos/{photos[1 % len(photos)].name}"],
            "mask": "photos/mask.png",
        }
        for number in range(jobs % len(scenes) if jobs >= len(scenes) else jobs)
    ]
    entries = [*([job] if jobs >= len(scenes) else []), *single]
    path.write_bytes(orjson.dumps({"defaults": defaults, "jobs": entries}, option=orjson.OPT_INDENT_2))
    return path


@dataclass(frozen=True)
class _Picture:
    """An answer of the provider, as it is on disk."""

    path: Path
    saved: SavedImage

    @property
    def sha256(self) -> str:
        return self.saved.sha256

    @classmethod
    def made(cls, folder: Path, photo: Path, scene: str) -> _Picture:
        folder.mkdir(exist_ok=True)
        path = folder / f"{photo.stem}-{scene.replace(' ', '-')}.jpg"
        with Image.open(photo) as source:
            upright = ImageOps.exif_transpose(source).convert("RGB")
        prompt = f"{photo.stem} {scene}"
        edit = Edit(prompt=prompt, size=upright.size, format="jpeg", quality=80, transparent=False, stamp="")
        data = edited(upright, edit)
        path.write_bytes(data)
        sha256 = hashlib.sha256(data).hexdigest()
        return cls(path, SavedImage(str(path), sha256, len(data), "jpeg", *upright.size))


def _answer(ledger: Ledger, output: Path, pictures: list[_Picture], former: list[_Picture]) -> None:
    """Have every pending request end as `FAILURES` has it, or with a picture under its job's name."""
    folders: set[Path] = set()
    requests = ledger.requests.pending_after(-1, sys.maxsize)
    expected = Expected(len(requests), sum(each.expected_usd for each in requests), len(requests) / 4)
    with ledger.transaction():
        run = ledger.runs.begin("night", now=BEGAN_AT, sandbox=False, expected=expected)
        for number, request in enumerate(requests):
            at = BEGAN_AT + number / 4
            fate = next((each for each in FAILURES if number % each.every == each.every - 1), None)
            if fate is not None:
                fate.befall(ledger, request, run.run_id, at=at)
                continue
            picture, (first_job, *_) = pictures[number % len(pictures)], ledger.jobs.wanting(request.fingerprint)
            if number % REMADE == REMADE - 1:
                first = former[number // 3 % len(former)]
                _link(first.path, output / HISTORY / f"{first_job.output}.{first.sha256[:12]}.jpg", folders)
                _succeed(ledger, request, run.run_id, first, f"images/{first_job.output}.jpg", at=at - 3600)
            _succeed(ledger, request, run.run_id, picture, f"images/{first_job.output}.jpg", at=at)
            # Jobs that share a request have a name each.
            for job in ledger.jobs.wanting(request.fingerprint):
                _link(picture.path, output / f"images/{job.output}.jpg", folders)
                ledger.jobs.placed(job, f"images/{job.output}.jpg")
        ledger.runs.end(run.run_id, now=BEGAN_AT + len(requests) / 4, exit_code=1, stop=None)


def _succeed(ledger: Ledger, request: PendingRequest, run_id: str, picture: _Picture, path: str, *, at: float) -> None:
    attempt_id, number = ledger.attempts.intend(request.fingerprint, run_id, now=at, reserved_usd=request.max_usd)
    cost_usd = request.expected_usd * (0.9 + request.position % 21 / 100)
    answer = Answer(
        picture.saved,
        http_status=200,
        latency_s=40.0 + request.position % 300 / 10,
        cost_usd=cost_usd,
        request_id=f"req-{request.position}-{number}",
    )
    ledger.attempts.received(attempt_id, picture.saved, answer, now=at + 60, charged_usd=cost_usd)
    ledger.attempts.succeeded(attempt_id, path)


def _link(source: Path, target: Path, folders: set[Path]) -> None:
    if target.parent not in folders:
        target.parent.mkdir(parents=True, exist_ok=True)
        folders.add(target.parent)
    with suppress(FileExistsError):
        target.hardlink_to(source)


def main() -> None:
    """Make one for whoever looks at pages."""
    parser = argparse.ArgumentParser(description="Make an output directory of many jobs.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jobs", type=int, default=10_000)
    chosen = parser.parse_args()
    sys.stdout.write(f"{make_output(chosen.folder, jobs=chosen.jobs).path}\n")


if __name__ == "__main__":
    main()
