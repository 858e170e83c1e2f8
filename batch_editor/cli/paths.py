"""Paths on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class NamedPath(click.Path):
    """A path that has a name. An empty one is refused: to pathlib it is the working directory, which nobody meant."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.Path`."""
        if value == "":
            wanted = "a name" if param is None or ctx is None else param.make_metavar(ctx).strip(" .…[]")
            self.fail(f"the name is empty; expected {wanted}. Is a variable of the shell not set?", param, ctx)
        return super().convert(value, param, ctx)


NAMED_PATH = NamedPath(path_type=Path)
