"""Where settings come from, and what to say of those that are wrong.

Flags win over the environment (`BATCH_EDITOR_RETRY__MAX_ATTEMPTS`), the environment over the config file, the file
over the defaults.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource

from batch_editor.config.notifying import NotifySettings
from batch_editor.config.settings import ENV_PREFIX, ProviderSettings, Settings, setting_names
from batch_editor.endpoints import TODAY
from batch_editor.errors import ConfigError, did_you_mean
from batch_editor.finishing import FinishFaults, read_finish
from batch_editor.strict_yaml import Block, Text, Value, YamlFault, parse_yaml, read_yaml
from batch_editor.text import quoted

DEFAULT_FILE = Path("config.yaml")

# What came out of a pipe, or what is wrong with it: it comes once, and a run reads its config twice.
_piped: dict[Path, Block | ConfigError] = {}

# Its lines, up to the next key that isn't indented.
_NOTIFY = re.compile(r"^notify:.*(?:\n(?:[ \t#].*)?)*", re.MULTILINE)


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
    file, values = _values(file)
    given = _without_none(flags or {})
    finish, faults = _finish(values, file)

    class Loaded(Settings):
        """The settings, from the sources of this call."""

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            """As pydantic-settings asks for the sources, the strongest first."""
            return (
                init_settings,
                env_settings,
                InitSettingsSource(settings_cls, init_kwargs=_without_none(values) | finish),
            )

    faults += _unknown_env()
    try:
        settings = Loaded(**given)
    except ValidationError as error:
        faults += [
            _fault(fault["loc"], _wanted(fault), file, values, given)
            for fault in error.errors()
            if not _is_told_of(fault, given, values)
        ]
    except ValueError as error:  # an environment variable that should hold JSON and doesn't
        named = re.search(r'"(\w+)"', str(error))
        faults.append(f"environment: {ENV_PREFIX}{named[1].upper() if named else ''}: expected JSON")
    if faults:
        raise ConfigError("\n".join(dict.fromkeys(faults)))
    return settings


def load_notify_settings(file: Path | None = None) -> NotifySettings:
    """Who is to be notified how a run ended, as far as that can be read from where `load_settings` reads.

    For runs that can't start: what is faulty here or elsewhere is left out, and never raised.
    """
    part = _notify_of(file)
    given: dict[str, Any] = dict(part) if isinstance(part, Mapping) else {}
    for name in NotifySettings.model_fields:
        text = os.environ.get(f"{ENV_PREFIX}NOTIFY__{name.upper()}")
        if text is not None:
            given[name] = _json(text)
    addresses = given.get("to")
    singles = [{"to": each} for each in (addresses if isinstance(addresses, list) else [addresses])]
    sound: dict[str, Any] = {}
    for single in [*singles, {"when": given.get("when")}, {"ping": given.get("ping")}]:
        with suppress(ValidationError):
            read = NotifySettings(**single).model_dump(exclude_unset=True)
            sound |= {"to": (*sound.get("to", ()), *read["to"])} if "to" in read else read
    return NotifySettings(**sound)


def _notify_of(file: Path | None) -> Value:
    """What the config says of `notify`, also where the rest of it is no YAML."""
    with suppress(ConfigError, OSError):
        return _values(file)[1].get("notify")
    file = file or DEFAULT_FILE
    if not file.is_file():  # or a pipe, which is empty by now
        return None
    try:
        found = _NOTIFY.search(file.read_text(encoding="utf-8", errors="replace"))
        alone = parse_yaml(found[0].encode()) if found else None
    except (OSError, YamlFault):
        return None
    return alone.get("notify") if isinstance(alone, Block) else None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _values(file: Path | None) -> tuple[Path | None, Block]:
    """The file that settings are read from, and what it says.

    Raises:
        ConfigError: it can't be read.
    """
    if file is None and DEFAULT_FILE.is_file():
        file = DEFAULT_FILE
    if file is None:
        return None, Block()
    return file, _read(file) if file.is_file() else _read_once(file)


def _read_once(file: Path) -> Block:
    if file not in _piped:
        try:
            _piped[file] = _read(file)
        except ConfigError as error:
            _piped[file] = error
    found = _piped[file]
    if isinstance(found, ConfigError):
        raise found
    return found


def _read(file: Path) -> Block:
    try:
        value = read_yaml(file)
    except YamlFault as fault:
        raise ConfigError("\n".join(f"{file}:{each.place}: {each}" for each in (fault, *fault.more))) from fault
    except OSError as error:
        raise ConfigError(f"{file}: can't be read ({error.strerror})") from error
    if value is None:
        return Block()
    if not isinstance(value, Block):
        raise ConfigError(f"{file}: not a config; expected settings such as `concurrency: 64`")
    return value


def _finish(values: Block, file: Path | None) -> tuple[dict[str, Any], list[str]]:
    """The file's rules for finished files, whose presets lie beside it, by the setting's name; and what is wrong."""
    value = values.get("finish")
    if value is None or file is None:
        return {}, []
    try:
        return {"finish": read_finish(value, beside=file.parent)}, []
    except FinishFaults as error:
        where = f"{file}:{_line(values, ['finish'])}"
        return {"finish": ()}, [f"{where}: {fault}" for fault in error.faults]


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are given: null stands for the default."""
    given = {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if value is not None
    }
    return {key: value for key, value in given.items() if value != {}}


