"""What every group of settings is: frozen, and without names that it doesn't know."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A group of settings, such as `api`."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)
