from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_editor.strict_yaml import MAX_BYTES, Block, Text, YamlFault, parse_yaml, read_yaml


@pytest.mark.parametrize(
    "scalar", ["00123", "no", "True", "12:30:45", "1e5", "0x1F", "2026-11-22", "1_000", ".5", "=", "NaN", "on"]
)
def test_a_scalar_keeps_the_letters_it_was_written_with(scalar: str) -> None:
    assert parse_yaml(f"id: {scalar}\n".encode()) == {"id": scalar}


@pytest.mark.parametrize("scalar", ["", "~", "null", "Null", "NULL"])
def test_only_nothing_is_nothing(scalar: str) -> None:
    assert parse_yaml(f"id: {scalar}\n".encode()) == {"id": None}
    assert parse_yaml(f"id: '{scalar}'\n".encode()) == {"id": scalar}


def test_values_know_their_lines_and_whether_they_were_quoted() -> None:
    value = parse_yaml(b"a: x\nb:\n  - 'y'\n  - z:\n      w: no\n")
    assert isinstance(value, Block)
    first, listed = value["a"], value["b"]
    assert isinstance(first, Text)
    assert isinstance(listed, list)
    quoted, block = listed
    assert isinstance(quoted, Text)
    assert isinstance(block, Block)
    inner = block["z"]
    assert isinstance(inner, Block)
    assert (first.line, first.plain) == (1, True)
    assert (quoted.line, quoted.plain) == (3, False)
    assert (value.line, block.line, inner.line) == (1, 4, 5)


@pytest.mark.parametrize(
    ("scalar", "boolean"),
    [("no", True), ("Yes", True), ("OFF", True), ("true", True), ("'no'", False), ("n", False), ("nO", False)],
)
def test_what_yaml_1_1_reads_as_true_or_false_is_recognised(scalar: str, boolean: bool) -> None:
    value = parse_yaml(scalar.encode())
    assert isinstance(value, Text)
    assert value.boolean is boolean


@pytest.mark.parametrize("data", [b"", b"# only a comment\n", b"---\n", b"null"])
def test_an_empty_document_is_nothing(data: bytes) -> None:
    assert parse_yaml(data) is None


def test_byte_order_marks_are_read() -> None:
    assert parse_yaml("id: é".encode("utf-8-sig")) == {"id": "é"}
    assert parse_yaml("id: é".encode("utf-16")) == {"id": "é"}


def test_an_alias_repeats_what_it_names() -> None:
    assert parse_yaml(b"a: &x [1, 2]\nb: *x") == {"a": ["1", "2"], "b": ["1", "2"]}


@pytest.mark.parametrize(
    ("document", "merged"),
    [
        ("a: &a {x: 1, y: 1}\nb: {<<: *a, y: 2}", {"y": "2", "x": "1"}),
        ("a: &a {x: 1}\nb:\n  y: 2\n  <<: *a", {"y": "2", "x": "1"}),
        ("a: &a {x: 1}\nc: &c {x: 2, z: 3}\nb:\n  <<: [*a, *c]", {"x": "1", "z": "3"}),
        ("b: {'<<': x}", {"<<": "x"}),
    ],
)
def test_a_merge_key_brings_in_what_the_mapping_does_not_say(document: str, merged: dict[str, str]) -> None:
    value = parse_yaml(document.encode())
    assert isinstance(value, Block)
    assert value["b"] == merged


