"""`inputs.track`: whether the pictures behind links that jobs were made of are still the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from batch_editor.client import Network, SeenAnswer, see
from batch_editor.config import Settings
from batch_editor.ledger import Changes, Ledger, Staging, Tracking, record_first, record_seen
from batch_editor.output import forget_input
from batch_editor.planning.catalog import Catalog
from batch_editor.planning.inputs import TrackedLinks
from batch_editor.planning.plan import Plan
from batch_editor.records import LinkToAsk
from batch_editor.text import printable
from batch_editor.threads import to_the_end

# As of a check of inputs: a line now and then shows that it lives.
SAY_EVERY_S = 10.0
# So many answers, or those of so long, are recorded together: what a kill loses is asked again.
RECORD_AT_ONCE, RECORD_EVERY_S = 500, 2.0
BEHIND_LINKS = "the picture behind a link"


async def track_pictures(
    plan: Plan,
    again: Callable[[Changes], Plan],
    staging: Staging,
    catalog: Catalog,
    settings: Settings,
    *,
    ledger: Path,
    record_in: Ledger | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Plan:
    """The plan when its links have been asked; `again` makes it anew where more jobs have changed.

    `ledger` has what was seen before. Answers are recorded in `record_in`; without it links are left out that were
    never asked, for there is nothing to compare. `say` gets a line now and then.

    Raises:
        ConfigError: the environment's proxies or certificates are none.
        LedgerError: the ledger can't be read, or the answers can't be recorded.
    """
    if plan.tracked is None or not plan.tracked.links:
        return plan
    tracking = staging.tracking(catalog.sendable_shapes)
    tracked = await _ask(_Asking(tracking, ledger.parent, record_in), plan.tracked, settings, say)
    changes = await to_the_end(_compare, tracking, ledger, plan.changes)
    if record_in is not None:
        await to_the_end(record_first, record_in, staging.path)
    if changes.behind_links:
        plan = await to_the_end(again, changes)
    tracked = replace(tracked, jobs=changes.behind_links)
    return replace(plan, tracked=tracked, warnings=(*plan.warnings, *tracked.warnings()))


async def _ask(asking: _Asking, found: TrackedLinks, settings: Settings, say: Callable[[str], None]) -> TrackedLinks:
    """Ask the links, and note what is there. The deadline ends the asking."""
    network = await asyncio.to_thread(Network.from_environment)
    total, links = await to_the_end(asking.links)
    says_at = time.monotonic() + SAY_EVERY_S
    always, allow_private = settings.inputs.track == "content", settings.inputs.allow_private_links
    async with aclosing(see(links, always=always, allow_private=allow_private, network=network)) as answers:
        async for answer in answers:
            await asking.take(answer)
            if time.monotonic() >= says_at:
                says_at = time.monotonic() + SAY_EVERY_S
                say(f"inputs.track: {asking.asked:,} of {total:,} links asked whether their pictures changed")
            if settings.ends_at is not None and time.time() >= settings.ends_at.timestamp():
                asking.stop(total, "which the deadline came before")
                break
    await asking.record()
    return replace(found, asked=asking.asked, unseen=asking.unseen, example=asking.example)


class _Asking:
    """Takes answers, and records them some hundreds at a time, in the `ledger` where there is one."""

    def __init__(self, tracking: Tracking, output: Path, ledger: Ledger | None) -> None:
        self._tracking = tracking
        self._output = output
        self._ledger = ledger
        self._answers: list[SeenAnswer] = []
        self._records_at = time.monotonic() + RECORD_EVERY_S
        self.asked = self.unseen = 0
        self.example: str | None = None

    def links(self) -> tuple[int, Iterator[LinkToAsk]]:
        """How many links are to be asked, and these."""
        seen = self._ledger is None
        return self._tracking.count(seen=seen), self._tracking.links(seen=seen)

    async def take(self, answer: SeenAnswer) -> None:
        """Count an answer, and record it soon."""
        self.asked += 1
        if answer.seen is None:
            self.unseen += 1
            self.example = self.example or f"{_shown(answer.asked.link)} {answer.fault}"
            return
        self._answers.append(answer)
        if len(self._answers) >= RECORD_AT_ONCE or time.monotonic() >= self._records_at:
            await self.record()

    def stop(self, total: int, why: str) -> None:
        """Count the links that are left as such that gave no picture."""
        left, self.asked = total - self.asked, total
        self.unseen += left
        if left:
            self.example = self.example or f"{left:,} of them, {why}"

    async def record(self) -> None:
        """Record what isn't recorded yet."""
        answers, self._answers = self._answers, []
        await to_the_end(self._record, answers)
        self._records_at = time.monotonic() + RECORD_EVERY_S

    def _record(self, answers: Sequence[SeenAnswer]) -> None:
        self._tracking.saw((answer.asked.id, answer.seen) for answer in answers if answer.seen is not None)
        if self._ledger is None:
            return
        new = [
            (each.asked.link, each.seen) for each in answers if each.seen is not None and each.seen != each.asked.seen
        ]
        if new:
            record_seen(self._ledger, new)
        for each in answers:
            if each.seen is not None and each.asked.seen is not None and each.seen.content != each.asked.seen.content:
                forget_input(self._output, each.asked.link)  # what a page shows beside the new image


def _shown(link: str) -> str:
    return printable(link.partition("?")[0], limit=120)


def _compare(tracking: Tracking, ledger: Path, changes: Changes) -> Changes:
    """Mark the jobs whose pictures changed; how a manifest differs then from what was done before. Blocks."""
    found = tracking.compare(ledger)
    if not found.jobs:
        return changes
    kept = {name: count - found.no_longer_kept.get(name, 0) for name, count in changes.kept.jobs.items()}
    differs = {**changes.differs, **({BEHIND_LINKS: found.remade} if found.remade else {})}
    return replace(
        changes,
        remade=changes.remade + found.remade,
        differs=dict(sorted(differs.items(), key=lambda each: -each[1])),
        kept=replace(changes.kept, jobs={name: count for name, count in kept.items() if count}),
        behind_links=found.jobs,
    )
