"""What is wrong with a document that is no YAML, in words for who wrote it, with the line as it should be.

The parser says where it lost its way ("mapping values are not allowed in this context"). What was meant is seen from
the line there, or from the one before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

_SHOWN = 160
_LINE_END = re.compile(r"\r\n|[\r\n\x85\u2028\u2029]")
# Indentation and dashes, a key with its colon, a value, a comment.
_PARTS = re.compile(
    r"(?P<lead>[ \t]*(?:-[ \t]+)*)(?P<key>(?:[\w.-]+|\"[^\"]*\"|'[^']*')[ \t]*:[ \t]+)?(?P<value>.*?)"
    r"(?P<comment>[ \t]+#(?:[ \t].*)?)?[ \t]*"
)
_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Non-breaking and other spaces of web pages and word processors, before what looks like a key or an entry.
_SPACES = "\u00a0\u2000-\u200a\u202f\u3000"
_ODD_INDENTATION = re.compile(rf"([ \t]*)([{_SPACES}])[ {_SPACES}]*(?:- |[\w-]+:(?:\s|$))")
_NO_SPACE_AFTER_DASH = re.compile(r"([ ]*)-(?=[\w\"'{\[])(?!-)(.*)")
_NO_SPACE_AFTER_COLON = re.compile(r"([ ]*(?:- +)*[A-Za-z_][\w-]*):(?!//)(?=[^\s:])(.*)")
_NO_COLON = re.compile(r"[ ]*(?:- +)*([A-Za-z_]\w*)(?: +\S.*)?")
_TEMPLATE_IN_LIST = re.compile(r"(?<=[\[,])\s*([^\[\],\"']*\{[{%][^\"]*?[%}]\}[^\[\],\"']*?)\s*(?=[,\]])")
# `(?>`: each template ends in one way alone, or thirty of them in a line would be told apart in a billion.
_TEMPLATE_IN_BLOCK = re.compile(r"(?<=: )\s*((?>[^,\"'{}]*\{[{%][^\"]*?[%}]\})+[^,\"'{}]*?)\s*(?=[,}])")
_STARTS = "@`%*&!|>,]}"


class Explained(NamedTuple):
    """What is wrong, where, and the line as it should be, where that is known. Lines and columns count from 1."""

    message: str
    line: int
    column: int
    mended: str | None = None


def lines_of(text: str) -> list[str]:
    """The lines of a document as the parser counts them."""
    return _LINE_END.split(text)


def forbidden_character(text: str) -> Explained | None:
    """The first character that YAML doesn't allow in a file."""
    if (found := _FORBIDDEN.search(text)) is None:
        return None
    before = lines_of(text[: found.start()])
    code = ord(found[0])
    advice = "save the file as UTF-8" if code == 0 else "remove it"
    return Explained(f"a control character (U+{code:04X}); {advice}", len(before), len(before[-1]) + 1)


def explain(lines: Sequence[str], problem: str, at: tuple[int, int], began: tuple[int, int] | None) -> Explained:
    """What the parser's problem comes from. `at` is line and column of it; `began` of what it was reading."""
    line = _last_written(lines, at[0])
    around = (line, began[0] if began else 0, _above(lines, line))
    near = [each for each in dict.fromkeys(around) if 0 < each <= len(lines)]
    for rule in _RULES:
        for number in near:
            found = rule(lines, number, problem)
            if found is not None:
                return found
    if "',' or" in problem or "node content" in problem:
        number, column = began if began and began[0] <= line else (line, 0)
        column = column or max(lines[number - 1].rfind("["), lines[number - 1].rfind("{")) + 1
        bracket = lines[number - 1][column - 1 : column] if column else ""
        if bracket in ("[", "{"):
            return Explained(f"a {bracket} that is never closed, or a comma is missing behind it", number, column)
    return Explained(f"not YAML: {problem}; the line is: {_clipped(lines[line - 1].strip())}", line, at[1])


def _tab(lines: Sequence[str], number: int, problem: str) -> Explained | None:
    lead = re.match(r"[ \t]*", lines[number - 1])
    if lead is None or "\t" not in lead[0]:
        return None
    message = "a tab in the indentation; indent by spaces"
    return Explained(f"{message}: {_clipped(lines[number - 1].strip())}", number, lead[0].index("\t") + 1)


def _odd_indentation(lines: Sequence[str], number: int, problem: str) -> Explained | None:
    if (odd := _ODD_INDENTATION.match(lines[number - 1])) is None:
        return None
    message = f"white space that is no indentation to YAML (U+{ord(odd[2]):04X}); indent by plain spaces"
    mended = re.sub(f"[{_SPACES}]", " ", lines[number - 1][: odd.end()]) + lines[number - 1][odd.end() :]
    return Explained(message, number, odd.end(1) + 1, mended)


