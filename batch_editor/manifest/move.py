"""Jobs that were written for one endpoint, asked of another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from batch_editor.endpoints import Endpoint, Parameter
from batch_editor.manifest.faults import Refused, shown
from batch_editor.manifest.values import Converter, Files, is_free_text
from batch_editor.records import ParamValue

_FORMATS = (("jpeg", "jpg"), ("jpg", "jpeg"))  # one format, two spellings


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

    def converters(self, own: Mapping[str, Converter], tell: Callable[[str], object]) -> dict[str, Converter]:
        """Text to value for every parameter that has a place, by its old and its new name.

        `own` are the new endpoint's, by name. A value that has no place says nothing; `tell` is called.
        """
        found: dict[str, Converter] = {}
        for name, there in self.names.items():
            if there is not None:
                found[there] = found[name] = self._converter(name, own[there], tell)
        return found

    def _converter(self, name: str, convert: Converter, tell: Callable[[str], object]) -> Converter:
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


def plain_move(old: Endpoint, new: Endpoint) -> Move:
    """What becomes of an endpoint's parameters at another one that isn't its successor.

    Each goes to the one of its name, else to the one of its role: `image_urls` to `image`. A format goes to the other
    spelling of it: jpeg to jpg.
    """
    names = {name: place_of(old, new, name) for name in old.parameters}
    values = {
        name: _other_spellings(parameter, new.parameters[there])
        for name, parameter in old.parameters.items()
        if parameter.role == "format" and (there := names[name]) is not None
    }
    return Move(old=old, new=new, names=names, values={name: known for name, known in values.items() if known})


def place_of(old: Endpoint, new: Endpoint, name: str) -> str | None:
    """The parameter of `new` with the name of that one of `old`, else with its role; None if there is none."""
    role = old.parameters[name].role
    return name if name in new.parameters else new.parameter_of(role) if role is not None else None


def _other_spellings(old: Parameter, new: Parameter) -> dict[str, str]:
    return {
        word: other
        for word, other in _FORMATS
        if word in old.choices and word not in new.choices and other in new.choices
    }


def _takes(parameter: Parameter, word: str) -> bool:
    try:
        parameter.parse(word)
    except ValueError:
        return False
    return True
