"""Jobs that were written for one endpoint, read for its successor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from batch_editor import Plan, Selection, load_settings, make_plan
from batch_editor.endpoints import TODAY
from batch_editor.errors import UsageError

FORMER = """\
name: former
path: former
retires: 2026-12-01
successor:
  endpoint: later.yaml
  map:
    text: {name: prompt}
    tier: {name: quality, tiers: price}
    shape: {name: size, values: {square: 1024x1024}}
    gloss: null
parameters:
  text: {type: string, required: true, role: prompt}
  image_urls: {type: links, required: true, role: images}
  tier: {type: string, choices: [good, best], default: good}
  shape: {type: string, choices: [square, wide], default: square}
  gloss: {type: integer, minimum: 0, maximum: 9, default: 1}
  grain: {type: integer, minimum: 0, maximum: 9, default: 1}
prices: {by: [tier], table: {good: 0.1, best: 0.3}}
"""
LATER = """\
name: later
path: later
parameters:
  prompt: {type: string, required: true, role: prompt}
  image_urls: {type: links, required: true, role: images}
  quality: {type: string, choices: [low, mid, high, auto], default: low}
  size: {type: string, choices: [1024x1024, auto], default: auto, role: size}
prices: {by: [quality], table: {low: 0.02, mid: 0.11, high: 0.33}, expected: {quality: mid}}
"""
LINK = "http://127.0.0.1:9/a.png"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "former.yaml").write_text(FORMER, encoding="utf-8")
    (tmp_path / "later.yaml").write_text(LATER, encoding="utf-8")
    return tmp_path


def yaml(folder: Path, *jobs: dict[str, Any], **top: Any) -> Path:
    path = folder / "jobs.yaml"
    path.write_text(json.dumps({"endpoint": "former.yaml", **top, "jobs": jobs}), encoding="utf-8")
    return path


def plan(manifest: Path, endpoint: str = "later.yaml") -> Plan:
    return make_plan([manifest], load_settings(flags={"endpoint": endpoint}), selection=Selection(endpoint=endpoint))


def kinds(made: Plan) -> dict[tuple[str | None, str | None], int]:
    return {(group.quality, group.size): group.requests for group in made.groups}


def test_names_values_and_tiers_go_by_the_map(folder: Path) -> None:
    jobs = [
        {"id": tier, "text": "hi", "image_urls": [LINK], "tier": tier, "shape": "square"} for tier in ("good", "best")
    ]
    made = plan(yaml(folder, *jobs))
    assert kinds(made) == {("mid", "1024x1024"): 1, ("high", "1024x1024"): 1}
    assert made.warnings == ()


def test_they_do_in_templates_defaults_and_columns_too(folder: Path) -> None:
    (folder / "rows.csv").write_text("n,t\na,best\nb,good\n", encoding="utf-8")
    entry = {"id": "{{ n }}", "rows": "rows.csv", "text": "hi {{ n }}", "image_urls": [LINK], "tier": "{{ t }}"}
    made = plan(yaml(folder, entry, defaults={"shape": "square"}))
    assert kinds(made) == {("high", "1024x1024"): 1, ("mid", "1024x1024"): 1}


def test_the_plan_says_what_becomes_of_them(folder: Path) -> None:
    made = plan(yaml(folder, {"id": "a", "text": "hi", "image_urls": [LINK]}))
    assert made.notices == (
        "Endpoint: later, in place of former",
        "  text is called prompt",
        "  tier is called quality, goes by price: good becomes mid, best becomes high",
        "  shape is called size, goes by name: square becomes 1024x1024",
        "  gloss has no place there and is left out",
    )


@pytest.mark.parametrize("templated", [False, True])
def test_what_has_no_place_is_left_out_and_listed_once(folder: Path, templated: bool) -> None:
    rows = {"rows": [{"n": "a"}, {"n": "b"}]}
    value = (lambda text: f"{{{{ '{text}' }}}}") if templated else str
    odd = {"gloss": value("3"), "grain": value("4"), "shape": value("wide")}
    manifest = yaml(folder, {"id": "{{ n }}", **rows, "text": "hi {{ n }}", "image_urls": [LINK], **odd})
    made = plan(manifest)
    assert sorted(made.warnings) == [
        f"{manifest}: gloss of former has no place in later and is left out",
        f"{manifest}: grain of former has no place in later and is left out",
        f"{manifest}: shape 'wide' has no place in later; its default counts instead",
    ]
    assert kinds(made) == {("low", "auto"): 2}


def test_what_neither_of_them_takes_is_a_fault(folder: Path) -> None:
    manifest = yaml(folder, {"id": "a", "text": "hi", "image_urls": [LINK], "tier": "better", "tone": "warm"})
    with pytest.raises(UsageError) as caught:
        plan(manifest)
    assert "tier is 'better'; expected low, mid, high or auto" in str(caught.value)
    assert "'tone' is no key here" in str(caught.value)


def test_what_the_successor_alone_has_may_be_said(folder: Path) -> None:
    manifest = yaml(folder, {"id": "a", "prompt": "hi", "image_urls": [LINK], "quality": "mid", "size": "1024x1024"})
    assert kinds(plan(manifest)) == {("mid", "1024x1024"): 1}


def test_an_endpoint_that_is_no_successor_leaves_out_what_it_lacks_and_says_so_once(folder: Path) -> None:
    other = LATER.replace("name: later", "name: other").replace("choices: [low, mid", "choices: [good, mid")
    (folder / "other.yaml").write_text(other.replace("default: low", "default: mid"), encoding="utf-8")
    manifest = yaml(
        folder,
        {"id": "a", "text": "hi", "image_urls": [LINK], "tier": "good", "grain": 2},
        {"id": "b", "text": "ho", "image_urls": [LINK], "tier": "best", "grain": 2},
    )
    made = plan(manifest, "other.yaml")
    assert kinds(made) == {("mid", "auto"): 2}
    assert [warning for warning in made.warnings if "other" in warning] == [
        f"{manifest}: tier of former has no place in other and is left out",
        f"{manifest}: grain of former has no place in other and is left out",
    ]
    assert made.notices == ()


def test_what_no_endpoint_of_a_move_knows_is_a_fault(folder: Path) -> None:
    (folder / "other.yaml").write_text(LATER.replace("name: later", "name: other"), encoding="utf-8")
    with pytest.raises(UsageError, match="'tone' is no key here"):
        plan(yaml(folder, {"id": "a", "prompt": "hi", "image_urls": [LINK], "tone": "warm"}), "other.yaml")


def test_a_table_for_the_retired_default_is_read_for_its_successor(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "jobs.csv").write_text(
        f"prompt,image_urls,quality,size,mask\nhi,{LINK},low,1024x1024,\n", encoding="utf-8"
    )
    monkeypatch.setenv(TODAY, "2026-12-01")
    made = make_plan([folder / "jobs.csv"], load_settings())
    assert kinds(made) == {("low", "1024x1024"): 1}
    assert made.groups[0].endpoint == "gpt-image-2.5-sunburst"


@pytest.mark.parametrize(
    ("map_", "endpoint", "message"),
    [
        ("{tier: {name: grade}}", "later.yaml", "former: successor.map.tier: 'grade' is no parameter of later"),
        ("{tune: null}", "former.yaml", "former.yaml: endpoint: 'tune' is used but is no parameter"),
    ],
)
def test_a_map_of_names_that_there_are_not_is_a_fault(folder: Path, map_: str, endpoint: str, message: str) -> None:
    text = FORMER.replace(FORMER[FORMER.index("  map:") : FORMER.index("parameters:")], f"  map: {map_}\n")
    (folder / "former.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        plan(yaml(folder, {"id": "a", "text": "hi", "image_urls": [LINK]}), endpoint)
    assert message in str(caught.value)


def test_auto_stays_auto_where_tiers_go_by_price(folder: Path) -> None:
    text = FORMER.replace("choices: [good, best]", "choices: [good, best, auto]")
    (folder / "former.yaml").write_text(text, encoding="utf-8")
    made = plan(yaml(folder, {"id": "a", "text": "hi", "image_urls": [LINK], "tier": "auto"}))
    assert kinds(made) == {("auto", "auto"): 1}


def test_tiers_go_by_name_where_the_successor_has_no_choices_to_price(folder: Path) -> None:
    later = LATER.replace("choices: [low, mid, high, auto], default: low", "default: low")
    (folder / "later.yaml").write_text(later, encoding="utf-8")
    made = plan(yaml(folder, {"id": "a", "text": "hi", "image_urls": [LINK], "tier": "good"}))
    assert kinds(made) == {("good", "auto"): 1}


def test_what_the_map_gives_no_place_is_left_out_though_the_successor_has_the_name(folder: Path) -> None:
    later = LATER.replace("prices:", "  gloss: {type: integer, minimum: 0, maximum: 9, default: 5}\nprices:")
    (folder / "later.yaml").write_text(later, encoding="utf-8")
    manifest = yaml(folder, {"id": "a", "text": "hi", "image_urls": [LINK], "gloss": "3"})
    assert plan(manifest).warnings == (f"{manifest}: gloss of former has no place in later and is left out",)
