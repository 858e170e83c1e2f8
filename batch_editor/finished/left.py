"""Makes all finished files that are missing or old, and removes those that nobody asks for any more."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from batch_editor.finished.asked import Asked, Wanted
from batch_editor.finished.making import Maker
from batch_editor.ledger import FinishedRow, Ledger
from batch_editor.output import FinishedFiles

# A commit is shared by this many files, or by those of a second.
_AT_ONCE = 50
_COMMIT_S = 1.0
_SAY_S = 10.0


@dataclass(frozen=True, slots=True)
class Left:
    """What was done: files made, those that can't be, now or before, and removed. `stopped`: not all was come to."""

    made: int = 0
    failed: int = 0
    removed: int = 0
    stopped: bool = False


def finish_left(
    ledger: Ledger,
    files: FinishedFiles,
    maker: Maker,
    asked: Asked,
    *,
    at_once: int,
    say: Callable[[str], None] = lambda text: None,
    stop: Callable[[], bool] = lambda: False,
) -> Left:
    """Bring finished files to what is asked for; killed anywhere and done again, it comes to the same. Blocks.

    at_once: how many files are made at the same time. stop: whether to make no more.

    Raises:
        MachineError: the disk or the ledger refuses, or no process can be started; what was made is recorded.
    """
    if not asked.any and not ledger.finished.has_any():
        return Left()
    files.prepare()
    work = _Work(ledger, maker, at_once, say)
    stopped = False
    try:
        for page in ledger.finished.pages():
            found = [asked.of(job, files) for job in page]
            work.failed += sum(len(each.refused) for each in found)
            work.record_before(
                [row for each in found for row in each.forget],
                [row for each in found for row in each.change],
                [wanted for each in found for wanted in each.make],
            )
            for wanted in (wanted for each in found for wanted in each.make):
                if stopped := stop():
                    break
                work.begin(wanted)
            if stopped:
                break
        work.end()
    finally:
        work.close()
    removed = 0 if stopped else _remove_former(ledger, files)
    files.clean()
    return Left(work.made, work.failed, removed, stopped)


class _Work:
    """Files being made on threads, and recorded on this one."""

    def __init__(self, ledger: Ledger, maker: Maker, at_once: int, say: Callable[[str], None]) -> None:
        self.made = 0
        self.failed = 0
        self._ledger = ledger
        self._maker = maker
        self._at_once = at_once
        self._say = say
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="finishing")
        self._begun: set[Future[FinishedRow]] = set()
        self._unrecorded: list[FinishedRow] = []
        self._commits_at = time.monotonic() + _COMMIT_S
        self._says_at = time.monotonic() + _SAY_S

    def record_before(self, forget: list[FinishedRow], change: list[FinishedRow], make: list[Wanted]) -> None:
        """Forget rows, record some that change alone, and begin files, before any is replaced."""
        if not (forget or change or make):
            return
        with self._ledger.transaction():
            for row in forget:
                self._ledger.finished.forget(row)
            for row in change:
                self._ledger.finished.record(row)
            for wanted in make:
                self._ledger.finished.begin(wanted.path, wanted.former)

    def begin(self, wanted: Wanted) -> None:
        """Have a file made; waits while too many are."""
        while len(self._begun) > self._at_once:
            self._take(*wait(self._begun, return_when=FIRST_COMPLETED))
        self._begun.add(self._threads.submit(self._maker.make, wanted))

    def end(self) -> None:
        """Wait for all of them."""
        while self._begun:
            self._take(*wait(self._begun, return_when=FIRST_COMPLETED))
        self._commit()

    def close(self) -> None:
        """Begin no more; those that are being made end by themselves, or with the processes."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _take(self, done: set[Future[FinishedRow]], begun: set[Future[FinishedRow]]) -> None:
        self._begun = begun
        errors = []
        for future in done:
            if (error := future.exception()) is not None:
                errors.append(error)
                continue
            row = future.result()
            self.made += row.path is not None
            self.failed += row.path is None
            self._unrecorded.append(row)
        now = time.monotonic()
        if errors or len(self._unrecorded) >= _AT_ONCE or now > self._commits_at:
            self._commit()
        for error in errors:
            raise error
        if now > self._says_at:
            self._says_at = now + _SAY_S
            self._say(f"{self.made:,} finished files made")

    def _commit(self) -> None:
        self._commits_at = time.monotonic() + _COMMIT_S
        if self._unrecorded:
            with self._ledger.transaction():
                for row in self._unrecorded:
                    self._ledger.finished.record(row)
            self._unrecorded.clear()


def _remove_former(ledger: Ledger, files: FinishedFiles) -> int:
    """Remove files of jobs that are gone, and others that no row tells of any more; return how many."""
    with ledger.transaction():
        ledger.finished.forget_gone()
    removed = 0
    while former := ledger.finished.former():
        for path, is_held in former:
            removed += not is_held and files.remove(path)
        with ledger.transaction():
            ledger.finished.removed([path for path, _ in former])
    return removed
