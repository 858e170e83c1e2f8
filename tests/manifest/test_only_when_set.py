"""Parameters that are sent only when a manifest gives them a value: their names aren't in other requests at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch_editor.endpoints import load_endpoint
from batch_editor.records import ParamValue
from tests.support.manifest_reading import LINK, Reading, read, write

MASK = "https://example.com/mask.png"
SUNBURST = "gpt-image-2.5-sunburst"
ALWAYS = ["prompt", "image_urls", "size", "quality", "output_format"]


def reading(folder: Path, job: str, *, defaults: str = "{}", endpoint: str = SUNBURST) -> Reading:
    head = f"endpoint: {endpoint}\ndefaults: {defaults}\n"
    return read(write(folder / "m.yaml", f"{head}jobs:\n  - {{prompt: x, {job}}}\n"))


def params_of(folder: Path, job: str, defaults: str) -> dict[str, ParamValue]:
    return dict(reading(folder, f"image_urls: [{LINK}], {job}", defaults=defaults).job.request.params)


@pytest.mark.parametrize(
    ("job", "defaults"),
    [
        ("", "{}"),
        ("mask: null", "{}"),
        ("mask: ~", f"{{mask: {MASK}}}"),
        ("mask: ''", "{}"),
        ("background: null, moderation: null, output_compression: null", "{background: opaque, moderation: low}"),
    ],
)
def test_what_has_no_value_is_not_in_the_request(tmp_path: Path, job: str, defaults: str) -> None:
    assert list(params_of(tmp_path, job, defaults)) == ALWAYS


@pytest.mark.parametrize(
    ("job", "defaults", "sent"),
    [
        (f"mask: {MASK}", "{}", {"mask": MASK}),
        ("", f"{{mask: {MASK}}}", {"mask": MASK}),
        ("background: auto", "{}", {"background": "auto"}),  # the provider's default, in so many words
        ("output_compression: 0, output_format: webp", "{}", {"output_compression": 0, "output_format": "webp"}),
    ],
)
def test_what_has_a_value_is_sent(tmp_path: Path, job: str, defaults: str, sent: dict[str, ParamValue]) -> None:
    params = params_of(tmp_path, job, defaults)
    assert {name: params[name] for name in sent} == sent
    assert list(params) == [name for name in load_endpoint(SUNBURST).parameters if name in {*ALWAYS, *sent}]


@pytest.mark.parametrize("defaults", ["{}", "{mask: null}", "{mask: ''}"])
def test_a_row_that_says_nothing_has_no_value(tmp_path: Path, defaults: str) -> None:
    write(tmp_path / "rows.csv", f"photo,cut\n{LINK},{MASK}\n{LINK},\n")
    job = "rows: rows.csv, image_urls: ['{{ photo }}'], mask: '{{ cut }}'"
    found = reading(tmp_path, job, defaults=defaults)
    assert [dict(job.request.params).get("mask", "absent") for job in found.jobs] == [MASK, "absent"]


def test_none_of_them_counts_as_sent_at_its_default() -> None:
    shape = load_endpoint("gpt-image-2.5-sunburst").shape
    assert dict(shape.defaults) == {"size": "auto", "quality": "high", "output_format": "png"}


OWN = """\
name: mine
path: mine
parameters:
  prompt: {type: string, required: true, role: prompt}
  image_urls: {type: links, required: true, role: images}
  encoding: {type: string, choices: [png, jpeg], only_when_set: true, default: jpeg}
  background: {type: string, choices: [transparent, opaque], only_when_set: true}
  compression: {type: integer, only_when_set: true}
rules: [{when: {background: transparent}, need: {encoding: [png]}, why: jpeg has no transparency}]
unused: [{when: {encoding: jpeg}, parameter: compression, why: it is fixed}]
prices: {table: 1}
"""


def test_rules_and_warnings_go_by_what_the_provider_takes(tmp_path: Path) -> None:
    write(tmp_path / "mine.yaml", OWN)
    job = f"image_urls: [{LINK}], "
    refused = reading(tmp_path, job + "background: transparent", endpoint="mine.yaml")
    assert refused.fault == (
        "m.yaml:4: job m-1: background is transparent, which needs encoding png (jpeg has no transparency); got jpeg"
    )
    warned = reading(tmp_path, job + "compression: 5", endpoint="mine.yaml")
    assert warned.warnings == ["m.yaml: compression has no effect with encoding jpeg (it is fixed)"]
    assert reading(tmp_path, job + "compression: 5, encoding: png", endpoint="mine.yaml").warnings == []
    assert list(warned.job.request.params) == ["prompt", "image_urls", "compression"]
