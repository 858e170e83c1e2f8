"""Jobs that were written for one endpoint, asked of another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from batch_editor.endpoints import Endpoint, Parameter
from batch_editor.manifest.faults import Refused, shown
from batch_editor.manifest.values import Converter, Files, converter_of, is_free_text
from batch_editor.records import ParamValue


@dataclass(frozen=True)
class Move:
    """What becomes of the parameters of `old` at `new`: their names there (None: no place) and other values.

    `new` must take what `names` says; `values` are by the old name.
    """

    old: Endpoint
    new: Endpoint
    names: Mapping[str, str | None]
    values: Mapping[str, Mapping[str, str]]

    @property
    def spellings(self) -> dict[str, str | None]:
        """The old names that have no place at the new endpoint, or that it doesn't have, with what it calls them."""
        return {name: there for name, there in self.names.items() if there is None or name not in self.new.parameters}

    @property
    def changes(self) -> bool:
        """Whether anything that a job may say is another thing at the new endpoint."""
        changed = any(old != new for values in self.values.values() for old, new in values.items())
        return bool(self.spellings) or changed

    def converters(self, folder: Path, tell: Callable[[str], object]) -> dict[str, Converter]:
        """Text to value for every parameter that has a place, by its old and its new name.

        A value that has none says nothing; `tell` is told.
        """
        found: dict[str, Converter] = {}
        for name, there in self.names.items():
            if there is not None:
                found[there] = found[name] = self._converter(name, there, folder, tell)
        return found

    def _converter(self, name: str, there: str, folder: Path, tell: Callable[[str], object]) -> Converter:
        convert = converter_of(self.new.parameters[there], folder)
        parameter, values = self.old.parameters[name], self.values.get(name, {})
        if parameter.type in ("link", "links") or is_free_text(parameter):
            return convert

        def moved(text: str | list[str], files: Files) -> ParamValue:
            """Convert a value; one that the new endpoint lacks becomes its counterpart."""
            assert isinstance(text, str), "only links are read as lists"
            word = text.strip()
            try:
                return convert(values.get(word, text), files)
            except Refused:
                if not _takes(parameter, word):
                    raise
            tell(f"{name} {shown(word)} has no place in {self.new.name}; its default counts instead")
            return None

        return moved


def _takes(parameter: Parameter, word: str) -> bool:
    try:
        parameter.parse(word)
    except ValueError:
        return False
    return True
