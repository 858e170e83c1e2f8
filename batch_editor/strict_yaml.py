"""YAML as text: every scalar keeps the letters it was written with. Knows nothing of manifests or settings.

PyYAML's own loaders turn `00123` into 83, `no` into False and the last of two equal keys into the only one.
Here a mapping is a `Block`, a sequence a list, a scalar a `Text` that remembers its line and whether it was
quoted; whoever knows the wanted type converts it. Built from parser events rather than nodes, so that depth and
aliases are bounded before anything is built from them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import yaml

# libyaml's parser is three times as fast as the pure one; wheels of PyYAML carry it.
_Loader: type[yaml.CSafeLoader | yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_BYTES = 64 * 2**20
MAX_DEPTH = 32
# A 324-byte document of nested aliases expands to 10⁸ leaves; honest reuse repeats a block a few times a job.
MAX_ALIASED = 100_000

_TOO_DEEP = f"nested deeper than {MAX_DEPTH}"
_NULLS = frozenset(["", "~", "null", "Null", "NULL"])
_BOOLS = frozenset(
    word for low in ("yes", "no", "true", "false", "on", "off") for word in (low, low.capitalize(), low.upper())
)


class YamlFault(Exception):
    """A document that is not strict YAML; `line` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


class Text(str):
    """A scalar as it was written; `plain` if it stood without quotes."""

    __slots__ = ("line", "plain")
    line: int
    plain: bool

    @classmethod
    def at(cls, value: str, line: int, *, plain: bool) -> Text:
        """A text with its place."""
        text = cls(value)
        text.line, text.plain = line, plain
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
    if (size := path.stat().st_size) > MAX_BYTES:
        raise YamlFault(f"the file has {size >> 20} MiB; at most {MAX_BYTES >> 20} are read", 1)
    return parse_yaml(path.read_bytes())


def parse_yaml(data: bytes) -> Value:
    """The only document of a text; see `read_yaml`.

    >>> parse_yaml(b"id: 00123")
    {'id': '00123'}
    """
    text: bytes | str = data
    if not data.startswith((b"\xff\xfe", b"\xfe\xff")):  # UTF-16, which the parser reads itself
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise YamlFault(f"not UTF-8 at byte {error.start}", line) from error
    try:
        return _Composer(text).document()
    except yaml.YAMLError as error:
        raise _translated(error) from error


def _translated(error: yaml.YAMLError) -> YamlFault:
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark else 1
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    if "nesting depth" in problem:  # libyaml's own limit, since PyYAML 6.0.4; met while it reads ahead
        return YamlFault(_TOO_DEEP, line)
    return YamlFault(f"not YAML: {problem}", line)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


class _Composer:
    """Builds values from parser events; one instance a document."""

    def __init__(self, data: bytes | str) -> None:
        self._events = yaml.parse(data, Loader=_Loader)
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
            text = Text.at(event.value, line, plain=plain)
            value = None if plain and event.value in _NULLS else text
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(depth)
        else:
            value = self._mapping(line, depth)
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

    def _mapping(self, line: int, depth: int) -> Block:
        block = Block()
        block.line = line
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            at = _line(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise YamlFault("a key that is not plain text", at)
            if event.value == "<<" and event.implicit[0]:
                raise YamlFault("a merge key (<<); use defaults instead", at)
            if event.value in block:
                raise YamlFault(f"key {event.value!r} stands twice in one mapping", at)
            block[event.value] = self._value(next(self._events), depth + 1)
        return block
