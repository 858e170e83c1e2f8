"""What an endpoint's file says of parameters together: combinations that are refused, masks that don't fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from batch_editor.endpoints import Endpoint
from batch_editor.manifest.faults import shown
from batch_editor.manifest.values import Files
from batch_editor.records import LOCAL, LocalFile, ParamValue

_NULL = "null"  # as an endpoint's file writes it


def broken_rules(endpoint: Endpoint, texts: Mapping[str, str]) -> list[str]:
    """Combinations that the provider refuses; what isn't known, for it is faulty itself, breaks no rule."""
    broken = []
    for rule in endpoint.rules:
        if not all(texts[name] == value for name, value in rule.when.items()):
            continue
        for name, allowed in rule.need.items():
            if texts[name] not in (_NULL, *allowed):
                needed = f"{name} {' or '.join(allowed)}"
                broken.append(f"{listed(rule.when, ' is ')}, which needs {needed} ({rule.why}); got {texts[name]}")
    return broken


def mask_faults(endpoint: Endpoint, params: Mapping[str, ParamValue], files: Files) -> Iterator[str]:
    """What is wrong with a local mask; one behind a link is the provider's to look at."""
    name = endpoint.mask
    mask = _local(params.get(name or ""), files)
    if mask is None:
        return
    if not mask.has_alpha:
        yield f"{name} is {shown(Path(mask.path).name)}, which has no alpha; expected transparency where to edit"
    images = params.get(endpoint.images or "")
    first = _local(images[0], files) if isinstance(images, list) else None
    if first and (mask.width, mask.height) != (first.width, first.height):
        wanted = f"expected the size of the first image, {first.width}x{first.height}"
        yield f"{name} is {mask.width}x{mask.height}; {wanted}"


def _local(link: ParamValue, files: Files) -> LocalFile | None:
    return files.get(link.removeprefix(LOCAL)) if isinstance(link, str) else None


def matches(when: Mapping[str, str], params: Mapping[str, ParamValue]) -> bool:
    """Whether parameters have the values that an endpoint's file names."""
    return all(as_text(params.get(name)) == value for name, value in when.items())


def as_text(value: ParamValue) -> str:
    """A value as an endpoint's file writes it."""
    if value is None:
        return _NULL
    return str(value).lower() if isinstance(value, bool) else str(value)


def listed(when: Mapping[str, str], between: str) -> str:
    """The same values in words."""
    return " and ".join(f"{name}{between}{value}" for name, value in when.items())
