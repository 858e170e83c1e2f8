"""What, besides its requests, can make a run more expensive: settings, and where requests go at which prices."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from batch_editor.config import Settings, setting_names
from batch_editor.endpoints import Endpoint
from batch_editor.planning.catalog import Catalog
from batch_editor.postgres import DatabaseAddress
from batch_editor.records import Redo
from batch_editor.shard import WHOLE, Shard

# Settings that can't: what limits a run, how fast and where it works, who is notified. Or that show in the requests, or
# in what is noted of endpoints. A setting that nobody has put here counts: so a new one isn't forgotten.
HARMLESS = (
    *("api.base_url", "api.key_env", "api.key_file", "api.connect_timeout_s", "api.upload_url", "api.history_url"),
    *("providers", "inputs.local_files", "inputs.allow_private_links", "endpoint", "rows", "concurrency", "rate_limit"),
    *("budget.max_cost_usd", "budget.per_day_usd", "budget.per_month_usd", "budget.confirm_above_usd"),
    *("deadline", "max_failures", "finish", "outputs", "notify", "metrics", "run", "redo"),
)

SHARD = "shard"

# Of a price list: what is said of it, and changes no price.
_SAID_OF_PRICES = {"as_of", "source", "maker"}
# Of an endpoint: its name, what shows in the requests or keeps some from being sent, what is noted under another name,
# and words for people. A field that nobody has put here counts: by `errors`, for instance, it is known what may have
# been billed.
_HARMLESS_OF_ENDPOINTS: dict[str, Any] = {
    **dict.fromkeys(("name", "title", "latency_s", "retires", "successor", "parameters", "rules", "unused"), True),
    **dict.fromkeys(("path", "prices", "usage"), True),
    "errors": {"__all__": {"meaning"}},
    "error_words": {"__all__": {"meaning"}},
}


def costly_settings(settings: Settings, redo: Collection[Redo], shard: Shard | None) -> dict[str, Any]:
    """The settings that can make a run more expensive, by their dotted names, as JSON.

    `redo` has what is made again, `--redo` and `redo.endpoint` together. `budget.ledger` is among them for the amount
    that was approved is counted there: elsewhere it would be counted anew. So is the shard that the run does: each
    shard could count it for itself.
    """
    names = [name for name in setting_names() if not any(f"{name}.".startswith(f"{each}.") for each in HARMLESS)]
    found = {name: _as_json(_value(settings, name)) for name in names}
    again = {*redo, "endpoint"} if settings.redo.endpoint else set(redo)
    return {**found, "redo": sorted(again), SHARD: None if shard in (None, WHOLE) else str(shard)}


def costly_endpoints(names: Iterable[str], catalog: Catalog, settings: Settings) -> dict[str, Any]:
    """Where and how requests to these endpoints are sent, at which prices, and what may have been billed; as JSON."""
    return {name: _endpoint(catalog.sendable[name], catalog, settings) for name in names}


def _endpoint(endpoint: Endpoint, catalog: Catalog, settings: Settings) -> dict[str, Any]:
    base_url = settings.provider(endpoint.provider).api.edits_at
    return {
        **endpoint.model_dump(mode="json", exclude=_HARMLESS_OF_ENDPOINTS),
        "sends_to": f"{base_url}/{endpoint.path}",
        "price_list": catalog.prices(endpoint).model_dump(mode="json", exclude=_SAID_OF_PRICES),
        "token_prices": None if endpoint.usage is None else endpoint.usage.model_dump(mode="json"),
    }


def _value(settings: Settings, name: str) -> Any:
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _as_json(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, DatabaseAddress):
        return value.place
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, Path):
        return str(value.resolve())
    if isinstance(value, str) and "://" in value:
        return _without_password(value)
    return value


def _without_password(address: str) -> str:
    parts = urlsplit(address)
    user, at, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user.partition(':')[0]}{at}{host}").geturl()
