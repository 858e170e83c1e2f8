from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_editor.strict_yaml import YamlFault, parse_yaml
from tests.support.manifest_reading import LINK, read, write

# What stands in the third line, which is the second of a job; then where the fault is and what it says.
CASES = [
    ("prompt: Style: minimal", "18", '": " in a value begins another key; quote it: prompt: "Style: minimal"'),
    ("prompt: Style: # x", "18", '": " in a value begins another key; quote it: prompt: "Style:" # x'),
    ('prompt: A "nice": x', "21", '": " in a value begins another key; quote it: prompt: \'A "nice": x\''),
    ("prompt: {{ x }}", "13", '{{ begins a mapping in YAML; quote it: prompt: "{{ x }}"'),
    ("prompt: {{ x }} on white", "13", '{{ begins a mapping in YAML; quote it: prompt: "{{ x }} on white"'),
    ('prompt: {{ x|default("a") }}', "13", "{{ begins a mapping in YAML; quote it: prompt: '{{ x|default(\"a\") }}'"),
    ("prompt: {% if x %}a{% endif %}", "13", '{% begins a mapping in YAML; quote it: prompt: "{% if x %}a{% endif %}"'),
    (
        "image_urls: [{{ a }}, b.jpg, {{ c }}]",
        "18",
        '{{ begins a mapping in YAML; quote it: image_urls: ["{{ a }}", b.jpg, "{{ c }}"]',
    ),
    *(
        (f"prompt: {value}", "13", f'a value can\'t begin with {value[0]} in YAML; quote it: prompt: "{value}"')
        for value in ("@home", "`x` y", "%50 off", "*bold* mug", "& mug", "!new mug", "| mug", "> mug", "- mug")
    ),
    ("prompt: [new] mug", "13", 'text behind a closing ]; quote it: prompt: "[new] mug"'),
    ("prompt: {new} mug", "13", 'text behind a closing }; quote it: prompt: "{new} mug"'),
    ("prompt: 'it's a mug'", "13", "a ' inside a value that is in ' ends it; quote it: prompt: \"it's a mug\""),
    ('prompt: "a "nice" mug"', "13", 'a " inside a value that is in " ends it; quote it: prompt: \'a "nice" mug\''),
    ('prompt: "Style" minimal', "13", "text behind a closing quote; quote it: prompt: '\"Style\" minimal'"),
    (
        'prompt: "C:\\photos"',
        "13",
        "a backslash in double quotes begins an escape; use single ones: prompt: 'C:\\photos'",
    ),
    (
        r'prompt: "C:\Users\x"',
        "13",
        r"a backslash in double quotes begins an escape; use single ones: prompt: 'C:\Users\x'",
    ),
    (
        r'image_urls: ["C:\Users\x.jpg"]',
        "18",
        r"a backslash in double quotes begins an escape; use single ones: image_urls: ['C:\Users\x.jpg']",
    ),
    ("image_urls: [a.jpg],", "24", "a comma behind a value, where YAML has none; write image_urls: [a.jpg]"),
    ('prompt: "a",', "16", 'a comma behind a value, where YAML has none; write prompt: "a"'),
    ("prompt: 'open", "13", "a ' that is never closed; close it: prompt: 'open'"),
    ("prompt:x", "12", "a space is missing behind :; write prompt: x"),
    ("prompt x", "11", "a colon is missing behind prompt, or this belongs to the value above; write prompt: x"),
    ("\tprompt: x", "5", "a tab in the indentation; indent by spaces: prompt: x"),
    ("prompt: a\x07b", "14", "a control character (U+0007); remove it"),
    ("prompt: a\x00b", "14", "a control character (U+0000); save the file as UTF-8"),
]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(("line", "column", "message"), CASES)
def test_what_is_no_yaml_says_where_and_how_the_line_should_be(
    tmp_path: Path, line: str, column: str, message: str, end: str, encoding: str
) -> None:
    document = f"jobs:{end}  - id: a{end}    {line}{end}"
    assert read(write(tmp_path / "m.yaml", document.encode(encoding))).fault == f"m.yaml:3:{column}: {message}"


