"""The documentation can't rot: what it shows exists, and what exists is shown."""

import re
import runpy
import shlex
import shutil
from pathlib import Path

import click
import pytest

from batch_editor import load_settings, make_plan
from batch_editor.cli.main import cli, main
from batch_editor.config import setting_names
from batch_editor.endpoints import load_endpoint, shipped_endpoints
from batch_editor.endpoints.wording import shared_error_words
from batch_editor.manifest import Expansion, Faults, read_manifests, yaml_manifest
from batch_editor.output.output_manifest import COLUMNS
from batch_editor.strict_yaml import Block, Value, read_yaml
from docs.reference import drawings, pages, renewed
from tests.docs.pages import PAGES, ROOT, ours, shown

EXAMPLE = ROOT / "config.example.yaml"
KINDS = {error.kind for name in shipped_endpoints() for error in load_endpoint(name).errors.values()} | {
    words.kind for words in shared_error_words()
}


def dotted(value: Value, prefix: str = "") -> dict[str, Value]:
    if not isinstance(value, Block):
        return {prefix.rstrip("."): value}
    return {name: leaf for key, inner in value.items() for name, leaf in dotted(inner, f"{prefix}{key}.").items()}


def test_the_example_config_has_every_setting_and_no_other() -> None:
    assert list(dotted(read_yaml(EXAMPLE))) == list(setting_names())


def test_the_example_config_shows_the_defaults() -> None:
    assert load_settings(EXAMPLE).model_dump() == load_settings().model_dump()


@pytest.mark.parametrize("name", cli.commands)
def test_every_command_shows_an_example(name: str) -> None:
    command = cli.commands[name]
    assert command.help is not None
    assert f"Example:\n  batch-editor {name}" in command.get_help(click.Context(command, info_name=name)).replace(
        "\n    ", "\n  "
    ).replace("  Example:", "Example:")


