"""Small pictures for a report, as `data:` links, within a number of bytes for all of them."""

from __future__ import annotations

import base64
import shutil
import tempfile
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path

from batch_editor.errors import MachineError
from batch_editor.images.thumbnails import thumbnail
from batch_editor.output import IMAGES, PictureStore, picture_store
from batch_editor.processes import CallFailed, Processes

PROCESSES = 2
# A thumbnail of the largest picture that is decoded takes two seconds.
LIMIT_S = 20.0
# Of all of them, as they stand in the file: a third more than the pictures have.
MOST_BYTES = 4_200_000
# Pixels of the longer side, by how many pictures there are at most.
_LENGTHS = ((60, 240), (250, 160), (600, 112))
_SHORTEST = 88
_QUALITY = 60
# Mail servers may break lines at 998 characters. Within a link, browsers leave line breaks out.
_LINE = 800


def thumbnails(pictures: Sequence[tuple[Path, str, str]]) -> Mapping[str, str]:
    """A `data:` link for each picture, by its SHA-256; those that can't be read, or find no room, are left out.

    `pictures`: output directory, path below it, and SHA-256; the more important ones first. Decoders crash and hang, so
    they work in processes of their own. Blocks: 1,000 pictures take half a minute.
    """
    if not pictures:
        return {}
    times = Counter(sha256 for _, _, sha256 in pictures)
    wanted: dict[str, tuple[Path, str]] = {}
    for output, path, sha256 in pictures:
        wanted.setdefault(sha256, (output, path))
    outputs = {output for output, _ in wanted.values()}
    length = next((length for most, length in _LENGTHS if len(pictures) <= most), _SHORTEST)
    with ExitStack() as stack:
        stores = {output: stack.enter_context(closing(picture_store(output))) for output in outputs}
        opened = {sha256: partial(picture_file, stores[output], path) for sha256, (output, path) in wanted.items()}
        return _links(opened, times, length=length, most_bytes=MOST_BYTES)


def thumbnails_of_files(
    files: Mapping[str, Path], times: Mapping[str, int], *, length: int, most_bytes: int
) -> Mapping[str, str]:
    """A `data:` link for each file, by whatever stands for it; as `thumbnails`, and `times` is how often each is shown.

    `length`: pixels of the longer side. `most_bytes`: of all of them, as they stand in the page.
    """
    opened = {name: partial(nullcontext, path) for name, path in files.items()}
    return _links(opened, times, length=length, most_bytes=most_bytes) if files else {}


def _links(
    opened: Mapping[str, Callable[[], AbstractContextManager[Path | None]]],
    times: Mapping[str, int],
    *,
    length: int,
    most_bytes: int,
) -> Mapping[str, str]:
    processes = Processes(PROCESSES, limit_s=LIMIT_S)
    try:
        with ThreadPoolExecutor(PROCESSES) as threads:
            made = threads.map(partial(_made, processes, length), opened.values())
            return dict(_fitting(zip(opened, made, strict=True), times, most_bytes))
    finally:
        processes.close()


def _fitting(
    made: Iterator[tuple[str, bytes | None]], times: Mapping[str, int], most_bytes: int
) -> Iterator[tuple[str, str]]:
    left = most_bytes
    for sha256, data in made:
        if data is None:
            continue
        link = "data:image/webp;base64,\n" + "\n".join(textwrap.wrap(base64.b64encode(data).decode(), _LINE))
        if len(link) * times[sha256] <= left:
            left -= len(link) * times[sha256]
            yield sha256, link


def _made(processes: Processes, length: int, opened: Callable[[], AbstractContextManager[Path | None]]) -> bytes | None:
    try:
        with opened() as file:
            return None if file is None else processes.call(thumbnail, file, length=length, quality=_QUALITY)
    except (CallFailed, MachineError, OSError):
        return None


@contextmanager
def picture_file(store: PictureStore, path: str) -> Iterator[Path | None]:
    """A picture that the ledger names as a file; None where it isn't there, or leads out of the images folder."""
    if store.folder is None:
        found = store.open(path)
        if found is None:
            yield None
            return
        with found, tempfile.NamedTemporaryFile(prefix="batch-editor-report-") as file:
            shutil.copyfileobj(found, file)
            file.flush()
            yield Path(file.name)
        return
    picture = store.folder / path
    try:
        inside = picture.resolve().is_relative_to((store.folder / IMAGES).resolve())
    except OSError:
        inside = False
    yield picture if inside else None
