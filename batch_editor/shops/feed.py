"""A product feed in XML as columns and rows: RSS, Atom, or a list of products or offers; as a stream.

Read by expat itself, which tells lines and lets a document type be refused before an entity can expand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO, TypeAlias
from xml.parsers import expat

from batch_editor.shops.columns import ShopError

# Of one item; a feed that never closes one must not be gathered whole.
MAX_ITEM = 2**20
_CHUNK_BYTES = 2**16
# What an item may be called, in any case: by RSS and Atom, by affiliates, price comparisons and shop systems.
_OF_SYNDICATION = frozenset({"item", "entry"})
_ITEMS = _OF_SYNDICATION | {"product", "offer", "shopitem"}
# Between texts that lie deeper in an element; no XML can hold it.
_DEEPER = "\0"
_GOOGLE_NAMESPACE = "base.google.com/ns/"
_LINKS = frozenset({"image_link", "additional_image_link"})
_WORDS = {
    expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS]: "ends too early: download it again",
    expat.errors.codes[expat.errors.XML_ERROR_UNCLOSED_TOKEN]: "ends too early: download it again",
    expat.errors.codes[expat.errors.XML_ERROR_PARTIAL_CHAR]: "ends within a character: download it again",
    expat.errors.codes[expat.errors.XML_ERROR_UNDEFINED_ENTITY]: "has an entity that XML doesn't know, such as &nbsp;:"
    " write the character itself",
    expat.errors.codes[expat.errors.XML_ERROR_INVALID_TOKEN]: "isn't well-formed: an & that isn't &amp;, or a character"
    " that isn't in the encoding it declares",
    expat.errors.codes[expat.errors.XML_ERROR_UNKNOWN_ENCODING]: "declares an encoding that isn't known: save it as"
    " UTF-8",
    expat.errors.codes[
        expat.errors.XML_ERROR_INCORRECT_ENCODING
    ]: "isn't in the encoding it declares: save it as UTF-8",
}

# An item's elements: the name as it is written, and the text.
_Element: TypeAlias = "tuple[str, str]"


def feed_columns(stream: BinaryIO) -> tuple[str, ...]:
    """The names of all elements of a feed's items, without Google's `g:`, in the order in which they come first.

    Reads the stream to its end.

    Raises:
        ShopError: it isn't a feed, or a broken one; `line` says where.
        OSError: it can't be read.
    """
    reader = _Names()
    for _ in _read(stream, reader):
        pass
    return tuple(dict.fromkeys(reader.column(name)[0] for name in reader.names))


def feed_rows(stream: BinaryIO, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Each item as its line and a cell for each column. Several links are one cell, as `Export` takes them.

    Lazy; holds the items of 64 KiB at a time.

    Raises:
        ShopError, OSError: as `feed_columns`.
    """
    reader = _Texts()
    for _ in _read(stream, reader):
        items, reader.items = reader.items, []
        for line, elements in items:
            texts = _by_column(elements, reader)
            yield line, [texts.get(column, "") for column in columns]


def _read(stream: BinaryIO, reader: _Reader) -> Iterator[None]:
    """Report elements to the reader; give way after each piece of the stream."""
    parser = reader.parser
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = reader.refuse_doctype
    final = False
    while not final:
        chunk = stream.read(_CHUNK_BYTES)
        final = not chunk
        try:
            parser.Parse(chunk, final)
        except expat.ExpatError as error:
            yield
            words = _WORDS.get(error.code) or f"isn't well-formed XML: {expat.ErrorString(error.code)}"
            raise ShopError(f"the feed {words}", line=error.lineno) from error
        except (ValueError, LookupError) as error:  # of more bytes a character than expat takes, or no encoding at all
            raise ShopError(f"the feed can't be decoded ({error}): save it as UTF-8", line=1) from error
        yield
    if not reader.found:
        raise ShopError(
            "is no feed: no <item>, <entry>, <product>, <offer> or <SHOPITEM>;"
            f" its outermost element is <{reader.root}>"
        )


def _by_column(elements: list[_Element], reader: _Reader) -> dict[str, str]:
    """The texts of an item; where both `title` and `g:title` say something, Google's."""
    of_google: dict[str, str] = {}
    others: dict[str, str] = {}
    for name, written in elements:
        if text := written.strip():
            column, is_google = reader.column(name)
            texts = of_google if is_google else others
            between = "|" if column in _LINKS else ", "
            texts[column] = f"{texts[column]}{between}{text}" if column in texts else text
    return others | of_google


