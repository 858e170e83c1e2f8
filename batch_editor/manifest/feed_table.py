"""A feed in XML as records: an item is a row, its elements are the columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from batch_editor.manifest.table import HAS_KEY, Record, TableFault
from batch_editor.shops import ShopError, feed_columns, feed_rows
from batch_editor.text import has_key_shape


class FeedReader:
    """Reads a feed, twice: items may have different elements, and the columns are those of all of them."""

    def __init__(self, open_file: Callable[[], BinaryIO]) -> None:
        self._open = open_file
        self.warnings: list[str] = []

    def records(self) -> Iterator[Record]:
        """The header, then the rows; see `TableReader`."""
        try:
            with self._open() as stream:
                columns = feed_columns(stream)
            yield 1, list(columns), None
            with self._open() as stream:
                for line, cells in feed_rows(stream, columns):
                    has_key = any(map(has_key_shape, cells))
                    yield line, cells, HAS_KEY if has_key else None
        except ShopError as error:
            raise TableFault(str(error), error.line or 0) from error
