"""Images get their names: after an attempt, after a crash, and when a manifest renames or shares them.

What was paid for and is no result gets one as well, among the rejected.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from batch_editor.acceptance import Acceptance
from batch_editor.ledger import Interrupted, Ledger, Placement
from batch_editor.records import Answer, Failure, SavedImage
from batch_editor.storage import ENDINGS, HISTORY, IMAGES, Store

PAGE = 500


def put(store: Store, placement: Placement, source: Path, image: tuple[str, str]) -> str:
    """Put one job's image under its name; return its path. `image` is its sha256 and its format. Blocks.

    What stood under the job's former name moves to the history, or goes if it is the same image.
    """
    sha256, format = image
    path = store.place(source, placement.output, sha256, format)
    if placement.former_path is not None and placement.former_path != path:
        same = placement.former_fingerprint == placement.fingerprint
        store.clear(placement.former_path, placement.former_sha256, keep=not same)
    return path


def set_aside(store: Store, placements: Sequence[Placement], attempt_id: int, fingerprint: str, number: int) -> None:
    """Keep what a request's attempt of that number received, and what is no result, among the rejected. Blocks.

    It is named after the first job that asks for it, or after the request where no job does any more.
    """
    store.reject(attempt_id, placements[0].output if placements else fingerprint, number)


def recover(ledger: Ledger, store: Store, acceptance: Acceptance, *, now: float, hold: bool = False) -> int:
    """Settle what a run that died left open; return how many attempts may have been billed in vain. Blocks.

    An image that was whole on disk is checked, a second time perhaps, and kept: under its name or among the rejected.
    What was received is not sent again from here, whatever `retry.bad_response` says. Any other attempt may have been
    billed; its request is sent again, or with `hold` stays unknown until somebody says so.
    """
    lost = 0
    for attempt in ledger.open_attempts():
        landed, answer = store.landed(attempt.attempt_id), attempt.answer
        if landed is not None and answer is None:
            answer = Answer(landed)
            ledger.received(attempt.attempt_id, landed, answer, now=now, charged_usd=None)
        refused = _refused(ledger, store, acceptance, attempt, landed)
        image = landed or (answer and answer.outcome)
        with ledger.transaction():
            if refused is not None:
                ledger.failed(attempt.attempt_id, refused, answer, state="unknown", now=now, charged_usd=None)
            elif not isinstance(image, SavedImage) or not _finish(
                ledger, store, attempt.attempt_id, attempt.fingerprint, image
            ):
                lost += 1
                ledger.failed(
                    attempt.attempt_id,
                    _INTERRUPTED,
                    None,
                    state="unknown" if hold else "pending",
                    now=now,
                    charged_usd=None,
                    counts=False,
                )
        store.forget(attempt.attempt_id)
    store.sweep()
    return lost


def _refused(
    ledger: Ledger, store: Store, acceptance: Acceptance, attempt: Interrupted, landed: SavedImage | None
) -> Failure | None:
    """Why what an attempt received is no result; it is among the rejected then. None if it is one, or nothing came."""
    placements = ledger.jobs_of(attempt.fingerprint)
    refused = None
    if store.holds_spoiled(attempt.attempt_id):
        refused = _SPOILED
    elif landed is not None and not _stands(store, placements, landed):
        refused = acceptance.judge(attempt.endpoint, attempt.params, attempt.files, landed).rejected
    if refused is not None:
        set_aside(store, placements, attempt.attempt_id, attempt.fingerprint, attempt.number)
    return refused


def _stands(store: Store, placements: Sequence[Placement], image: SavedImage) -> bool:
    """Whether the image has a name already: then it was accepted, by the settings of that time."""
    return any(store.find(f"{IMAGES}/{each.output}{ENDINGS[image.format]}", image.sha256) for each in placements)


_SPOILED = Failure(
    "bad_response",
    "HTTP 200 without a usable image; the run ended before it could say more",
    maybe_billed=True,
    http_status=200,
)
_INTERRUPTED = Failure(
    "interrupted",
    "the run ended while this request was in flight; it may have been billed",
    maybe_billed=True,
    passing=True,
)


def _finish(ledger: Ledger, store: Store, attempt_id: int, fingerprint: str, image: SavedImage) -> bool:
    """Whether the image of an attempt that had received it is under its names now."""
    placements = ledger.jobs_of(fingerprint)
    landed = Path(image.path) if image.path else None
    path = None
    for placement in placements:
        source = landed or store.find(f"{IMAGES}/{placement.output}{ENDINGS[image.format]}", image.sha256)
        if source is not None:
            path = put(store, placement, source, (image.sha256, image.format))
            ledger.placed(placement, path)
    if path is None and landed is not None:
        # No job of the manifest wants it any more; it was paid for all the same.
        path = store.place(landed, f"{HISTORY.removeprefix(IMAGES + '/')}/{fingerprint}", image.sha256, image.format)
    if path is not None:
        ledger.succeeded(attempt_id, path)
    return path is not None


def put_all(ledger: Ledger, store: Store, *, now: float) -> int:
    """Put every image of the manifest where it belongs; return how many are gone from the disk. Blocks.

    Covers jobs that share a request that was done before, jobs that were renamed or went back to what they asked
    for earlier, and images that somebody removed.
    """
    lost = _check_names(ledger, store, now=now)
    while page := ledger.misplaced(PAGE):
        lost += _put_again(ledger, store, page, now=now)
    return lost


def _check_names(ledger: Ledger, store: Store, *, now: float) -> int:
    lost, position = 0, -1
    while page := ledger.images_after(position, PAGE):
        missing = [p for _, p in page if p.former_path is None or not store.holds(p.former_path)]
        if missing:
            lost += _put_again(ledger, store, missing, now=now)
        position = page[-1][0]
    return lost


def _put_again(ledger: Ledger, store: Store, placements: Sequence[Placement], *, now: float) -> int:
    """Put images that the disk has somewhere under their names; return how many it has nowhere."""
    lost = 0
    with ledger.transaction():
        for placement in placements:
            source = _found(ledger, store, placement)
            if source is None:
                ledger.lost(placement.fingerprint, now=now)
                lost += 1
            else:
                image = (placement.sha256, placement.format)
                ledger.placed(placement, put(store, placement, source, image))
    return lost


def _found(ledger: Ledger, store: Store, placement: Placement) -> Path | None:
    """The image where it was put last, or under the name of another job that shares it."""
    if (source := store.find(placement.image_path, placement.sha256)) is not None:
        return source
    shared = (each.former_path for each in ledger.jobs_of(placement.fingerprint))
    found = (store.find(path, placement.sha256) for path in shared)
    return next((source for source in found if source is not None), None)
