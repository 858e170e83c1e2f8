"""The drawings of docs/architecture.md as SVG text. `python -m docs.reference` writes them to docs/images/."""

from collections.abc import Iterable, Sequence

WIDTH, MARGIN = 860, 20
STYLE = (
    "<style>text{font:15px system-ui,sans-serif;fill:#1f2933}.small{font-size:12px;fill:#52606d}"
    ".box{fill:#eef2ff;stroke:#3f51b5}.apart{fill:#fff7e6;stroke:#b7791f;stroke-dasharray:5 3}"
    ".line{stroke:#3f51b5;stroke-width:2;fill:none}</style>"
)
TIP = (
    '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
    '<path d="M0,0 L8,4 L0,8 z" fill="#3f51b5"/></marker></defs>'
)
STATIONS = (
    ("manifest", "templates, rows", ""),
    ("requests", "fingerprints", "+ identity"),
    ("attempts", "permits, money", "+ time"),
    ("results", "checked images", "+ bytes, or an error"),
    ("ledger", "rows", "+ durability"),
    ("output", "manifest.csv", "+ totals"),
)


def house(floors: Sequence[tuple[str, Sequence[str]]], *, apart: str, lowest: str) -> str:
    """The rooms on their floors, the top one first; `apart` stands alone, `lowest` says what the bottom floor has."""
    height, gap, left = 46, 14, 60
    parts = []
    for row, (number, rooms) in enumerate([*floors, ("1", [lowest])]):
        top = MARGIN + row * (height + gap)
        parts.append(f'<text x="{MARGIN}" y="{top + 29}">{number}</text>')
        wide = (WIDTH - MARGIN - left - gap * (len(rooms) - 1)) / len(rooms)
        for place, room in enumerate(rooms):
            style = "apart" if room == apart else "box"
            parts.append(_box(left + place * (wide + gap), top, wide, height, room, style))
    bottom = MARGIN + (len(floors) + 1) * (height + gap)
    parts.append(_small(left, bottom + 6, "A room imports floors below it, never a neighbour. Dashed: stands apart."))
    return _svg(bottom + MARGIN, parts)


def path() -> str:
    """The stations from a manifest to the output manifest, and what each adds."""
    wide, height, gap = 112.0, 56, 29.6
    parts = [TIP]
    for place, (station, about, added) in enumerate(STATIONS):
        left = MARGIN + place * (wide + gap)
        parts.append(_box(left, MARGIN, wide, height, station, "box", about))
        parts.append(_small(left + wide / 2, MARGIN + height + 20, added, centred=True))
        if place:
            middle = MARGIN + height / 2
            parts.append(
                f'<path class="line" marker-end="url(#tip)" d="M{left - gap + 2:g},{middle:g} H{left - 2:g}"/>'
            )
    return _svg(MARGIN + height + 20 + MARGIN, parts)


def _box(left: float, top: float, wide: float, height: float, name: str, style: str, about: str = "") -> str:
    middle = left + wide / 2
    box = f'<rect class="{style}" x="{left:g}" y="{top:g}" width="{wide:g}" height="{height:g}" rx="6"/>'
    at = top + height / 2 + (-3 if about else 5)
    name = f'<text x="{middle:g}" y="{at:g}" text-anchor="middle">{name}</text>'
    return box + name + (_small(middle, at + 18, about, centred=True) if about else "")


def _small(left: float, top: float, text: str, *, centred: bool = False) -> str:
    anchor = ' text-anchor="middle"' if centred else ""
    return f'<text class="small" x="{left:g}" y="{top:g}"{anchor}>{text}</text>'


def _svg(height: float, parts: Iterable[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}">'
    return "\n".join([head, STYLE, f'<rect width="{WIDTH}" height="{height:g}" fill="#fff"/>', *parts, "</svg>"]) + "\n"
