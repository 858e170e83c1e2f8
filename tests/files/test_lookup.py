"""Local files by names that other systems write otherwise."""

from __future__ import annotations

import json
import os
import time
import unicodedata
from pathlib import Path

import pytest

from batch_editor.files import NotThere, find_file
from batch_editor.text import escape_bytes
from tests.manifest.test_inputs import read_cell
from tests.support.manifest_reading import draw, read, write


def named(name: bytes) -> str:
    return os.fsdecode(name)


NFC, NFD = unicodedata.normalize("NFC", "Tasse Café.png"), unicodedata.normalize("NFD", "Tasse Café.png")
# What is there, and what a manifest says of it.
MEANT = [
    ("cup.jpg", "Cup.JPG"),
    ("Cup.JPG", "cup.jpg"),
    (NFD, NFC),
    (NFC, NFD),
    (NFD, NFC.upper()),
    ("STRASSE.png", "straße.png"),
    ("photos/cup.png", r"photos\cup.png"),
    ("Photos/2026/Cup.PNG", r"photos\2026\cup.png"),
    ("photos/cup.png", r".\photos\cup.png"),
    ("photos/cup.png", "./photos/cup.png"),
    ("photos/cup.png", "photos//cup.png"),
    ("photos/cup.png", "other/../photos/CUP.png"),
    ("cup.png", "  cup.png \t"),
    ("cup.png", "cup.png\u00a0"),
    ("cup.png ", "cup.png"),
    ("my cup.png", "My Cup.png"),
    ("cup|2.png", "cup|2.png"),
    (named(b"caf\xe9.jpg"), named(b"caf\xe9.jpg")),
    (named(b"caf\xe9.jpg"), "caf\\xe9.jpg"),
    (named(b"my caf\xe9.jpg"), named(b"my%20caf\xe9.jpg")),
    (named(b"b\xfccher/Caf\xe9.jpg"), "B\\xfccher/caf\\xe9.jpg"),
    (named(b"b\xfccher/Caf\xe9.jpg"), "b\\xfccher\\caf\\xe9.jpg"),
]


@pytest.mark.parametrize(("there", "said"), MEANT)
@pytest.mark.parametrize("others", [0, 30])
def test_the_only_file_that_a_name_can_be_meant_for_is_found(
    tmp_path: Path, there: str, said: str, others: int
) -> None:
    path = tmp_path / there
    path.parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "other").mkdir()
    draw(tmp_path / "drawn.png").rename(path)
    for number in range(others):
        (path.parent / f"cup-{number}.png").touch()
    assert find_file(said, tmp_path).samefile(path)
    (file,) = read_cell(tmp_path, json.dumps([said])).job.files.values()
    assert Path(file.path).samefile(path)
    (file,) = read_cell(tmp_path, escape_bytes(said)).job.files.values()  # a table is UTF-8
    assert Path(file.path).samefile(path)


@pytest.mark.parametrize("link", ["file://{}", "file://localhost{}", "file:{}", "FILE://{}"])
def test_a_file_link_is_its_path(tmp_path: Path, link: str) -> None:
    path = draw(tmp_path / named(b"my cup caf\xe9.png"))
    said = link.format(path.as_uri().removeprefix("file://"))
    assert find_file(said, tmp_path) == path
    (file,) = read_cell(tmp_path, said).job.files.values()
    assert file.path == str(path)


