"""From a retired endpoint to its successor: what becomes of parameters and values, and how a plan says so."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from batch_editor.endpoints import WARN_DAYS, Endpoint, Mapped, load_endpoint
from batch_editor.errors import EndpointError
from batch_editor.manifest import Move, plain_move
from batch_editor.money import price_of
from batch_editor.text import many


def successor_of(endpoint: Endpoint, *, beside: Path | None = None) -> Endpoint | None:
    """The endpoint that takes this one's place, if there is one.

    Raises:
        EndpointError: it is named but can't be found, or doesn't have what `map` names.
    """
    if endpoint.successor is None:
        return None
    successor = load_endpoint(endpoint.successor.endpoint, beside=beside)
    for name, mapped in endpoint.successor.map.items():
        if mapped is not None and (mapped.name or name) not in successor.parameters:
            raise EndpointError(
                f"{endpoint.name}: successor.map.{name}: {mapped.name or name!r} is no parameter of {successor.name}"
            )
    return successor


def move_between(old: Endpoint, new: Endpoint) -> Move:
    """What becomes of the parameters of an endpoint's jobs at its successor."""
    given = old.successor.map if old.successor is not None else {}
    plain = plain_move(old, new)
    names, values = dict(plain.names), dict(plain.values)
    for name, mapped in given.items():
        named = None if mapped is None else mapped.name or names[name]
        there = names[name] = named if named in new.parameters else None
        if mapped is not None and there is not None and (known := _values(old, new, name, there, mapped)):
            values[name] = {**values.get(name, {}), **known}
    return Move(old=old, new=new, names=names, values=values)


def _values(old: Endpoint, new: Endpoint, name: str, there: str, mapped: Mapped) -> dict[str, str]:
    """The values that are other ones at the successor, where the parameter is called `there`."""
    values: dict[str, str] = {}
    if mapped.tiers == "price":
        known = {each: _usual_usd(new, there, each) for each in new.parameters[there].choices if each != "auto"}
        kept = set(new.parameters[there].choices) - known.keys()  # auto stays auto
        for value in old.parameters[name].choices if known else ():
            if value in kept:
                continue
            usd = _usual_usd(old, name, value)
            values[value] = min(known, key=lambda each: abs(math.log(known[each] / usd)))
    return values | mapped.values


def _usual_usd(endpoint: Endpoint, name: str, value: str) -> float:
    """The expected price of an image with this value, one input, and all else as it usually is."""
    return max(1e-9, price_of(endpoint.prices, {name: value}, inputs=1).expected_usd)


def retired_lines(endpoint: Endpoint, on: date) -> Iterator[str]:
    """What a plan says first of an endpoint that is served no longer."""
    if endpoint.is_retired(on):
        refused = "its requests will be refused"
        yield f"Endpoint: {endpoint.name} retired on {endpoint.retires}; {refused}{_advice(endpoint)}"


def moved_lines(move: Move, on: date) -> Iterator[str]:
    """What a plan says first of jobs that were written for another endpoint than the one that takes them."""
    retired = f", which retired on {move.old.retires}" if move.old.is_retired(on) else ""
    yield f"Endpoint: {move.new.name}, in place of {move.old.name}{retired}"
    given = move.old.successor.map if move.old.successor is not None else {}
    for name, mapped in given.items():
        there = move.names[name]
        if mapped is None or there is None:
            yield f"  {name} has no place there and is left out"
            continue
        called = f" is called {there}" if there != name else ""
        changed = {old: new for old, new in move.values.get(name, {}).items() if old != new}
        if not changed and not move.old.parameters[name].choices:
            yield f"  {name}{called}"
            continue
        default = move.old.parameters[name].default
        example = ", ".join(f"{old} becomes {new}" for old, new in changed.items()) or f"{default} stays {default}"
        yield f"  {name}{called and f'{called},'} goes by {mapped.tiers}: {example}"


def retiring_line(endpoint: Endpoint, on: date) -> str | None:
    """The warning of an endpoint that will soon be served no longer."""
    if endpoint.retires is None or not 0 < (days := (endpoint.retires - on).days) <= WARN_DAYS:
        return None
    left = f"in {many(days, 'day')}"
    return f"{endpoint.name} retires on {endpoint.retires}, {left}{_advice(endpoint)}"


def _advice(endpoint: Endpoint) -> str:
    if endpoint.successor is None:
        return "; its file names no successor"
    return f"; move to its successor: --endpoint {endpoint.successor.endpoint}"
