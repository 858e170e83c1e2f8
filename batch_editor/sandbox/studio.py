"""Where orders become pictures: inputs are read, images made on a few threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import aiohttp

from batch_editor.sandbox.checks import Refusal
from batch_editor.sandbox.images import ImageFormat, Size, edited, placeholder
from batch_editor.sandbox.inputs import Input, Inputs
from batch_editor.sandbox.orders import Order

# Pillow lets go of the interpreter lock for most of its work; more threads than this starve the event loop.
_THREADS = 4


@dataclass(frozen=True)
class Picture:
    """A finished picture, labelled with the format that was asked for, and its price; `source` is its input's size."""

    data: bytes
    format: ImageFormat
    price_usd: float
    source: Size

    @property
    def content_type(self) -> str:
        """The media type of the label."""
        return f"image/{self.format}"


class Studio:
    """Makes pictures at `scale` times the size asked for. Get one from `opened`."""

    def __init__(self, inputs: Inputs, executor: ThreadPoolExecutor, *, scale: float) -> None:
        self._inputs = inputs
        self._executor = executor
        self._scale = scale

    @classmethod
    @asynccontextmanager
    async def opened(cls, *, scale: float) -> AsyncIterator[Self]:
        """A studio with its threads and connections, for as long as the block lasts."""
        executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="sandbox-image")
        try:
            async with aiohttp.ClientSession() as session:
                yield cls(Inputs(session, executor), executor, scale=scale)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)

    async def make(self, order: Order, *, flaw: str | None = None) -> Picture:
        """The picture that is ordered, with the flaw of a fault of that kind, if it is of one that pictures have.

        Raises:
            Refusal: 400, an input can't be read or the mask doesn't fit.
        """
        source = await self._source(order)
        mask = await self._mask(order, source)
        edit = order.edit(source.size, scale=self._scale)
        if flaw == "wrong-format":
            edit = replace(edit, format="jpeg" if order.format == "png" else "png")
        if flaw == "wrong-size":
            edit = replace(edit, size=(max(1, edit.size[0] // 2), max(1, edit.size[1] // 2)))
        work = partial(edited, source.image, edit, mask=mask.image if mask else None, flaw=flaw)
        data = await asyncio.get_running_loop().run_in_executor(self._executor, work)
        return Picture(data, order.format, order.price_usd(source.size), source.size)

    async def _source(self, order: Order) -> Input:
        if order.image_link is not None:
            return await self._inputs.read(order.image_link, parameter=order.image_parameter)
        image = placeholder("no input", seed=order.prompt)
        return Input(image, image.size, reachable=False)

    async def _mask(self, order: Order, source: Input) -> Input | None:
        if order.mask_link is None:
            return None
        mask = await self._inputs.read(order.mask_link, parameter="mask")
        if not (mask.reachable and source.reachable):
            return None  # A placeholder has no shape that a mask could fit.
        if mask.image.mode != "RGBA":
            raise Refusal(400, "mask has no alpha channel; its alpha marks the area to edit")
        if mask.size != source.size:
            (width, height), (wanted_width, wanted_height) = mask.size, source.size
            raise Refusal(400, f"mask is {width}x{height}; expected {wanted_width}x{wanted_height}, as the first image")
        return mask
