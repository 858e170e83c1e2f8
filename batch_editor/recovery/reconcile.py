"""Resolves attempts that may have been billed without a result, by the provider's history of the account."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from pydantic import SecretStr

from batch_editor.client import AccountHistory, HistoryRow, Lost, Results
from batch_editor.config import ApiSettings, Keys, Settings
from batch_editor.endpoints import SEGMIND
from batch_editor.errors import MachineError, UsageError
from batch_editor.ledger import FILE_NAME, Charge, Ledger, UnresolvedAttempt, readings
from batch_editor.money import AttemptToken, Spending, charge_left_open, shared_database, shared_spending
from batch_editor.output import Acceptance, DiskRetry, Store, check_place, locked, picture_store, write_manifest
from batch_editor.output.output_manifest import FILE_NAME as MANIFEST_NAME
from batch_editor.records import Answer, Failure, SavedImage
from batch_editor.recovery.matching import Bodies, Matches, Sent, match
from batch_editor.recovery.reconciliation import Finding, Outcome, Reconciliation
from batch_editor.recovery.recover import finish, recover
from batch_editor.text import duration, guarded

# After an attempt's own time, a job may still be at work and its row on its way.
RESOLVES_AFTER_S = 900.0
# The provider lists 31 days at once; an attempt may have its row on the day before or after.
WINDOW = timedelta(days=31)
MARGIN = timedelta(days=1)


async def reconcile(
    output: Path,
    settings: Settings,
    keys: Keys,
    *,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.time,
) -> Reconciliation:
    """Compare an output directory's ledger with the provider's history, and resolve what that shows.

    Sends nothing that costs. Not for a loop with other work: ledger and disk are used on it. A disk that
    refuses an image is retried for `outputs.wait_s`; `say` gets a line about it. Attempts of providers that list no
    requests stay open.

    Raises:
        UsageError: nothing has run there.
        ConfigError: there is no key to ask the history with.
        HistoryError: the history can't be read; nothing was resolved.
        LockedError: another process is at work on the output directory.
        MachineError: the output directory or its ledger can't be used.
    """
    if not (output / FILE_NAME).is_file():
        raise UsageError(f"{output}: no ledger here; expected the output directory of a run")
    with ExitStack() as stack:
        for each in keys.found.values():
            stack.enter_context(guarded(each.get_secret_value()))
        wait_s = settings.outputs.wait_s
        pictures = picture_store(output)
        stack.callback(pictures.close)
        store = Store(output, pictures)
        waiting = _WaitingForDisk(say, wait_s)
        disk_retry = DiskRetry(wait_s, make_room=store.make_room, on_trouble=waiting.on_trouble)
        stack.callback(store.close)
        store.prepare()
        stack.enter_context(locked(store.root))
        check_place(store.root / MANIFEST_NAME)
        ledger = Ledger(output / FILE_NAME)
        stack.callback(ledger.close)
        spending = shared_spending(settings, output, shared_database(settings, say), ledger_id=ledger.id)
        if spending is not None:
            stack.callback(spending.close)
        with ledger.translated():
            # Every staged image is accepted: rejecting it here would say no more of its money.
            recover(ledger, store, Acceptance("header", {}), now=clock(), hold=settings.retry.unknown == "hold")
            if spending is not None:
                charge_left_open(spending, ledger)
            resolver = _Resolver(ledger, store, disk_retry, spending, settings, clock)
            listed, unlisted = _by_history(ledger.unresolved.all())
            findings = [_unlisted(attempt) for attempt in unlisted]
            if listed or not unlisted:
                findings += await _look_up(listed, resolver, settings.api, keys.of(SEGMIND), say)
            write_manifest(ledger.connection, output / MANIFEST_NAME)
            pictures.keep_manifest(output / MANIFEST_NAME)
            return Reconciliation(
                output,
                tuple(findings),
                sum(attempt.charged_usd for attempt in ledger.unresolved.all()),
                readings.standing(ledger.connection).jobs.unknown,
            )


async def _look_up(
    attempts: Sequence[UnresolvedAttempt],
    resolver: _Resolver,
    api: ApiSettings,
    key: SecretStr,
    say: Callable[[str], None],
) -> list[Finding]:
    """What the provider's history says of these attempts."""
    found: list[Finding] = []
    async with AccountHistory(api, key) as history, Results(api) as results:
        if proxy := results.network.named_for(api.history_at):
            say(f"requests go through the proxy {proxy}")
        for window in _windows(attempts):
            rows = await history.rows(*_days(window))
            found += [finding async for finding in resolver.resolve(window, rows, results)]
    return found


