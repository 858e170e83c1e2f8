"""Rows that are skipped because they are faulty, or whose faults don't count because they aren't chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch_editor.records import FaultyRow
from tests.support.manifest_reading import LINK, read, write

FOR_ALL = "a value for all comes from --set 'prompt=…'"
HEADER = "id,prompt,image_urls,quality,Vendor\n"
GOOD = f"good,x,{LINK},low,Acme\n"
HGIH = "quality is 'hgih'; expected low, medium, high or auto (did you mean high?)"
GONE = "image_urls is 'gone.png'; there is no such file (paths are relative to the manifest)"
JPEG = "background is transparent, which needs output_format png or webp (jpeg has no transparency); got jpeg"
KEY = "SG_0123456789abcdef"
HAS_KEY = "a cell looks like an API key; keys come from the environment, never from a manifest"


@pytest.mark.parametrize(
    ("row", "job_id", "message", "extras"),
    [
        (f"bad,x,{LINK},hgih,Acme", "bad", HGIH, {"Vendor": "Acme"}),
        (f"bad,,{LINK},hgih,Acme", "bad", f"prompt is empty; {HGIH}", {"Vendor": "Acme"}),
        (f",,{LINK},,Acme", "m-1", "prompt is empty", {"Vendor": "Acme"}),
        ("bad,x,gone.png,,", "bad", GONE, {"Vendor": ""}),
        (
            f"\x07,x,{LINK},,Acme",
            "m-row-2",
            r"id is '\x07'; expected text without control characters",
            {"Vendor": "Acme"},
        ),
        (f"{'i' * 201},x,{LINK},,", "m-row-2", "id has 201 characters; expected at most 200", {"Vendor": ""}),
        (f"bad,x,{LINK},low,Acme,more", "m-row-2", "has 6 cells where the header has 5; 'more' is one too many", {}),
        (
            f'bad,"12" mug,{LINK},low,Acme',
            "m-row-2",
            'text after a closing quote; write a quote inside a cell as ""',
            {},
        ),
        (f"bad,x,{LINK},low,{KEY}", "bad", HAS_KEY, {}),
    ],
)
def test_a_faulty_row_comes_with_its_id_place_and_all_that_is_wrong(
    tmp_path: Path, row: str, job_id: str, message: str, extras: dict[str, str]
) -> None:
    path = write(tmp_path / "m.csv", f"{HEADER}{row}\n{GOOD}")
    reading = read(path, skip_faulty=True)
    assert [each._replace(request=None) for each in reading.faulty] == [FaultyRow(job_id, "m.csv:2", message, extras)]
    assert (reading.ids, reading.faults, reading.left_out) == (["good"], [], 1)
    assert reading.warnings[0] == "1 faulty row is skipped:"
    refused = read(path)
    assert (refused.ids, refused.faulty, refused.left_out, refused.warnings) == (["good"], [], 0, [])
    assert refused.faults[0].startswith("m.csv:2: ")


def test_the_warning_shows_the_first_faults_of_rows_that_are_skipped(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", HEADER + f"bad,x,{LINK},hgih,\n" * 5 + GOOD)
    reading = read(path, skip_faulty=True)
    assert reading.warnings == ["5 faulty rows are skipped:", *(f"m.csv:{line}: job bad: {HGIH}" for line in (2, 3, 4))]
    assert (len(reading.faulty), reading.left_out) == (5, 5)


def test_sound_rows_keep_their_numbers_beside_faulty_ones(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f"{HEADER},x,{LINK},,\n,x,,,,,?\n,x,{LINK},,\n")
    reading = read(path, skip_faulty=True)
    assert reading.ids == ["m-1", "m-3"]
    assert [row.id for row in reading.faulty] == ["m-row-3"]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (f'{HEADER}{GOOD}b,"x,{LINK},low,\n', "m.csv:3: a quote is opened in this row and never closed"),
        (
            f"id,prompt,image_urls,id\n{GOOD}",
            "m.csv:1: column 'id' stands twice in the header; rename the one that isn't meant",
        ),
        (f"id,{KEY},image_urls\n{GOOD}", f"m.csv:1: {HAS_KEY}"),
        (
            f"{HEADER}{GOOD}b,{'x' * 131_073},{LINK},low,\n",
            "m.csv:3: a cell of more than 131,072 characters, or a quote that is never closed",
        ),
        (
            f"id,image_urls\ngood,{LINK}\n",
            f"m.csv:1: prompt is missing; the columns are 'id', 'image_urls'; {FOR_ALL}",
        ),
        (
            "prompt,photo\nx,y\n",
            (
                "m.csv:1: image_urls is missing; the columns are 'prompt', 'photo'; a value for all comes from"
                " --set 'image_urls=…'. To begin with a manifest that names these columns: batch-editor init m.csv"
            ),
        ),
    ],
)
def test_what_is_wrong_with_the_file_is_a_fault_though_faulty_rows_are_skipped(
    tmp_path: Path, content: str, fault: str
) -> None:
    assert read(write(tmp_path / "m.csv", content), skip_faulty=True, only=["nothing"]).fault == fault


def test_bytes_of_another_encoding_are_a_fault_though_faulty_rows_are_skipped(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", (HEADER + GOOD).encode() + b"b,\xe9,x,low,\n")
    assert read(path, skip_faulty=True).fault.startswith("m.csv:3: not UTF-8: byte 0xE9 at offset ")


def test_where_no_row_is_sound_their_faults_are_those_of_the_manifest(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f"{HEADER}a,x,{LINK},hgih,\nb,,,,,?\n")
    reading = read(path, skip_faulty=True)
    assert reading.faults == [
        f"m.csv:2: job a: {HGIH}",
        "m.csv:3: has 6 cells where the header has 5; '?' is one too many",
    ]
    assert (reading.total, reading.left_out, reading.warnings) == (2, 0, [])
    good = write(tmp_path / "good.csv", HEADER + GOOD)
    assert read(path, good, skip_faulty=True).faults == []


def test_a_row_of_a_template_comes_once_for_each_combination_and_variant(tmp_path: Path) -> None:
    write(tmp_path / "p.csv", "sku,q\nmug,low\ncup,hgih\n\x07,low\npot,low,?\n")
    path = write(
        tmp_path / "m.yaml",
        "jobs:\n"
        '  - {id: "{{ sku }}-{{ s }}", rows: p.csv, matrix: {s: [a, b]}, variants: 2, quality: "{{ q }}",'
        f" prompt: x, image_urls: [{LINK}]}}\n",
    )
    reading = read(path, skip_faulty=True)
    assert reading.ids == ["mug-a-v1", "mug-a-v2", "mug-b-v1", "mug-b-v2"]
    assert [(row.id, row.where) for row in reading.faulty] == [
        *((name, "m.yaml:2, p.csv:3") for name in ("cup-a-v1", "cup-a-v2", "cup-b-v1", "cup-b-v2")),
        *((name, "m.yaml:2, p.csv:4") for name in ("m-row-4-v1", "m-row-4-v2", "m-row-4-2-v1", "m-row-4-2-v2")),
        *((name, "m.yaml:2, p.csv:5") for name in ("m-row-5-v1", "m-row-5-v2", "m-row-5-2-v1", "m-row-5-2-v2")),
    ]
    assert reading.left_out == 3
    assert reading.faulty[0].extras == {"sku": "cup", "q": "hgih", "s": "a"}


def test_a_fault_of_all_rows_of_an_entry_is_one_of_the_manifest(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.yaml",
        "jobs:\n"
        f"  - {{id: ok, prompt: x, image_urls: [{LINK}]}}\n"
        f"  - {{id: '{{{{ a }}}}', rows: [{{a: x}}, {{a: y}}], quality: hgih, prompt: x, image_urls: [{LINK}]}}\n",
    )
    assert read(path, skip_faulty=True, only=["ok"]).faults == [f"m.yaml:3: {HGIH}"]


@pytest.mark.parametrize(
    ("keys", "job_id", "message"),
    [
        (f"id: bad, prompt: x, quality: hgih, image_urls: [{LINK}]", "bad", HGIH),
        (
            f"id: bad, promt: x, image_urls: [{LINK}]",
            "bad",
            "'promt' is no key here (did you mean prompt?); prompt is missing",
        ),
        ("id: bad, prompt: x, image_urls: [gone.png]", "bad", GONE),
        (
            f"id: no, prompt: x, image_urls: [{LINK}]",
            "m-row-2",
            "id is no, which YAML reads as a truth value; put it in quotes",
        ),
        (f"id: bad, prompt: x, background: transparent, output_format: jpeg, image_urls: [{LINK}]", "bad", JPEG),
    ],
)
def test_an_entry_of_one_job_is_a_row(tmp_path: Path, keys: str, job_id: str, message: str) -> None:
    path = write(tmp_path / "m.yaml", f"jobs:\n  - {{{keys}}}\n  - {{id: ok, prompt: x, image_urls: [{LINK}]}}\n")
    reading = read(path, skip_faulty=True)
    assert [each._replace(request=None) for each in reading.faulty] == [FaultyRow(job_id, "m.yaml:2", message, {})]
    assert (reading.ids, reading.faults, reading.left_out) == (["ok"], [], 1)
    assert read(path, only=["ok"]).faulty == reading.faulty
    assert read(path).faulty == []
    assert read(path).total > 0


def test_faults_of_rows_that_are_not_chosen_do_not_count_and_the_rows_keep_their_place(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f"{HEADER}mug-1,x,{LINK},hgih,\nmug-2,x,{LINK},low,\ncup-1,x,{LINK},hgih,\n{GOOD}")
    reading = read(path, only=["mug-2", "[!mc]*"])
    assert (reading.faults, reading.warnings, reading.left_out) == ([], [], 0)
    assert reading.ids == ["mug-2", "good"]
    assert [(row.id, row.message) for row in reading.faulty] == [("mug-1", HGIH), ("cup-1", HGIH)]
    assert read(path, only=["cup-*"]).faults == [f"m.csv:4: job cup-1: {HGIH}"]
    skipping = read(path, only=["cup-*", "good"], skip_faulty=True)
    assert (skipping.faults, skipping.left_out, [row.id for row in skipping.faulty]) == ([], 1, ["mug-1", "cup-1"])


def test_one_variant_that_is_chosen_makes_its_row_count(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.yaml",
        "jobs:\n"
        f"  - {{id: ok, prompt: x, image_urls: [{LINK}]}}\n"
        f"  - {{id: '{{{{ a }}}}', rows: [{{a: x}}], variants: 3, quality: '{{{{ a }}}}', prompt: x,"
        f" image_urls: [{LINK}]}}\n",
    )
    assert len(read(path, only=["x-v2"]).faults) == 1
    assert read(path, only=["x-v4", "ok"]).faults == []


def test_a_row_whose_id_cannot_be_told_is_chosen_by_what_it_is_called_instead(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f"{HEADER}mug,x,,,,?\n{GOOD}")
    assert read(path, only=["mug", "good"]).faults == []
    assert read(path, only=["*"]).faults == ["m.csv:2: has 6 cells where the header has 5; '?' is one too many"]
