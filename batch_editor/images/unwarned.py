"""Pillow's warnings, of large pictures and odd chunks, are kept from users, who could do nothing about them."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_one_at_a_time = threading.Lock()


@contextmanager
def unwarned() -> Iterator[None]:
    """Within the block nothing is warned of. One thread at a time is in it.

    `warnings.catch_warnings` changes what all threads see: two that overlap may leave the whole process without any.
    """
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
