"""How long an endpoint is served, and what takes its place: data, as all else that is known of a model."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from batch_editor.errors import ConfigError

# The day that counts as today, to see beforehand what a retirement changes.
TODAY = "BATCH_EDITOR_TODAY"
# From so many days before its retirement on an endpoint is warned of.
WARN_DAYS = 30


class Mapped(BaseModel):
    """What a parameter is called at the successor, and which of its values stand for others there.

    Values that aren't named stay as they are (`tiers: name`), or become the one whose price is nearest (`price`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = None
    values: dict[str, str] = Field(default_factory=dict)
    tiers: Literal["name", "price"] = "name"


class Successor(BaseModel):
    """The endpoint that takes a retired one's place, and what becomes of the parameters there.

    One that `map` doesn't name keeps its name, or else goes to the one of its role; its values stay where the successor
    has them. null says that it has no place.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: str
    map: dict[str, Mapped | None] = Field(default_factory=dict)


def today() -> date:
    """The day by UTC; the environment may say another one.

    Raises:
        ConfigError: what the environment says is no date.
    """
    given = os.environ.get(TODAY)
    if not given:
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise ConfigError(f"environment: {TODAY} is {given[:60]!r}; expected a date such as 2026-12-01") from None
