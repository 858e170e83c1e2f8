"""The requests that every client sends, and the arguments that every client takes. Standard library only."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

HEADERS = {"Content-Type": "application/json", "x-api-key": "none"}


@dataclass(frozen=True)
class Work:
    """`count` requests to a URL, `in_flight` at a time, their images to a folder."""

    url: str
    count: int
    in_flight: int
    folder: Path

    @classmethod
    def given(cls) -> Work:
        """From the command line: URL, count, requests in flight, folder."""
        url, count, in_flight, folder = sys.argv[1:5]
        return cls(url, int(count), int(in_flight), Path(folder))


def prompt(number: int) -> str:
    """A prompt of the length that makes a request of 1 KB; the server knows the request by its number."""
    return f"edit {number} {'x' * 700}"


def body(number: int) -> bytes:
    """A request as the pipeline sends it."""
    return json.dumps(
        {
            "prompt": prompt(number),
            "image_urls": ["http://127.0.0.1:9/mug.png"],
            "mask": None,
            "size": "1024x1024",
            "quality": "low",
            "background": "opaque",
            "output_compression": 95,
            "output_format": "png",
            "moderation": "auto",
        }
    ).encode()
