"""Which column of an ordinary table is what: by what its cells hold, and by what it is called."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from batch_editor.endpoints import Parameter
from batch_editor.files import PICTURES
from batch_editor.manifest.faults import Refused
from batch_editor.manifest.link_cells import STARTS_LINK, pieces_of_cell
from batch_editor.manifest.odd_cells import oddity_of
from batch_editor.manifest.picture_rows import is_picture
from batch_editor.manifest.rows import snake_case

# Columns that are tried as ids: each remembers every cell.
_IDS_MOST = 6
_LONGEST_ID = 100
_PATHS_KEPT = 20
# What a cell with a link or a file has; a quick look at all others.
_ENDING = "|".join(map(re.escape, PICTURES))
_MAY_HAVE = re.compile(rf"//|www\.|{_ENDING}", re.IGNORECASE)
_PICTURE_IN_LINK = re.compile(rf"(?:{_ENDING})(?:$|[?#&/@!:,])", re.IGNORECASE)
# Words for pictures in the languages that shops' tables are often in.
_PICTURE_WORD = re.compile(
    r"image|img|photo|foto|pictur|(?:^|_)pics?(?:_|$|\d)|bild|imag[eé]n|imagem|immagin|afbeelding|zdj|obraz|billed|kuva"
    r"|resim|görsel|画像|写真|图|фото|изображ|картин|(?:^|_)src(?:_|$)"
)
_LESSER_WORD = re.compile(
    r"thumb|small|mini|icon|swatch|logo|mask|vorschau|miniat|vignette|additional|other|second|back|alt"
)
_PAGE_WORD = re.compile(r"url|link|page|site|href|video|product|shop|seite|lien|enlace|store")
_NUMBERED = re.compile(r"(.*?)[ _-]*(\d{1,2})", re.DOTALL)

_ID_NAMES = (
    "id",
    "sku",
    "handle",
    "url_handle",
    "slug",
    "variant_sku",
    "code",
    "item_id",
    "product_id",
    "productid",
    "article",
)
_ID_WORD = re.compile(
    r"(?:^|_)(?:id|sku|code|ean|gtin\d*|upc|asin|mpn|barcode|isbn|ref|reference|referenz|referencia|référence|key|slug"
    r"|handle|number|num|no|nr|nummer|numero|número|numéro|artikelnummer|artikelnr|bestellnummer|codice|código|codigo"
    r"|(?:product|item|offer|article)(?:unique)?id|style|model)$|артикул|код|货号|編号|型番"
)
_TITLE_NAMES = (
    "title", "product_title", "item_title", "product_name", "productname", "item_name", "name", "product", "item",
    "titel", "titre", "título", "titulo", "titolo", "tytuł", "nombre", "nombre_del_producto", "nom", "nom_du_produit",
    "nome", "nome_do_produto", "naam", "produktname", "produkt", "artikelname", "artikelbezeichnung", "bezeichnung",
    "artikel", "article_name", "libellé", "désignation", "designation", "denominazione", "descrizione", "nazwa",
    "название", "наименование", "商品名", "产品名称", "タイトル", "label", "short_description", "description",
    "beschreibung", "descripción", "descrição",
)  # fmt: skip
_LONGEST_TITLE = 200  # on average; more is a description in full


@dataclass(slots=True)
class _Cells:
    """What the cells of a column hold, of those that aren't blank. `sole`: with a link or a file and no more."""

    filled: int = 0
    sole: int = 0
    pictures: int = 0
    characters: int = 0
    files: list[str] = field(default_factory=list)

    def add(self, cell: str) -> None:
        """Count one more cell."""
        self.filled += 1
        self.characters += len(cell)
        pieces = links_and_files(cell)
        self.sole += bool(pieces)
        self.pictures += any(map(_is_of_picture, pieces))
        if len(self.files) < _PATHS_KEPT:
            self.files += [piece for piece in pieces if not STARTS_LINK.match(piece)]

    @property
    def holds_pictures(self) -> bool:
        """Whether at least half of the filled cells name pictures."""
        return 2 * self.pictures >= self.filled > 0

    @property
    def holds_links(self) -> bool:
        """Whether at least half of the filled cells are one link each."""
        return 2 * self.sole >= self.filled > 0


@dataclass(frozen=True, slots=True)
class Guess:
    """What columns are taken for.

    pictures: the column whose pictures are edited; several where they are numbered (`image 1`, `image 2`).
    others: further columns with pictures.
    links: columns with links that may be to pages.
    is_sure: whether the links look like pictures', or their column is called so.
    files: some of the local paths in the column.
    ids, titles: columns that may name a row or what it shows, the likeliest first.
    """

    pictures: tuple[str, ...]
    others: tuple[str, ...]
    links: tuple[str, ...]
    is_sure: bool
    files: tuple[str, ...]
    ids: tuple[str, ...]
    titles: tuple[str, ...]