def _template(lines: Sequence[str], number: int, problem: str) -> Explained | None:
    """`id: {{ sku }}`, which YAML takes for mappings."""
    line = lines[number - 1]
    if "{{" not in line and "{%" not in line:
        return None
    parts = _split(line)
    value = parts["value"]
    if value.startswith(("{{", "{%")):
        mended = _with_value(parts, _quoted(value))
    elif value.startswith("["):
        mended = _with_value(
            parts, _TEMPLATE_IN_LIST.sub(lambda match: f" {_quoted(match[1])}", value).replace("[ ", "[")
        )
    elif value.startswith("{"):
        mended = _with_value(parts, _TEMPLATE_IN_BLOCK.sub(lambda match: _quoted(match[1]), value))
    else:
        return None
    if mended == line:
        return None
    start = "{%" if "{{" not in line else "{{"
    return _quote_it(f"{start} begins a mapping in YAML", line, number, line.index(start) + 1, mended)


def _quoted_wrongly(lines: Sequence[str], number: int, problem: str) -> Explained | None:
    line = lines[number - 1]
    parts = _split(line)
    value = parts["value"]
    quote = value[:1]
    if quote not in ("'", '"') or not value:
        return None
    column = line.index(value) + 1
    if _is_of_escape(problem) and quote == '"' and value.endswith('"'):
        mended = _with_value(parts, "'" + value[1:-1].replace("'", "''") + "'")
        return _quote_it("a backslash in double quotes begins an escape; use single ones", line, number, column, mended)
    if "end of stream" in problem or "document indicator" in problem:
        if len(value) > 1 and value.endswith(quote):
            return None
        return _quote_it(f"a {quote} that is never closed; close it", line, number, column, line.rstrip() + quote)
    if not _ends_early(value):
        return None
    if len(value) > 1 and value.endswith(quote):
        inner = value[1:-1]
        mended = _with_value(parts, _quoted(inner))
        return _quote_it(f"a {quote} inside a value that is in {quote} ends it", line, number, column, mended)
    return _quote_it("text behind a closing quote", line, number, column, _with_value(parts, _quoted(value)))


def _is_of_escape(problem: str) -> bool:
    return "escape" in problem or "hexdecimal" in problem  # as libyaml spells it


def _backslash_in_list(lines: Sequence[str], number: int, problem: str) -> Explained | None:
    """`[ "C:\\Users\\a.jpg" ]`."""
    line = lines[number - 1]
    if not _is_of_escape(problem) or (found := re.search(r'"[^"\']*\\[^"\']*"', line)) is None:
        return None
    mended = re.sub(r'"([^"\']*\\[^"\']*)"', r"'\1'", line)
    message = "a backslash in double quotes begins an escape; use single ones"
    return _quote_it(message, line, number, found.start() + 1, mended)


def _comma(lines: Sequence[str], number: int, problem: str) -> Explained | None:
    """`image_urls: [a.jpg],`, as JSON has it."""
    parts = _split(lines[number - 1])
    value = parts["value"]
    if re.fullmatch(r"(?:\[.*\]|\{.*\}|\"[^\"]*\"|'[^']*'),", value) is None or not (
        parts["key"] or parts["lead"].strip()
    ):
        return None
    mended = _with_value(parts, value[:-1])
    return _write_it("a comma behind a value, where YAML has none", number, lines[number - 1].rindex(",") + 1, mended)


def _start(lines: Sequence[str], number: int, problem: str) -> Explained | None:
    """`prompt: @home`, `prompt: - mug`: what a plain value can't begin with."""
    line = lines[number - 1]
    parts = _split(line)
    value = parts["value"]
    if not value or "duplicate" in problem:
        return None
    is_list_in_value = value.startswith(("- ", "? ")) and parts["key"]
    is_block = re.fullmatch(r"[|>][-+0-9]*", value) is not None
    is_behind_bracket = re.fullmatch(r"\[[^\[\]]*\][^,\]}]+.*|\{[^{}]*\}[^,\]}]+.*", value) is not None
    if is_behind_bracket and not parts["key"] and not parts["lead"].strip():
        return None
    if not (is_list_in_value or is_behind_bracket or (value[0] in _STARTS and not is_block)):
        return None
    column = line.index(value, len(parts["lead"]) + len(parts["key"])) + 1
    message = f"a value can't begin with {value[0]} in YAML"
    if is_behind_bracket:
        message = f"text behind a closing {']' if value[0] == '[' else '}'}"
    return _quote_it(message, line, number, column, _with_value(parts, _quoted(value)))


