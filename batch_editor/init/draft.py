"""A first manifest as data, and as the text of a YAML file that explains itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import wrap

from batch_editor.manifest.faults import Refused
from batch_editor.manifest.rows import Columns, snake_case

SCHEMA_FILE = ".batch-editor.schema.json"
_PROMPT = "Show {} on a pure white background, with a soft shadow"
# Paths of files and folders, which nobody takes for a number, a word of YAML or a key.
_PLAIN = re.compile(r"(?:\.\./)*[A-Za-z][A-Za-z0-9_-]*(?:[./][A-Za-z][A-Za-z0-9_-]*)*(?:/|\.[A-Za-z]+)", re.ASCII)
# What double quotes of YAML have only as an escape, beyond what JSON escapes.
_NOT_PRINTED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
# Names that mean something else in a template.
_RESERVED = (
    *("and", "else", "elif", "endif", "false", "False", "for", "if", "import", "in", "is", "loop", "none", "None"),
    *("not", "or", "recursive", "row", "self", "super", "true", "True"),
)
_COLUMNS_SHOWN = 12
_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Draft:
    """What a first manifest says.

    said: what was read, in words. notes: what wasn't found, and what else is worth knowing.
    rows, format, matrix, id, output: as in a manifest; None: it doesn't have the key.
    link: a row's link, as an expression of a template. conditions: what `when` asks of a row; example: one more.
    prompt: what the endpoint calls it, and its template.
    images: what the endpoint calls the pictures, and the template of one; `takes_list` says how it is written.
    defaults: parameters for all jobs, each with a comment. parameters: others of the job.
    columns: what a row has.
    """

    said: str
    rows: str
    columns: tuple[str, ...]
    link: str
    images: tuple[str, str]
    takes_list: bool
    prompt: tuple[str, str] | None
    defaults: Mapping[str, tuple[str, str]]
    example: str
    endpoint: str | None = None
    format: str | None = None
    id: str | None = None
    output: str | None = None
    matrix: tuple[str, tuple[str, ...]] | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    conditions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def when(self) -> str | None:
        """The template of `when`."""
        return f"{{{{ {' and '.join(self.conditions)} }}}}" if self.conditions else None

    def text(self, *, command: str) -> str:
        """The file. `command` is what plans it."""
        return "\n".join(self._lines(command)) + "\n"

    def _lines(self, command: str) -> Iterator[str]:
        yield f"# yaml-language-server: $schema={SCHEMA_FILE}"
        yield from _comment(f"{self.said}.")
        for note in self.notes:
            yield from _comment(note)
        yield "# What it costs, and whether a row is faulty, without sending anything:"
        yield f"#   {_printable(command)}"
        if self.endpoint is not None:
            yield ""
            yield f"endpoint: {yaml_text(self.endpoint)}"
        if self.defaults:
            yield ""
            yield "defaults:"
            lines = [(f"  {name}: {value}", _printable(about)) for name, (value, about) in self.defaults.items()]
            yield from _aligned(lines)
        yield ""
        yield "jobs:"
        yield "  # One job for each row. What stands in {{ }} is read from the row, by the names of its columns:"
        shown = ", ".join(self.columns[:_COLUMNS_SHOWN]) + ", …" * (len(self.columns) > _COLUMNS_SHOWN)
        yield from _comment(shown, 2)
        first, *others = self._job()
        yield from _aligned([(f"  - {first[0]}", first[1]), *((f"    {line}", about) for line, about in others)])
        yield "    # More to try, without the # and the blank before it:"
        yield from self._more()

    def _job(self) -> Iterator[tuple[str, str]]:
        """The keys of the job, each with a comment."""
        if self.id is not None:
            yield f"id: {yaml_text(self.id)}", ""
        yield f"rows: {yaml_text(self.rows)}", ""
        if self.format is not None:
            name = "handle" if self.format == "shopify" else "sku"
            yield f"format: {self.format}", f"one row a picture; ids are <{name}>-<position>"
        if self.matrix is not None:
            name, values = self.matrix
            yield f"matrix: {{{name}: [{', '.join(map(yaml_text, values))}]}}", "one job for each row and each of these"
        if self.when is not None:
            yield f"when: {yaml_text(self.when)}", "other rows are skipped"
        if self.prompt is not None:
            yield f"{self.prompt[0]}: {yaml_text(self.prompt[1])}", ""
        name, template = self.images
        yield f"{name}: {f'[{yaml_text(template)}]' if self.takes_list else yaml_text(template)}", ""
        for name, template in self.parameters.items():
            yield f"{name}: {yaml_text(template)}", ""
        if self.output is not None:
            yield f"output: {yaml_text(self.output)}", "where the picture goes, below images/"

    def _more(self) -> Iterator[str]:
        condition = f"{' and '.join((*self.conditions, self.example))}"
        when = "in place of the one above" if self.when is not None else "only rows for which it is true"
        matrix = "matrix: {scene: [beach, studio]}"
        if self.matrix is not None:
            name, values = self.matrix
            matrix = f"matrix: {{{name}: [{', '.join(map(yaml_text, values))}], scene: [beach, studio]}}"
        line = f"    # when: {yaml_text(f'{{{{ {condition} }}}}')}"
        tried = [(line, when)] if len(line) < _WIDTH else []
        places = ["prompt", *(["id"] if self.id is not None else []), *(["output"] if self.output is not None else [])]
        scene = f"a job for each scene; put {{{{ scene }}}} into {' and '.join(places)}"
        tried.append((f"    # {matrix}", scene))
        tried.append(("    # variants: 2", "the same request twice, to choose from"))
        yield from _aligned(tried)


def prompt_for(title: str | None, *, is_sometimes_blank: bool = False) -> str:
    """A first prompt; `title` is the expression of what the picture shows.

    >>> prompt_for("title", is_sometimes_blank=True)
    "Show {{ title or 'the product' }} on a pure white background, with a soft shadow"
    """
    if title is None:
        return _PROMPT.format("the product")
    return _PROMPT.format(f"{{{{ {title} or 'the product' }}}}" if is_sometimes_blank else f"{{{{ {title} }}}}")


def expression_of(column: str, columns: Sequence[str]) -> str:
    """How a template of these columns calls one of them.

    >>> expression_of("Image Src", ["sku", "Image Src"]), expression_of("in", ["in"]), expression_of("50%", ["50%"])
    ('image_src', "row['in']", "row['50%']")
    """
    known = Columns(columns)
    for name in dict.fromkeys((snake_case(column), column)):
        if name.isidentifier() and name not in _RESERVED:
            try:
                if known.exact(name) == column:
                    return name
            except Refused:  # it is two columns' name
                continue
    return f"row[{jinja_text(column)}]"


def jinja_text(text: str) -> str:
    r"""A text as a template writes it.

    >>> print(jinja_text("it's"))
    'it\'s'
    """
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def yaml_text(text: str) -> str:
    r"""A text as YAML writes it, in double quotes where it needs any.

    >>> print(yaml_text("../products.csv"), yaml_text("no"), yaml_text("a: 'b'\x85"))
    ../products.csv "no" "a: 'b'\u0085"
    """
    if _PLAIN.fullmatch(text):
        return text
    return _NOT_PRINTED.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def _comment(text: str, indent: int = 0) -> Iterator[str]:
    before = " " * indent
    for line in wrap(_printable(text), _WIDTH - indent - 2, break_long_words=False, break_on_hyphens=False):
        yield f"{before}# {line}"


def _printable(text: str) -> str:
    """A text that stays on its line."""
    return "".join(each if each.isprintable() else " " for each in text)


def _aligned(lines: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Lines with their comments beside each other; behind a long line one stands above it."""
    width = max((len(line) for line, about in lines if about and len(line) < _WIDTH // 2), default=0)
    for line, about in lines:
        if not about:
            yield line
        elif len(line) <= width:
            yield f"{line:<{width}}  # {about}"
        else:
            yield f"{line}  # {about}"