def _by_history(attempts: Sequence[UnresolvedAttempt]) -> tuple[list[UnresolvedAttempt], list[UnresolvedAttempt]]:
    """Attempts at the provider that lists an account's requests, and those at others."""
    return (
        [attempt for attempt in attempts if attempt.provider == SEGMIND],
        [attempt for attempt in attempts if attempt.provider != SEGMIND],
    )


def _unlisted(attempt: UnresolvedAttempt) -> Finding:
    why = f"open: {attempt.provider} lists no requests to look it up in; see its usage page"
    return _finding(attempt, "open", attempt.request_id, None, why)


class _WaitingForDisk:
    """Says once what is waited for."""

    def __init__(self, say: Callable[[str], None], wait_s: float) -> None:
        self._say = say
        self._wait_s = wait_s
        self._said = False

    def on_trouble(self, error: MachineError) -> None:
        """Say so, the first time."""
        if not self._said:
            self._said = True
            self._say(
                f"{error}; what is fetched is saved as soon as this machine lets it, within {duration(self._wait_s)}"
            )


def _windows(attempts: Sequence[UnresolvedAttempt]) -> Iterator[list[UnresolvedAttempt]]:
    """Attempts that are near enough for one look at the history; quiet days between are not looked at."""
    window: list[UnresolvedAttempt] = []
    for attempt in attempts:
        if window:
            first, last = (datetime.fromtimestamp(window[place].sent_at, UTC) for place in (0, -1))
            at = datetime.fromtimestamp(attempt.sent_at, UTC)
            if at - last > 3 * MARGIN or at - first > WINDOW - 4 * MARGIN:
                yield window
                window = []
        window.append(attempt)
    if window:
        yield window


def _days(attempts: Sequence[UnresolvedAttempt]) -> tuple[date, date]:
    first, last = (datetime.fromtimestamp(attempts[place].sent_at, UTC).date() for place in (0, -1))
    return first - MARGIN, last + MARGIN


