"""Templates of manifests, and what they make of rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from batch_editor.errors import did_you_mean
from batch_editor.manifest.faults import Refused
from batch_editor.manifest.jinja import JinjaFault, Source, UndefinedName
from batch_editor.manifest.odd_cells import Cells, OddText
from batch_editor.manifest.rows import Row


class TemplateFault(Refused):
    """A template can't be compiled or rendered; the message continues `template of prompt`."""

    def with_subject(self, name: str) -> Refused:
        """The same with its subject."""
        return Refused(f"template of {name} {self}")


class UnknownColumn(TemplateFault):
    """A template uses a name that the row doesn't have, in this row as in all others of its table."""


class OddCellFault(TemplateFault):
    """A template failed over what it made of odd cells, as `{{ title.split()[0] }}` does where the title is blank."""

    def __init__(self, message: str, cells: Cells) -> None:
        super().__init__(message)
        self.cells = cells


class Template:
    """A compiled template. `names` has those that it uses, and the columns that it takes from `row`."""

    def __init__(self, source: str) -> None:
        try:
            self._source = Source(source)
        except JinjaFault as error:
            raise TemplateFault(str(error)) from error
        self.names = self._source.names

    def render_row(self, row: Row) -> str:
        """The text that the template makes of a row.

        Raises:
            TemplateFault: see `render`.
        """
        return self.render(row.names)

    def to_be_sent(self, row: Row) -> str:
        """As `render_row`, for a prompt: an `OddText` where odd cells come out in it.

        Raises:
            OddCellFault: the rendering failed over one.
            TemplateFault: see `render`.
        """
        text, odd = self._rendered(row.names)
        return OddText.with_cells(text, odd) if odd else text

    def render(self, names: Mapping[str, object]) -> str:
        """The text that the template makes of the names.

        Raises:
            TemplateFault: it uses an unknown name, goes beyond its bounds, or fails otherwise.
        """
        return self._rendered(names)[0]

    def _rendered(self, names: Mapping[str, object]) -> tuple[str, Cells]:
        try:
            return self._source.render(names)
        except UndefinedName as error:
            fault = _undefined(str(error), names)
            if error.cells and not isinstance(fault, UnknownColumn):  # it has nothing to do with them
                raise OddCellFault(str(fault), error.cells) from error
            raise fault from error
        except JinjaFault as error:
            if error.cells:
                raise OddCellFault(str(error), error.cells) from error
            raise TemplateFault(str(error)) from error


def is_template(text: str) -> bool:
    """Whether the text is rendered; any other stands for itself.

    >>> is_template("Show {{ title }}"), is_template("100% {cotton}")
    (True, False)
    """
    return "{" in text and ("{{" in text or "{%" in text)


@lru_cache(maxsize=10_000)
def compiled(source: str) -> Template:
    """The template of this source, compiled once.

    Raises:
        TemplateFault: it isn't one.
    """
    return Template(source)


def _undefined(message: str, names: Mapping[str, object]) -> TemplateFault:
    """Jinja2's words for an undefined name, in a manifest's terms."""
    if match := re.fullmatch(r"'(.*)' is undefined", message):
        known = [name for name in names if name != "row"]
    elif match := re.fullmatch(r"'dict object' has no attribute '(.*)'", message):
        row = names.get("row")
        known = list(row) if isinstance(row, Mapping) else []
    else:
        return TemplateFault(f"fails: {message}")
    return UnknownColumn(f"uses {match[1]!r}, which is no column{did_you_mean(match[1], known)}")
