"""A report's page out of its template. What comes from manifests and providers is text there, whatever it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from batch_editor.ledger import readings
from batch_editor.report.gathering import Gathered
from batch_editor.report.plots import Plot, plots
from batch_editor.text import duration, printable

_MOST_CHARACTERS = 1_000


def page(found: Sequence[Gathered], thumbnails: Mapping[str, str], *, now: float) -> bytes:
    """The page, in ASCII alone: no mail server can misread it. `thumbnails`: links by the SHA-256 of pictures."""
    templates = Environment(
        loader=PackageLoader("batch_editor.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_text,
    )
    templates.filters.update(
        usd=_usd,
        usd4=lambda value: f"${value:,.4f}",
        count=lambda value: f"{value:,}",
        seconds=lambda value: "" if value is None else f"{value:,.1f} s",
        duration=duration,
        instant=readings.moment,
        words=lambda name: name.replace("_", " "),
    )
    text = templates.get_template("report.html").render(
        found=found,
        plots={each.place: _drawn(each) for each in found},
        link=lambda sha256: Markup(thumbnails.get(sha256, "")),  # noqa: S704  # made here, of base64
        made_at=readings.moment(now),
    )
    return text.encode("ascii", "xmlcharrefreplace")


def _drawn(found: Gathered) -> list[tuple[Plot, Markup]]:
    if found.figures is None:
        return []
    return [(each, Markup(each.svg)) for each in plots(found.figures)]  # noqa: S704  # its texts are escaped


def _text(value: Any) -> Any:
    return printable(value, limit=_MOST_CHARACTERS) if type(value) is str else value


def _usd(value: float | None) -> str:
    return "" if value is None else f"${value:,.2f}"
