"""Shops' exports: which shop a table comes from, and its rows as one row a picture.

Knows nothing of files, manifests or jobs: columns and rows come in as plain values. XML feeds are read from a stream.
"""

from batch_editor.shops.columns import ADDED, Format, Recognition, ShopError, check, recognize
from batch_editor.shops.export import Export
from batch_editor.shops.feed import feed_columns, feed_rows
from batch_editor.shops.picture import Picture, Tally, Without
from batch_editor.shops.product import PicturePlace, ProductRows, picture_of_job
from batch_editor.shops.seen import Seen
from batch_editor.shops.text_of_html import text_of_html

__all__ = [
    "ADDED",
    "Export",
    "Format",
    "Picture",
    "PicturePlace",
    "ProductRows",
    "Recognition",
    "Seen",
    "ShopError",
    "Tally",
    "Without",
    "check",
    "feed_columns",
    "feed_rows",
    "picture_of_job",
    "recognize",
    "text_of_html",
]
