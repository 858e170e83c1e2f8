"""Google Merchant's product data, and what uses its names: Meta's catalogs, affiliates' feeds. A row is an item."""

from __future__ import annotations

from collections.abc import Iterator

from batch_editor.shops.columns import Layout
from batch_editor.shops.links import links_in
from batch_editor.shops.picture import Found, Row, Tally, Without, cell, first_of
from batch_editor.shops.seen import Seen
from batch_editor.shops.text_of_html import text_of_html


def google_pictures(layout: Layout, rows: Iterator[Row], tally: Tally) -> Iterator[Found]:
    """An item's main picture first, then the additional ones. Items of one group are variants of one product.

    A position is the picture's place among its item's own, whether the ones before it are taken or not.
    """
    groups, seen = Seen(), Seen()  # of the groups alone: a group and a link
    for line, cells in rows:
        group = cell(cells, layout.group)
        tally.products += not group or groups.add(group)
        given = [link for index in layout.images for link in links_in(cells[index])]
        if not given:
            tally.without[Without.NO_LINK] += 1
            continue
        links = list(dict.fromkeys(given))
        tally.repeated += len(given) - len(links)
        taken = [(position, link) for position, link in enumerate(links, 1) if not group or seen.add((group, link))]
        tally.repeated += len(links) - len(taken)
        if not taken:
            tally.without[Without.REPEATED] += 1
            continue
        sku = cell(cells, layout.sku) or cell(cells, layout.id)
        title = cell(cells, layout.title)
        body = text_of_html(first_of(cells, layout.bodies))
        for position, link in taken:
            yield Found(line, sku or f"line-{line}", "", sku, title, link, position, "", body, cells)
