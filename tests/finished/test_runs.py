"""Finished files of real runs: made as pictures arrive, made again when something changes, and left alone if not."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from typing import Any

import pytest
from PIL import Image

from batch_editor.runs.options import BatchOptions
from tests.support.bench import Bench, Row, job, jobs, sandbox, with_options

pytestmark = pytest.mark.slow  # each starts processes

WEB = {"web": {"size": "16x12", "fit": "cover", "format": "jpeg"}}


def finished(bench: Bench, id: str) -> list[str]:
    """The paths of a job's finished files, by the output manifest; each is there and whole."""
    paths = [path for path in bench.row(id)["finished"].split("|") if path]
    for path in paths:
        with Image.open(bench.out / path) as image:
            image.load()
    return paths


def on_disk(bench: Bench) -> list[str]:
    """Every file below `finished`, reports and what is staged included."""
    folder = bench.out / "finished"
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def report(bench: Bench, name: str) -> list[Row]:
    with (bench.out / "finished" / name / "report.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def made_at(bench: Bench, *paths: str) -> list[tuple[int, int]]:
    """What tells a file from one that is made again under its name."""
    found = [(bench.out / path).stat() for path in paths]
    return [(each.st_ino, each.st_mtime_ns) for each in found]


async def test_each_picture_has_its_finished_files_under_the_name_of_its_output(bench: Bench) -> None:
    wanted = [job("a", output="B0001.MAIN"), job("b/c", output="shoes/red"), job("plain")]
    async with sandbox() as provider:
        summary = await bench.run(bench.write(wanted, finish=WEB), provider)
    assert summary.exit_code == 0
    assert finished(bench, "a") == ["finished/web/B0001.MAIN.jpg"]
    assert finished(bench, "b/c") == ["finished/web/shoes/red.jpg"]
    assert finished(bench, "plain") == ["finished/web/plain.jpg"]
    assert on_disk(bench) == ["web/B0001.MAIN.jpg", "web/plain.jpg", "web/report.csv", "web/shoes/red.jpg"]
    with Image.open(bench.out / "finished/web/plain.jpg") as image:
        assert (image.size, image.format) == ((16, 12), "JPEG")
    (row,) = [row for row in report(bench, "web") if row["job_id"] == "plain"]
    data = (bench.out / row["file"]).read_bytes()
    assert (row["bytes"], row["sha256"]) == (str(len(data)), hashlib.sha256(data).hexdigest())
    assert summary.as_json()["finished"]["web"] == {
        "made": 3,
        "failed": 0,
        "left": 0,
        "failing_checks": 0,
        "checks": {},
        "example": None,
    }
    assert bench.stamp("plain")  # the picture stays as it came


async def test_the_nearest_finish_replaces_the_others_whole(bench: Bench) -> None:
    wanted = [job("own", finish=["amazon-main"]), job("none", finish=[]), job("defaults")]
    manifest = bench.write(wanted, finish={"small": {"size": "8x8"}})
    other = bench.write([job("config")], name="other.yaml")
    config = bench.folder / "config.yaml"
    config.write_text("finish: {big: {size: 20x20}}\n")
    async with sandbox() as provider:
        arguments = bench.run_arguments(manifest, provider, other)
        assert (await bench.command(*arguments)).code == 0
    assert finished(bench, "own") == ["finished/amazon-main/own.jpg"]
    assert finished(bench, "none") == []
    assert finished(bench, "defaults") == ["finished/small/defaults.png"]
    assert finished(bench, "config") == ["finished/big/config.png"]


@pytest.mark.parametrize("change", ["rules", "picture", "file removed", "file cut", "name"])
async def test_a_finished_file_is_made_again_when_something_changes_and_nothing_else_is(
    bench: Bench, change: str
) -> None:
    wanted, rules = [job("a"), job("b")], WEB
    async with sandbox() as provider:
        await bench.run(bench.write(wanted, finish=rules), provider)
        before = made_at(bench, "finished/web/a.jpg", "finished/web/b.jpg")
        a = bench.out / "finished/web/a.jpg"
        match change:
            case "rules":
                wanted[0]["finish"] = {"web": {"size": "8x6", "fit": "cover", "format": "jpeg"}}
            case "picture":
                wanted[0]["prompt"] = "another"
            case "file removed":
                a.unlink()
            case "file cut":
                os.truncate(a, 100)
            case "name":
                wanted[0]["output"] = "renamed"
        summary = await bench.run(bench.write(wanted, finish=rules), provider)
        assert summary.sent == (change == "picture")
        again = await bench.run(bench.write(wanted, finish=rules), provider)
    path = "finished/web/renamed.jpg" if change == "name" else "finished/web/a.jpg"
    assert finished(bench, "a") == [path]
    after = made_at(bench, path, "finished/web/b.jpg")
    assert after[0] != before[0]
    assert after[1] == before[1]
    assert again.finished.counts[0].made == 2
    assert on_disk(bench) == sorted([path.removeprefix("finished/"), "web/b.jpg", "web/report.csv"])
    with Image.open(bench.out / path) as image:
        assert image.size == ((8, 6) if change == "rules" else (16, 12))


async def test_finish_changes_no_request_and_reaches_pictures_that_were_there_before(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(bench.write(jobs(3)), provider)
        fingerprints = [row["fingerprint"] for row in bench.rows()]
        assert not (bench.out / "finished").exists()
        summary = await bench.run(bench.write(jobs(3), finish=WEB), provider)
        assert (summary.sent, provider.books.requests) == (0, 3)
    assert [row["fingerprint"] for row in bench.rows()] == fingerprints
    assert [finished(bench, f"job-{number}") for number in range(3)] == [
        [f"finished/web/job-{number}.jpg"] for number in range(3)
    ]


async def test_finished_files_that_nobody_asks_for_any_more_are_removed(bench: Bench) -> None:
    wanted = [job("stays"), job("goes"), job("other", finish=["amazon-main"])]
    async with sandbox() as provider:
        await bench.run(bench.write(wanted, finish=WEB), provider)
        assert on_disk(bench) == [
            *("amazon-main/other.jpg", "amazon-main/report.csv"),
            *("web/goes.jpg", "web/report.csv", "web/stays.jpg"),
        ]
        wanted[2]["finish"] = []
        await bench.run(bench.write([wanted[0], wanted[2]], finish=WEB), provider)
        assert on_disk(bench) == ["web/report.csv", "web/stays.jpg"]
        await bench.run(bench.write([wanted[0], wanted[2]]), provider)
    assert not (bench.out / "finished").exists()


async def test_files_of_jobs_that_exchange_their_names_end_as_the_right_ones(bench: Bench) -> None:
    def wanted(first: str, second: str) -> list[dict[str, Any]]:
        return [job("a", output=first), job("b", output=second)]

    async with sandbox() as provider:
        await bench.run(bench.write(wanted("x", "y"), finish=WEB), provider)
        x, y = ((bench.out / f"finished/web/{name}.jpg").read_bytes() for name in "xy")
        await bench.run(bench.write(wanted("y", "x"), finish=WEB), provider)
        assert provider.books.requests == 2
    assert x != y
    assert (finished(bench, "a"), finished(bench, "b")) == (["finished/web/y.jpg"], ["finished/web/x.jpg"])
    assert [(bench.out / f"finished/web/{name}.jpg").read_bytes() for name in "yx"] == [x, y]
    assert on_disk(bench) == ["web/report.csv", "web/x.jpg", "web/y.jpg"]


async def test_a_job_that_is_sent_again_keeps_its_former_file_until_there_is_a_new_picture(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(bench.write([job("a")], finish=WEB), provider)
        before = made_at(bench, "finished/web/a.jpg")
    async with sandbox(key="SG_another") as provider:
        summary = await bench.run(bench.write([job("a", "another")], finish=WEB), provider)
        assert summary.exit_code == 3
    assert made_at(bench, "finished/web/a.jpg") == before
    assert finished(bench, "a") == []  # it is none of the request that the manifest asks for
    assert summary.as_json()["finished"] == {}


async def test_only_pictures_of_the_last_run_s_choice_need_not_be_sent_for_all_to_be_finished(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(bench.write(jobs(3)), provider)
        only = with_options(selection=BatchOptions().selection.__class__(only=["job-1"]))
        await bench.run(bench.write(jobs(3), finish=WEB), provider, options=only)
    assert on_disk(bench) == ["web/job-0.jpg", "web/job-1.jpg", "web/job-2.jpg", "web/report.csv"]


async def test_jobs_that_share_a_request_have_finished_files_of_their_own(bench: Bench) -> None:
    wanted = [job("a", "same"), job("b", "same", finish={"tiny": {"size": "4x4"}})]
    async with sandbox() as provider:
        await bench.run(bench.write(wanted, finish=WEB), provider)
        assert provider.books.requests == 1
    assert (finished(bench, "a"), finished(bench, "b")) == (["finished/web/a.jpg"], ["finished/tiny/b.png"])


async def test_a_rehearsal_finishes_its_pictures_and_the_real_run_makes_them_anew(bench: Bench) -> None:
    manifest = bench.write([job("a")], finish=WEB)
    rehearsal = await bench.command("run", manifest, "-o", bench.out, "--sandbox", "--progress", "none", key=None)
    assert rehearsal.code == 0
    before = made_at(bench, *finished(bench, "a"))
    async with sandbox() as provider:
        await bench.run(manifest, provider)
    assert made_at(bench, *finished(bench, "a")) != before


async def test_what_cannot_be_finished_is_a_fault_of_that_file_and_never_of_the_job(bench: Bench) -> None:
    """A folder stands where one file belongs; a picture is cut behind the run's back."""
    async with sandbox() as provider:
        await bench.run(bench.write(jobs(4)), provider)
        (bench.out / "finished/web/job-1.jpg").mkdir(parents=True)
        os.truncate(bench.images / "job-2.png", 200)
        (bench.images / "job-3.png").write_bytes(b"no picture at all")
        summary = await bench.run(bench.write(jobs(4), finish=WEB), provider)
        assert provider.books.requests == 4
    assert (summary.exit_code, set(bench.statuses().values())) == (0, {"succeeded"})
    (count,) = summary.finished.counts
    assert (count.made, count.failed, count.left) == (1, 3, 0)
    rows = {row["job_id"]: row for row in report(bench, "web")}
    assert rows["job-0"]["fault"] == ""
    assert rows["job-1"]["fault"] == f"{bench.out}/finished/web/job-1.jpg: can't be written (Is a directory)"
    assert all(rows[f"job-{number}"]["fault"] for number in (1, 2, 3))
    assert all(rows[f"job-{number}"]["file"] == "" for number in (1, 2, 3))
    assert "Finished web: 1 made, 3 could not be made" in list(summary.lines())
    shutil.rmtree(bench.out / "finished/web/job-1.jpg")
    again = await bench.command("finish", bench.out, "--json")
    assert (again.code, again.json["made"], again.json["failed"]) == (1, 1, 2)


async def test_a_disk_that_refuses_finished_files_ends_the_run_with_6_and_costs_no_picture(bench: Bench) -> None:
    async with sandbox() as provider:
        bench.out.mkdir()
        (bench.out / "finished").write_text("somebody's")
        summary = await bench.run(jobs(2), provider, finish=WEB)
        assert (summary.exit_code, summary.jobs.succeeded) == (6, 2)
        assert summary.stop is not None
        assert summary.stop.message == (
            f"not all finished files could be made: {bench.out}/finished/.staged: can't be written (File exists);"
            f" batch-editor finish {bench.out} tries it again"
        )
        (bench.out / "finished").unlink()
        assert (await bench.run(jobs(2), provider, finish=WEB)).exit_code == 0
        assert provider.books.requests == 2
    assert finished(bench, "job-0") == ["finished/web/job-0.jpg"]


async def test_a_finished_name_that_another_job_takes_on_some_disks_is_a_fault_before_money(bench: Bench) -> None:
    wanted = [job("a", output="B1.main"), job("b", output="b1.MAIN"), job("c", output="B1.MAIN", finish=[])]
    manifest = bench.write(wanted, finish=WEB)
    async with sandbox() as provider:
        said = await bench.command(*bench.run_arguments(manifest, provider))
        assert (said.code, provider.books.requests) == (2, 0)
    assert said.err.splitlines()[0] == (
        f"error: {manifest}:22: finished files 'b1.MAIN' of job b would take the name of those of job a at"
        f" {manifest}:14 on some disks; give one of them another output"
    )
    (bench.folder / "none.yaml").write_text(json.dumps({"defaults": {"size": "1024x1024"}, "jobs": wanted}))
    assert (await bench.command("plan", "none.yaml")).code == 0  # images have other names then


async def test_all_faults_of_finish_are_told_at_once_with_their_places(bench: Bench) -> None:
    wanted = [job("a", finish={"x": {"size": "0", "fit": "coverr"}}), job("b", finish=["googel", "./none.yaml"])]
    manifest = bench.write(wanted, finish={"Web": {"size": "9x9"}})
    (bench.folder / "config.yaml").write_text("concurrency: 0\nfinish:\n  - amazn-main\n")
    said = await bench.command("plan", manifest)
    assert said.code == 2
    assert said.err == (
        "error: config.yaml:3: finish.amazn-main.preset is 'amazn-main'; expected amazon-main, google, shopify-square,"
        " or a path such as ./own.yaml (did you mean amazon-main?)\n"
        "error: config.yaml:1: concurrency is '0'; expected at least 1\n"
    )
    (bench.folder / "config.yaml").unlink()
    said = await bench.command("plan", manifest)
    assert said.code == 2
    assert [line.partition("finish.")[2].partition(" ")[0] for line in said.err.splitlines()] == [
        "x.size",
        "x.fit",
        "googel.preset",
        "none.preset:",
    ]


async def test_a_table_s_finished_files_come_from_set_or_the_config(bench: Bench) -> None:
    table = bench.folder / "jobs.csv"
    table.write_text("id,prompt,image_urls,finish\na,x,http://127.0.0.1:9/a.png,carried along\n")
    small = ("--set", "size=1024x1024", "--set", "quality=low")
    async with sandbox() as provider:
        for number, text in enumerate(
            ("shopify-square,amazon-main", "[shopify-square, amazon-main]", "{g: {preset: amazon-main}}", "[]")
        ):
            out = bench.folder / str(number)
            arguments = bench.run_arguments(table, provider, *small, "--set", f"finish={text}", out=out)
            assert (await bench.command(*arguments)).code == 0
        wrong = await bench.command("plan", table, "--set", "finish={g: {preset: goo}}")
    assert [(bench.rows(bench.folder / str(number))[0]["finished"]) for number in range(4)] == [
        *["finished/amazon-main/a.jpg|finished/shopify-square/a.png"] * 2,
        "finished/g/a.jpg",
        "",
    ]
    assert wrong.code == 2
    assert wrong.err.startswith("error: --set: finish.g.preset is 'goo'; expected amazon-main, google, shopify-square,")


async def test_presets_of_ones_own_lie_beside_the_manifest_and_beside_the_config(bench: Bench) -> None:
    for folder in ("jobs", "conf"):
        (bench.folder / folder).mkdir()
        text = f"makes:\n  size: {{value: {'16x16' if folder == 'jobs' else '12x12'}}}\n"
        (bench.folder / folder / "own.yaml").write_text(text)
    manifest = bench.write([job("a", finish=["./own.yaml"]), job("b")], name="jobs/jobs.yaml")
    config = bench.folder / "conf" / "settings.yaml"
    config.write_text("finish: [own.yaml]\n")
    async with sandbox() as provider:
        assert (await bench.command(*bench.run_arguments(manifest, provider, "-c", config))).code == 0
    for id, side in (("a", 16), ("b", 12)):
        (path,) = finished(bench, id)
        with Image.open(bench.out / path) as image:
            assert image.size == (side, side)
