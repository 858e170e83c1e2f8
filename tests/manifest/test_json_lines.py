from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.support.manifest_reading import LINK, read, write

JOB = f'"prompt": "x", "image_urls": ["{LINK}"]'


@pytest.mark.parametrize("name", ["m.jsonl", "m.ndjson", "M.JSONL"])
def test_an_object_becomes_a_job(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, f'{{"id": "mug", {JOB}, "Vendor": "Acme"}}\n\n{{"Size": 3, {JOB}}}\n')
    reading = read(path)
    assert reading.ids == ["mug", f"{path.stem}-2"]
    assert [job.extras for job in reading.jobs] == [{"Vendor": "Acme", "Size": ""}, {"Vendor": "", "Size": "3"}]
    assert reading.jobs[1].where.endswith(f"{name}:3")


@pytest.mark.parametrize(
    ("written", "cell"),
    [
        ('"00123"', "00123"),
        ("1e12", "1e12"),
        ("1.10", "1.10"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("true", "true"),
        ("null", ""),
        ('["a.jpg", "b.jpg"]', "a.jpg|b.jpg"),
        ('["my cup.jpg"]', '["my cup.jpg"]'),
        ("[]", ""),
        ('[1, {"a": "é"}]', '["1", {"a": "é"}]'),
        ("{}", "{}"),
        (r'"\u00e9\n"', "é\n"),
    ],
)
def test_a_value_is_the_text_that_stands_there(tmp_path: Path, written: str, cell: str) -> None:
    assert read(write(tmp_path / "m.jsonl", f'{{{JOB}, "v": {written}}}\n')).job.extras == {"v": cell}


def test_objects_within_are_columns_by_their_path(tmp_path: Path) -> None:
    write(tmp_path / "p.jsonl", '{"sku": 7, "price": {"amount": 12.50, "currency": "EUR"}}\n')
    path = write(
        tmp_path / "m.yaml",
        "jobs:\n  - id: '{{ sku }}'\n    rows: p.jsonl\n"
        f"    prompt: '{{{{ price_amount }}}} {{{{ row[\"price.currency\"] }}}}'\n    image_urls: [{LINK}]\n",
    )
    assert read(path).values("prompt") == ["12.50 EUR"]


def test_a_list_of_links_is_read_in_a_cell_and_through_a_template(tmp_path: Path) -> None:
    links = [LINK, f"{LINK}?2"]
    write(tmp_path / "p.jsonl", json.dumps({"images": links}) + "\n")
    for written in ("'{{ images }}'", "['{{ images }}']"):
        path = write(tmp_path / "m.yaml", f"jobs:\n  - {{rows: p.jsonl, prompt: x, image_urls: {written}}}\n")
        assert read(path).values("image_urls") == [links]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "the object goes on in the next line; expected one object a line, as `jq -c .` writes them"),
        ('{"id": 1,', "the object goes on in the next line; expected one object a line, as `jq -c .` writes them"),
        ("id,prompt", "not JSON: no value at character 1; expected one object a line"),
        ('{"id": 1} {"id": 2}', "not JSON: another value at character 11; expected one object a line"),
        ('{"id": 1,}', "not JSON: a comma before the } at character 10; expected one object a line"),
        (
            "{'id': 1}",
            "not JSON: a single quote at character 2, where JSON has double ones; expected one object a line",
        ),
        ("{id: 1}", "not JSON: no key in double quotes at character 2; expected one object a line"),
        ('{"id": 1 "a": 2}', "not JSON: no comma at character 10; expected one object a line"),
        ('{"id" 1}', "not JSON: no colon at character 7; expected one object a line"),
        (
            r'{"id": "C:\photos"}',
            r"not JSON: a single backslash (\\ is one) at character 11; expected one object a line",
        ),
        ('{"id": "a}', "not JSON: a text that is never closed, begun at character 8; expected one object a line"),
        ("[1]", 'is \'[1]\'; expected one object a line, such as {"sku": "A1"}'),
        ('{"id": 1, "id": 2}', "key 'id' stands twice in one object"),
        ('{"a.b": 1, "a": {"b": 2}}', "key 'a.b' stands twice in one object"),
        ('{"id": NaN}', "NaN is no JSON; expected a number, a text or null"),
        (r'{"id": "\ud800"}', "id has half a character (\\ud800) or a NUL"),
        (r'{"id": "\u0000"}', "id has half a character (\\ud800) or a NUL"),
        ("{}", "an object without keys"),
        ("[" * 100_000, "nested too deep; expected one object a line"),
        (
            '{"id": "SG_0123456789abcdef"}',
            "a cell looks like an API key; keys come from the environment, never from a manifest",
        ),
    ],
)
def test_a_line_that_is_no_object_is_a_fault_of_its_row(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path / "m.jsonl", f'{{"id": "a", {JOB}}}\n{line}\n{{"id": "b", {JOB}}}\n')
    reading = read(path)
    assert reading.fault == f"m.jsonl:2: {message}"
    assert reading.ids == ["a", "b"]
    assert read(path, skip_faulty=True).left_out == 1


def test_an_object_is_read_or_nested_too_deep_at_any_depth(tmp_path: Path) -> None:
    deepest = sys.getrecursionlimit()
    lists = [f'{{"v": {"[" * depth}{"]" * depth}}}\n' for depth in range(deepest - 200, deepest)]
    reading = read(write(tmp_path / "m.jsonl", f"{{{JOB}}}\n{''.join(lists)}"), skip_faulty=True)
    assert (len(reading.jobs), reading.left_out) == (1, 200)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "m.jsonl: has no jobs"),
        (b"\n \n", "m.jsonl: has no jobs"),
        (b"[1]\n", "m.jsonl:1: is '[1]'; expected one object a line, such as {\"sku\": \"A1\"}"),
        (
            b'[{"id": 1}]',
            ("m.jsonl: is a JSON array, not JSON Lines; JSON Lines are read, one object a line:"
             " `jq -c '.[]' FILE > FILE.jsonl` makes them of it"),
        ),
        (b'{"id": "caf\xe9"}\n', "m.jsonl:1: not UTF-8: byte 0xE9 in column 12; JSON Lines are UTF-8"),
        ('{"id": "a"}\n'.encode("utf-16"), "m.jsonl: is UTF-16; save it as UTF-8, in PowerShell by -Encoding utf8"),
        (
            b'{\n  "id": "a",\n  "x": {}\n}\n',
            "m.jsonl:1: the object goes on in the next line; expected one object a line, as `jq -c .` writes them",
        ),
        (b"PAR1", ("m.jsonl: is a Parquet file, not JSON Lines; write it as CSV or JSON Lines, as by pandas:"
          " to_json(…, orient='records', lines=True)")),
    ],
)  # fmt: skip
def test_a_file_that_is_no_json_lines_says_why(tmp_path: Path, content: bytes, fault: str) -> None:
    assert read(write(tmp_path / "m.jsonl", content)).fault == fault


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    assert read(write(tmp_path / "m.jsonl", f'\ufeff{{"id": "a", {JOB}}}\n')).ids == ["a"]


def test_keys_that_differ_in_each_line_have_a_bound(tmp_path: Path) -> None:
    path = write(tmp_path / "m.jsonl", "".join(f'{{"k{number}": 1}}\n' for number in range(16_385)))
    assert read(path).fault == "m.jsonl:16385: more than 16,384 different keys up to this line"
