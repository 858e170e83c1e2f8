"""Where a shop finds a picture."""

from __future__ import annotations

from urllib.parse import quote

from batch_editor.config.values import OF_OUTPUT


def address_of_output(public_url: str, name: str) -> str:
    """Where a shop finds the output directory of that name; `{output}` in the address stands for it.

    >>> address_of_output("https://cdn.example/{output}", "spring-0-of-4")
    'https://cdn.example/spring-0-of-4'
    """
    return public_url.replace(OF_OUTPUT, quote(name, safe=""))


def address(public_url: str, output_path: str, sha256: str) -> str:
    """The address of an image: its path below the output directory, and 8 digits of what it holds.

    The name stays when an image is made anew, while caches, and importers that know a picture by its address, see
    another one. Nothing in it separates links in any shop's cell.

    >>> address("https://cdn.example/spring", "images/red mug, 1.png", "0f3a9c51e2")
    'https://cdn.example/spring/images/red%20mug%2C%201.png?v=0f3a9c51'
    """
    return f"{public_url}/{quote(output_path, safe='/')}?v={sha256[:8]}"
