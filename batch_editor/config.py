"""Settings: what they are, their defaults and units, and where they come from.

Flags win over the environment (`BATCH_EDITOR_RETRY__MAX_ATTEMPTS`), the environment over the config file, the file
over the defaults.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from batch_editor.deadline import deadline_at
from batch_editor.endpoints import PriceTable
from batch_editor.errors import ConfigError, did_you_mean
from batch_editor.records import Rate
from batch_editor.strict_yaml import Block, Text, Value, YamlFault, read_yaml

ENV_PREFIX = "BATCH_EDITOR_"
DEFAULT_FILE = Path("config.yaml")
DEFAULT_BASE_URL = "https://api.segmind.com/v1"
DEFAULT_UPLOAD_URL = "https://workflows-api.segmind.com/upload-asset"


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected an http(s) URL")
    if parts.username or parts.password:
        raise ValueError("expected a URL without a user name; the key goes into the environment")
    return text.rstrip("/")


def _rate(text: str) -> str:
    return str(Rate.parse(text))


def _deadline(text: str) -> str:
    deadline_at(text, datetime.now())
    return text


def _max_failures(text: str) -> str:
    share = re.fullmatch(r"(\d+(?:\.\d+)?)%", text, re.ASCII)
    if share and 0 < float(share[1]) <= 100:
        return text
    if re.fullmatch(r"[1-9]\d*", text, re.ASCII):
        return text
    raise ValueError("expected a count above zero, or a share such as 20%")


Url = Annotated[str, AfterValidator(_url)]
Usd = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class ApiSettings(_Part):
    """Where the provider is and how long to wait for it."""

    base_url: Url = DEFAULT_BASE_URL
    key_env: str = "SEGMIND_API_KEY"
    key_file: Path | None = None
    timeout_s: Seconds = 300.0
    connect_timeout_s: Seconds = 10.0
    upload_url: Url | None = None

    @property
    def uploads_to(self) -> str:
        """Where local files are uploaded: as set, else beside the API.

        A base URL of one's own without an upload URL means another host is meant; the key must not go to the
        provider's.
        """
        if self.upload_url:
            return self.upload_url
        if self.base_url == DEFAULT_BASE_URL:
            return DEFAULT_UPLOAD_URL
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}/upload-asset"


class InputSettings(_Part):
    """What becomes of local files that a manifest names."""

    local_files: Literal["upload", "inline"] = "upload"
    allow_private_links: bool = False


class RetrySettings(_Part):
    """What is tried again, how often and how patiently."""

    max_attempts: int = Field(default=5, ge=1)
    statuses: frozenset[Annotated[int, Field(ge=400, le=599)]] = frozenset({408, 429, 502, 503, 504})
    max_possibly_billed: int = Field(default=2, ge=1)
    backoff_s: Seconds = 1.0
    backoff_max_s: Seconds = 60.0
    retry_after_max_s: Seconds = 600.0


class BudgetSettings(_Part):
    """What may be spent. The limits per day and month need `ledger`, the file that runs share."""

    max_cost_usd: Usd | None = None
    per_day_usd: Usd | None = None
    per_month_usd: Usd | None = None
    ledger: Path | None = None
    confirm_above_usd: float = Field(default=10.0, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _limits_have_a_ledger(self) -> BudgetSettings:
        if (self.per_day_usd is not None or self.per_month_usd is not None) and self.ledger is None:
            raise ValueError("per_day_usd and per_month_usd need budget.ledger, a file that the runs share")
        return self


class OutputSettings(_Part):
    """Where results go."""

    directory: Path = Path("outputs")


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
    inputs: InputSettings = InputSettings()
    endpoint: str = "gpt-image-1.5-edit"
    concurrency: int = Field(default=64, ge=1, le=20_000)
    rate_limit: Annotated[str, AfterValidator(_rate)] = "60/min"
    retry: RetrySettings = RetrySettings()
    budget: BudgetSettings = BudgetSettings()
    deadline: Annotated[str, AfterValidator(_deadline)] | None = None
    max_failures: Annotated[str, AfterValidator(_max_failures)] | None = None
    outputs: OutputSettings = OutputSettings()
    pricing: PricingSettings = PricingSettings()

    @property
    def rate(self) -> Rate:
        """The rate limit as a record."""
        return Rate.parse(self.rate_limit)


def load_settings(
    file: Path | None = None,
    *,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """Settings from flags, the environment, and `file` (default: `config.yaml` if there is one).

    `flags` are nested by setting: `{"retry": {"max_attempts": 3}}`.

    Raises:
        ConfigError: every fault in one message, each with where it was found.
    """
    if file is None and DEFAULT_FILE.is_file():
        file = DEFAULT_FILE
    values = _read(file) if file else Block()
    given = _without_none(flags or {})

    class Loaded(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (
                init_settings,
                env_settings,
                InitSettingsSource(settings_cls, init_kwargs=_without_none(values)),
            )

    faults = [*_unknown_env()]
    try:
        settings = Loaded(**given)
    except ValidationError as error:
        faults += [_fault(fault["loc"], fault["msg"], file, values, given) for fault in error.errors()]
    except ValueError as error:  # an environment variable that should hold JSON and doesn't
        faults.append(f"environment: {error}")
    if faults:
        raise ConfigError("\n".join(faults))
    return settings


def api_key(api: ApiSettings) -> SecretStr:
    """The API key, from the file that `api.key_file` names or from the environment.

    Raises:
        ConfigError: there is none, it can't be read, or others can read its file.
    """
    if api.key_file is not None:
        return SecretStr(_key_from(api.key_file.expanduser()))
    key = os.environ.get(api.key_env, "").strip()
    if not key:
        raise ConfigError(
            f"no API key: set {api.key_env} in the environment, or api.key_file in the config to a file that holds it; "
            "to try without one, add --sandbox"
        )
    return SecretStr(_checked_key(key, f"the environment's {api.key_env}"))


def _key_from(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"api.key_file {path}: can't be read ({error})") from error
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"api.key_file {path}: others can read it; run: chmod 600 {path}")
    if not key:
        raise ConfigError(f"api.key_file {path}: is empty; expected the API key")
    return _checked_key(key, f"api.key_file {path}")


def _checked_key(key: str, where: str) -> str:
    # It travels in a header: anything else would be refused by the HTTP library, with the key in its message.
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigError(f"{where}: holds something other than an API key (white space or control characters)")
    return key


def _read(file: Path) -> Block:
    try:
        value = read_yaml(file)
    except YamlFault as fault:
        raise ConfigError(f"{file}:{fault.line}: {fault}") from fault
    except OSError as error:
        raise ConfigError(f"{file}: can't be read ({error.strerror})") from error
    if value is None:
        return Block()
    if not isinstance(value, Block):
        raise ConfigError(f"{file}: not a config; expected settings such as `concurrency: 64`")
    return value


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are given: null stands for the default."""
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if value is not None
    }


