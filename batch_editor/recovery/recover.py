"""Decide the attempts that a run which died left open: whole images are kept, the rest may have been billed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from batch_editor.ledger import Interrupted, Ledger, Placement
from batch_editor.output import Acceptance, Store, Unplaced, image_path, keep, put_one, set_aside
from batch_editor.records import Answer, Failure, SavedImage


class Lost(NamedTuple):
    """Attempts that may have been billed in vain: of requests without an image, and of redos."""

    requests: int
    redos: int


def recover(
    ledger: Ledger, store: Store, acceptance: Acceptance, *, now: float, hold: bool = False, collect: bool = True
) -> Lost:
    """Settle what a run that died left open; return how many attempts may have been billed in vain. Blocks.

    An image that was whole on disk is checked, a second time perhaps, and kept: under its name or among the rejected.
    What was received is not sent again from here, whatever `retry.bad_response` says. What the provider has accepted
    stays open with `collect`, for a run to ask for. Any other attempt may have been billed; its request is sent
    again, or with `hold` stays unknown until somebody says so. A redo is sent again by those runs alone that are asked
    for redos; until then its request keeps its image.
    """
    lost = [0, 0]
    for attempt in ledger.attempts.left_open():
        staged, answer = store.staged_image(attempt.attempt_id), attempt.answer
        if staged is not None and answer is None:
            answer = Answer(staged)
            with ledger.transaction():
                ledger.attempts.received(attempt.attempt_id, staged, answer, now=now, charged_usd=None)
        refused = _refused(ledger, store, acceptance, attempt, staged)
        image = staged or (answer and answer.outcome)
        with ledger.transaction():
            if refused is not None:
                ledger.attempts.failed(attempt.attempt_id, refused, answer, state="unknown", now=now, charged_usd=None)
            elif image is None and attempt.state == "accepted" and collect:
                if not attempt.not_fetched:
                    ledger.attempts.not_fetched(attempt.attempt_id, _SUBMITTED, now=now)
                continue
            elif not isinstance(image, SavedImage) or not finish(
                ledger, store, attempt.attempt_id, attempt.fingerprint, image
            ):
                lost[attempt.is_redo] += 1
                placements = ledger.jobs.wanting(attempt.fingerprint)
                set_aside(store, placements, attempt.attempt_id, attempt.fingerprint, attempt.number)
                ledger.attempts.failed(
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
    return Lost(*lost)


def _refused(
    ledger: Ledger, store: Store, acceptance: Acceptance, attempt: Interrupted, staged: SavedImage | None
) -> Failure | None:
    """Why what an attempt received is no result; it is among the rejected then. None if it is one, or nothing came."""
    placements = ledger.jobs.wanting(attempt.fingerprint)
    refused = None
    if store.holds_spoiled(attempt.attempt_id):
        refused = _SPOILED
    elif staged is not None and not _stands(store, placements, staged):
        refused = acceptance.judge(attempt.endpoint, attempt.params, attempt.files, staged).rejected
    if refused is not None:
        set_aside(store, placements, attempt.attempt_id, attempt.fingerprint, attempt.number)
    return refused


def _stands(store: Store, placements: Sequence[Placement], image: SavedImage) -> bool:
    """Whether the image has a name already: then it was accepted, by the settings of that time."""
    return any(store.pictures.find(image_path(each.output, image.format), image.sha256) for each in placements)


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
    transient=True,
)


_SUBMITTED = Failure(
    "interrupted",
    "the run ended while this request was in flight; it was submitted, and the next run fetches its result",
    maybe_billed=True,
    transient=True,
)


def finish(ledger: Ledger, store: Store, attempt_id: int, fingerprint: str, image: SavedImage) -> bool:
    """Whether the image of an attempt that had received it is under its names now."""
    placements = ledger.jobs.wanting(fingerprint)
    staged = Path(image.path) if image.path else None
    path = None
    for placement in placements:
        # First where it stands already: it isn't sent again to a bucket that has it.
        source = store.pictures.find(image_path(placement.output, image.format), image.sha256) or staged
        if source is not None:
            path = put_one(store, Unplaced(placement, source, image.sha256, image.format))
            ledger.jobs.placed(placement, path)
    if path is None and staged is not None:
        path = keep(store, fingerprint, staged, image)
    if path is not None:
        ledger.attempts.succeeded(attempt_id, path)
    return path is not None
