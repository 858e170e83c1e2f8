"""YAML as text: every scalar keeps the letters it was written with. Knows nothing of manifests or settings.

PyYAML's own loaders turn `00123` into 83, `no` into False and the last of two equal keys into the only one.
Here a mapping is a `Block`, a sequence a list, a scalar a `Text` that remembers its line and whether it was
quoted; whoever knows the wanted type converts it. Built from parser events rather than nodes, so that depth and
aliases are bounded before anything is built from them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import yaml

from batch_editor.strict_yaml.words import explain, forbidden_character, lines_of

# libyaml's parser is three times as fast as the pure one; wheels of PyYAML carry it.
_Loader: type[yaml.CSafeLoader | yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_BYTES = 64 * 2**20
MAX_DEPTH = 32
# A 324-byte document of nested aliases expands to 10⁸ leaves; honest reuse repeats a block a few times a job.
MAX_ALIASED = 100_000

# Faults that are mended one after the other, so that all are reported: the document is parsed once for each.
_FAULTS_MOST = 20
_MENDED_MOST = 2**20
# Sound YAML that was hardly meant: `{{ sku }}`, `!new mug`, `-id: mug`.
_MAY_BE_TEXT = re.compile(r"a key that is not plain text|a tag \(!\w|a space is missing")
_TOO_DEEP = f"nested deeper than {MAX_DEPTH}"
# `#ff0000 and shiny` behind a plain scalar: YAML drops it. Behind `# ` it is meant as a comment.
_LOST = re.compile(r"[ \t]+(#[^\W_][^\r\n\x85\u2028\u2029]*)")
_LOST_BELOW = re.compile(r"[ \t]*(?:\r\n|[\r\n])( +)(#[^\W_][^\r\n\x85\u2028\u2029]*)")
_DASHED = re.compile(r"-[A-Za-z_]")
_NULLS = frozenset(["", "~", "null", "Null", "NULL"])
_BOOLS = frozenset(
    word for low in ("yes", "no", "true", "false", "on", "off") for word in (low, low.capitalize(), low.upper())
)


class YamlFault(Exception):
    """A document that is not strict YAML. `line` and `column` count from 1; a column of 0 isn't known.

    `more` are further faults of the document, as far as they are seen once this one is mended.
    """

    def __init__(self, message: str, line: int, column: int = 0) -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.more: tuple[YamlFault, ...] = ()

    @property
    def place(self) -> str:
        """Line and column as messages have them."""
        return f"{self.line}:{self.column}" if self.column else str(self.line)


class Lost(NamedTuple):
    """What YAML takes for a comment, though it begins as `#ff0000` does: `#` and a letter or digit."""

    comment: str
    line: int


class Text(str):
    """A scalar as it was written; `plain` if it stood without quotes; `lost` is what may have been meant as its end."""

    __slots__ = ("line", "lost", "plain")
    line: int
    plain: bool
    lost: Lost | None

    @classmethod
    def at(cls, value: str, line: int, *, plain: bool, lost: Lost | None = None) -> Text:
        """A text with its place."""
        text = cls(value)
        text.line, text.plain, text.lost = line, plain, lost
        return text

    @property
    def boolean(self) -> bool:
        """Whether YAML 1.1 would read it as true or false."""
        return self.plain and str(self) in _BOOLS


class Block(dict[str, "Value"]):
    """A mapping that knows the line it starts on."""

    __slots__ = ("line",)
    line: int


Value: TypeAlias = "Text | Block | list[Value] | None"


def read_yaml(path: Path) -> Value:
    """The only document of a file.

    Raises:
        YamlFault: it isn't UTF-8 or YAML, is larger than 64 MiB or nested deeper than 32, has a tag, a key twice,
            or aliases that explode.
        OSError: the file can't be read.
    """
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)  # a pipe doesn't say how much comes out of it
    if len(data) > MAX_BYTES:
        raise YamlFault(f"the file has more than {MAX_BYTES >> 20} MiB; expected a smaller one", 1)
    return parse_yaml(data)


def parse_yaml(data: bytes) -> Value:
    """The only document of a text; see `read_yaml`.

    >>> parse_yaml(b"id: 00123")
    {'id': '00123'}
    """
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        name = encoding[:6].rstrip("-").upper()
        byte = f"byte 0x{error.object[error.start]:02X} at offset {error.start}"
        raise YamlFault(f"not {name}: {byte}; save the file as UTF-8 in your editor", line) from error
    try:
        return _Composer(text).document()
    except (yaml.YAMLError, YamlFault) as error:
        fault, mended = _explained(error, text)
        fault.more = _faults_beside(mended) if mended else ()
        raise fault from error


def _explained(error: yaml.YAMLError | YamlFault, text: str) -> tuple[YamlFault, str]:
    """The fault in words, and the document with the line mended; empty where that isn't known."""
    if isinstance(error, YamlFault):
        if not _MAY_BE_TEXT.match(str(error)):
            return error, ""
        problem, at, began = str(error), (error.line, 1), None
    else:
        mark, context = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        at = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        began = (context.line + 1, context.column + 1) if context else None
        if "nesting depth" in problem:  # libyaml's own limit, since PyYAML 6.0.4; met while it reads ahead
            return YamlFault(_TOO_DEEP, at[0]), ""
        if mark is None and (found := forbidden_character(text)):
            return YamlFault(found.message, found.line, found.column), ""
    lines = lines_of(text)
    said = explain(lines, problem, at, began)
    if isinstance(error, YamlFault) and said.mended is None:
        return error, ""
    if said.mended is None:
        return YamlFault(said.message, said.line, said.column), ""
    lines[said.line - 1] = said.mended
    return YamlFault(said.message, said.line, said.column), "\n".join(lines)