def _colon(lines: Sequence[str], number: int, problem: str) -> Explained | None:
    """`prompt: Style: minimal`."""
    line = lines[number - 1]
    parts = _split(line)
    value = parts["value"]
    found = re.search(r":(?=\s|$)", value)
    if not parts["key"] or found is None or value[0] in "[{'\"":
        return None
    column = line.index(value, len(parts["lead"]) + len(parts["key"])) + found.start() + 1
    return _quote_it('": " in a value begins another key', line, number, column, _with_value(parts, _quoted(value)))


def _dash(lines: Sequence[str], number: int, problem: str) -> Explained | None:
    line = lines[number - 1]
    if (found := _NO_SPACE_AFTER_DASH.fullmatch(line)) is None:
        return None
    mended = f"{found[1]}- {found[2]}"
    return _write_it("a space is missing behind -", number, len(found[1]) + 2, mended)


def _colon_without_space(lines: Sequence[str], number: int, problem: str) -> Explained | None:
    line = lines[number - 1]
    if (found := _NO_SPACE_AFTER_COLON.fullmatch(line)) is None:
        return None
    return _write_it("a space is missing behind :", number, len(found[1]) + 2, f"{found[1]}: {found[2]}")


def _no_colon(lines: Sequence[str], number: int, problem: str) -> Explained | None:
    line = lines[number - 1]
    if "expected ':'" not in problem or (found := _NO_COLON.fullmatch(line)) is None:
        return None
    column = found.start(1) + len(found[1]) + 1
    mended = f"{line[: column - 1]}: {line[column - 1 :].strip()}".rstrip()
    return _write_it(
        f"a colon is missing behind {found[1]}, or this belongs to the value above", number, column, mended
    )


def _indentation(lines: Sequence[str], number: int, problem: str) -> Explained | None:
    """A key that begins in another column than those that it belongs to."""
    line = lines[number - 1]
    above = _above(lines, number)
    parts = _split(line)
    if (
        not above
        or not (parts["key"] or line.rstrip().endswith(":"))
        or "node content" in problem
        or "',' or" in problem
    ):
        return None
    upper = _split(lines[above - 1])
    column, wanted = len(parts["lead"]) + 1, len(upper["lead"]) + 1
    if column == wanted or parts["lead"].strip():
        return None
    mended = " " * (wanted - 1) + line.strip()
    message = f"begins in column {column}, the key above in column {wanted}; what belongs together begins in one"
    return Explained(f"{message}: {_clipped(mended.strip())}", number, column, mended)


# The order is that of how sure each is of what was meant.
_RULES: tuple[Callable[[Sequence[str], int, str], Explained | None], ...] = (
    _tab,
    _odd_indentation,
    _template,
    _backslash_in_list,
    _comma,
    _quoted_wrongly,
    _start,
    _colon,
    _dash,
    _colon_without_space,
    _no_colon,
    _indentation,
)


def _quote_it(message: str, line: str, number: int, column: int, mended: str) -> Explained:
    advice = "" if ";" in message else "; quote it"
    return Explained(f"{message}{advice}: {_clipped(mended.strip())}", number, column, mended)


def _write_it(message: str, number: int, column: int, mended: str) -> Explained:
    return Explained(f"{message}; write {_clipped(mended.strip())}", number, column, mended)


def _split(line: str) -> dict[str, str]:
    found = _PARTS.fullmatch(line)
    assert found is not None, line
    return {name: text or "" for name, text in found.groupdict().items()}


def _with_value(parts: dict[str, str], value: str) -> str:
    return f"{parts['lead']}{parts['key']}{value}{parts['comment']}"


def _quoted(value: str) -> str:
    if '"' in value or "\\" in value:
        return "'" + value.replace("'", "''") + "'"
    return f'"{value}"'


def _ends_early(value: str) -> bool:
    """Whether a quoted value has text behind the quote that closes it."""
    pattern = r"'(?:[^']|'')*'" if value[0] == "'" else r'"(?:[^"\\]|\\.)*"'
    found = re.match(pattern, value)
    return found is not None and found.end() < len(value)


def _last_written(lines: Sequence[str], number: int) -> int:
    """The line itself, or where it is blank, as at the end of the file, the one above that isn't."""
    number = min(number, len(lines))
    return number if lines[number - 1].strip() else _above(lines, number) or number


def _above(lines: Sequence[str], number: int) -> int:
    """The nearest line above that is neither blank nor a comment; 0 if there is none."""
    for above in range(number - 1, 0, -1):
        if (text := lines[above - 1].strip()) and not text.startswith("#"):
            return above
    return 0


def _clipped(text: str) -> str:
    # What can't be printed is written as YAML has it in double quotes.
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: _SHOWN + 1])
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
