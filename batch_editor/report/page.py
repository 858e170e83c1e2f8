"""A report's page out of its template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from batch_editor.report.gathering import Gathered
from batch_editor.report.plots import Plot, plots
from batch_editor.report.rendering import rendered


def page(found: Sequence[Gathered], thumbnails: Mapping[str, str], *, now: float) -> bytes:
    """The page. `thumbnails`: links by the SHA-256 of pictures."""
    drawn = {each.place: _drawn(each) for each in found}
    return rendered("report.html", thumbnails, now=now, found=found, plots=drawn)


def _drawn(found: Gathered) -> list[tuple[Plot, Markup]]:
    if found.figures is None:
        return []
    return [(each, Markup(each.svg)) for each in plots(found.figures)]  # noqa: S704  # its texts are escaped
