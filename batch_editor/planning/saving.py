"""From a plan to the file that people approve."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from batch_editor.endpoints import Endpoint
from batch_editor.ledger import Staging, staging_readings
from batch_editor.ledger.staging_readings import StagedRequest
from batch_editor.links.signed import unsigned
from batch_editor.money import Price
from batch_editor.planning.catalog import Catalog
from batch_editor.planning.costly import costly_endpoints, costly_settings
from batch_editor.planning.plan_file import PlanFile, PlannedRequest, SavedPlan, short_hash
from batch_editor.planning.planned import Planned
from batch_editor.records import known_by
from batch_editor.text import redact

# Of USD: far below a cent, and no less than a sum of binary fractions is off.
_DIGITS = 9


@dataclass(frozen=True, slots=True)
class SaveTo:
    """Where a plan is to be saved, and who approves it already, if anybody."""

    path: Path
    approved_by: str | None = None


def save_plan(planned: Planned, to: SaveTo, *, now: float) -> SavedPlan:
    """Write the requests of a plan, and what they may cost, where `to` says. Each saved plan has its own id. Blocks.

    Raises:
        StorageError: the file can't be written.
    """
    plan, catalog, settings = planned.plan, planned.catalog, planned.settings
    requests = list(planned_requests(planned.staging, catalog))
    limit = settings.budget.max_cost_usd
    cost = Price(*(round(usd, _DIGITS) for usd in (plan.cost.min_usd, plan.cost.expected_usd, plan.cost.max_usd)))
    found = PlanFile(
        plan_id=time.strftime("%Y%m%dT%H%M%S", time.gmtime(now)) + f"-{uuid.uuid4().hex[:6]}",
        made_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        made_by=f"batch-editor {version('batch_editor')}",
        manifests=[str(path) for path in planned.manifests],
        counts={"jobs": plan.jobs, "requests": plan.requests, "reused": plan.reused, "done": plan.done},
        cost=cost,
        amount_usd=cost.max_usd if limit is None else min(cost.max_usd, limit),
        groups=plan.as_json()["groups"],
        settings=costly_settings(settings, planned.redo, planned.selection.shard),
        endpoints=costly_endpoints(sorted({each.endpoint for each in requests}), catalog, settings),
        requests=requests,
        approved_by=to.approved_by,
    )
    found.write(to.path)
    is_comparison = bool(planned.selection.over)
    return SavedPlan(to.path, found.plan_id, found.amount_usd, found.approved_by, is_comparison)


def planned_requests(staging: Staging, catalog: Catalog) -> Iterator[PlannedRequest]:
    """Every request to send as a plan's file has it, in manifest order; drawn as they are needed."""
    for each in staging_readings.requests_to_send(staging):
        yield _planned(each, catalog.sendable[each.endpoint])


def _planned(each: StagedRequest, endpoint: Endpoint) -> PlannedRequest:
    inputs = endpoint.shape.inputs
    prompt = each.params.get(endpoint.prompt) if endpoint.prompt else None
    pictures: dict[str, Any] = {name: known_by(each.params.get(name)) for name in inputs}
    if each.identity is not None:
        pictures = {"identity": each.identity, "pictures": endpoint.inputs_of(each.params)}
    return PlannedRequest(
        each.fingerprint,
        [redact(unsigned(job_id)) for job_id in each.job_ids],
        each.endpoint,
        round(each.list_usd, _DIGITS),
        short_hash(prompt),
        short_hash(pictures),
        {name: _shown(value) for name, value in each.params.items() if name != endpoint.prompt and name not in inputs},
        each.redo,
        None if each.contents is None else short_hash(each.contents),
    )


def _shown(value: Any) -> Any:
    """A parameter's value without keys and access tokens."""
    return _shown_text(value) if isinstance(value, str) else known_by(value)


@lru_cache(maxsize=1_000)
def _shown_text(value: str) -> str:
    """Most requests have the same few values: without this they took a third of the time that a plan's file takes."""
    return redact(str(known_by(value)))