@pytest.mark.parametrize("page", PAGES)
def test_every_option_of_a_page_exists(page: str) -> None:
    known = {
        option for command in cli.commands.values() for parameter in command.params for option in parameter.opts
    } | {"--help", "--version"}
    commands = [line.partition("batch-editor ")[2] for line in shown(page)]
    used = set(
        re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", "\n".join([*commands, *re.findall(r"`(--[^`]*)`", PAGES[page])]))
    )
    assert used <= known


@pytest.mark.parametrize("path", list(pages()), ids=lambda path: path.stem)
def test_the_tables_of_the_reference_are_made_from_the_code(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    assert page == renewed(page), "python -m docs.reference renews it"


def test_the_drawings_are_made_from_the_code() -> None:
    assert {path: path.read_text(encoding="utf-8") for path in drawings()} == drawings()


def test_the_reference_has_every_setting_command_column_and_error_kind() -> None:
    assert [name for name in setting_names() if f"| `{name}` |" not in PAGES["settings"]] == []
    assert [name for name in cli.commands if f"\n## {name}\n" not in PAGES["commands"]] == []
    assert [name for name in COLUMNS if f"| `{name}` |" not in PAGES["output"]] == []
    assert [name for name in KINDS if f"| `{name}` |" not in PAGES["errors"]] == []


@pytest.mark.parametrize("key", yaml_manifest._KEYS)
def test_every_key_of_a_job_is_in_the_reference(key: str) -> None:
    assert f"\n| `{key}` | " in PAGES["manifests"]


def test_the_readme_and_the_reference_have_the_same_exit_codes() -> None:
    codes = [re.findall(r"^\| (\d[\d, ]*) \|", PAGES[page], re.MULTILINE) for page in ("README", "commands")]
    assert codes[0] == codes[1] == ["0", "1", "2", "3", "4", "5", "6", "130, 143"]


@pytest.mark.parametrize(
    "manifest", [*sorted(ROOT.glob("jobs/*.yaml")), ROOT / "jobs/catalog.csv"], ids=lambda p: p.name
)
def test_every_manifest_in_jobs_loads(manifest: Path, tmp_path: Path) -> None:
    plan = make_plan([manifest], load_settings(), output=tmp_path / "out")
    assert plan.jobs > 0
    assert plan.warnings == ()


def test_every_table_in_jobs_is_a_manifest_or_the_rows_of_one() -> None:
    manifests = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("jobs/*.yaml"))
    tables = sorted(path.name for path in ROOT.glob("jobs/*.*") if path.suffix in (".csv", ".xml"))
    assert tables == ["catalog.csv", "google.xml", "products.csv", "shopify.csv", "woocommerce.csv"]
    commands = "\n".join(line for page in PAGES for line in ours(page))
    assert [name for name in tables if f"rows: {name}" not in manifests and f"jobs/{name} " not in commands] == []


def test_the_recipe_for_a_shops_export_does_what_it_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    recipe = next(line for line in ours("shop-exports") if " plan jobs/shopify.csv" in line)
    program, command, manifest, *options = shlex.split(recipe)
    assert (program, command) == ("batch-editor", "plan")
    assert set(options[::2]) == {"--set"}
    overrides = dict(option.split("=", 1) for option in options[1::2])
    faults = Faults()
    endpoint = load_endpoint("gpt-image-1.5-edit")
    expansion = Expansion(endpoint=endpoint, load_endpoint=lambda name, _: load_endpoint(name), overrides=overrides)
    jobs = {job.id: job.request.params["prompt"] for job in read_manifests([Path(manifest)], expansion, faults)}  # type: ignore[union-attr]
    assert jobs == {
        "red-mug-1": "Show the Red coffee mug on pure white",
        "cat-cushion-1": "Show the Tabby cat cushion on pure white",
        "flight-suit-1": "Show the Orange flight suit on pure white",
        "flight-suit-2": "Show the Orange flight suit on pure white",
    }
    assert (faults.lines, faults.warnings) == ([], [])
    (said,) = re.findall(r"```text\n(jobs/shopify\.csv: .*)\n```", PAGES["shop-exports"])
    assert [table.said for table in faults.tables] == [said]
    assert main(["plan", manifest, *options]) == 0
    assert capsys.readouterr().out.splitlines()[0] == said


# What the template for Shopify's export said before an export was read as pictures.
FORMER = """
defaults: {quality: low, size: 1024x1024}
jobs:
  - id: "{{ handle }}-{{ image_position }}"
    rows: shopify.csv
    carry: {handle: [title, vendor]}
    when: "{{ image_src }}"
    prompt: "Show the {{ title }} by {{ vendor }} on pure white, with a soft shadow"
    image_urls: ["{{ image_src }}"]
    output: "{{ handle }}/{{ image_position }}"
"""


def test_the_template_for_a_shops_export_asks_for_what_it_always_did(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "jobs", tmp_path / "jobs")
    former = tmp_path / "jobs" / "former.yaml"
    former.write_text(FORMER, encoding="utf-8")
    endpoint = load_endpoint("gpt-image-1.5-edit")
    expansion = Expansion(endpoint=endpoint, load_endpoint=lambda name, _: load_endpoint(name))
    now, before = (
        [(job.id, job.output, job.request) for job in read_manifests([path], expansion, Faults())]  # type: ignore[union-attr]
        for path in (tmp_path / "jobs" / "shopify.yaml", former)
    )
    assert len(now) == 4
    assert now == before


def test_every_photograph_has_its_licence() -> None:
    licences = (ROOT / "jobs/photos/LICENSES.md").read_text(encoding="utf-8")
    assert [photo.name for photo in ROOT.glob("jobs/photos/*.jpg") if photo.name not in licences] == []


def test_the_endpoint_tables_are_made_from_the_endpoint_files() -> None:
    page = runpy.run_path(str(ROOT / "docs/endpoints.py"))["page"]()
    assert (ROOT / "docs/endpoints.md").read_text(encoding="utf-8") == page


@pytest.mark.parametrize("name", shipped_endpoints())
def test_no_code_knows_a_models_name(name: str) -> None:
    title = load_endpoint(name).name
    default = ROOT / "batch_editor/config/settings.py"
    naming = [
        path.relative_to(ROOT)
        for path in ROOT.glob("batch_editor/**/*.py")
        if title in path.read_text(encoding="utf-8") and path != default
    ]
    assert naming == []
