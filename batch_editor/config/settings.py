"""Every setting: its type, its default and its unit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    PrivateAttr,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    SettingsConfigDict,
)

from batch_editor.config.deadline import deadline_at
from batch_editor.config.notifying import MetricsSettings, NotifySettings
from batch_editor.config.part import Part as _Part
from batch_editor.config.parts import part_of_failures, part_of_rate, part_of_usd
from batch_editor.config.provider import Provider
from batch_editor.config.values import (
    BucketAddress,
    CountOrShare,
    Deadline,
    Finish,
    PublicUrl,
    RateLimit,
    RunOn,
    Seconds,
    SharedLedger,
    Url,
    Usd,
)
from batch_editor.endpoints import SEGMIND, PriceTable, ProviderData, load_endpoint, shipped_providers, today
from batch_editor.errors import ConfigError, did_you_mean
from batch_editor.postgres import DatabaseAddress
from batch_editor.records import Rate
from batch_editor.scheduling import RetryPolicy
from batch_editor.shard import Shard

ENV_PREFIX = "BATCH_EDITOR_"
# What is used where nobody names an endpoint, until it is retired.
DEFAULT_ENDPOINT = "gpt-image-1.5-edit"
DEFAULT_BASE_URL = "https://api.segmind.com/v1"
DEFAULT_V2_URL = "https://api.segmind.com/v2"
DEFAULT_HISTORY_URL = "https://api.spotprod.segmind.com/inference-request/request-history"
DEFAULT_UPLOAD_URL = "https://workflows-api.segmind.com/upload-asset"


def default_endpoint() -> str:
    """The name of the endpoint that is used where nobody names one: that of a retired one's successor.

    Raises:
        ConfigError: what the environment gives as today is no date.
    """
    default = load_endpoint(DEFAULT_ENDPOINT)
    if default.successor is None or not default.is_retired(today()):
        return DEFAULT_ENDPOINT
    return default.successor.endpoint


class ApiSettings(_Part):
    """Where the provider is and how long to wait for it."""

    base_url: Url = DEFAULT_BASE_URL
    version: Literal["v1", "v2"] = "v1"
    key_env: str = "SEGMIND_API_KEY"
    key_file: Path | None = None
    timeout_s: Seconds = 300.0
    connect_timeout_s: Seconds = 10.0
    upload_url: Url | None = None
    history_url: Url | None = None

    @property
    def edits_at(self) -> str:
        """What endpoints' paths are appended to."""
        return self.v2_url if self.version == "v2" else self.base_url

    @property
    def v2_url(self) -> str:
        """Where v2 is: in the place of the base URL's version, or below a base URL without one."""
        return f"{re.sub(r'/v[0-9]+$', '', self.base_url)}/v2"

    @property
    def uploads_to(self) -> str:
        """Where local files are uploaded: as set, else beside the API.

        A base URL of one's own without an upload URL means another host is meant; the key must not go to the
        provider's.
        """
        return self.upload_url or self._beside(DEFAULT_UPLOAD_URL)

    @property
    def history_at(self) -> str:
        """Where the account's requests are listed: as set, else as `uploads_to`."""
        return self.history_url or self._beside(DEFAULT_HISTORY_URL)

    def _beside(self, default: str) -> str:
        if self.v2_url == DEFAULT_V2_URL:
            return default
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}{urlsplit(default).path}"


class ProviderSettings(_Part):
    """Where another provider than `api` is, and how much it may be asked; null: as it is shipped."""

    base_url: Url | None = None
    key_env: str | None = None
    key_file: Path | None = None
    rate_limit: RateLimit | None = None
    concurrency: int | None = Field(default=None, ge=1, le=20_000)


def _not_segmind(providers: dict[str, ProviderSettings]) -> dict[str, ProviderSettings]:
    if SEGMIND in providers:
        raise ValueError(f"{SEGMIND} is set by api, rate_limit and concurrency")
    return providers


class InputSettings(_Part):
    """What becomes of local files and links that a manifest names."""

    local_files: Literal["upload", "inline"] = "upload"
    track: Literal["none", "etag", "content"] = "none"
    allow_private_links: bool = False


