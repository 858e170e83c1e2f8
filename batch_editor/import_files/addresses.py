"""Where a shop finds a picture."""

from __future__ import annotations

from urllib.parse import quote


def address(public_url: str, output_path: str, sha256: str) -> str:
    """The address of an image: its path below the output directory, and 8 digits of what it holds.

    The name stays when an image is made anew, while caches, and importers that know a picture by its address, see
    another one. Nothing in it separates links in any shop's cell.

    >>> address("https://cdn.example/spring", "images/red mug, 1.png", "0f3a9c51e2")
    'https://cdn.example/spring/images/red%20mug%2C%201.png?v=0f3a9c51'
    """
    return f"{public_url}/{quote(output_path, safe='/')}?v={sha256[:8]}"
