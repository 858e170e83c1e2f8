"""`--check-inputs`: every distinct input link of a manifest is looked at before money is spent on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from batch_editor.client import LinkReport, Network, look_at
from batch_editor.config import Settings
from batch_editor.endpoints import Endpoint
from batch_editor.ledger import Changes, Staging, readings, staging_readings
from batch_editor.planning.catalog import Catalog
from batch_editor.planning.inputs import FaultyInput, InputCheck
from batch_editor.planning.plan import Plan
from batch_editor.planning.tracking import track_pictures
from batch_editor.text import printable

# A check of ten thousand links takes minutes; a line now and then shows that it lives.
SAY_EVERY_S = 10.0
_ANY_LINKS = ("https://example.com/cup.jpg", "http://example.com/cup.jpg")


async def checked(
    plan: Plan,
    again: Callable[[Changes], Plan],
    staging: Staging,
    catalog: Catalog,
    settings: Settings,
    *,
    output: Path,
    say: Callable[[str], None] = lambda _: None,
) -> Plan:
    """The plan when its links have been looked at; before, those of jobs that were made before are asked whether their
    pictures changed, see `track_pictures`. Nothing is recorded.

    Raises:
        ConfigError: the environment's proxies or certificates are none.
        LedgerError: the ledger of the output directory can't be read.
    """
    if plan.tracked is not None:
        with readings.reading(output) as db:
            ledger = readings.file_of(db)
            plan = await track_pictures(plan, again, staging, catalog, settings, ledger=ledger, say=say)
    return replace(plan, inputs=await look_at_inputs(staging, catalog.sendable, settings, plan, say=say))


async def look_at_inputs(
    staging: Staging,
    endpoints: Mapping[str, Endpoint],
    settings: Settings,
    plan: Plan,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> InputCheck:
    """Look at the links of the requests that a run would send; `say` gets a line now and then.

    A signed link must live until its request's turn, which comes in proportion to its place in the manifest. In memory
    are only the reports of links that have a fault, an end, or a mask to fit.

    Raises:
        ConfigError: the environment's proxies or certificates are none.
    """
    allow_private, duration_s = settings.inputs.allow_private_links, plan.duration_s[2]
    network = await asyncio.to_thread(Network.from_environment)
    if proxy := network.named_for(*_ANY_LINKS):
        guard = "" if allow_private else "; of private addresses only those that a link names outright are refused"
        say(f"links are looked at through the proxy {proxy}, which resolves their names{guard}")
    looked_at = 0
    says_at = time.monotonic() + SAY_EVERY_S
    faulty: list[FaultyInput] = []
    named = {name: {"images": endpoint.images, "mask": endpoint.mask} for name, endpoint in endpoints.items()}
    total = sum(staging_readings.input_links_count(staging, name, **named[name]) for name in endpoints)
    for endpoint in endpoints.values():
        reports: dict[str, LinkReport] = {}
        links = staging_readings.input_links(staging, endpoint.name, **named[endpoint.name])
        masked = staging_readings.has_linked_masks(staging, endpoint.name, endpoint.mask)
        async for report in look_at(links, allow_private=allow_private, network=network):
            looked_at += 1
            if time.monotonic() >= says_at:
                says_at = time.monotonic() + SAY_EVERY_S
                say(f"inputs: {looked_at:,} of {total:,} links looked at")
            # Sound links are remembered only where they matter again: with a mask, or with an end.
            if report.fault or report.expires_at or masked:
                reports[report.link] = report
        faulty += _faulty(staging, endpoint, reports, duration_s)
    return InputCheck(looked_at, tuple(faulty))


def _faulty(
    staging: Staging, endpoint: Endpoint, reports: dict[str, LinkReport], duration_s: float
) -> Iterator[FaultyInput]:
    now = datetime.now(UTC)
    for request in staging_readings.inputs_of_requests(
        staging, endpoint.name, images=endpoint.images, mask=endpoint.mask
    ):
        turn = now + timedelta(seconds=duration_s * request.turn)
        named = [*request.images, request.mask]
        names = [reports[link] for link in named if link in reports]
        faults = [fault for report in names if (fault := _fault(report, turn)) is not None]
        if request.mask in reports and not faults:
            faults += _mask_faults(reports[request.mask], reports.get(named[0] or ""))
        if faults:
            yield FaultyInput(request.job_id, request.fingerprint, faults[0])


def _fault(report: LinkReport, turn: datetime) -> str | None:
    link = printable(report.link.partition("?")[0], limit=120)
    if report.fault:
        return f"{link} {report.fault}"
    if report.expires_at is not None and report.expires_at < turn:
        return f"{link} is signed until {report.expires_at:%Y-%m-%d %H:%M} UTC; its turn is about {turn:%H:%M} UTC"
    return None


def _mask_faults(mask: LinkReport, first: LinkReport | None) -> Iterator[str]:
    if not mask.has_alpha:
        yield "the mask has no alpha channel, which marks the area to edit"
    if first is not None and first.width and (first.width, first.height) != (mask.width, mask.height):
        yield (
            f"the mask has {mask.width}×{mask.height} pixels, the first image {first.width}×{first.height};"
            " they must be alike"
        )
