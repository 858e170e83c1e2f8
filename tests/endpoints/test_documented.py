"""Endpoints as files: the newest models, and one that a stranger adds by the documentation alone."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from PIL import Image
from pydantic import SecretStr

import batch_editor
from batch_editor import BatchOptions, load_settings, make_plan, run_batch
from batch_editor.cli.main import main
from batch_editor.endpoints import load_endpoint
from batch_editor.recovery.rebuild import rebuild
from batch_editor.sandbox import Sandbox, SandboxOptions
from tests.support.bench import INPUT, KEY

PAGE = Path(batch_editor.__file__).parents[1] / "docs/endpoints.md"
PROMPT = "Put the mug on a pure white background, keep its print. " * 5


def manifest_of(folder: Path, endpoint: str, *jobs: str) -> Path:
    text = f"endpoint: {endpoint}\njobs:\n" + "".join(f"  - {{prompt: '{PROMPT}', {job}}}\n" for job in jobs)
    path = folder / "jobs.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def size_of(picture: Path) -> tuple[int, int]:
    with Image.open(picture) as image:
        return image.size


def documented() -> str:
    """The example of `Add an endpoint`."""
    section = PAGE.read_text(encoding="utf-8").partition("## Add an endpoint")[2]
    found = re.search(r"```yaml\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("name", ["gpt-image-2.5-sunburst", "gpt-image-2.5-flare"])
@pytest.mark.slow
async def test_a_run_with_the_newest_models_is_charged_what_the_plan_said(
    tmp_path: Path, name: str, version: str
) -> None:
    manifest = manifest_of(
        tmp_path,
        name,
        f"id: square, quality: low, size: 512x512, image_urls: [{INPUT}]",
        f"id: cut, quality: low, size: 528x512, background: transparent, image_urls: [{INPUT}, {INPUT}?2]",
        "id: local, quality: low, size: 512x512, image_urls: [mug.png], mask: mask.png",
        f"id: between, quality: medium, size: 1120x1040, mask: null, image_urls: [{INPUT}]",
    )
    Image.linear_gradient("L").resize((64, 48)).save(tmp_path / "mug.png")
    Image.new("RGBA", (64, 48)).save(tmp_path / "mask.png")
    out = tmp_path / "out"
    async with Sandbox(SandboxOptions(rate_limit="1000/s")) as sandbox:
        api = {"base_url": sandbox.base_url, "upload_url": sandbox.upload_url, "version": version}
        settings = load_settings(flags={"api": api, "checks": "full", "rate_limit": "60/s"})
        planned = make_plan([manifest], settings, output=out)
        summary = await run_batch([manifest], settings, SecretStr(KEY), BatchOptions(output=out))
        assert summary.exit_code == 0, summary.errors
        assert sandbox.books.billed == 4
        assert sandbox.books.billed_usd == pytest.approx(planned.cost.expected_usd, abs=1e-5)
    sizes = {"square": (512, 512), "local": (512, 512), "cut": (528, 512), "between": (1120, 1040)}
    assert {each: size_of(out / f"images/{each}.png") for each in sizes} == sizes
    again = make_plan([manifest], settings, output=out)
    assert (again.requests, again.done) == (0, 4)
    with (out / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["job_id"]: row for row in csv.DictReader(file)}
    assert [rows[each]["background"] for each in sizes] == ["", "", "transparent", ""]
    (out / "ledger.sqlite3").unlink()
    rebuild(out)
    again = make_plan([manifest], settings, output=out)
    assert (again.requests, again.done) == (0, 4)


@pytest.mark.slow
def test_an_endpoint_is_added_by_the_documented_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studio.yaml").write_text(documented(), encoding="utf-8")
    Image.linear_gradient("L").resize((64, 48)).save(tmp_path / "mug.png")
    manifest = str(
        manifest_of(
            tmp_path,
            "studio.yaml",
            "id: a, photo: mug.png, size: 768x768",
            "id: b, photo: mug.png, quality: draft, size: 512x512",
            "id: c, photo: mug.png, strength: 0.5",
        )
    )
    assert main(["plan", manifest, "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["jobs"] == 3
    # 768x768 lies between 512x512 and 1024x1024, 5/12 of the way by pixels; auto is expected to be 1024x1024.
    pictures = (0.01 + 5 / 12 * 0.02) + 0.002 + 0.03
    text = len(PROMPT) / 4 * 0.000002
    assert planned["cost_usd"]["expected"] == pytest.approx(pictures + 3 * (0.001 + text), abs=1e-5)
    assert main(["run", manifest, "--sandbox", "--json", "--progress", "none"]) == 0
    ran = json.loads(capsys.readouterr().out)
    assert (ran["jobs"]["succeeded"], size_of(tmp_path / "outputs/jobs/images/a.png")) == (3, (768, 768))
    monkeypatch.setenv("SEGMIND_API_KEY", KEY)
    assert main(["plan", manifest, "--set", "size=1000x500"]) == 2
    assert "size is '1000x500'; expected auto or WIDTHxHEIGHT with sides divisible by 8" in capsys.readouterr().err


def test_the_documented_file_shows_every_key_and_type() -> None:
    text = documented()
    words = (
        "sizes",
        "only_when_set",
        "nullable",
        "choices",
        "minimum",
        "max_length",
        "rules",
        "unused",
        "errors",
        "by_pixels",
    )
    assert [word for word in (*words, "input_image", "text_token", "expected", "latency_s") if word not in text] == []


def test_a_rehearsal_of_a_manifest_with_a_faulty_endpoint_file_tells_the_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studio.yaml").write_text(documented().replace("latency_s: 20", "latency_s: 0"), encoding="utf-8")
    assert main(["run", str(manifest_of(tmp_path, "studio.yaml", "id: a, photo: x.png")), "--sandbox"]) == 2
    assert "latency_s: Input should be greater than 0" in capsys.readouterr().err


UNSENT = """\
name: unsent
path: unsent
parameters:
  prompt: {type: string, required: true, role: prompt}
  image_urls: {type: links, required: true, role: images}
  quality: {type: string, choices: [low, high, auto], only_when_set: true, default: low}
prices: {by: [quality], table: {low: 0.01, high: 0.5}}
"""


async def test_a_default_that_is_not_sent_has_its_price_in_plans_and_among_charges(tmp_path: Path) -> None:
    (tmp_path / "unsent.yaml").write_text(UNSENT, encoding="utf-8")
    entries = [f"id: a{n}, image_urls: ['{INPUT}?{n}']" for n in range(4)]
    manifest, out = manifest_of(tmp_path, "unsent.yaml", *entries[:3]), tmp_path / "out"
    own = load_endpoint(str(tmp_path / "unsent.yaml"))
    async with Sandbox(SandboxOptions(rate_limit="1000/s"), endpoints=[own]) as sandbox:
        settings = load_settings(flags={"api": {"base_url": sandbox.base_url}, "rate_limit": "60/s"})
        (group,) = make_plan([manifest], settings, output=out).groups
        assert (group.quality, group.unit_usd, group.source) == ("low", 0.01, "price list")
        await run_batch([manifest], settings, SecretStr(KEY), BatchOptions(output=out))
        assert sandbox.books.billed_usd == 0.03
    (group,) = make_plan([manifest_of(tmp_path, "unsent.yaml", *entries)], settings, output=out).groups
    assert (group.unit_usd, group.source, group.charges) == (0.01, "charged for the same", 3)
