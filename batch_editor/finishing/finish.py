"""A finished file from a picture. To be called in a process of its own, for decoders crash and hang."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import BinaryIO

from batch_editor.finishing.checks import checks_of, read_again
from batch_editor.finishing.compose import compose, on_background
from batch_editor.finishing.decode import MOST_BYTES, decode
from batch_editor.finishing.encode import Encoded, Encoder, encode_within
from batch_editor.finishing.finished_file import CannotFinish, FinishedFile
from batch_editor.finishing.provenance import packet_for
from batch_editor.finishing.rules import FinishRules, Format
from batch_editor.images.pixels import PILLOW_ERRORS


def finish_picture(source: BinaryIO | Path, target: Path, rules: FinishRules, *, stem: str) -> FinishedFile:
    """Write the finished file of a picture to `target`, and what was done and measured. The same rules, the same bytes.

    `stem`: the file's name to be, without ending, as far as a rule looks at it. `target` is written in place: give a
    temporary name, and rename it.

    Raises:
        CannotFinish: the picture can't be read, or can't be made what the rules ask.
        OSError: a file can't be read or written.
    """
    format, made, notes = _made(_bytes_of(source), rules)
    target.write_bytes(made.data)
    data = target.read_bytes()
    if data != made.data:
        raise OSError(f"{target} isn't what was written to it")
    found = read_again(data, rules)
    checks = checks_of(found, rules, made.placing, name=stem + rules.ending(format))
    return FinishedFile(
        format=format,
        width=found.pixels.width,
        height=found.pixels.height,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        notes=notes,
        checks=checks,
    )


def _made(data: bytes, rules: FinishRules) -> tuple[Format, Encoded, tuple[str, ...]]:
    source = decode(data)
    format = rules.format_of(source.format)
    packet, said = packet_for(source, rules.provenance, format)
    try:
        pixels, flattened = on_background(source.pixels, rules, format)
        encoder = Encoder(format, rules.quality, packet, full_colour=bool(rules.checks.white_border))
        made = encode_within(partial(compose, pixels, rules, format), encoder, max_bytes=rules.max_bytes)
    except PILLOW_ERRORS as error:
        if isinstance(error, CannotFinish):
            raise
        raise CannotFinish(f"it can't be made a {format}: {error}") from error
    return format, made, (*source.notes, *flattened, *made.notes, *said)


def _bytes_of(source: BinaryIO | Path) -> bytes:
    if isinstance(source, Path):
        with source.open("rb") as file:
            return _bytes_of(file)
    data = source.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise CannotFinish(f"a file of more than {MOST_BYTES >> 20} MiB")
    return data