class RowSettings(_Part):
    """What becomes of rows of a table that can't be read or sent."""

    faulty: Literal["refuse", "skip"] = "refuse"


class RetrySettings(_Part):
    """What is tried again, how often, and after which pauses."""

    max_attempts: int = Field(default=5, ge=1)
    statuses: frozenset[Annotated[int, Field(ge=400, le=599)]] = frozenset({408, 429, 502, 503, 504})
    max_possibly_billed: int = Field(default=3, ge=1)
    backoff_s: Seconds = 1.0
    backoff_max_s: Seconds = 60.0
    retry_after_max_s: Seconds = 600.0
    give_up_s: Seconds = 1800.0
    unknown: Literal["resend", "hold"] = "resend"
    bad_response: bool = False

    @property
    def policy(self) -> RetryPolicy:
        """What decides whether a failed attempt is made again."""
        return RetryPolicy(**{each.name: getattr(self, each.name) for each in fields(RetryPolicy)})


class BudgetSettings(_Part):
    """What may be spent. The limits per day and month need `ledger`, the file or database that runs share."""

    max_cost_usd: Usd | None = None
    per_day_usd: Usd | None = None
    per_month_usd: Usd | None = None
    ledger: SharedLedger | None = None
    confirm_above_usd: float = Field(default=10.0, ge=0, allow_inf_nan=False)

    @property
    def shared_over_machines(self) -> bool:
        """Whether `ledger` is a database, by which processes on any machine share it, and the turns of the rate."""
        return isinstance(self.ledger, DatabaseAddress)

    @model_validator(mode="after")
    def _limits_have_a_ledger(self) -> BudgetSettings:
        if (self.per_day_usd is not None or self.per_month_usd is not None) and self.ledger is None:
            raise ValueError("per_day_usd and per_month_usd need budget.ledger, which the runs share")
        return self


class RedoSettings(_Part):
    """What is made again though it is done."""

    endpoint: bool = False


class OutputSettings(_Part):
    """Where results go."""

    directory: Path = Path("outputs")
    images: BucketAddress | None = None
    public_url: PublicUrl | None = None
    wait_s: Seconds = 600.0


class RunSettings(_Part):
    """How a run does its own part of the work."""

    on: RunOn = "local"


class PricingSettings(_Part):
    """The price list, where the endpoint's own doesn't fit the account."""

    factor: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    table: PriceTable | None = None