def _faults_beside(text: str) -> tuple[YamlFault, ...]:
    """Faults of a document in which one line after the other is mended."""
    found: list[YamlFault] = []
    while text and len(text) <= _MENDED_MOST and len(found) < _FAULTS_MOST:
        try:
            _Composer(text).document()
        except (yaml.YAMLError, YamlFault) as error:
            fault, text = _explained(error, text)
            if text:  # of the others it isn't sure that they aren't made by the mending
                found.append(fault)
        else:
            break
    return tuple(found)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _key(event: Any, block: Block, line: int) -> str:
    if not isinstance(event, yaml.ScalarEvent):
        raise YamlFault("a key that is not plain text", line)
    if event.implicit[0] and _DASHED.match(event.value):
        raise YamlFault(f"a space is missing behind the - of {event.value}", line)
    if event.value in block:
        raise YamlFault(f"key {event.value!r} stands twice in one mapping", line)
    return str(event.value)


class _Composer:
    """Builds values from parser events; one instance a document."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._has_hash = "#" in text
        self._events = yaml.parse(text, Loader=_Loader)
        self._anchors: dict[str, tuple[Value, int]] = {}
        self._aliased = 0
        self._nodes = 0

    def document(self) -> Value:
        """The document; None if the stream is empty."""
        value: Value = None
        seen = False
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if seen:
                    raise YamlFault("a second document; one file holds one", _line(event))
                seen = True
            elif isinstance(event, yaml.NodeEvent):
                value = self._value(event, 0)
        return value

    def _value(self, event: Any, depth: int) -> Value:
        line = _line(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, line)
        if depth > MAX_DEPTH:
            raise YamlFault(_TOO_DEEP, line)
        if event.tag not in (None, "!"):
            raise YamlFault(f"a tag ({event.tag}); values are plain text here", line)
        before = self._nodes
        self._nodes += 1
        value: Value
        if isinstance(event, yaml.ScalarEvent):
            plain = event.implicit[0]
            lost = self._lost(event) if plain and self._has_hash else None
            text = Text.at(event.value, line, plain=plain, lost=lost)
            value = None if plain and event.value in _NULLS else text
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(depth)
        else:
            value = self._mapping(event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, self._nodes - before)
        return value

    def _alias(self, event: yaml.AliasEvent, line: int) -> Value:
        if event.anchor not in self._anchors:
            raise YamlFault(f"alias *{event.anchor} has no anchor before it", line)
        value, size = self._anchors[event.anchor]
        self._nodes += size
        self._aliased += size
        if self._aliased > MAX_ALIASED:
            raise YamlFault("aliases that expand to more than 100,000 values", line)
        return value

    def _sequence(self, depth: int) -> list[Value]:
        items: list[Value] = []
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            items.append(self._value(event, depth + 1))
        return items

    def _mapping(self, start: yaml.MappingStartEvent, depth: int) -> Block:
        block = Block()
        block.line = _line(start)
        merged: list[list[Block]] = []
        event: Any
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            at = _line(event)
            key = _key(event, block, at)
            if key == "<<" and event.implicit[0]:
                merged.append(self._merged(depth, at))
                continue
            written = next(self._events)
            value = block[key] = self._value(written, depth + 1)
            if self._has_hash and isinstance(value, Text) and value.plain and not start.flow_style:
                value.lost = value.lost or self._lost_below(written, event)
        for blocks in merged:
            for each in blocks:
                for key, value in each.items():
                    block.setdefault(key, value)
        return block

    def _merged(self, depth: int, line: int) -> list[Block]:
        """What a merge key brings in: `<<: *base`, or a list of such; the mapping's own keys, and earlier ones, win."""
        value = self._value(next(self._events), depth + 1)
        blocks = value if isinstance(value, list) else [value]
        if not all(isinstance(each, Block) for each in blocks):
            raise YamlFault("<< takes the keys of mappings; expected an alias of one, such as <<: *base", line)
        return [each for each in blocks if isinstance(each, Block)]

    def _lost(self, event: Any) -> Lost | None:
        """What stands behind a plain scalar on its last line."""
        found = _LOST.match(self._text, event.end_mark.index)
        return Lost(found[1].rstrip(), event.end_mark.line + 1) if found else None

    def _lost_below(self, event: Any, key: Any) -> Lost | None:
        """What stands below a key's plain scalar and would be its next line, for it is further in than the key.

        What is not further in is a key that was commented out.
        """
        is_alias = isinstance(event, yaml.AliasEvent)
        found = None if is_alias else _LOST_BELOW.match(self._text, event.end_mark.index)
        if found is None or len(found[1]) <= key.start_mark.column:
            return None
        return Lost(found[2].rstrip(), event.end_mark.line + 2)