class _Reader:
    """Called as a feed's elements begin and end. `depth` within an item is 1 between its elements; 0 outside."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.root = ""
        self.found = 0
        self.depth = 0
        self._item = ""  # what this feed's items are called: as its first one is
        self._google = {"g"}  # prefixes that stand for Google's namespace
        self._columns: dict[str, tuple[str, bool]] = {}

    def column(self, name: str) -> tuple[str, bool]:
        """The column of an element, and whether it is Google's."""
        column = self._columns.get(name)
        if column is None:
            prefix, _, local = name.rpartition(":")
            is_google = prefix in self._google
            column = self._columns[name] = (local if is_google else name, is_google)
        return column

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins: the root, an item, or something else."""
        self.root = self.root or name
        for attribute, value in attributes.items():
            if attribute.startswith("xmlns:") and _GOOGLE_NAMESPACE in value:
                self._google.add(attribute.removeprefix("xmlns:"))
        if name == self._item or (not self._item and _local(name) in _ITEMS):
            self._item = name
            self.depth = 1
            self.found += 1

    def of_item(self, attributes: dict[str, str]) -> list[_Element]:
        """What the attributes of an item's own element say: `<offer id="1">`. RSS and Atom have none that matter."""
        if not self.depth or _local(self._item) in _OF_SYNDICATION:
            return []
        return [(name, value) for name, value in attributes.items() if not name.startswith("xml")]

    def end(self, name: str) -> None:
        """An element ends."""
        raise NotImplementedError

    def refuse_doctype(self, *_: object) -> None:
        """A DOCTYPE begins.

        Raises:
            ShopError: always.
        """
        raise ShopError(
            "the feed has a DOCTYPE, which no feed needs and which can make a small file a huge one: remove it",
            line=self.parser.CurrentLineNumber,
        )


def _local(name: str) -> str:
    return name.rpartition(":")[2].casefold()


class _Names(_Reader):
    """Gathers the names of the elements directly within items."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, None] = {}

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins: an item, or what is directly within one has a name."""
        if not self.depth:
            super().start(name, attributes)
            self.names |= dict.fromkeys(attribute for attribute, _ in self.of_item(attributes))
            return
        self.depth += 1
        if self.depth == 2:
            self.names[name] = None

    def end(self, name: str) -> None:
        """An element ends."""
        if self.depth:
            self.depth -= 1


class _Texts(_Reader):
    """Gathers items: the line, and the texts of the elements. What lies deeper is joined by colons, as Google writes
    `g:shipping` in a table, and links by pipes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.items: list[tuple[int, list[_Element]]] = []
        self._elements: list[_Element] = []
        self._parts: list[str] = []
        self._line = 0
        self._size = 0
        parser = self.parser
        parser.buffer_text = True
        parser.CharacterDataHandler = self.text

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins: an item, one of its elements, or something deeper."""
        if not self.depth:
            super().start(name, attributes)
            self._elements = self.of_item(attributes)
            self._line, self._size = self.parser.CurrentLineNumber, 0
            return
        self.depth += 1
        if self.depth == 2:
            # Atom writes <link href="…"/>.
            self._parts = [attributes["href"]] if name == "link" and "href" in attributes else []
        elif before := "".join(self._parts).strip():
            self._parts = [before, _DEEPER]

    def text(self, data: str) -> None:
        """Text of the element that was begun last.

        Raises:
            ShopError: it is too long.
        """
        if self.depth > 1:
            self._size += len(data)
            if self._size > MAX_ITEM:
                raise ShopError(
                    f"an item of more than {MAX_ITEM:,} characters, or one that never ends", line=self._line
                )
            self._parts.append(data.strip() if self.depth > 2 else data)

    def end(self, name: str) -> None:
        """An element ends: an item is whole, or one of its elements."""
        if not self.depth:
            return
        self.depth -= 1
        if self.depth == 1:
            text = "".join(self._parts)
            if _DEEPER in text:
                text = text.replace(f"{_DEEPER}http", "|http").replace(_DEEPER, ":")
            self._elements.append((name, text))
        elif not self.depth:
            self.items.append((self._line, self._elements))
