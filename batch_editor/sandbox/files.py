"""Files that are uploaded, and those that links lead to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from batch_editor.sandbox.checks import Refusal, decode_data_link


@dataclass(frozen=True)
class File:
    """Bytes and their media type."""

    data: bytes
    content_type: str


def uploaded_files(body: dict[str, Any]) -> list[File]:
    """What the body of an upload holds.

    Raises:
        Refusal: 400, it isn't one.
    """
    links = body.get("data_urls")
    if set(body) != {"data_urls"} or not isinstance(links, list) or not links:
        raise Refusal(400, 'expected {"data_urls": [link, …]} with one link or more')
    files = []
    for place, link in enumerate(links):
        try:
            content_type, data = decode_data_link(str(link))
        except ValueError as error:
            raise Refusal(400, f"data_urls[{place}] is {error}") from error
        files.append(File(data, content_type))
    return files
