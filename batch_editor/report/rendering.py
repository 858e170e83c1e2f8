"""Pages out of templates. What comes from manifests and providers is text there, whatever it holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from batch_editor.ledger import readings
from batch_editor.text import duration, many, printable

_MOST_CHARACTERS = 1_000
_SHORT = 400


def rendered(template: str, thumbnails: Mapping[str, str], *, now: float, **values: Any) -> bytes:
    """The page, in ASCII alone: no mail server can misread it.

    `thumbnails`: links by what stands for a picture. Texts are made one line each, and cut, but for those that are
    `exact`.
    """
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
        many=many,
        seconds=lambda value: "" if value is None else f"{value:,.1f} s",
        duration=duration,
        instant=readings.moment,
        words=lambda name: name.replace("_", " "),
        short=lambda text: printable(text, limit=_SHORT),
        exact=lambda text: Markup(escape(text)),  # noqa: S704  # escaped
    )
    text = templates.get_template(template).render(
        values,
        link=lambda name: Markup(thumbnails.get(name, "")),  # noqa: S704  # made here, of base64
        made_at=readings.moment(now),
    )
    return text.encode("ascii", "xmlcharrefreplace")


def _text(value: Any) -> Any:
    return printable(value, limit=_MOST_CHARACTERS) if type(value) is str else value


def _usd(value: float | None) -> str:
    return "" if value is None else f"${value:,.2f}"
