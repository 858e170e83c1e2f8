from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.manifest_reading import draw, read, write

REST = "prompt: 'On white: {{ stem }}', image_urls: ['{{ path }}']"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as people have it, in a folder that is worked in."""
    photos = tmp_path / "photos"
    (photos / "mugs").mkdir(parents=True)
    for name in ("b.jpg", "A cup.png", "c.JPG", "mugs/1.jpg"):
        (photos / name).write_bytes(draw(tmp_path / f"x{Path(name).suffix.lower()}").read_bytes())
    for name in ("notes.txt", ".DS_Store", "._b.jpg"):
        write(photos / name, "x")
    monkeypatch.chdir(tmp_path)
    return photos


@pytest.mark.parametrize("rows", ["photos", "photos/", "./photos/"])
def test_a_folder_is_a_row_for_each_picture_in_it(shop: Path, rows: str) -> None:
    path = write(shop.parent / "m.yaml", f"jobs:\n  - {{id: '{{{{ stem }}}}', rows: {rows}, {REST}}}\n")
    reading = read(path)
    assert reading.ids == ["A cup", "b", "c"]
    assert reading.jobs[0].extras == {
        "path": "photos/A cup.png",
        "name": "A cup.png",
        "stem": "A cup",
        "folder": "photos",
    }
    name = rows.removesuffix("/").removeprefix("./")
    assert reading.warnings == [
        f"{name}: 'notes.txt' is no picture and is left out",
        f"{name}: 2 hidden files are left out",
        f"{name}: 1 folder in it is left out; {name}/**/*.jpg takes the pictures in them as well",
    ]


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("photos/*.jpg", ["photos/b.jpg", "photos/c.JPG"]),
        ("photos/**/*.jpg", ["photos/b.jpg", "photos/c.JPG", "photos/mugs/1.jpg"]),
        ("photos/c.jpg*", ["photos/c.JPG"]),
        ("photos/*.JPG", ["photos/b.jpg", "photos/c.JPG"]),
        ("photos/[bc].*", ["photos/b.jpg", "photos/c.JPG"]),
        ("photos/b.jpg", ["photos/b.jpg"]),
    ],
)
def test_a_glob_is_a_row_for_each_picture_that_it_matches(shop: Path, pattern: str, paths: list[str]) -> None:
    path = write(shop.parent / "m.yaml", f"jobs:\n  - {{id: '{{{{ path }}}}', rows: '{pattern}', {REST}}}\n")
    assert [job.extras["path"] for job in read(path).jobs] == paths
    assert read(path).faults == []


@pytest.mark.parametrize(
    ("pattern", "paths", "said"),
    [
        ("**/*", ["photos/b.jpg"], "*: 2 files left out that runs have made, in 'outputs/mugs'"),
        ("./**/*.jpg", ["photos/b.jpg"], "*.jpg: 1 file left out that runs have made, in 'outputs/mugs'"),
        ("outputs/mugs/**/*.jpg", ["outputs/mugs/images/a.jpg"], None),
        ("outputs/mugs/images/*", ["outputs/mugs/images/a.jpg"], None),
        ("outputs/mugs/images", ["outputs/mugs/images/a.jpg"], None),
    ],
)
def test_what_runs_have_made_is_edited_only_where_it_is_named(
    shop: Path, pattern: str, paths: list[str], said: str | None
) -> None:
    clear(shop, keep="b.jpg")
    reading = read(Path(pattern), prompt="On white")
    assert [job.extras["path"] for job in reading.jobs] == paths
    assert [warning for warning in reading.warnings if "made" in warning] == ([] if said is None else [said])


def test_a_glob_of_nothing_but_what_runs_have_made_is_refused(shop: Path) -> None:
    clear(shop, keep="b.jpg")
    (fault,) = read(Path("outputs/**/*.jpg"), prompt="On white").faults
    assert str(fault).endswith(
        "no pictures there (.jpg, .png or .webp); what runs have made in 'outputs/mugs' is left out: to edit it, name"
        " that folder"
    )


def clear(shop: Path, *, keep: str) -> None:
    """Leave one picture, and an output directory beside its folder."""
    output = shop.parent / "outputs/mugs"
    (output / "images").mkdir(parents=True)
    (output / "ledger.sqlite3").touch()
    shutil.copy(shop / keep, output / "images/a.jpg")
    for path in [*shop.iterdir(), *shop.parent.glob("x.*")]:
        if path.name != keep:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize(
    ("manifest", "ids"),
    [
        ("photos", ["A cup", "b", "c"]),
        ("photos/**/*.jpg", ["b", "c", "mugs/1"]),
        ("photos/mugs/1.jpg", ["1"]),
    ],
)
def test_pictures_are_a_manifest_that_needs_but_a_prompt(shop: Path, manifest: str, ids: list[str]) -> None:
    reading = read(Path(manifest), prompt="On white: {{ stem }}")
    assert reading.ids == ids
    assert [job.output for job in reading.jobs] == ids
    assert [len(job.files) for job in reading.jobs] == [1] * len(ids)
    assert read(Path(manifest), prompt="x", id="{{ name }}").ids[-1] == reading.jobs[-1].extras["name"]


def test_ids_are_within_a_folder_whose_name_is_no_utf8(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    (folder / "mugs").mkdir(parents=True)
    draw(tmp_path / "x.png").rename(folder / "mugs" / os.fsdecode(b"c\xf6p.png"))
    assert read(folder / "mugs", prompt="x").ids == [r"c\xf6p"]
    assert read(folder / "**" / "*.png", prompt="x").ids == [r"mugs/c\xf6p"]


def test_pictures_without_a_prompt_say_what_there_is(shop: Path) -> None:
    assert read(Path("photos")).fault == (
        "photos:1: prompt is missing; the columns are 'path', 'name', 'stem', 'folder';"
        " a value for all comes from --set 'prompt=…'"
    )


def test_pictures_that_cannot_be_sent_are_no_secret(shop: Path) -> None:
    write(shop / "d.heic", b"x")
    assert read(Path("photos"), prompt="x").fault.startswith(
        "photos:4: job d: image_urls is 'photos/d.heic', which is "
    )


@pytest.mark.parametrize(
    ("manifest", "fault"),
    [
        ("photos/mugs/*.png", "*.png: no pictures there (.jpg, .png or .webp)"),
        ("empty", "empty: no pictures there (.jpg, .png or .webp)"),
        ("texts", "texts: no pictures there (.jpg, .png or .webp); 1 other file"),
        (
            ".",
            (
                ".: no pictures there (.jpg, .png or .webp); 1 other file; in folders below there may be some:"
                " try **/*.jpg"
            ),
        ),
        ("gone.jpg", "gone.jpg: can't be read: there is no such folder"),
    ],
)
def test_where_there_is_no_picture_it_is_said(shop: Path, manifest: str, fault: str) -> None:
    for name in ("empty", "texts"):
        (shop.parent / name).mkdir()
    write(shop.parent / "texts/a.txt", "x")
    for picture in shop.parent.glob("x.*"):
        picture.rename(picture.with_suffix(".dat"))
    assert read(Path(manifest), prompt="x").fault == fault
