"""What is sent when a rejected image is made again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batch_editor.manifest import redo_prompt_of
from batch_editor.manifest.faults import Refused
from tests.support.manifest_reading import ENDPOINT, LINK, read, write

JOB = f"id: mug, prompt: Mug on white, image_urls: [{LINK}]"
OWN = "'{{ prompt }} {{ note }}'"


def manifest(tmp_path: Path, keys: str = "", defaults: str = "{}") -> Path:
    return write(tmp_path / "m.yaml", f"defaults: {defaults}\njobs:\n  - {{{JOB}{keys}}}\n")


def test_a_job_has_none_by_default(tmp_path: Path) -> None:
    assert read(manifest(tmp_path)).job.redo_prompt is None


@pytest.mark.parametrize(
    ("keys", "defaults", "expected"),
    [
        (f", redo_prompt: {OWN}", "{}", "{{ prompt }} {{ note }}"),
        ("", f"{{redo_prompt: {OWN}}}", "{{ prompt }} {{ note }}"),
        (", redo_prompt: Again", f"{{redo_prompt: {OWN}}}", "Again"),
        (", redo_prompt: null", f"{{redo_prompt: {OWN}}}", "{{ prompt }} {{ note }}"),
        (", redo_prompt: ' '", "{}", None),
    ],
)
def test_the_nearest_counts(tmp_path: Path, keys: str, defaults: str, expected: str | None) -> None:
    assert read(manifest(tmp_path, keys, defaults)).job.redo_prompt == expected


@pytest.mark.parametrize(
    "template",
    [
        "{% if note %}{{ note }}{% else %}{{ prompt }}{% endif %}",
        "{% set text = note %}{{ prompt }}{{ text }}",
        "{{ note.split(':')[0]|upper }}{% for line in note.splitlines() %}{{ line }}{% endfor %}",
        "Always the same",
    ],
)
def test_it_may_be_any_template_of_prompt_and_note(tmp_path: Path, template: str) -> None:
    assert read(manifest(tmp_path, f", redo_prompt: {json.dumps(template)}")).job.redo_prompt == template


def test_set_counts_before_the_manifest_and_holds_for_tables(tmp_path: Path) -> None:
    told = "{{ prompt }}!"
    yaml = manifest(tmp_path, f", redo_prompt: {OWN}")
    table = write(tmp_path / "t.csv", f"id,prompt,image_urls,redo_prompt\nmug,Mug,{LINK},a column like others\n")
    assert read(yaml, redo_prompt=told).job.redo_prompt == told
    found = read(table, redo_prompt=told).job
    assert (found.redo_prompt, found.extras) == (told, {"redo_prompt": "a column like others"})
    assert read(table).job.redo_prompt is None


def test_it_is_no_part_of_the_fingerprint(tmp_path: Path) -> None:
    plain, own = read(manifest(tmp_path)).job, read(manifest(tmp_path, f", redo_prompt: {OWN}")).job
    assert plain.request.fingerprint == own.request.fingerprint


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("'{{ title }}'", "template of redo_prompt uses 'title'; expected prompt or note, which alone are known there"),
        ("'{{ row.x }}'", "template of redo_prompt uses 'row'; expected prompt or note, which alone are known there"),
        ("'{{ note'", "template of redo_prompt "),
        ("[a]", "redo_prompt is a list; expected text"),
        ("no", "redo_prompt is no, which YAML reads as a truth value; put it in quotes"),
        (
            "Make it #ff0000",
            "redo_prompt ends before '#ff0000', which YAML takes for a comment; put all of it in quotes",
        ),
        (
            "SG_0123456789abcdef",
            "redo_prompt looks like an API key; keys come from the environment, never from a manifest",
        ),
    ],
)
def test_what_can_not_be_sent_is_a_fault(tmp_path: Path, written: str, fault: str) -> None:
    path = write(
        tmp_path / "m.yaml", f"jobs:\n- id: mug\n  prompt: a\n  image_urls: {LINK}\n  redo_prompt: {written}\n"
    )
    assert read(path).fault.startswith(f"m.yaml:5: job mug: {fault}")


NOTE = "keep the handle"


@pytest.mark.parametrize(
    ("template", "note", "sent"),
    [
        (None, NOTE, "Mug on white\n\nkeep the handle"),
        (None, "", "Mug on white"),
        ("{{ prompt }} ({{ note }})", NOTE, "Mug on white (keep the handle)"),
        ("{{ prompt }}{% if note %}, but {{ note }}{% endif %}", "", "Mug on white"),
        ("Quite another one", NOTE, "Quite another one"),
        ("{{ prompt }} {{ note }}", "{{ 7 * 7 }} {% raw %}", "Mug on white {{ 7 * 7 }} {% raw %}"),
        (None, "{{ 7 * 7 }}", "Mug on white\n\n{{ 7 * 7 }}"),
    ],
)
def test_the_note_goes_into_the_prompt_as_text(template: str | None, note: str, sent: str) -> None:
    assert redo_prompt_of(template, prompt="Mug on white", note=note) == sent


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("{{ note }}", "template of redo_prompt gives an empty prompt"),
        ("{{ note.split(':')[1] }}", "template of redo_prompt fails: list object has no element 1"),
        ("{% for a in range(99999999) %}x{% endfor %}", "template of redo_prompt "),
    ],
)
def test_a_template_that_fails_says_so(template: str, fault: str) -> None:
    with pytest.raises(Refused) as refused:
        redo_prompt_of(template, prompt="Mug on white", note="")
    assert str(refused.value).startswith(fault)


def test_a_prompt_that_its_note_makes_too_long_is_refused() -> None:
    parameter = ENDPOINT.parameters["prompt"].model_copy(update={"max_length": 20})
    with pytest.raises(Refused) as refused:
        redo_prompt_of(None, prompt="Mug on white", note=NOTE, parameter=parameter)
    assert str(refused.value) == "prompt with its note has 29 characters; expected at most 20"