def test_the_name_as_it_stands_comes_first(tmp_path: Path) -> None:
    for name in ("cup.png", "Cup.png", r"a\cup.png", "a/cup.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        draw(tmp_path / name)
        assert find_file(name, tmp_path) == tmp_path / name


@pytest.mark.parametrize(
    ("there", "said", "hint"),
    [
        (["cup.JPG", "Cup.jpg"], "CUP.JPG", "did you mean 'Cup.jpg' or 'cup.JPG'?"),
        (["Ä/cup.png", "ä/cup.png"], "A\u0308/cup.png", "did you mean 'Ä/cup.png' or 'ä/cup.png'?"),
        (["cup.jpeg"], "cup.jpg", "did you mean 'cup.jpeg'?"),
        (["photos/Cup.png"], r"photos\cup", "did you mean 'photos/Cup.png'?"),
        (["Cup", "cUp", "cuP", "CUp"], "cup", "did you mean 'CUp' or 'Cup' or 'cUp'?"),
        (
            [named(b"caf\xe9.png"), named(b"Caf\xe9.png")],
            "CAF\\xe9.png",
            "did you mean 'Caf\\xe9.png' or 'caf\\xe9.png'?",
        ),
    ],
)
def test_files_that_a_name_may_be_meant_for_are_suggested(
    tmp_path: Path, there: list[str], said: str, hint: str
) -> None:
    for name in there:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    fault = read_cell(tmp_path, json.dumps([said])).fault
    shown = repr(said)
    assert fault == f"m.csv:2: job a: image_urls is {shown}; there is no such file ({hint})"


def test_a_name_that_is_meant_for_nothing_is_no_file(tmp_path: Path) -> None:
    draw(tmp_path / "cup.png")
    for said in ("mug.png", r"photos\cup.png", "../cup.png", "file:///nowhere/cup.png", r"C:\photos\mug.png"):
        with pytest.raises(NotThere, match=r"^there is no such file$"):
            find_file(said, tmp_path)


def test_a_folder_that_changes_is_looked_at_again(tmp_path: Path) -> None:
    with pytest.raises(NotThere):
        find_file("CUP.png", tmp_path)
    path = draw(tmp_path / "cup.png")
    os.utime(tmp_path, (1e9, 1e9))
    assert find_file("CUP.png", tmp_path) == path
    path.unlink()
    with pytest.raises(NotThere):
        find_file("CUP.png", tmp_path)


def test_a_large_folder_is_listed_once(tmp_path: Path) -> None:
    count = 5_000
    for number in range(count):
        (tmp_path / f"{number + 1}.PNG").touch()
    begun = time.perf_counter()
    find_file("1.png", tmp_path)
    once = time.perf_counter() - begun
    begun = time.perf_counter()
    for number in range(count):
        assert find_file(f"{number + 1}.png", tmp_path).name == f"{number + 1}.PNG"
    # Listed for each row it would take 5,000 times as long; each row costs a few looks at the disk.
    assert time.perf_counter() - begun < 200 * once


@pytest.mark.parametrize("said", ["Data.CSV", r".\data.csv"])
def test_a_table_is_found_by_its_name_too(tmp_path: Path, said: str) -> None:
    write(tmp_path / "data.csv", "n\n1\n2\n")
    path = write(
        tmp_path / "m.yaml",
        f"jobs:\n  - {{prompt: 'x {{{{ n }}}}', rows: '{said}', image_urls: ['https://a.example/1.jpg']}}\n",
    )
    assert len(read(path).jobs) == 2


def test_a_table_that_is_not_there_is_suggested(tmp_path: Path) -> None:
    for name in ("Data.csv", "DATA.csv"):
        write(tmp_path / name, "n\n1\n")
    entry = "{prompt: x, rows: data.csv, image_urls: ['https://a.example/1.jpg']}"
    path = write(tmp_path / "m.yaml", f"jobs:\n  - {entry}\n")
    assert read(path).fault == (
        "m.yaml:2: rows is 'data.csv'; there is no such file (did you mean 'DATA.csv' or 'Data.csv'?)"
    )


def test_a_table_of_almost_that_name_is_suggested(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "products.csv", "n\n1\n")
    entry = "{prompt: x, rows: data/product.csv, image_urls: ['https://a.example/1.jpg']}"
    path = write(tmp_path / "m.yaml", f"jobs:\n  - {entry}\n")
    assert read(path).fault == (
        "m.yaml:2: rows is 'data/product.csv'; there is no such file (did you mean 'data/products.csv'?)"
    )
