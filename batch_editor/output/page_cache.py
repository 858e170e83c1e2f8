"""What `review` keeps below `OUT/.review`, and under which names: pictures that links gave, and thumbnails."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from batch_editor.files import open_regular
from batch_editor.output.kept_files import PAGE_CACHE

# Pixels of a thumbnail's longer side: enough for a card on a screen of two pixels a point.
THUMBNAIL_LENGTH = 320


def input_key(link: str) -> str:
    """What the picture of an input link is kept under."""
    return f"input {link}"


def thumbnail_key(key: str) -> str:
    """What the thumbnail of something is kept under: of a picture by its SHA-256, of an input by its link."""
    return f"thumbnail {THUMBNAIL_LENGTH} {key}"


def place_in_cache(root: Path, key: str) -> Path:
    """Where the file of a key is, or would be, below the cache's folder."""
    name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:40]
    return root / name[:2] / name


def find_input(output: Path, link: str) -> Path | None:
    """The picture of an input link, or its thumbnail, as far as a page has shown it. Fetches and writes nothing."""
    root = output / PAGE_CACHE
    for key in (input_key(link), thumbnail_key(link)):
        path = place_in_cache(root, key)
        try:
            os.close(open_regular(path, os.O_RDONLY | os.O_NOFOLLOW))
        except OSError:
            continue
        return path
    return None


def forget_input(output: Path, link: str) -> None:
    """Remove the picture of an input link, and its thumbnail: another one is there by now."""
    root = output / PAGE_CACHE
    for key in (input_key(link), thumbnail_key(link)):
        path = place_in_cache(root, key)
        with suppress(OSError):  # not there, or somebody else's
            if not (root.is_symlink() or path.parent.is_symlink()):
                path.unlink()
