"""Where the jobs of an entry of a YAML manifest go: to the manifest's endpoint, to one of their own, or to several."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from batch_editor.endpoints import Endpoint
from batch_editor.manifest.by_endpoint import Readings
from batch_editor.manifest.entry import ENDPOINT, Manifest
from batch_editor.manifest.faults import Problem, Refused
from batch_editor.manifest.templates import is_template
from batch_editor.manifest.values import Fixed, Reader, Rendered, Source
from batch_editor.manifest.yaml_values import RefusedAt, line_of, text_of
from batch_editor.strict_yaml import Block, Text, Value

_OF_THE_AXIS = re.compile(r"\{\{-?\s*endpoint\s*-?\}\}")


@dataclass(frozen=True, slots=True)
class Destination:
    """What an entry says of where its jobs go.

    manifest: as it is read for the jobs' endpoint; where rows name it, for jobs that name none. read: what names it in
    a row; None: all go to one. axis: the endpoints of the entry's matrix. on: how messages name an endpoint that is
    the jobs' own.
    """

    manifest: Manifest
    read: Reader | None = None
    axis: Sequence[Endpoint] = ()
    on: str = ""


def destination_of(block: Block, readings: Readings) -> Destination:
    """Where the jobs of an entry go.

    Raises:
        RefusedAt: the endpoint that it names is none, or stands there twice.
    """
    if readings.is_set:
        return Destination(readings.main)
    source, axis = _own(block, readings), axis_of(block)
    if isinstance(source, Rendered):
        return Destination(readings.tolerant(readings.main.endpoint), read=source.read)
    line = line_of(block.get(ENDPOINT) if source is not None else block.get("matrix"), block)
    try:
        if isinstance(source, Fixed) and axis:
            raise Refused("endpoint is a key of the job and a name of its matrix; expected one of them")
        if isinstance(source, Fixed):
            endpoint = readings.load(str(source.value))
            on = on_endpoint(endpoint) if endpoint.name != readings.main.endpoint.name else ""
            return Destination(readings.strict(endpoint), on=on)
        endpoints = tuple(readings.load(str(value)) for value in axis)
    except Refused as error:
        raise RefusedAt(str(error), line) from error
    if not endpoints:
        return Destination(readings.main)
    return Destination(readings.tolerant(endpoints[0]), read=lambda row: row.axes[ENDPOINT], axis=endpoints)


def axis_of(block: Block) -> list[Text]:
    """The endpoints that an entry's matrix names, as they stand; none where it has none, or isn't sound."""
    matrix = block.get("matrix")
    values = matrix.get(ENDPOINT) if isinstance(matrix, Block) else None
    if not isinstance(values, list) or not all(isinstance(value, Text) for value in values):
        return []
    return [value for value in values if isinstance(value, Text)]


def named_by(jobs: Sequence[Value]) -> Iterator[str]:
    """The endpoints that entries name as they stand: by their key, or in their matrix."""
    for job in jobs:
        for value in (job.get(ENDPOINT), *axis_of(job)) if isinstance(job, Block) else ():
            if isinstance(value, Text) and value.strip() and not is_template(value):
                yield value.strip()


def on_endpoint(endpoint: Endpoint) -> str:
    """How messages say of a job that it goes there."""
    return f" on {endpoint.name}"


def _own(block: Block, readings: Readings) -> Source | None:
    """What a job's own key says, or what is set for all jobs; None where the matrix or the manifest is to say it."""
    if (source := readings.main.overrides.get(ENDPOINT)) is not None:
        return source
    value = block.get(ENDPOINT)
    if value is None or (isinstance(value, Text) and _OF_THE_AXIS.fullmatch(value.strip()) and axis_of(block)):
        return None
    problems: list[Problem] = []
    try:
        text = text_of(value)
    except Refused as error:
        raise RefusedAt(str(error.with_subject(ENDPOINT)), line_of(value, block)) from error
    source = readings.main.source("", ENDPOINT, text.strip() or None, problems)
    for problem in problems:
        raise RefusedAt(problem.message, line_of(value, block))
    return source