def guess_columns(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, images: str | None, parameters: Collection[str]
) -> Guess:
    """What the columns of these rows are taken for.

    `images` is what the endpoint calls the pictures; columns named as another one of its parameters are that.
    """
    found = {name: _Cells() for name in columns}
    for cells in rows:
        for name, cell in zip(columns, cells, strict=False):
            if cell and oddity_of(cell) is None:
                found[name].add(cell.strip())
    free = [name for name in columns if name == images or name not in parameters]
    called = [name for name in free if found[name].sole and (name == images or _is_called_picture(name))]
    with_links = [name for name in free if found[name].holds_links or name in called]
    sure = [name for name in with_links if found[name].holds_pictures or name in called]
    unsure = [name for name in with_links if name not in sure and not _PAGE_WORD.search(snake_case(name))]
    ranked = sorted(sure or unsure, key=lambda name: _rank(name, found[name], images))
    main = _numbered_beside(ranked[0], ranked, columns) if ranked else ()
    others = [name for name in free if name not in with_links and found[name].filled]
    return Guess(
        pictures=main,
        others=tuple(name for name in columns if name in ranked and name not in main),
        links=tuple(with_links),
        is_sure=bool(sure),
        files=tuple(path for name in main for path in found[name].files),
        ids=tuple(_ids(others, columns))[:_IDS_MOST],
        titles=tuple(_titles(others, found)),
    )


def links_and_files(cell: str) -> list[str]:
    """The links and names of picture files that a cell consists of; none where it has anything else."""
    if not _MAY_HAVE.search(cell):
        return []
    try:
        pieces = pieces_of_cell(cell, lambda _: False)
    except Refused:
        return []
    return pieces if all(STARTS_LINK.match(piece) or is_picture(piece) for piece in pieces) else []


def fits(parameter: Parameter, cells: Iterable[str]) -> bool:
    """Whether most of these cells are values of the parameter: a table's `size` is the product's more often."""
    filled = [cell.strip() for cell in cells if oddity_of(cell) is None]
    return 2 * sum(_is_value(parameter, cell) for cell in filled) > len(filled)


def _is_value(parameter: Parameter, cell: str) -> bool:
    if parameter.type in ("link", "links"):
        return bool(links_and_files(cell))
    try:
        parameter.parse(cell)
    except ValueError:
        return False
    return True


def may_be_id(cell: str) -> bool:
    """Whether a cell could name a row."""
    name = cell.strip()
    return 0 < len(name) <= _LONGEST_ID and name.isprintable() and "//" not in name and oddity_of(name) is None


def _is_of_picture(piece: str) -> bool:
    return is_picture(piece) or _PICTURE_IN_LINK.search(piece) is not None


def _is_called_picture(name: str) -> bool:
    return _PICTURE_WORD.search(snake_case(name)) is not None


def _rank(name: str, cells: _Cells, images: str | None) -> tuple[bool, bool, bool, bool, int]:
    """The least is the best. Names of files are worth less than links, which are there wherever the table lies."""
    is_lesser = _LESSER_WORD.search(snake_case(name)) is not None
    return name != images, is_lesser, not _is_called_picture(name), bool(cells.files), -cells.pictures


def _numbered_beside(best: str, ranked: Sequence[str], columns: Sequence[str]) -> tuple[str, ...]:
    """The best column, with those that are called like it but for a number: all pictures of a row."""
    stem = _stem(best)
    alike = [name for name in columns if name in ranked and _stem(name) == stem]
    return tuple(alike) if len(alike) > 1 else (best,)


def _stem(name: str) -> str:
    """A column's name without its number.

    >>> _stem("Image 2"), _stem("image_src"), _stem("Image")
    ('image', 'image_src', 'image')
    """
    match = _NUMBERED.fullmatch(name)
    return snake_case(match[1] if match else name)


def _ids(names: Sequence[str], columns: Sequence[str]) -> Iterable[str]:
    known = {snake_case(name): name for name in reversed(names)}
    likely = [known[each] for each in _ID_NAMES if each in known]
    likely += [name for name in names if _ID_WORD.search(snake_case(name))]
    # A first column without such a name often numbers the rows as well.
    return dict.fromkeys([*likely, *(name for name in columns[:1] if name in names)])


def _titles(names: Sequence[str], found: dict[str, _Cells]) -> Iterable[str]:
    known = {snake_case(name): name for name in reversed(names)}
    for each in _TITLE_NAMES:
        name = known.get(each)
        if name is not None and found[name].characters <= _LONGEST_TITLE * found[name].filled:
            yield name
