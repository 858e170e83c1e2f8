"""Pages without their data, and the files they are made of: scripts, styles, signs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable

from jinja2 import Environment, PackageLoader, StrictUndefined

STATIC = "/static/"
# Whatever the system says of these endings.
_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


class Pages:
    """Pages out of their templates, and static files by their names, all read at the start.

    `prefix` is where the files are asked for; it changes with any of them, so they may be kept for ever.
    """

    def __init__(self) -> None:
        self._files = dict(_below(resources.files("batch_editor.review").joinpath("static"), ""))
        version = hashlib.sha256(b"\0".join(name.encode() + data for name, (data, _) in sorted(self._files.items())))
        self.prefix = f"{STATIC}{version.hexdigest()[:16]}"
        loader = PackageLoader("batch_editor.review")
        templates = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, auto_reload=False)
        self._templates = {name: templates.get_template(name) for name in templates.list_templates()}
        self.message("", ())  # which has them all loaded: the one that they extend as well

    def file(self, name: str) -> tuple[bytes, str] | None:
        """A static file's content and type; None if there is none of that name."""
        return self._files.get(name)

    def page(self, name: str, *, output: str) -> str:
        """The page of that name, which asks for its data itself."""
        return self._templates[f"{name}.html"].render(static=self.prefix, output=output)

    def message(self, heading: str, paragraphs: Sequence[str], *, command: str | None = None) -> str:
        """A page that says something, and perhaps a command to type."""
        template = self._templates["message.html"]
        return template.render(
            static=self.prefix, output="Review", heading=heading, paragraphs=paragraphs, command=command
        )


def _below(folder: Traversable, prefix: str) -> list[tuple[str, tuple[bytes, str]]]:
    found: list[tuple[str, tuple[bytes, str]]] = []
    for each in folder.iterdir():
        if each.is_dir():
            found.extend(_below(each, f"{prefix}{each.name}/"))
        elif (
            type_ := next((known for ending, known in _TYPES.items() if each.name.endswith(ending)), None)
        ) is not None:
            found.append((f"{prefix}{each.name}", (each.read_bytes(), type_)))
    return found