def _fault(loc: tuple[int | str, ...], message: str, file: Path | None, values: Block, flags: Mapping[str, Any]) -> str:
    """One fault, with the place that the value came from."""
    name = ".".join(str(part) for part in loc if not str(part).startswith(("function-", "constrained-")))
    path = name.split(".")
    if path[:2] == ["pricing", "table"]:  # pydantic says for each shape of a table why it isn't that
        path, name, message = path[:2], "pricing.table", "expected USD, nested by the endpoint's priced parameters"
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
    # Addresses of webhooks are secrets: who knows one can write there. That of a database may have a password.
    is_secret = (path[0] == "notify" and path[-1] != "when") or path == ["budget", "ledger"]
    shown = f" is {quoted(str(given)[:60])};" if isinstance(given, (str, int, float)) and not is_secret else ":"
    return f"{where}: {name}{shown} {message[:1].lower()}{message[1:]}"


def _is_told_of(fault: ErrorDetails, flags: Mapping[str, Any], values: Block) -> bool:
    """Whether it is an unknown name that stands in the environment alone, see `_unknown_env`."""
    path = [str(part) for part in fault["loc"]]
    return fault["type"] == "extra_forbidden" and _found(flags, path) is None and _found(values, path) is None


# pydantic's messages in the words of the others: what was wanted.
_WANTED = {
    "int_parsing": "expected a whole number",
    "int_type": "expected a whole number",
    "float_type": "expected a number",
    "string_type": "expected text",
    "path_type": "expected a path",
    "frozen_set_type": "expected a list, such as [502, 504]",
    "model_type": "expected settings of its own",
    "int_from_float": "expected a whole number",
    "float_parsing": "expected a number",
    "string_unicode": "expected text in UTF-8",
    "bool_parsing": "expected true or false",
    "finite_number": "expected a finite number",
    "greater_than": "expected more than {gt:g}",
    "greater_than_equal": "expected at least {ge:g}",
    "less_than_equal": "expected at most {le:g}",
    "literal_error": "expected {expected}",
}


def _wanted(fault: ErrorDetails) -> str:
    wanted = _WANTED.get(fault["type"])
    return wanted.format(**fault.get("ctx", {})) if wanted else fault["msg"].removeprefix("Value error, ")


def _found(values: Mapping[str, Any], path: list[str]) -> Any:
    value: Any = values
    for part in path:
        if isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, Mapping) and part in value:
            value = value[part]
        else:
            return None
    return value


def _line(values: Block, path: list[str]) -> int | None:
    value: Value = values
    line = None
    for part in path:
        if not isinstance(value, Block) or part not in value:
            break
        value = value[part]
        first = value[0] if isinstance(value, list) and value else value
        if isinstance(first, (Text, Block)):
            line = first.line
    return line


def _names_beside(path: list[str]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in path[:-1]:
        if part == "providers":
            return list(ProviderSettings.model_fields)
        field = model.model_fields.get(part)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return []
        model = field.annotation
    return list(model.model_fields)


def _named_by_users(variable: str) -> bool:
    """Whether it is below a setting whose parts have names of the user's own: levels of a price table, providers."""
    if variable.startswith(f"{ENV_PREFIX}PRICING__TABLE__"):
        return True
    _, is_below, name = variable.partition(f"{ENV_PREFIX}PROVIDERS__")
    return bool(is_below) and name.partition("__")[2].lower() in ProviderSettings.model_fields


def _unknown_env() -> Iterator[str]:
    """Variables with our prefix that name no setting: a typo would otherwise be a setting silently ignored."""
    leaves = {ENV_PREFIX + name.replace(".", "__").upper() for name in setting_names()}
    parts = {ENV_PREFIX + name.partition(".")[0].upper() for name in setting_names()}
    for name in sorted(os.environ):
        known = name.upper() in leaves | parts | {TODAY} or _named_by_users(name.upper())
        if name.startswith(ENV_PREFIX) and not known:
            written = name.removeprefix(ENV_PREFIX).lower().replace("__", ".")
            yield f"environment: {name} is no setting{did_you_mean(written, list(setting_names()))}"
