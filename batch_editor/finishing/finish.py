"""A finished file from a picture. To be called in a process of its own, for decoders crash and hang."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from batch_editor.finishing.finished_file import CannotFinish, FinishedFile
from batch_editor.finishing.rules import FinishRules
from batch_editor.images.pixels import PILLOW_ERRORS


def finish_picture(source: BinaryIO | Path, target: Path, rules: FinishRules, *, stem: str) -> FinishedFile:
    """Write the finished file of a picture to `target`, and what was done and measured. The same rules, the same bytes.

    `stem`: the file's name to be, without ending, as far as a rule looks at it. `target` is written in place.

    Raises:
        CannotFinish: the picture can't be read, or can't be made what the rules ask. Nothing is written.
        OSError: a file can't be read or written.
    """
    try:
        with Image.open(source) as image:
            format = rules.format_of(image.format or "")
            picture = image.convert("RGB")
    except PILLOW_ERRORS as error:
        raise CannotFinish(str(error)) from error
    picture.save(target, format.upper())
    data = target.read_bytes()
    return FinishedFile(format, *picture.size, len(data), hashlib.sha256(data).hexdigest(), (), ())
