"""Values that are compared: whether an endpoint takes them, and what jobs of a combination are called."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

from batch_editor.endpoints import Endpoint, Parameter
from batch_editor.endpoints.schema import either
from batch_editor.errors import UsageError, did_you_mean
from batch_editor.manifest.templates import is_template
from batch_editor.text import quoted

ENDPOINT = "endpoint"
_PLAIN = re.compile(r"[A-Za-z0-9][\w.+-]{0,39}", re.ASCII)


def check_values(over: Mapping[str, Sequence[str]], endpoints: Sequence[Endpoint]) -> None:
    """See that each name is a parameter of one of the endpoints, and each value one of its values at least there.

    Raises:
        UsageError: with all that isn't.
    """
    faults = []
    for name, values in over.items():
        if name == ENDPOINT:
            continue
        having = [each.parameters[name] for each in endpoints if name in each.parameters]
        if not having:
            known = dict.fromkeys(each for endpoint in endpoints for each in endpoint.parameters)
            named = either([each.name for each in endpoints])
            faults.append(f"--over {quoted(name)} is no parameter of {named}{did_you_mean(name, [ENDPOINT, *known])}")
            continue
        faults += [
            f"--over {name}: {quoted(value)}; {_wanted(having[0], value)}"
            for value in values
            if not any(takes(parameter, value) for parameter in having)
        ]
    if faults:
        raise UsageError("\n".join(faults))


def takes(parameter: Parameter, value: str) -> bool:
    """Whether a text is a value of a parameter; a template may become one."""
    return is_template(value) or not _wanted(parameter, value)


def _wanted(parameter: Parameter, value: str) -> str:
    """What a parameter wants instead; empty where it takes the value."""
    try:
        parameter.parse(value)
    except ValueError as error:
        return str(error)
    return ""


def default_of(parameter: Parameter) -> str | None:
    """How a default is written; None where nothing is sent then."""
    if parameter.default is not None:
        value = parameter.default
        return str(value).lower() if isinstance(value, bool) else str(value)
    return "null" if parameter.nullable else None


def said_of(values: Sequence[str], all_values: Sequence[str]) -> str:
    """The value of a way; of one that several values come to, which these are."""
    known = list(dict.fromkeys(values))
    return "any" if len(known) == len(all_values) > 1 else either(known)


def with_sent(value: str, sent: str | None) -> str:
    """A value of a way as people read it; of one that the endpoint lacks, also what is sent instead.

    >>> with_sent("low", "low"), with_sent("xhigh", "high"), with_sent("any", None)
    ('low', 'xhigh → high', 'any')
    """
    return value if sent is None or value in ("any", sent) else f"{value} → {sent}"


def names_of(ways: Sequence[Mapping[str, str]]) -> list[str]:
    """What jobs of each way are called: by its values, as far as names can be made of them; each another one.

    >>> names_of([{"endpoint": "flash-2", "quality": "any"}, {"endpoint": "mini", "quality": "low"}])
    ['flash-2', 'mini-low']
    """
    names = ["-".join(_word(value) for value in way.values() if value != "any") or "any" for way in ways]
    if len(set(names)) == len(names):
        return names
    return [f"{name}-{_digest(repr(dict(way)))}" for name, way in zip(names, ways, strict=True)]


def _word(value: str) -> str:
    stem = value.removesuffix(".yaml").removesuffix(".yml").rpartition("/")[2]
    if _PLAIN.fullmatch(stem):
        return stem
    head = re.sub(r"[^A-Za-z0-9]+", "-", value)[:24].strip("-")
    return "-".join(filter(None, (head, _digest(value))))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]
