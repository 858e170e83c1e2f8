"""What an endpoint's file says its parameters mean is what an image is held to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from PIL import Image

from batch_editor import MachineError
from batch_editor.endpoints import load_endpoint
from batch_editor.output import Acceptance, Verdict
from batch_editor.records import Failure, ParamValue, SavedImage

OWN = """\
name: mine
path: mine
parameters:
  dimensions: {type: string, role: size}
  image_format: {type: string, role: format}
  ground: {type: string, role: background}
  size: {type: string}
  output_format: {type: string}
prices: {table: 1}
"""


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Acceptance]:
    own = tmp_path_factory.mktemp("endpoint") / "mine.yaml"
    own.write_text(OWN)
    names = ("gpt-image-1.5-edit", "gpt-image-2", "nano-banana", "nano-banana-2", str(own))
    acceptance = Acceptance("full", {endpoint.name: endpoint for endpoint in map(load_endpoint, names)})
    yield acceptance
    acceptance.close()


def image(folder: Path, size: tuple[int, int] = (64, 48), format: Literal["png", "webp"] = "png") -> SavedImage:
    path = folder / f"1.{format}"
    Image.linear_gradient("L").resize(size).save(path)
    return SavedImage(str(path), "", path.stat().st_size, format, *size)


def rejected(said: str) -> Verdict:
    return Verdict(Failure("bad_response", said, maybe_billed=True, http_status=200))


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"dimensions": "64x48", "image_format": "png", "ground": "auto"}, None),
        ({"dimensions": "auto", "image_format": "auto"}, None),
        ({"dimensions": None, "image_format": None}, None),
        ({"dimensions": "48x64"}, "asked for 48x64, got 64x48"),
        ({"image_format": "jpg"}, "asked for jpeg, got png"),
        ({"dimensions": "1x1", "image_format": "webp"}, "asked for webp, got png; asked for 1x1, got 64x48"),
        ({"ground": "transparent"}, "asked for a transparent background, got no alpha channel"),
        ({"size": "1x1", "output_format": "webp"}, None),
    ],
)
def test_roles_say_which_parameter_means_what(
    full: Acceptance, tmp_path: Path, params: dict[str, ParamValue], said: str | None
) -> None:
    assert full.judge("mine", params, {}, image(tmp_path)) == (rejected(said) if said else Verdict())


@pytest.mark.parametrize(
    ("endpoint", "params", "said"),
    [
        ("gpt-image-2", {"size": "48x64"}, "asked for 48x64, got 64x48"),
        # Which of them the model goes by isn't known.
        ("gpt-image-2", {"size": "48x64", "width": 64, "height": 48}, None),
        ("nano-banana-2", {"output_resolution": "4K", "output_format": "jpg"}, "asked for jpeg, got png"),
        ("nano-banana-2", {"output_resolution": "4K", "output_format": "png"}, None),
    ],
)
def test_what_a_shipped_endpoint_is_asked_for_is_held_against_the_image(
    full: Acceptance, tmp_path: Path, endpoint: str, params: dict[str, ParamValue], said: str | None
) -> None:
    assert full.judge(endpoint, params, {}, image(tmp_path)) == (rejected(said) if said else Verdict())


@pytest.mark.parametrize("endpoint", ["nano-banana", "one-that-is-named-no-more"])
def test_where_nothing_is_asked_for_pixels_are_looked_at_all_the_same(
    full: Acceptance, tmp_path: Path, endpoint: str
) -> None:
    assert full.judge(endpoint, {"aspect_ratio": "1:1", "size": "1x1"}, {}, image(tmp_path)) == Verdict()
    blank = image(tmp_path, (64, 1))  # a gradient from top to bottom, of one line
    assert full.judge(endpoint, {}, {}, blank).rejected is not None


def test_only_local_inputs_of_the_request_are_compared(full: Acceptance, tmp_path: Path) -> None:
    source = tmp_path / "input.png"
    Image.linear_gradient("L").save(source)
    files = {"aa": (str(source), "png")}
    link: ParamValue = ["https://example.com/mug.png"]
    same: ParamValue = ["https://example.com/mug.png", "sha256:aa"]
    params: dict[str, ParamValue] = {"size": "auto"}
    found = image(tmp_path, (256, 256))
    assert full.judge("gpt-image-1.5-edit", {**params, "image_urls": link}, files, found) == Verdict()
    unchanged = full.judge("gpt-image-1.5-edit", {**params, "image_urls": same}, files, found)
    assert unchanged == rejected("the input came back unchanged")


def test_by_the_header_a_difference_is_a_warning_and_no_process_is_needed(tmp_path: Path) -> None:
    acceptance = Acceptance("header", {"gpt-image-1.5-edit": load_endpoint("gpt-image-1.5-edit")})
    acceptance.start()
    params: dict[str, ParamValue] = {"size": "1024x1024", "output_format": "png", "background": "transparent"}
    verdict = acceptance.judge("gpt-image-1.5-edit", params, {}, image(tmp_path))
    assert verdict == Verdict(warning="asked for 1024x1024, got 64x48")
    acceptance.close()


@pytest.mark.slow
def test_a_machine_on_which_images_cannot_be_checked_is_told_before_money_is_spent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    acceptance = Acceptance("full", {})
    try:
        with pytest.raises(MachineError) as told:
            acceptance.start()
        assert str(told.value) == (
            "images can't be checked here: no process can be started to work in: /bin/false ends at once."
            " checks: header does without"
        )
    finally:
        acceptance.close()
