"""Endpoints by their names, or from files of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from batch_editor.endpoints.schema import Endpoint, either
from batch_editor.errors import EndpointError, did_you_mean
from batch_editor.strict_yaml import YamlFault, parse_yaml
from batch_editor.text import quoted


def shipped_endpoints() -> list[str]:
    """Names of the endpoints that come with the package, sorted."""
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in resources.files(__package__).iterdir()
        if entry.name.endswith(".yaml") and not entry.name.startswith("_")
    )


def load_endpoint(name: str, *, beside: Path | None = None) -> Endpoint:
    """The endpoint of that name, or of the YAML file that the name is a path to.

    A relative path is looked for in `beside` first (the folder of the manifest that names it).

    Raises:
        EndpointError: there is no such endpoint, or its file has faults.
    """
    if name in shipped_endpoints():
        return _parsed(resources.files(__package__).joinpath(f"{name}.yaml").read_bytes(), name)
    for path in ([beside / name] if beside else []) + [Path(name)]:
        if path.is_file() and path.suffix in (".yaml", ".yml"):
            return _parsed(path.read_bytes(), str(path))
    known = shipped_endpoints()
    raise EndpointError(
        f"endpoint {quoted(name)} is unknown{did_you_mean(name, known)};"
        f" expected {either(known)}, or the path of a YAML file"
    )


def _parsed(data: bytes, where: str) -> Endpoint:
    try:
        value = parse_yaml(data)
    except YamlFault as fault:
        raise EndpointError("\n".join(f"{where}:{each.place}: {each}" for each in (fault, *fault.more))) from fault
    if not isinstance(value, Mapping):
        raise EndpointError(f"{where}: not an endpoint file; expected keys such as name, path and parameters")
    try:
        return Endpoint.model_validate(value)
    except ValidationError as error:
        raise EndpointError("\n".join(_fault_lines(error, where))) from error


def _fault_lines(error: ValidationError, where: str) -> list[str]:
    faults = [
        (".".join(map(str, fault["loc"])), fault["msg"].removeprefix("Value error, ")) for fault in error.errors()
    ]
    return [f"{where}: {place or 'endpoint'}: {message}" for place, message in faults]
