"""What a run asks whoever is there: before much money is spent, and after a canary."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from batch_editor.errors import Declined
from batch_editor.runs.batch import Batch
from batch_editor.runs.stops import StopReason
from batch_editor.runs.summary import Summary

# A canary that costs this much more than planned stops a run that nobody watches.
CANARY_EXCESS = 1.5

# A Ctrl-C at a question is heard after this at the latest.
HEARD_WITHIN_S = 0.2

Ask = Callable[[Sequence[str]], bool]


async def _answered(ask: Ask, lines: Sequence[str]) -> bool:
    """What is answered to a question that blocks, on a thread of its own.

    Not `asyncio.to_thread`, whose threads are waited for at the end: a Ctrl-C would only be heard after an answer.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bool] = loop.create_future()

    def hand_over(value: bool, error: BaseException | None) -> None:
        """Give the answer, or the error, to whoever still waits."""
        if answer.done():
            return
        if error is None:
            answer.set_result(value)
        else:
            answer.set_exception(error)

    def work() -> None:
        """Ask, on a thread of its own."""
        value, error = False, None
        try:
            value = ask(lines)
        except BaseException as raised:  # noqa: BLE001  # it belongs to who asked, not to this thread
            error = raised
        with suppress(RuntimeError):  # the run is over, and its loop closed
            loop.call_soon_threadsafe(hand_over, value, error)

    threading.Thread(target=work, name="question", daemon=True).start()
    while not answer.done():
        # Not for good: the kernel may give a signal to another thread, which doesn't wake the one that hears it.
        await asyncio.wait([answer], timeout=HEARD_WITHIN_S)
    return answer.result()


async def send(
    batch: Batch, *, ask: Ask | None, canary: int = 0, confirmed: Callable[[Path], None] = lambda _: None
) -> Summary:
    """Carry a batch out. `canary`: so many requests first, and the rest if they cost what the plan says.

    `ask` is shown some lines to decide by; None: nobody is there, and only the plan's questions and a canary that
    costs much more than planned keep anything from being sent. `confirmed` is called with the output directory when the
    plan is confirmed, before anything is sent.

    Raises:
        UsageError: nobody is there to say that the run is what was meant; nothing was sent.
        Declined: somebody said no; nothing was sent.
    """
    if ask is None:
        batch.expect_confirmed()
    else:
        await _confirm(batch, ask)
    confirmed(batch.output)
    if not canary:
        return await batch.send()
    summary = await batch.send(first=canary)
    if summary.stop is None or summary.stop.kind != "canary":
        return summary
    stop = await _judged(batch, ask)
    return await batch.send() if stop is None else await batch.leave(stop)


async def _confirm(batch: Batch, ask: Ask) -> None:
    questions, plan = batch.to_confirm(), batch.plan
    much = plan.cost.expected_usd > batch.settings.budget.confirm_above_usd and not batch.options.sandbox
    if (questions or much) and not await _answered(ask, [*questions, *plan.brief()]):
        raise Declined("nothing was sent")


async def _judged(batch: Batch, ask: Ask | None) -> StopReason | None:
    """Compare the canary with the plan: ask whether to continue, or decide if there is nobody to ask."""
    sent = await batch.compared()
    share = sent.charged_usd / sent.expected_usd if sent.expected_usd else 1.0
    cost = f"${sent.charged_usd:,.4f}; the plan expected ${sent.expected_usd:,.4f} ({share:.0%})"
    lines = (
        f"Canary: {sent.succeeded} of {len(batch.sample)} jobs succeeded for {cost}",
        f"Latency: half within {sent.p50_s or 0:.1f} s",
    )
    if ask is not None:
        return None if await _answered(ask, lines) else StopReason("declined", "as you said after the canary")
    for line in lines:
        batch.options.progress.say(line)
    if not sent.succeeded:
        return StopReason("failures", "none of the canary's jobs succeeded; see errors, then run again")
    if share > CANARY_EXCESS:
        return StopReason(
            "budget", f"the canary cost {share:.1f} × the plan; look at it, then run again without --canary"
        )
    return None