def _fault(loc: tuple[int | str, ...], message: str, file: Path | None, values: Block, flags: Mapping[str, Any]) -> str:
    """One fault, with the place that the value came from."""
    name = ".".join(str(part) for part in loc if not str(part).startswith(("function-", "constrained-")))
    path = name.split(".")
    message = message.removeprefix("Value error, ")
    given = _found(flags, path)
    if given is not None:
        where = "command line"
    elif f"{ENV_PREFIX}{'__'.join(path).upper()}" in os.environ:
        where, given = f"environment: {ENV_PREFIX}{'__'.join(path).upper()}", None
        return f"{where}: {message}"
    else:
        given = _found(values, path)
        line = _line(values, path)
        where = f"{file}:{line}" if line else str(file or "config")
    if message == "Extra inputs are not permitted":
        return f"{where}: {name} is no setting{did_you_mean(path[-1], _names_beside(path))}"
    shown = f" is {str(given)[:60]!r};" if isinstance(given, (str, int, float)) else ":"
    return f"{where}: {name}{shown} {message[:1].lower()}{message[1:]}"


def _found(values: Mapping[str, Any], path: list[str]) -> Any:
    value: Any = values
    for part in path:
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def _line(values: Block, path: list[str]) -> int | None:
    value: Value = values
    line = None
    for part in path:
        if not isinstance(value, Block) or part not in value:
            break
        value = value[part]
        if isinstance(value, (Text, Block)):
            line = value.line
    return line


def _names_beside(path: list[str]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in path[:-1]:
        field = model.model_fields.get(part)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return []
        model = field.annotation
    return list(model.model_fields)


def setting_names(model: type[BaseModel] = Settings) -> Iterator[str]:
    """Every setting by its dotted name, in order."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from (f"{name}.{inner}" for inner in setting_names(field.annotation))
        else:
            yield name


def _unknown_env() -> Iterator[str]:
    """Variables with our prefix that name no setting: a typo would otherwise be a setting silently ignored."""
    leaves = {ENV_PREFIX + name.replace(".", "__").upper() for name in setting_names()}
    parts = {ENV_PREFIX + name.partition(".")[0].upper() for name in setting_names()}
    for name in sorted(os.environ):
        known = name.upper() in leaves | parts or name.upper().startswith(f"{ENV_PREFIX}PRICING__TABLE__")
        if name.startswith(ENV_PREFIX) and not known:
            yield f"environment: {name} is no setting{did_you_mean(name, sorted(n.lower() for n in leaves))}"