@pytest.mark.parametrize(("line", "column", "message"), [case for case in CASES if "quote it: " in case[2]])
def test_the_line_that_is_given_is_sound(line: str, column: str, message: str) -> None:
    mended = message.partition("quote it: ")[2]
    assert parse_yaml(f"jobs:\n  - id: a\n    {mended}\n".encode()) is not None


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ("jobs:\n  -id: a\n   prompt: x\n", "2:4: a space is missing behind -; write - id: a"),
        ("jobs:\n  - id:a\n    prompt: x\n", "2:8: a space is missing behind :; write - id: a"),
        (
            "jobs:\n  - id: a\n   prompt: x\n",
            "3:4: begins in column 4, the key above in column 5; what belongs together begins in one: prompt: x",
        ),
        (
            "jobs:\n  - id: a\n      prompt: x\n",
            "3:7: begins in column 7, the key above in column 5; what belongs together begins in one: prompt: x",
        ),
        (
            "jobs:\n  - id: a\n  \u00a0 prompt: x\n",
            "3:3: white space that is no indentation to YAML (U+00A0); indent by plain spaces",
        ),
        ("jobs:\n\t- id: a\n", "2:1: a tab in the indentation; indent by spaces: - id: a"),
        (
            "jobs:\n  - {id: a, prompt: {{ x }}, quality: low}\n",
            '2:21: {{ begins a mapping in YAML; quote it: - {id: a, prompt: "{{ x }}", quality: low}',
        ),
        (
            "jobs:\n  - id: a\n    image_urls: [a.jpg\n    prompt: x\n",
            "3:17: a [ that is never closed, or a comma is missing behind it",
        ),
        (
            '{"jobs": [{"id": "a",, }]}',
            '1:22: not YAML: did not find expected node content; the line is: {"jobs": [{"id": "a",, }]}',
        ),
    ],
)
def test_what_lies_in_the_lines_around_is_seen_there(tmp_path: Path, document: str, fault: str) -> None:
    assert read(write(tmp_path / "m.yaml", document)).faults[0] == f"m.yaml:{fault}"


def test_a_line_of_many_templates_is_explained_at_once(tmp_path: Path) -> None:
    document = f"jobs:\n  - {{id: a, prompt: {'{{ x }}' * 60}\n"
    assert read(write(tmp_path / "m.yaml", document)).fault == "m.yaml:2: a key that is not plain text"


def test_all_lines_that_are_to_be_quoted_are_told_at_once(tmp_path: Path) -> None:
    document = "jobs:\n  - id: {{ x }}\n    prompt: Style: minimal\n  - prompt: @home\n    id: b\n"
    assert read(write(tmp_path / "m.yaml", document)).faults == [
        'm.yaml:2:9: {{ begins a mapping in YAML; quote it: - id: "{{ x }}"',
        'm.yaml:3:18: ": " in a value begins another key; quote it: prompt: "Style: minimal"',
        'm.yaml:4:13: a value can\'t begin with @ in YAML; quote it: - prompt: "@home"',
    ]


def test_other_encodings_are_named_by_line_and_byte(tmp_path: Path) -> None:
    path = write(tmp_path / "m.yaml", "jobs:\n  - id: caf\xe9\n".encode("cp1252"))
    assert read(path).fault == "m.yaml:2: not UTF-8: byte 0xE9 at offset 17; save the file as UTF-8 in your editor"


def test_keys_with_x_are_free_for_anchors_and_merges(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.yaml",
        f"x-mug: &mug {{prompt: On white, image_urls: [{LINK}], quality: low}}\nx-links: [1]\n"
        "jobs:\n  - <<: *mug\n    id: a\n  - <<: *mug\n    id: b\n    quality: medium\n",
    )
    reading = read(path)
    assert reading.ids == ["a", "b"]
    assert reading.values("quality") == ["low", "medium"]
    assert reading.values("prompt") == ["On white", "On white"]


pieces = st.sampled_from(
    ["jobs:", "- ", "id", ": ", ":", "{{ x }}", "[", "]", "{", "}", '"', "'", "\n", "\t", "  ", "@", "#"]
)


@given(document=st.lists(pieces, max_size=30).map("".join))
@settings(max_examples=300)
@pytest.mark.slow
def test_whatever_is_written_is_a_value_or_a_fault_in_words(document: str) -> None:
    with suppress(YamlFault):
        parse_yaml(document.encode())
