"""A job as pages know it, out of its row in the ledger."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from batch_editor.endpoints import load_endpoint, shipped_endpoints
from batch_editor.ledger import files_from
from batch_editor.ledger.review_readings import ReviewRow
from batch_editor.verdicts import Picture

# Names of these roles at endpoints whose file isn't at hand: the ledger knows an endpoint by its name alone.
_USUAL = {
    "prompt": ("prompt",),
    "images": ("image_urls", "images", "image_url", "image", "input_images"),
    "mask": ("mask", "mask_url"),
}


@dataclass(frozen=True, slots=True)
class ReviewJob:
    """A job with what its request asks for, apart from `row`.

    inputs, mask: links, or `sha256:<hex>` of local files. settings: the other parameters, as JSON. columns: the cells
    of the job's row, by column. local: paths of local files by content. stamp: changes with anything in `row`.
    """

    row: ReviewRow
    prompt: str
    inputs: tuple[str, ...]
    mask: str | None
    settings: str
    columns: Mapping[str, str]
    axes: Mapping[str, str]
    local: Mapping[str, str]
    stamp: int

    @property
    def picture(self) -> Picture | None:
        """What verdicts are about; None while there is none."""
        if self.row.status != "succeeded" or self.row.sha256 is None:
            return None
        return Picture(self.row.fingerprint, self.row.sha256)

    @property
    def charged_usd(self) -> float | None:
        """What the job cost, its former pictures included; None while that is open.

        One that took another's picture cost nothing.
        """
        if self.row.status in ("pending", "unknown"):
            return None
        if self.row.status != "succeeded" or self.row.owner != self.row.job_id:
            return 0.0
        present_usd = self.row.expected_usd if self.row.cost_usd is None else self.row.cost_usd
        return present_usd + self.row.former_usd


def review_job(row: ReviewRow) -> ReviewJob:
    """The job of a row."""
    params: dict[str, Any] = orjson.loads(row.params)
    roles = roles_of(row.endpoint, tuple(params))
    others = {name: value for name, value in params.items() if name not in roles.values()}
    return ReviewJob(
        row=row._replace(
            # They are the same for many jobs, and so kept once; what the rest of it was for is read by now.
            params="",
            axes="",
            extras="",
            files="",
            template=sys.intern(row.template),
            status=sys.intern(row.status),
            endpoint=sys.intern(row.endpoint),
            error_kind=None if row.error_kind is None else sys.intern(row.error_kind),
            error=None if row.error is None else sys.intern(row.error),
            owner=row.job_id if row.owner == row.job_id else row.owner,
        ),
        prompt=prompt_of(row.endpoint, params),
        inputs=links_of(row.endpoint, params),
        mask=mask_of(row.endpoint, params),
        settings=sys.intern(orjson.dumps(others).decode()),
        columns=_interned(row.extras),
        axes=_interned(row.axes),
        local={sys.intern(sha256): sys.intern(path) for sha256, (path, _) in files_from(row.files).items()},
        stamp=stamp_of(row),
    )


def stamp_of(row: ReviewRow) -> int:
    """A number that is another one, but for once in 10**19 times, as soon as anything of a row is."""
    return hash(row)


def prompt_of(endpoint: str, params: Mapping[str, Any]) -> str:
    """The prompt of a request."""
    name = roles_of(endpoint, tuple(params)).get("prompt")
    return "" if name is None else str(params[name] or "")


def links_of(endpoint: str, params: Mapping[str, Any]) -> tuple[str, ...]:
    """The input images of a request: links, `data:` links, or `sha256:<hex>` of local files."""
    name = roles_of(endpoint, tuple(params)).get("images")
    value = None if name is None else params[name]
    listed = value if isinstance(value, list) else [value] if value else []
    return tuple(sys.intern(str(each)) for each in listed)


def mask_of(endpoint: str, params: Mapping[str, Any]) -> str | None:
    """The mask of a request, as `links_of` has its images."""
    name = roles_of(endpoint, tuple(params)).get("mask")
    value = None if name is None else params[name]
    return None if not value else sys.intern(str(value))


@lru_cache(maxsize=256)
def roles_of(endpoint: str, names: tuple[str, ...]) -> Mapping[str, str]:
    """Which of these parameters is the prompt, which the input images, which the mask; by role."""
    if endpoint in shipped_endpoints():
        known = dict(load_endpoint(endpoint).shape.roles)
    else:
        known = {role: next((each for each in usual if each in names), "") for role, usual in _USUAL.items()}
    return {role: name for role, name in known.items() if role in _USUAL and name in names}


def _interned(text: str) -> Mapping[str, str]:
    found: dict[str, Any] = orjson.loads(text)
    return {sys.intern(name): sys.intern(str(value)) for name, value in found.items()}
