"""`inputs.track` in a run: links are asked when its output directory is locked, before anything is asked or sent."""

from __future__ import annotations

from dataclasses import replace

from batch_editor.config import Keys
from batch_editor.ledger import readings
from batch_editor.output import take_disk_reserve
from batch_editor.planning.tracking import track_pictures
from batch_editor.runs.opening import OpenOutput
from batch_editor.runs.preparing import PlannedRun, expect_keys, expect_room
from batch_editor.threads import to_the_end


async def track_inputs(opened: OpenOutput, planned: PlannedRun, keys: Keys) -> PlannedRun:
    """Ask the links of jobs that were made before whether their pictures changed, where `inputs.track` says so.

    Raises:
        UsageError: what is to be sent now wasn't approved, or the budget has no room for the first of it.
        MachineError: the output directory or its ledger can't be used.
    """
    if planned.plan.tracked is None or not planned.plan.tracked.links:
        return planned
    ledger, say = opened.ledger, planned.options.progress.say
    plan = await track_pictures(
        *(planned.plan, planned.again, planned.staging, planned.catalog, planned.settings),
        ledger=await to_the_end(readings.file_of, ledger.connection),
        record_in=ledger,
        say=say,
    )
    assert plan.tracked is not None
    former, tracked = {*planned.said(), *planned.plan.warnings}, replace(planned, plan=plan)
    for line in plan.tracked.lines():
        say(line)
    if plan.changes.behind_links:
        tracked = replace(tracked, approval=await to_the_end(planned.approve))
        expect_room(plan, planned.settings)
        expect_keys(tracked, keys)
        await to_the_end(take_disk_reserve, opened.store.root, tracked.in_flight)
    for line in (*tracked.said(), *(f"warning: {warning}" for warning in plan.warnings if warning not in former)):
        if line not in former:
            say(line)
    return tracked
