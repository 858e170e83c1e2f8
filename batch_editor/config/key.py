"""The API key: from the environment or a file of its own, never from a flag, a manifest or the config's text."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pydantic import SecretStr

from batch_editor.config.settings import ApiSettings
from batch_editor.errors import ConfigError


def api_key(api: ApiSettings) -> SecretStr:
    """The API key, from the file that `api.key_file` names or from the environment.

    Raises:
        ConfigError: there is none, it can't be read, or others can read its file.
    """
    if api.key_file is not None:
        return SecretStr(_key_from(api.key_file))
    key = os.environ.get(api.key_env, "").strip()
    if not key:
        raise ConfigError(
            f"no API key: set {api.key_env} in the environment, or api.key_file in the config to a file that holds it; "
            "to try without one, add --sandbox"
        )
    return SecretStr(_checked_key(key, f"the environment's {api.key_env}"))


def _key_from(path: Path) -> str:
    try:
        path = path.expanduser()
        mode = path.stat().st_mode
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError, RuntimeError) as error:  # the last of a user without a home
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
