"""The JSON Schemas for editors, by check-jsonschema."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import check_jsonschema
import pytest
import yaml
from click.testing import CliRunner, Result

from batch_editor.cli.main import cli
from batch_editor.config import config_schema
from batch_editor.manifest import manifest_schema

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
_BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
IN_DOCS = [
    (f"{page.stem}-{number}", block)
    for page in PAGES
    for number, block in enumerate(_BLOCK.findall(page.read_text(encoding="utf-8")))
]
MANIFESTS = {name: text for name, text in IN_DOCS if re.search(r"^jobs:", text, re.MULTILINE)}


def checked(what: str, tmp_path: Path, *files: Path) -> Result:
    schema = tmp_path / f"{what}.schema.json"
    schema.write_text(json.dumps(manifest_schema() if what == "manifest" else config_schema()), encoding="utf-8")
    return CliRunner().invoke(check_jsonschema.main, ["--schemafile", str(schema), *map(str, files)])


@pytest.mark.parametrize("what", ["manifest", "config"])
def test_the_command_prints_a_schema_of_draft_07(what: str, tmp_path: Path) -> None:
    printed = CliRunner().invoke(cli, ["schema", what]).stdout
    (tmp_path / "schema.json").write_text(printed, encoding="utf-8")
    arguments = ["--check-metaschema", str(tmp_path / "schema.json")]
    assert CliRunner().invoke(check_jsonschema.main, arguments).exit_code == 0
    assert json.loads(printed)["$schema"] == "http://json-schema.org/draft-07/schema#"


def test_every_shipped_manifest_is_valid(tmp_path: Path) -> None:
    result = checked("manifest", tmp_path, *sorted(ROOT.glob("jobs/*.yaml")))
    assert result.exit_code == 0, result.stdout


def test_the_example_of_every_setting_is_valid(tmp_path: Path) -> None:
    result = checked("config", tmp_path, ROOT / "config.example.yaml")
    assert result.exit_code == 0, result.stdout


def test_every_manifest_of_the_documentation_is_valid(tmp_path: Path) -> None:
    assert MANIFESTS
    files = []
    for name, text in MANIFESTS.items():
        files.append(tmp_path / f"{name}.yaml")
        files[-1].write_text(text, encoding="utf-8")
    result = checked("manifest", tmp_path, *files)
    assert result.exit_code == 0, result.stdout


def test_every_setting_is_in_the_schema() -> None:
    def names(schema: dict[str, object], definitions: dict[str, dict[str, object]]) -> dict[str, object]:
        found: dict[str, object] = {}
        properties = schema["properties"]
        assert isinstance(properties, dict)
        for name, value in properties.items():
            part = value["anyOf"][0].get("$ref", "").rpartition("/")[2]
            is_part = "properties" in definitions.get(part, {})
            found[name] = names(definitions[part], definitions) if is_part else None
        return found

    def keys(value: object) -> Any:
        return {name: keys(inner) for name, inner in value.items()} if isinstance(value, dict) else None

    schema = config_schema()
    example = yaml.load((ROOT / "config.example.yaml").read_text(encoding="utf-8"), yaml.BaseLoader)  # `on` is a name
    of_any = schema["definitions"]["ProviderSettings"]
    of_one = schema["properties"]["providers"]["anyOf"][0]["additionalProperties"]
    assert of_one == {"$ref": "#/definitions/ProviderSettings"}
    assert keys(example.pop("providers")) == {"NAME": names(of_any, schema["definitions"])}
    assert names(schema, schema["definitions"]) == {**keys(example), "providers": None}


JOB = "jobs:\n  - prompt: a\n    image_urls: [https://example.com/a.jpg]\n"


@pytest.mark.parametrize(
    "text",
    [
        "job: []\n",
        f"default: {{quality: low}}\n{JOB}",
        f"defaults: {{qualty: low}}\n{JOB}",
        f"defaults: {{quality: hgih}}\n{JOB}",
        f"endpoint: gpt-image-1.5\n{JOB}",
        f"endpoint: nano-banana\n{JOB}    quality: low\n",
        f"endpoint: gpt-image-1.5-edit\n{JOB}    size: 1920x640\n",
        f"{JOB}    variants: 0\n",
        f"{JOB}    endpoint: nano-banana\n    quality: low\n",
        f"{JOB}    endpoint: nano-bananna\n",
        f"{JOB}    endpoint: [nano-banana]\n",
        f"{JOB}    matrix: {{endpoint: [nano-banana]}}\n    qualty: low\n",
        f"endpoint: nano-banana\ndefaults: {{quality: low}}\n{JOB}",
        f"defaults: {{qualty: low}}\n{JOB}    endpoint: nano-banana\n",
        f"{JOB}    variants: two\n",
        f"{JOB}    output_compression: 101\n",
        f"{JOB}    matrix: {{scene: beach}}\n",
        f"{JOB}    carry: []\n",
        f"{JOB}    promt: b\n",
        f"{JOB}    variants: '101'\n",
        f"{JOB}    output_compression: much\n",
        f"{JOB}    rows: a.csv\n    format: shopfy\n",
        f"{JOB}    rows: []\n",
        f"{JOB}    matrix: {{}}\n",
        f"defaults: {{when: 'yes'}}\n{JOB}",
        "jobs:\n",
        "jobs:\n  - prompt: [a]\n",
    ],
)
def test_a_wrong_word_in_a_manifest_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").write_text(text, encoding="utf-8")
    result = checked("manifest", tmp_path, tmp_path / "jobs.yaml")
    assert result.exit_code == 1, result.stdout
    assert "jobs.yaml::$" in result.stdout


@pytest.mark.parametrize(
    "text",
    [
        f"x-shared: {{a: [1]}}\n{JOB}",
        f"endpoint: my-model.yaml\n{JOB}    strength: 3\n",
        f"endpoint: null\ndefaults: null\n{JOB}    mask: null\n",
        f"endpoint: gpt-image-2.5-sunburst\n{JOB}    size: 1920x640\n",
        f"endpoint: nano-banana\n{JOB}    endpoint: gpt-image-2.5-sunburst\n    size: 1920x640\n",
        f"endpoint: nano-banana\n{JOB}    matrix: {{endpoint: [gpt-image-1.5-edit, nano-banana]}}\n    quality: low\n",
        f"endpoint: nano-banana\n{JOB}    endpoint: '{{{{ model }}}}'\n    quality: low\n",
        f"endpoint: nano-banana\n{JOB}    endpoint: ./my-model.yaml\n    strength: 3\n",
        f"{JOB}    matrix: {{endpoint: [my-model.yaml]}}\n    strength: 3\n",
        f"endpoint: nano-banana\ndefaults: {{quality: low}}\n{JOB}    endpoint: gpt-image-1.5-edit\n",
        f"defaults: {{strength: 3}}\n{JOB}    endpoint: my-model.yaml\n",
        f"{JOB}    endpoint:\n",
        f"{JOB}    quality: '{{{{ quality }}}}'\n    output_compression: '{{{{ c }}}}'\n    when: false\n",
        f"{JOB}    output_compression: '95'\n    variants: '2'\n",
        JOB
        + "".join(f"    {key}:\n" for key in ("id", "output", "rows", "format", "when", "carry", "matrix", "variants")),
        f"{JOB}    rows: a.csv\n    format: woocommerce\n",
        f"{JOB}    id: 17\n    rows: [{{a: 1, b: null}}]\n    carry: {{handle: title}}\n    variants: 100\n",
    ],
)
def test_what_a_run_takes_is_valid(text: str, tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").write_text(text, encoding="utf-8")
    result = checked("manifest", tmp_path, tmp_path / "jobs.yaml")
    assert result.exit_code == 0, result.stdout


@pytest.mark.parametrize(
    "text",
    ["concurency: 3\n", "retry: {max_attempts: 0}\n", "rate_limit: 60 a minute\n", "api: {version: v3}\n", "api: v2\n"],
)
def test_a_wrong_setting_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    assert checked("config", tmp_path, tmp_path / "config.yaml").exit_code == 1


@pytest.mark.parametrize("text", ["max_failures: 50\n", "max_failures: 20%\n", "deadline: 06:00\n", "retry: null\n"])
def test_a_setting_as_people_write_it_is_valid(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    result = checked("config", tmp_path, tmp_path / "config.yaml")
    assert result.exit_code == 0, result.stdout