class _Resolver:
    def __init__(
        self,
        ledger: Ledger,
        store: Store,
        disk_retry: DiskRetry,
        spending: Spending | None,
        settings: Settings,
        clock: Callable[[], float],
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._disk_retry = disk_retry
        self._spending = spending
        self._attempt_s = settings.api.timeout_s
        self._clock = clock
        self._uploads = readings.uploads(ledger.connection)
        self._bodies = Bodies(self._uploads)
        self._done: set[str] = set()

    async def resolve(
        self, attempts: list[UnresolvedAttempt], rows: Sequence[HistoryRow], results: Results
    ) -> AsyncIterator[Finding]:
        """Resolve each attempt as far as the rows tell; yields a `Finding` each."""
        matches = self._match(attempts, rows)
        for attempt in attempts:
            row = matches.rows.get(attempt.attempt_id)
            if row is not None and row.made:
                yield await self._charged(attempt, row, results)
            elif (why := self._why_open(attempt, row, matches)) is not None:
                yield _finding(attempt, "open", attempt.request_id, None, f"open: {why}")
            else:
                with self._settled(attempt, 0.0):
                    self._ledger.unresolved.not_billed(attempt.attempt_id)
                yield _finding(attempt, "not_billed", attempt.request_id, 0.0, "not billed")

    def _match(self, attempts: list[UnresolvedAttempt], rows: Sequence[HistoryRow]) -> Matches:
        first, last = _days(attempts)
        sure = [
            self._sent(each, sure=True)
            for each in self._ledger.unresolved.charges_like(attempts)
            if first <= datetime.fromtimestamp(each.sent_at, UTC).date() <= last
        ]
        unsure = [self._sent(each, sure=False) for each in attempts]
        taken = self._ledger.unresolved.known_ids([row.request_id for row in rows])
        return match([*sure, *unsure], rows, self._bodies, taken=taken)

    def _sent(self, each: Charge | UnresolvedAttempt, *, sure: bool) -> Sent:
        until_at = each.sent_at + self._attempt_s
        return Sent(each.attempt_id, each.params, each.request_id, each.sent_at, until_at, sure)

    def _why_open(self, attempt: UnresolvedAttempt, row: HistoryRow | None, matches: Matches) -> str | None:
        """Why an attempt without a charge in the history can't be called unbilled; None if it can."""
        if row is not None and row.state == "FAILED":
            return None
        if row is not None or attempt.attempt_id in matches.under_way:
            return "the provider is still at work on it"
        if attempt.attempt_id in matches.unread:
            return "the history has charges of about that time without saying what for"
        if attempt.state == "accepted":
            return "it was submitted; the next run fetches its result"
        resolves_at = attempt.sent_at + self._attempt_s + RESOLVES_AFTER_S
        if self._clock() < resolves_at:
            return f"too recent for its absence to mean anything; ask again after {readings.iso(resolves_at)}"
        if any(sha256 not in self._uploads for sha256 in attempt.files):
            return "sent with its files inline, which the history may not show as they were"
        witness = self._ledger.unresolved.charge_near(attempt.sent_at)
        if witness is None or self._bodies.name(witness.params, witness.params) in matches.names:
            return None
        return "the history lacks a request of about that time that was charged, so absence proves nothing"

    async def _charged(self, attempt: UnresolvedAttempt, row: HistoryRow, results: Results) -> Finding:
        usd = attempt.charged_usd if row.usd is None else row.usd
        said = f"billed ${usd:,.4f} as {row.request_id}"
        if attempt.request_state == "succeeded" or attempt.fingerprint in self._done:
            return self._in_vain(attempt, row, usd, f"{said}; the job has its image from another attempt")
        staged = self._store.staged_file(attempt.attempt_id, self._disk_retry)
        try:
            image = await results.download(row.link, staged) if row.link else Lost("it has no link", for_good=True)
        finally:
            await staged.discard()
        if isinstance(image, Lost):
            return self._in_vain(attempt, row, usd, f"{said}; its image can't be had: {image.message}")
        return self._placed(attempt, row, image, usd, said)

    def _placed(self, attempt: UnresolvedAttempt, row: HistoryRow, image: SavedImage, usd: float, said: str) -> Finding:
        answer = Answer(image, http_status=200, latency_s=row.latency_s, cost_usd=row.usd, request_id=row.request_id)
        with self._settled(attempt, usd):
            self._ledger.attempts.received(attempt.attempt_id, image, answer, now=self._clock(), charged_usd=usd)
            finish(self._ledger, self._store, attempt.attempt_id, attempt.fingerprint, image)
        self._store.forget(attempt.attempt_id)
        self._done.add(attempt.fingerprint)
        return _finding(attempt, "image", row.request_id, usd, f"{said}; its image is there now")

    def _in_vain(self, attempt: UnresolvedAttempt, row: HistoryRow, usd: float, message: str) -> Finding:
        failure = Failure("result_lost", message, maybe_billed=True)
        with self._settled(attempt, usd, in_vain=True):
            self._ledger.unresolved.charged_in_vain(attempt.attempt_id, usd, row.request_id, failure, now=self._clock())
        return _finding(attempt, "charged", row.request_id, usd, message)

    @contextmanager
    def _settled(self, attempt: UnresolvedAttempt, usd: float, *, in_vain: bool = False) -> Iterator[None]:
        """The block notes in the ledger what an attempt cost, and runs share it after that.

        Who dies in between leaves it open there, so that the next run, or reconciling again, charges what the ledger
        says.
        """
        spending = self._spending
        token = str(AttemptToken(attempt.run_id, attempt.fingerprint, attempt.number))
        if spending is not None:
            # A database may have closed the connection while the history was read.
            spending.patiently(lambda: spending.reopen(token))
        with self._ledger.transaction():
            yield
        if spending is not None:
            spending.patiently(lambda: spending.charge(token, usd, in_vain=in_vain))


def _finding(
    attempt: UnresolvedAttempt, outcome: Outcome, request_id: str | None, usd: float | None, message: str
) -> Finding:
    return Finding(attempt.job_id, attempt.number, outcome, usd, request_id, message)
