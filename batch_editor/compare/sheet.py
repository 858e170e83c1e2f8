"""The contact sheet of a comparison: one file of HTML, with small pictures in it, to look at, print and hand on."""

from __future__ import annotations

import asyncio
import base64
import tempfile
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from batch_editor.client import InputPictures, Network, NotFetched
from batch_editor.compare.results import Cell, ComparisonResults, WayResults
from batch_editor.errors import MachineError, StorageError
from batch_editor.files import whole_file
from batch_editor.images.thumbnails import thumbnail
from batch_editor.output import PictureStore, images_in, picture_store
from batch_editor.planning import ComparedJob, usd, usd_each
from batch_editor.processes import CallFailed, Processes
from batch_editor.text import duration, printable, shell_word

FILE_NAME = "compare.html"
# Of the longer side: a column on a screen of two pixels a point, and 20 KB a picture.
LENGTH = 400
PROCESSES = 2
THUMBNAIL_S = 20.0
# For all inputs together, whose hosts may be slow: a sheet without them is of use as well.
INPUTS_S = 20.0


class _Shown(NamedTuple):
    """A picture as the sheet has it: its data as a link, or why there is none."""

    data: str | None
    why: str = ""


async def write_sheet(results: ComparisonResults, *, allow_private: bool) -> Path:
    """Write the sheet into the output directory; return its path.

    Pictures are drawn small in other processes. Inputs that are links are fetched, unless that takes too long;
    `allow_private` is as in the settings.

    Raises:
        StorageError: it can't be written.
    """
    processes = Processes(PROCESSES, limit_s=THUMBNAIL_S)
    try:
        inputs = await _inputs(results, processes, allow_private=allow_private)
        html = await asyncio.to_thread(_rendered, results, inputs, processes)
    finally:
        await asyncio.to_thread(processes.close)
    return await asyncio.to_thread(_written, results.output / FILE_NAME, html)


async def _inputs(results: ComparisonResults, processes: Processes, *, allow_private: bool) -> dict[str, _Shown]:
    """The first input of each job."""
    shown = {job.job_id: _Shown(None, "was not fetched in time") for job in results.comparison.jobs}
    network = await asyncio.to_thread(Network.from_environment)
    with tempfile.TemporaryDirectory(prefix="batch-editor-") as folder:
        async with InputPictures(network, allow_private=allow_private) as links:

            async def show(number: int, job: ComparedJob) -> None:
                """Have one job's input drawn."""
                if not job.inputs:
                    shown[job.job_id] = _Shown(None, "no input")
                    return
                path = job.inputs[0]
                if isinstance(path, str):
                    link, path = path, Path(folder) / str(number)
                    try:
                        await links.fetch(link, path)
                    except NotFetched as error:
                        shown[job.job_id] = _Shown(None, f"its link {error}")
                        return
                shown[job.job_id] = await asyncio.to_thread(_small, path, processes)

            with suppress(TimeoutError):
                async with asyncio.timeout(INPUTS_S), asyncio.TaskGroup() as group:
                    for number, job in enumerate(results.comparison.jobs):
                        group.create_task(show(number, job))
    return shown


def _small(path: Path, processes: Processes) -> _Shown:
    """A picture's thumbnail as a `data:` link. Blocks."""
    try:
        data = processes.call(thumbnail, path, length=LENGTH)
    except (CallFailed, MachineError) as error:
        return _Shown(None, f"can't be shown: {error}")
    return _Shown(f"data:image/webp;base64,{base64.b64encode(data).decode()}")


def _rendered(results: ComparisonResults, inputs: dict[str, _Shown], processes: Processes) -> str:
    environment = Environment(
        loader=PackageLoader("batch_editor.compare"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters.update(
        usd=usd, usd_each=usd_each, duration=duration, line=partial(printable, limit=300), link=_link
    )
    template = environment.get_template("compare.html")
    with closing(picture_store(results.output)) as pictures:
        return template.render(
            results=results,
            inputs=inputs,
            pictures=_pictures(results, pictures, processes),
            are_beside=pictures.folder is not None,
            where=images_in(results.output),
            name_of=_name_of,
            cell_of=_cell_of,
            review=f"batch-editor review {shell_word(str(results.output))}",
        )


def _pictures(results: ComparisonResults, pictures: PictureStore, processes: Processes) -> dict[str, _Shown]:
    """Every image of the comparison, by its path."""
    shown: dict[str, _Shown] = {}
    with tempfile.TemporaryDirectory(prefix="batch-editor-") as folder:
        copy = Path(folder) / "picture"
        for path in [cell.path for way in results.ways for cell in way.cells.values() if cell.path is not None]:
            if pictures.folder is not None:
                shown[path] = _small(pictures.folder / path, processes)
            elif (file := pictures.open(path)) is not None:
                with file:
                    copy.write_bytes(file.read())
                shown[path] = _small(copy, processes)
            else:
                shown[path] = _Shown(None, "it is no longer there")
    return shown


def _cell_of(way: WayResults, job: ComparedJob) -> Cell | None:
    return way.cells.get(job.job_id)


def _link(path: str) -> str:
    """A path below the output directory as a link of a page there."""
    return quote(path)


def _name_of(source: str | Path) -> str:
    """What an input is called: a file's name, or a link without what may be a token in it."""
    return source.name if isinstance(source, Path) else printable(source.partition("?")[0], limit=200)


def _written(path: Path, html: str) -> Path:
    try:
        with whole_file(path) as file:
            file.write(html.encode("utf-8", "replace"))
    except OSError as error:
        raise StorageError(f"{path}: can't be written ({error.strerror})") from error
    return path