EXPLODING = b"a: &a [x,x,x,x,x,x,x,x,x,x]\n" + b"".join(
    f"{name}: &{name} [{','.join(['*' + before] * 10)}]\n".encode()
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("data", "message", "line"),
    [
        (b"a: 1\nb: 2\na: 3", "key 'a' stands twice in one mapping", 3),
        (b"x:\n  - {a: 1, a: 1}", "key 'a' stands twice in one mapping", 2),
        (b"a: !!int 3", "a tag (tag:yaml.org,2002:int); values are plain text here", 1),
        (b"a: !!python/object/apply:os.system [ls]", None, 1),
        (b"a: 1\n---\nb: 2", "a second document; one file holds one", 2),
        (b"a: *x", None, 1),
        (b"base: &b 1\nc:\n  <<: *b", "<< takes the keys of mappings; expected an alias of one, such as <<: *base", 3),
        (b"a: &a {x: 1}\nc:\n  x: 1\n  x: 2\n  <<: *a", "key 'x' stands twice in one mapping", 4),
        (b"-id: a", "a space is missing behind -; write - id: a", 1),
        (b"? [a]\n: 1", "a key that is not plain text", 1),
        *((b"[" * depth + b"]" * depth, "nested deeper than 32", 1) for depth in (34, 100, 1100, 5000)),
        (b"a: 1\nb: " + b"{c: " * 5000, "nested deeper than 32", 2),
        (EXPLODING, "aliases that expand to more than 100,000 values", None),
        (b"a: 1\nb: \xff", "not UTF-8: byte 0xFF at offset 8; save the file as UTF-8 in your editor", 2),
        (b"a: 'open", None, None),
        (b"a:\n\t- b", None, 2),
        (b"a: &x [*x]", None, 1),
    ],
)
@pytest.mark.fault(100)
def test_anything_that_is_not_strict_is_a_fault_with_its_line(
    data: bytes, message: str | None, line: int | None
) -> None:
    with pytest.raises(YamlFault) as caught:
        parse_yaml(data)
    assert message is None or str(caught.value) == message
    assert line is None or caught.value.line == line


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 2**20)
    with pytest.raises(YamlFault, match=r"^the file has more than 64 MiB; expected a smaller one$"):
        read_yaml(path)


@given(
    data=st.one_of(st.binary(max_size=200), st.text(alphabet="ab:-[]{}&*!?|>'\" \n\t#%,<", max_size=60).map(str.encode))
)
@settings(max_examples=300)
@pytest.mark.slow
def test_whatever_is_read_is_a_value_or_a_fault(data: bytes) -> None:
    with suppress(YamlFault):
        value = parse_yaml(data)
        assert value is None or isinstance(value, (Text, Block, list))


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]), max_size=20)


@given(value=st.recursive(texts, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)))
@settings(max_examples=100)
@pytest.mark.slow
def test_what_is_written_quoted_is_read_as_it_was(value: object) -> None:
    assert parse_yaml(written(value).encode()) == value


def written(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'? {written(key)} : {written(inner)}' for key, inner in value.items())}}}"
    quoted = str(value).replace("'", "''")
    return f"'{quoted}'"


@pytest.mark.parametrize(
    ("document", "lost"),
    [
        ("a: red #ff0000 and shiny  \n", ("#ff0000 and shiny", 1)),
        ("a: red   \t#2\n", ("#2", 1)),
        ("a: é€ #ß\r\nb: x\r\n", ("#ß", 1)),
        ("a: two\n  lines #ff0000\n", ("#ff0000", 2)),
        ("a: two\n  #ff0000 lines\n", ("#ff0000 lines", 2)),
        ("a: two\r\n  lines\r\n   #3 lines\r\nb: x", ("#3 lines", 3)),
        ("a: &x red #1", ("#1", 1)),
        ("{a: red #1\n}", ("#1", 1)),
        ("# first\na: red #1", ("#1", 2)),
        ("a: red # a comment\n", None),
        ("a: red #\n", None),
        ("a: red #-- a comment\n", None),
        ("a: red#ff0000\n", None),
        ("a: 'red' #ff0000\n", None),
        ('a: "red" #ff0000\n', None),
        ("a: |\n  red #ff0000\n", None),
        ("a: red\n#b: commented out\n", None),
        ("x:\n  a: red\n  #b: commented out\n", None),
        ("x:\n  a: red\n #b: commented out\n", None),
        ("a: red\n\n  #b: a comment\n", None),
        ("a: red\n  # a comment\n", None),
        ("{a: red\n   #b: commented out\n}", None),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_plain_scalar_knows_what_a_comment_took_of_it(
    document: str, lost: tuple[str, int] | None, encoding: str
) -> None:
    value = parse_yaml(document.encode(encoding))
    assert isinstance(value, Block)
    inner = value.get("x", value)
    assert isinstance(inner, Block)
    text = inner["a"]
    assert isinstance(text, Text)
    assert text.lost == lost


def test_an_item_of_a_list_and_an_alias_know_it_as_well() -> None:
    value = parse_yaml(b"a:\n  - &x https://example.com/a.jpg #2\n  - b # c\nb: *x\n")
    assert isinstance(value, Block)
    items, alias = value["a"], value["b"]
    assert isinstance(items, list)
    assert [text.lost for text in (*items, alias) if isinstance(text, Text)] == [("#2", 2), None, ("#2", 2)]
