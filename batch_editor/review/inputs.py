"""Pictures that jobs begin with: local files whose content is still the same, and links, which the server fetches."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import unquote_to_bytes

import orjson

from batch_editor.client import NotFetched
from batch_editor.ledger import files_from, readings, review_readings
from batch_editor.output import input_key
from batch_editor.records import LOCAL
from batch_editor.review.cache import Cache
from batch_editor.review.index import Index
from batch_editor.review.jobs import links_of, mask_of
from batch_editor.review.pictures import NoPicture, Thumbnails, content_sha256
from batch_editor.text import printable

MASK = "mask"
Fetch = Callable[[str, Path], Awaitable[None]]
# A link that gave no picture isn't asked again for so long: pages that scroll would ask all the time.
REFUSED_FOR_S = 60.0
_MOST_REFUSED = 10_000


class Inputs:
    """The inputs of requests, each a file once it has been asked for.

    `fetch` writes a link's picture to a file; it raises `NotFetched`, and `StorageError`.
    """

    def __init__(self, output: Path, index: Index, cache: Cache, thumbnails: Thumbnails, fetch: Fetch) -> None:
        self._output = output
        self._index = index
        self._cache = cache
        self._thumbnails = thumbnails
        self._fetch = fetch
        self._fetching: dict[str, asyncio.Lock] = {}
        self._refused: dict[str, tuple[float, str]] = {}

    async def thumb(self, fingerprint: str, number: str) -> bytes:
        """The thumbnail of a request's input, a WebP. `number` counts from 0; or it is `mask`.

        Raises:
            NoPicture: there is none to show.
        """
        link, files = await asyncio.to_thread(self._link, fingerprint, number)
        if (known := await self._thumbnails.known(link)) is not None:
            return known
        return await self._thumbnails.of(await self._file(link, files), key=link)

    async def file(self, fingerprint: str, number: str) -> Path:
        """The file of a request's input.

        Raises:
            NoPicture: there is none to show.
        """
        return await self._file(*await asyncio.to_thread(self._link, fingerprint, number))

    def _link(self, fingerprint: str, number: str) -> tuple[str, dict[str, str]]:
        """The link of an input, and the local files of its request by content."""
        job = self._index.snapshot().job_of(fingerprint)
        inputs, mask, files = ((), None, {}) if job is None else (job.inputs, job.mask, dict(job.local))
        if job is None or any(link.startswith("data:") for link in (*inputs, mask or "")):
            with readings.reading(self._output) as db:
                row = review_readings.inputs_of(db, fingerprint)
            if row is None:
                raise NoPicture("the ledger knows no such request")
            endpoint, params, named = row
            given = orjson.loads(params)
            inputs, mask = links_of(endpoint, given), mask_of(endpoint, given)
            files = {sha256: path for sha256, (path, _) in files_from(named).items()}
        if number == MASK:
            link = mask
        else:
            at = int(number) if number.isascii() and number.isdigit() and len(number) < 4 else len(inputs)
            link = inputs[at] if at < len(inputs) else None
        if link is None:
            raise NoPicture("the request has no such input")
        return link, files

    async def _file(self, link: str, files: dict[str, str]) -> Path:
        if link.startswith(LOCAL):
            return await asyncio.to_thread(_local, files.get(link.removeprefix(LOCAL)), link.removeprefix(LOCAL))
        key = input_key(link)
        lock = self._fetching.setdefault(key, asyncio.Lock())
        try:
            async with lock:  # one fetches what several pages want
                if (path := await asyncio.to_thread(self._cache.path_of, key)) is not None:
                    return path
                if link.startswith("data:"):
                    return await asyncio.to_thread(self._cache.put, key, _decoded(link))
                return await self._fetched(link, key)
        finally:
            if not lock.locked():
                self._fetching.pop(key, None)

    async def _fetched(self, link: str, key: str) -> Path:
        now = asyncio.get_running_loop().time()
        refused_at, why = self._refused.get(key, (-REFUSED_FOR_S, ""))
        if now - refused_at < REFUSED_FOR_S:
            raise NoPicture(why)
        part = await asyncio.to_thread(self._cache.part)
        try:
            await self._fetch(link, part)
            size_bytes = (await asyncio.to_thread(part.stat)).st_size
            return await asyncio.to_thread(self._cache.take, key, part, size_bytes)
        except NotFetched as error:
            if len(self._refused) >= _MOST_REFUSED:
                self._refused.clear()
            why = f"{printable(link.partition('?')[0], limit=200)} {error}"
            self._refused[key] = now, why
            raise NoPicture(why) from error
        except OSError as error:
            raise NoPicture(f"the picture can't be kept ({error.strerror})") from error
        finally:
            await asyncio.to_thread(part.unlink, missing_ok=True)


def _local(path: str | None, sha256: str) -> Path:
    if path is None:
        raise NoPicture("the ledger doesn't say any more which file that was")
    try:
        if content_sha256(Path(path), follow_links=True) == sha256:
            return Path(path)
    except FileNotFoundError:
        raise NoPicture(f"{path} is no longer there") from None
    except OSError as error:
        raise NoPicture(f"{path} can't be read ({error.strerror})") from error
    raise NoPicture(f"{path} is another picture by now")


def _decoded(link: str) -> bytes:
    head, _, data = link.partition(",")
    raw = unquote_to_bytes(data)
    if not head.endswith(";base64"):
        return raw
    try:
        return base64.b64decode(raw)
    except binascii.Error as error:
        raise NoPicture(f"the data: link holds no picture ({error})") from error
