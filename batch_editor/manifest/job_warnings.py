"""What looks wrong with a job that is sent all the same: shortened ids, links to what is no picture."""

from __future__ import annotations

import re

from batch_editor.manifest.faults import Problem, shown
from batch_editor.records import ParamValue

# 123456789012 after a spreadsheet: every id of the column has become the same few.
_SHORTENED = re.compile(r"(?<![\w.,])\d(?:[.,]\d+)?E\+\d\d(?!\w)")
_NOT_TAKEN = (
    *(".heic", ".heif", ".avif", ".gif", ".svg", ".tif", ".tiff", ".bmp", ".psd", ".pdf", ".eps"),
    *(".mp4", ".mov", ".zip", ".html", ".htm"),
)
_LOOK_AT_IT = "JPEG, PNG and WebP are taken: --check-inputs looks at what it really is"


def shortened_warning(job_id: str) -> str | None:
    """What to say of an id that a spreadsheet has made of a long number; None of any other.

    >>> shortened_warning("4.01E+12")[:44]
    "id '4.01E+12' looks shortened by a spreadshe"
    >>> shortened_warning("E+12") is None
    True
    """
    if not _SHORTENED.search(job_id):
        return None
    way_out = "format the column as a number without decimals and export it again"
    return f"id {shown(job_id)} looks shortened by a spreadsheet; {way_out}"


def ending_warnings(where: str, name: str, links: ParamValue) -> list[Problem]:
    """A warning for each link that ends like no picture that is taken; some hosts send another one by such a name.

    `where` is the row's place, `name` the parameter that has the links.
    """
    found = []
    for link in [links] if isinstance(links, str) else links if isinstance(links, list) else ():
        if link.lower().endswith(_NOT_TAKEN):
            ending = link[link.rindex(".") :].lower()
            found.append(Problem(where, f"{name} has a link that ends in {ending}", advice=_LOOK_AT_IT))
    return found
