"""What is shipped of the providers: where each one is, which key it takes, and how much it may be asked."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources

from pydantic import BaseModel, ConfigDict, Field

from batch_editor.strict_yaml import parse_yaml

# The provider of an endpoint whose file names none; the settings `api` are its own.
SEGMIND = "segmind"
PROVIDERS = "_providers.yaml"


class ProviderData(BaseModel):
    """One provider, as it is shipped."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: str
    key_env: str
    rate_limit: str
    concurrency: int = Field(ge=1)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    providers: dict[str, ProviderData]


@cache
def shipped_providers() -> Mapping[str, ProviderData]:
    """The providers whose endpoints come with the package, by name."""
    data = resources.files(__package__).joinpath(PROVIDERS).read_bytes()
    return _File.model_validate(parse_yaml(data)).providers
