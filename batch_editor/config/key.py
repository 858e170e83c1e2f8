"""The API key: from the environment or a file of its own, never from a flag, a manifest or the config's text."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pydantic import SecretStr

from batch_editor.config.key_text import NoKey, decode_key, key_of
from batch_editor.config.settings import ApiSettings
from batch_editor.errors import ConfigError
from batch_editor.files import NotThere, find_file

# A file of keys for many services has a few thousand; a larger one is something else.
_MOST_BYTES = 2**16


def api_key(api: ApiSettings) -> SecretStr:
    """The API key, from the file that `api.key_file` names or from the environment.

    Raises:
        ConfigError: there is none, it can't be read, or others can read its file.
    """
    if api.key_file is not None:
        return SecretStr(_key_from(api.key_file, api.key_env))
    text = os.environ.get(api.key_env, "")
    if not text.strip():
        raise ConfigError(
            f"no API key: set {api.key_env} in the environment, or api.key_file in the config to a file that holds it; "
            "to try without one, add --sandbox"
        )
    return SecretStr(_checked(text, api.key_env, f"the environment's {api.key_env}"))


def _key_from(path: Path, name: str) -> str:
    try:
        path = find_file(str(path.expanduser()), Path())
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ConfigError(f"api.key_file {path}: is a folder; expected a file that holds the API key")
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except NotThere as error:
        raise ConfigError(f"api.key_file {path}: there is no such file{error.hint}") from error
    except (OSError, RuntimeError) as error:  # the last of a user without a home
        raise ConfigError(f"api.key_file {path}: can't be read ({error})") from error
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"api.key_file {path}: others can read it; run: chmod 600 {path}")
    if len(data) > _MOST_BYTES:
        raise ConfigError(f"api.key_file {path}: has more than {_MOST_BYTES:,} bytes; expected the API key alone")
    try:
        text = decode_key(data)
    except NoKey as error:
        raise ConfigError(f"api.key_file {path}: {error}") from None
    return _checked(text, name, f"api.key_file {path}")


def _checked(text: str, name: str, where: str) -> str:
    try:
        return key_of(text, name)
    except NoKey as error:
        raise ConfigError(f"{where}: {error}") from None
