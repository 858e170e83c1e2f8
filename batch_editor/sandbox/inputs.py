"""The pictures that requests link to, fetched and decoded; the latest ones are kept for a moment."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections import OrderedDict
from concurrent.futures import Executor
from dataclasses import dataclass

import aiohttp
from PIL import Image, ImageOps

from batch_editor.sandbox.checks import Refusal, decode_data_link
from batch_editor.sandbox.images import Size, placeholder

_MAX_BYTES = 50_000_000
_TIMEOUT_S = 10.0
_CONNECT_TIMEOUT_S = 5.0
# No output is larger, so no input needs to be; a kept input then takes 12 MB at most.
_MAX_SIDE = 2048
_KEPT = 16
# Of a burst of requests for one picture it is fetched once; the next night's may be another one behind the same link.
_KEPT_S = 0.2


@dataclass(frozen=True)
class Input:
    """A decoded picture, perhaps reduced, and the size it came in. A placeholder has `reachable` False."""

    image: Image.Image
    size: Size
    reachable: bool = True


class Inputs:
    """Reads links. A host that can't be reached gives a placeholder, so that rehearsals work offline."""

    def __init__(self, session: aiohttp.ClientSession, executor: Executor) -> None:
        self._session = session
        self._executor = executor
        self._kept: OrderedDict[str, tuple[float, Input]] = OrderedDict()
        # Few at a time, so that a burst of requests for one picture finds it fetched by the first of them.
        self._slots = asyncio.Semaphore(4)

    async def read(self, link: str, *, parameter: str) -> Input:
        """The picture behind the link that the parameter gave.

        Raises:
            Refusal: 400, it isn't there or isn't a picture.
        """
        key = hashlib.sha256(link.encode()).hexdigest()
        clock = asyncio.get_running_loop().time
        async with self._slots:
            until, found = self._kept.get(key, (0.0, None))
            if found is None or clock() >= until:
                try:
                    found = await self._load(link)
                except ValueError as error:
                    raise Refusal(400, f"could not read {parameter}: {error}") from error
                self._kept[key] = clock() + _KEPT_S, found
            self._kept.move_to_end(key)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return found

    async def _load(self, link: str) -> Input:
        data = decode_data_link(link)[1] if link.startswith("data:") else await self._fetch(link)
        loop = asyncio.get_running_loop()
        if data is None:
            words = "input not reachable\nfrom here"
            image = await loop.run_in_executor(self._executor, lambda: placeholder(words, seed=link))
            return Input(image, image.size, reachable=False)
        if len(data) > _MAX_BYTES:
            raise ValueError(f"has {len(data)} bytes; expected at most {_MAX_BYTES}")
        return await loop.run_in_executor(self._executor, _decoded, data)

    async def _fetch(self, link: str) -> bytes | None:
        """The link's bytes; None if its host can't be reached at all."""
        try:
            timeout = aiohttp.ClientTimeout(_TIMEOUT_S, sock_connect=_CONNECT_TIMEOUT_S)
            async with self._session.get(link, timeout=timeout) as response:
                if response.status != 200:
                    raise ValueError(f"answered {response.status}")
                return await response.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return None
        except TimeoutError as error:
            raise ValueError(f"took over {_TIMEOUT_S:g} s") from error
        except aiohttp.ClientError as error:
            raise ValueError(str(error) or type(error).__name__) from error


def _decoded(data: bytes) -> Input:
    try:
        with Image.open(io.BytesIO(data)) as opened:
            upright = ImageOps.exif_transpose(opened)
            size = upright.size
            upright.thumbnail((_MAX_SIDE, _MAX_SIDE))
            return Input(upright.convert("RGBA" if upright.has_transparency_data else "RGB"), size)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError("not an image") from error
