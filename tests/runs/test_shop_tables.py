"""Runs of a shop's export: what the provider gets, under which names pictures lie, and what is kept of the table."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
from pathlib import Path

import openpyxl
import pytest
from pydantic import SecretStr

from batch_editor import Selection
from batch_editor.errors import StorageError
from batch_editor.output import keep_table
from batch_editor.runs.batch import prepared
from batch_editor.runs.progress import Quiet
from tests.support.bench import KEY, Bench, sandbox, with_options
from tests.support.command import Finished

HOST = "http://127.0.0.1:9"
HEADER = "Handle,Title,Image Src,Image Position,Status"
SET = ("--set", "prompt=Show {{ title }}", "--set", "size=1024x1024", "--set", "quality=low")
ROWS = [
    f"mug,Red mug,{HOST}/front.png,1,active",
    f"mug,,{HOST}/side.png,2,",
    "mug,,,,",
    f"cup,Cup,{HOST}/cup.png,1,draft",
]


def export(bench: Bench, rows: list[str], name: str = "export.csv") -> Path:
    path = bench.folder / name
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return path


def pictures(bench: Bench) -> dict[str, str]:
    """The link behind each picture, which its request is stamped into."""
    return {row["job_id"]: f"{row['image_urls']} {bench.stamp(row['job_id'])}" for row in bench.rows()}


def kept(bench: Bench) -> dict[str, bytes]:
    """What is kept of tables, unpacked, by name."""
    return {path.name: gzip.decompress(path.read_bytes()) for path in (bench.out / "inputs").iterdir()}


def name_of(content: bytes, ending: str) -> str:
    return f"{hashlib.sha256(content).hexdigest()}{ending}.gz"


async def test_a_picture_that_is_put_in_front_renumbers_the_others_and_buys_nothing_again(bench: Bench) -> None:
    manifest = export(bench, ROWS)
    async with sandbox() as provider:
        done = await bench.command(*bench.run_arguments(manifest, provider, *SET, "--yes"))
        assert (done.code, provider.books.requests) == (0, 3), done.err
        before = pictures(bench)
        assert list(before) == ["mug-1", "mug-2", "cup-1"]
        new = f"mug,Red mug,{HOST}/new.png,1,active"
        manifest = export(
            bench, [new, *(row.replace("png,2", "png,3").replace("front.png,1", "front.png,2") for row in ROWS)]
        )
        done = await bench.command(*bench.run_arguments(manifest, provider, *SET, "--yes"))
        assert (done.code, provider.books.requests) == (0, 4), done.err
        after = pictures(bench)
        assert after.pop("mug-1").startswith(f"{HOST}/new.png ")
        assert after == {"mug-2": before["mug-1"], "mug-3": before["mug-2"], "cup-1": before["cup-1"]}
        assert [name for name in bench.files() if not name.startswith(".history")] == [
            "cup-1.png",
            "mug-1.png",
            "mug-2.png",
            "mug-3.png",
        ]
        done = await bench.command(*bench.run_arguments(manifest, provider, *SET))
        assert (done.code, provider.books.requests) == (0, 4), done.err


async def test_the_same_picture_in_two_products_is_two_jobs_and_bought_once(bench: Bench) -> None:
    manifest = export(bench, [f"{handle},Mug,{HOST}/mug.png,1," for handle in ("a", "b")] + [f"a,,{HOST}/mug.png,2,"])
    async with sandbox() as provider:
        done = await bench.command(*bench.run_arguments(manifest, provider, *SET))
        assert (done.code, provider.books.requests) == (0, 1), done.err
    assert {row["job_id"]: row["reused_from"] for row in bench.rows()} == {"a-1": "", "b-1": "a-1"}


async def test_a_plan_says_what_it_read_and_writes_nothing(bench: Bench) -> None:
    manifest = export(bench, ROWS)
    shown = await bench.command("plan", manifest, "-o", bench.out, *SET, key=None)
    said = (
        f"{manifest}: Shopify export, 4 rows: 2 products, 3 pictures, 1 row without one (variant without a picture of"
        " its own: 1); --format plain takes it as it stands"
    )
    assert said in shown.out.splitlines()
    planned = await bench.command("plan", manifest, "-o", bench.out, *SET, "--json", key=None)
    assert planned.json["tables"] == [
        {
            "table": str(manifest),
            "format": "shopify",
            "said": said,
            "rows": 4,
            "products": 2,
            "pictures": 3,
            "without_picture": 1,
            "repeated_links": 0,
        }
    ]
    assert planned.json["skipped"] == {"variant without a picture of its own": 1}
    assert not bench.out.exists()


async def test_a_run_says_what_it_read_as_well(bench: Bench) -> None:
    async with sandbox() as provider:
        done = await bench.command(*bench.run_arguments(export(bench, ROWS), provider, *SET))
    assert len([line for line in done.err.splitlines() if "Shopify export, 4 rows: 2 products" in line]) == 1


async def test_an_export_is_kept_once_for_each_content(bench: Bench) -> None:
    async with sandbox() as provider:
        contents = []
        for rows in (ROWS, ROWS, ROWS[:2]):
            manifest = export(bench, rows)
            contents.append(manifest.read_bytes())
            done = await bench.command(*bench.run_arguments(manifest, provider, *SET, "--yes"))
            assert done.code == 0, done.err
            newest = bench.out / "inputs" / name_of(contents[-1], ".csv")
            os.utime(newest, (0, 0))
    assert kept(bench) == {name_of(content, ".csv"): content for content in contents}
    again = export(bench, ROWS)
    async with sandbox() as provider:
        await bench.command(*bench.run_arguments(again, provider, *SET, "--yes"))
    assert newest.stat().st_mtime == 0
    assert (bench.out / "inputs" / name_of(contents[0], ".csv")).stat().st_mtime > 0


async def given(bench: Bench, content: bytes, *arguments: str | Path) -> Finished:
    """What a command comes to with that on standard input."""
    path = bench.folder / "given"
    path.write_bytes(content)
    with path.open("rb") as file:
        return await bench.command(*arguments, stdin=file.fileno())


FEED = (
    '<rss xmlns:g="http://base.google.com/ns/1.0"><channel>'
    f"<item><g:id>A</g:id><g:title>Mug</g:title><g:image_link>{HOST}/a.png</g:image_link></item></channel></rss>"
)


@pytest.mark.parametrize(
    ("content", "ending", "ids", "more"),
    [
        ("\n".join([HEADER, *ROWS]), ".csv", ["mug-1", "mug-2", "cup-1"], []),
        ("\n".join([HEADER, *ROWS]), ".csv", ["mug-1", "mug-2", "cup-1"], ["--format", "csv"]),
        ("\n".join([HEADER, *ROWS]), ".csv", ["mug-1", "mug-2", "cup-1"], ["--format", "shopify"]),
        (FEED, ".xml", ["A-1"], []),
        (
            f'{{"id": "A", "title": "Mug", "image_link": "{HOST}/a.png"}}\n',
            ".jsonl",
            ["A-1"],
            ["--format", "jsonl"],
        ),
    ],
)
async def test_an_export_on_standard_input_is_read_and_kept(
    bench: Bench, content: str, ending: str, ids: list[str], more: list[str]
) -> None:
    async with sandbox() as provider:
        done = await given(bench, content.encode(), *bench.run_arguments(Path("-"), provider, *SET, *more))
        assert (done.code, provider.books.requests) == (0, len(ids)), done.err
    assert [row["job_id"] for row in bench.rows()] == ids
    assert kept(bench) == {name_of(content.encode(), ending): content.encode()}


async def test_what_is_kept_of_a_workbook_or_a_feed_has_its_ending(bench: Bench) -> None:
    book = openpyxl.Workbook()
    for line in [HEADER, *ROWS]:
        book.worksheets[0].append(line.split(","))
    book.save(bench.folder / "shop.xlsx")
    (bench.folder / "feed.txt").write_text(FEED, encoding="utf-8")
    entries = "".join(f"  - {{rows: {name}, prompt: 'Show {{{{ title }}}}'}}\n" for name in ("shop.xlsx", "feed.txt"))
    manifest = bench.folder / "jobs.yaml"
    manifest.write_text(f"defaults: {{quality: low, size: 1024x1024}}\njobs:\n{entries}", encoding="utf-8")
    async with sandbox() as provider:
        done = await bench.command(*bench.run_arguments(manifest, provider))
        assert (done.code, provider.books.requests) == (0, 4), done.err
    assert kept(bench) == {
        name_of(content := (bench.folder / name).read_bytes(), ending): content
        for name, ending in (("shop.xlsx", ".xlsx"), ("feed.txt", ".xml"))
    }


async def test_a_table_that_is_read_as_it_stands_is_not_kept(bench: Bench) -> None:
    plain = ("--format", "plain", "--set", "image_urls={{ image_src }}", "--set", "when={{ image_src and title }}")
    async with sandbox() as provider:
        done = await bench.command(*bench.run_arguments(export(bench, ROWS), provider, *SET, *plain))
        assert (done.code, provider.books.requests) == (0, 2), done.err
    assert not (bench.out / "inputs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("jobs.yaml", "--format", "shopify"),
            (
                "Error: --format shopify says how a table given as MANIFEST is read; a YAML manifest says it of its"
                " rows itself, by format: in the job"
            ),
        ),
        (
            ("export.csv", "--format", "jsonl"),
            "Error: --format jsonl says how standard input (-) is read; files tell by their name",
        ),
        (("export.csv", "--format", "etsy"), "'etsy' is not one of 'auto', 'plain', 'shopify'"),
    ],
)
async def test_a_format_that_means_nothing_is_refused(bench: Bench, arguments: tuple[str, ...], message: str) -> None:
    export(bench, ROWS)
    done = await bench.command("plan", *arguments, *SET, key=None)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


async def test_faults_of_an_export_can_be_skipped_and_left_for_another_day(bench: Bench) -> None:
    rows = [*ROWS[:2], "cup,Cup,photos/gone.png,1,", f"pot,Pot,{HOST}/pot.png,1,"]
    manifest = export(bench, rows)
    async with sandbox() as provider:
        done = await bench.command(*bench.run_arguments(manifest, provider, *SET, "--limit", "1"))
        assert (done.code, provider.books.requests) == (2, 0)
        assert "export.csv:4: job cup-1: image_urls is 'photos/gone.png'" in done.err
        done = await bench.command(*bench.run_arguments(manifest, provider, *SET, "--limit", "1", "--skip-faulty"))
        assert (done.code, provider.books.requests) == (0, 1), done.err
        done = await bench.command(*bench.run_arguments(manifest, provider, *SET, "--only", "pot-*"))
        assert (done.code, provider.books.requests) == (0, 2), done.err
        done = await bench.command(*bench.run_arguments(manifest, provider, *SET, "--skip-faulty"))
        assert (done.code, provider.books.requests) == (1, 3), done.err
    assert bench.statuses() == {"mug-1": "succeeded", "mug-2": "succeeded", "cup-1": "failed", "pot-1": "succeeded"}


def test_a_table_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_bytes(b"a,b\n1,2\n")
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / ".table.part").write_text("left by a run that died", encoding="utf-8")
    first = keep_table(tmp_path, lambda: table.open("rb"), ending=".csv", read_at=1.0)
    assert list((tmp_path / "inputs").iterdir()) == [first]
    written = first.read_bytes()
    assert keep_table(tmp_path, lambda: table.open("rb"), ending=".csv", read_at=1.0) == first
    assert first.read_bytes() == written


@pytest.mark.parametrize("place", ["inputs", "elsewhere"])
def test_a_table_is_kept_in_a_folder_of_the_output_directory_alone(tmp_path: Path, place: str) -> None:
    (tmp_path / "out").mkdir()
    if place == "inputs":
        (tmp_path / "out" / "inputs").write_text("a file", encoding="utf-8")
        said = f"{tmp_path}/out/inputs: a table can't be kept there (File exists)"
    else:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "out" / "inputs").symlink_to(tmp_path / "elsewhere")
        said = f"{tmp_path}/out/inputs: a link that leads elsewhere; expected a folder"
    with pytest.raises(StorageError) as caught:
        keep_table(tmp_path / "out", lambda: (tmp_path / "a.csv").open("rb"), ending=".csv", read_at=1.0)
    assert str(caught.value) == said


async def test_a_table_that_changes_after_it_was_read_is_not_kept_as_what_it_was(bench: Bench) -> None:
    manifest = export(bench, ROWS)
    said = io.StringIO()
    selection = Selection(overrides={"prompt": "Show {{ title }}", "size": "1024x1024", "quality": "low"})
    options = with_options(output=bench.out, selection=selection, progress=Quiet(said))
    async with sandbox() as provider:
        async with prepared([manifest], bench.settings(provider), SecretStr(KEY), options) as batch:
            export(bench, ROWS[:1])
            summary = await batch.send()
        assert (summary.exit_code, provider.books.requests) == (0, 3)
    assert f"warning: {manifest} changed since it was read, and is not kept in inputs/" in said.getvalue().splitlines()
    assert not (bench.out / "inputs").exists()


async def test_a_run_that_cannot_keep_its_table_sends_nothing(bench: Bench) -> None:
    bench.out.mkdir()
    (bench.out / "inputs").write_text("a file", encoding="utf-8")
    async with sandbox() as provider:
        done = await bench.command(*bench.run_arguments(export(bench, ROWS), provider, *SET))
        assert (done.code, provider.books.requests) == (6, 0)
    assert f"error: {bench.out}/inputs: a table can't be kept there (File exists)" in done.err
