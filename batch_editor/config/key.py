"""The API keys: from the environment or files of their own, never from a flag, a manifest or the config's text."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from batch_editor.config.key_text import NoKey, decode_key, key_of
from batch_editor.config.settings import ApiSettings, Settings
from batch_editor.endpoints import SEGMIND
from batch_editor.errors import ConfigError
from batch_editor.files import NotThere, find_file

# A file of keys for many services has a few thousand; a larger one is something else.
_MOST_BYTES = 2**16


@dataclass(frozen=True, slots=True)
class Keys:
    """The API keys of providers, by name; of those that have none, why."""

    found: Mapping[str, SecretStr]
    missing: Mapping[str, str]

    def of(self, provider: str) -> SecretStr:
        """The provider's key.

        Raises:
            ConfigError: it has none.
        """
        if provider not in self.found:
            raise ConfigError(self.missing[provider])
        return self.found[provider]


def read_keys(settings: Settings, *, api: SecretStr | None = None) -> Keys:
    """The keys of all providers that are shipped or set. `api`: that of `api`, where it is known already. Blocks."""
    found: dict[str, SecretStr] = {} if api is None else {SEGMIND: api}
    missing: dict[str, str] = {}
    for name in settings.provider_names:
        if name in found:
            continue
        try:
            found[name] = api_key(settings.provider(name).api, provider=name)
        except ConfigError as error:
            missing[name] = str(error)
    return Keys(found, missing)


def api_key(api: ApiSettings, *, provider: str = SEGMIND) -> SecretStr:
    """The API key, from the file that `api.key_file` names or from the environment.

    Raises:
        ConfigError: there is none, it can't be read, or others can read its file.
    """
    setting = "api.key_file" if provider == SEGMIND else f"providers.{provider}.key_file"
    if api.key_file is not None:
        return SecretStr(_key_from(api.key_file, setting, api.key_env, provider))
    text = os.environ.get(api.key_env, "")
    if not text.strip():
        raise ConfigError(
            f"no API key: set {api.key_env} in the environment, or {setting} in the config to a file that holds it; "
            "to try without one: run --sandbox"
        )
    return SecretStr(_checked(text, api.key_env, provider, f"the environment's {api.key_env}"))


def _key_from(path: Path, setting: str, name: str, provider: str) -> str:
    try:
        path = find_file(str(path.expanduser()), Path())
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ConfigError(f"{setting} {path}: is a folder; expected a file that holds the API key")
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except NotThere as error:
        raise ConfigError(f"{setting} {path}: there is no such file{error.hint}") from error
    except (OSError, RuntimeError) as error:  # the last of a user without a home
        raise ConfigError(f"{setting} {path}: can't be read ({error})") from error
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"{setting} {path}: others can read it; run: chmod 600 {path}")
    if len(data) > _MOST_BYTES:
        raise ConfigError(f"{setting} {path}: has more than {_MOST_BYTES:,} bytes; expected the API key alone")
    try:
        text = decode_key(data)
    except NoKey as error:
        raise ConfigError(f"{setting} {path}: {error}") from None
    return _checked(text, name, provider, f"{setting} {path}")


def _checked(text: str, name: str, provider: str, where: str) -> str:
    try:
        return key_of(text, name, provider)
    except NoKey as error:
        raise ConfigError(f"{where}: {error}") from None
