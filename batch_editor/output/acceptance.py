"""The verdict on an image: accepted, accepted with a warning, or rejected with what exactly is wrong."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from batch_editor.endpoints import Endpoint
from batch_editor.errors import MachineError
from batch_editor.images import pixels
from batch_editor.processes import CallFailed, Pool, Processes
from batch_editor.records import LOCAL, Failure, ParamValue, SavedImage
from batch_editor.text import printable

# The `error_kind` of an image over which the check itself broke. Another one than bad_response, for
# retry.bad_response must not buy again what is probably good.
UNCHECKED = "unchecked"

_SIZE = re.compile(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})")
_FORMATS = {"png": "png", "jpeg": "jpeg", "jpg": "jpeg", "webp": "webp", "gif": "gif"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """`rejected` is why the image is no result; `warning` what is other than asked in one that is."""

    rejected: Failure | None = None
    warning: str | None = None


class Acceptance:
    """Judges images by what their endpoints' parameters asked for.

    checks: `header` takes every whole image, and warns of another format or size than asked. `full` rejects those,
        and decodes the others: see `pixels`.
    """

    def __init__(
        self, checks: Literal["header", "full"], endpoints: Mapping[str, Endpoint], processes: Pool | None = None
    ) -> None:
        self._endpoints = endpoints
        self._processes: Pool | None = (processes or Processes()) if checks == "full" else None
        # As many threads as processes: each only waits for one.
        threads = self._processes.count if self._processes else 1
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="acceptance")

    def start(self) -> None:
        """See that images can be checked here. Blocks.

        Raises:
            MachineError: they can't.
        """
        if self._processes is None:
            return
        try:
            self._processes.start(pixels.load_decoders)
        except MachineError as error:
            raise MachineError(f"images can't be checked here: {error}. checks: header does without") from error

    async def verdict(
        self, endpoint: str, params: Mapping[str, ParamValue], files: Mapping[str, tuple[str, str]], image: SavedImage
    ) -> Verdict:
        """`judge`, without blocking the loop."""
        if self._processes is None:
            return self.judge(endpoint, params, files, image)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self.judge, endpoint, params, files, image)

    def judge(
        self, endpoint: str, params: Mapping[str, ParamValue], files: Mapping[str, tuple[str, str]], image: SavedImage
    ) -> Verdict:
        """The verdict on an image of a request to that endpoint; `files` are its local inputs by content. Blocks.

        Raises:
            MachineError: no process can be started to check it in.
        """
        asked = _Asked.from_params(self._endpoints.get(endpoint), params)
        other = "; ".join(asked.differences(image))
        processes = self._processes
        if processes is None:
            return Verdict(warning=other or None)
        if other:
            return _rejected(other)
        inputs = [Path(files[sha256][0]) for sha256 in asked.local_inputs if sha256 in files]

        def look() -> str | None:
            """What is wrong with the image."""
            path, format = Path(image.path), image.format
            return processes.call(pixels.fault_of, path, format=format, transparent=asked.transparent, inputs=inputs)

        try:
            try:
                fault = look()
            except CallFailed:
                # Once more: its process may have been ended from outside, by a machine out of memory.
                fault = look()
        except CallFailed as failed:
            return _rejected(f"paid, but it could not be checked: {failed}", kind=UNCHECKED)
        return _rejected(fault) if fault else Verdict()

    def close(self) -> None:
        """End threads and processes; a verdict that nobody waits for any more is given up."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._processes is not None:
            self._processes.close()
        self._threads.shutdown()


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request's parameters say about its image; None wherever that is left to the model."""

    size: tuple[int, int] | None = None
    format: str | None = None
    transparent: bool = False
    local_inputs: tuple[str, ...] = ()

    @classmethod
    def from_params(cls, endpoint: Endpoint | None, params: Mapping[str, ParamValue]) -> _Asked:
        """What a request asked for, by its parameters."""
        if endpoint is None:  # an endpoint of one's own that is no longer named, met by a recovery
            return cls()

        def value(role: str) -> str:
            """The text of the parameter that has a role; empty where there is none."""
            found = params.get(endpoint.parameter_of(role) or "")
            return "" if found is None else str(found)

        # Which of them counts where a size stands beside width and height isn't known.
        size = None if value("width") or value("height") else _SIZE.fullmatch(value("size"))
        links = params.get(endpoint.images or "")
        return cls(
            size=(int(size[1]), int(size[2])) if size else None,
            format=_FORMATS.get(value("format")),
            transparent=value("background") == "transparent",
            local_inputs=tuple(
                link.removeprefix(LOCAL)
                for link in (links if isinstance(links, list) else [links])
                if isinstance(link, str) and link.startswith(LOCAL)
            ),
        )

    def differences(self, image: SavedImage) -> list[str]:
        """What the image's header says otherwise."""
        found = []
        if self.format is not None and image.format != self.format:
            found.append(f"asked for {self.format}, got {image.format}")
        if self.size is not None and (image.width, image.height) != self.size:
            width, height = self.size
            found.append(f"asked for {width}x{height}, got {image.width}x{image.height}")
        return found


def _rejected(fault: str, *, kind: str = "bad_response") -> Verdict:
    return Verdict(Failure(kind, printable(fault), maybe_billed=True, http_status=200))