class Settings(BaseSettings):
    """Every setting. `load_settings` reads them; the constructor reads the environment as well."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        coerce_numbers_to_str=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
    )

    api: ApiSettings = ApiSettings()
    providers: Annotated[dict[str, ProviderSettings], AfterValidator(_not_segmind)] = Field(default_factory=dict)
    inputs: InputSettings = InputSettings()
    endpoint: str = Field(default_factory=default_endpoint)
    rows: RowSettings = RowSettings()
    concurrency: int = Field(default=64, ge=1, le=20_000)
    rate_limit: RateLimit = "60/min"
    redo: RedoSettings = RedoSettings()
    retry: RetrySettings = RetrySettings()
    budget: BudgetSettings = BudgetSettings()
    deadline: Deadline | None = None
    max_failures: CountOrShare | None = None
    checks: Literal["header", "full"] = "header"
    finish: Finish | None = None
    outputs: OutputSettings = OutputSettings()
    notify: NotifySettings = NotifySettings()
    metrics: MetricsSettings = MetricsSettings()
    pricing: PricingSettings = PricingSettings()
    run: RunSettings = RunSettings()

    # A time of day means its next one when the settings are read, and not a day later because a question before the
    # run was answered after it.
    _read_at: datetime = PrivateAttr(default_factory=datetime.now)
    # Of every provider, in place of its own, see `everywhere_at`.
    _base_url: str | None = PrivateAttr(default=None)
    # Whose part of each rate counts, see `for_shard`; None: all of it.
    _rate_of: Shard | None = PrivateAttr(default=None)

    @property
    def rate(self) -> Rate:
        """The rate limit as a record."""
        return self.provider(SEGMIND).rate

    def everywhere_at(self, base_url: str, *, upload_url: str | None = None) -> Self:
        """The same settings, with every provider at that base URL, whatever is set or shipped."""
        api = self.api.model_copy(update={"base_url": base_url, "upload_url": upload_url or self.api.upload_url})
        settings = self.model_copy(update={"api": api})
        settings._base_url = base_url
        return settings

    def for_shard(self, shard: Shard | None) -> Self:
        """The same settings with a shard's part of each limit, so that those of all shards keep within it together.

        That is `budget.max_cost_usd`, and `max_failures` where it is a count; and, unless `budget.ledger` is a database
        that the shards share, `budget.per_day_usd`, `budget.per_month_usd` and every provider's rate.

        Raises:
            ConfigError: one has no part for each shard.
        """
        if shard is None:
            return self
        alone, budget = not self.budget.shared_over_machines, self.budget
        names = ("max_cost_usd", *(("per_day_usd", "per_month_usd") if alone else ()))
        parts = {name: part_of_usd(shard, getattr(budget, name)) for name in names}
        failures = part_of_failures(shard, self.max_failures)
        settings = self.model_copy(update={"budget": budget.model_copy(update=parts), "max_failures": failures})
        settings._rate_of = shard if alone else None
        return settings

    @property
    def provider_names(self) -> tuple[str, ...]:
        """The providers that are shipped or set, that of `api` first."""
        return tuple(dict.fromkeys((SEGMIND, *shipped_providers(), *self.providers)))

    def provider(self, name: str) -> Provider:
        """The provider of that name: what is set of it, else what is shipped.

        Raises:
            ConfigError: nothing is shipped of it, and the settings don't say where it is or which key it takes.
        """
        if name == SEGMIND:
            return self._provider(name, self.api, self.rate_limit, self.concurrency)
        given, shipped = self.providers.get(name, ProviderSettings()), shipped_providers().get(name, _UNKNOWN)
        base_url, key_env = self._base_url or given.base_url or shipped.base_url, given.key_env or shipped.key_env
        if not base_url or not (key_env or given.key_file):
            hint = did_you_mean(name, [each for each in self.provider_names if each != name])
            wanted = f"providers.{name}.{'key_env' if base_url else 'base_url'}"
            raise ConfigError(f"provider {name!r} is unknown{hint}; expected {wanted} in the config")
        api = ApiSettings(
            base_url=base_url,
            key_env=key_env,
            key_file=given.key_file,
            timeout_s=self.api.timeout_s,
            connect_timeout_s=self.api.connect_timeout_s,
        )
        return self._provider(
            name, api, given.rate_limit or shipped.rate_limit, given.concurrency or shipped.concurrency
        )

    def _provider(self, name: str, api: ApiSettings, rate_limit: str, concurrency: int) -> Provider:
        whole = rate = Rate.parse(rate_limit)
        if self._rate_of is not None:
            setting = "rate_limit" if name == SEGMIND else f"providers.{name}.rate_limit"
            rate = part_of_rate(self._rate_of, rate_limit, setting)
        return Provider(name, api, rate, concurrency, whole)

    @property
    def ends_at(self) -> datetime | None:
        """The instant of the deadline, by this machine's clock and zone; it stays the same however late it is."""
        return None if self.deadline is None else deadline_at(self.deadline, self._read_at)


# A provider that nothing is shipped of has the rate and concurrency that `api` has by default.
_UNKNOWN = ProviderData(
    base_url="",
    key_env="",
    rate_limit=Settings.model_fields["rate_limit"].default,
    concurrency=Settings.model_fields["concurrency"].default,
)


def setting_names(model: type[BaseModel] = Settings) -> Iterator[str]:
    """Every setting by its dotted name, in order; NAME stands for that of any provider."""
    for name, field in model.model_fields.items():
        if name == "providers":
            yield from (f"{name}.NAME.{inner}" for inner in setting_names(ProviderSettings))
            continue
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from (f"{name}.{inner}" for inner in setting_names(field.annotation))
        else:
            yield name
