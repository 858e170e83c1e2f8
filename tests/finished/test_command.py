"""`finish OUT`: finished files without a request, what it says of them, and how it ends."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import sqlite3
from contextlib import closing

import pytest
from PIL import Image

from tests.support.bench import Bench, job, jobs, sandbox
from tests.support.decoders import hanging

pytestmark = pytest.mark.slow  # each starts processes

WEB = {"web": {"size": "16x12", "fit": "cover", "format": "jpeg"}}


def on_disk(bench: Bench) -> list[str]:
    folder = bench.out / "finished"
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
async def done(bench: Bench) -> Bench:
    """Three jobs have their pictures, and nobody has asked for finished files."""
    async with sandbox() as provider:
        await bench.run(jobs(3), provider)
    return bench


async def test_where_nobody_asks_for_finished_files_it_says_how_to(done: Bench) -> None:
    said = await done.command("finish", done.out)
    assert said.code == 2
    assert said.err == (
        f"error: {done.out}: neither its manifest nor the config asks for finished files; expected finish: there, or"
        " --preset amazon-main, google or shopify-square\n"
    )
    assert not (done.out / "finished").exists()
    said = await done.command("finish", done.folder)
    assert (said.code, said.err) == (
        2,
        f"error: {done.folder}: no ledger here; expected the output directory of a run\n",
    )


async def test_a_preset_is_made_of_all_pictures_whatever_the_manifest_says(done: Bench) -> None:
    (done.folder / "own.yaml").write_text(
        "makes: {size: 10x10, format: webp}\nchecks: {square: true, name: '[a-z]+'}\n"
    )
    said = await done.command("finish", done.out, "--preset", "./own.yaml", "--preset", "amazon-main")
    assert said.code == 0
    assert on_disk(done) == [
        *(f"amazon-main/job-{number}.jpg" for number in range(3)),
        "amazon-main/report.csv",
        *(f"own/job-{number}.webp" for number in range(3)),
        "own/report.csv",
    ]
    assert done.row("job-1")["finished"] == "finished/amazon-main/job-1.jpg|finished/own/job-1.webp"
    lines = said.out.splitlines()
    assert lines[0] == "Made 6 files"
    assert lines[lines.index("Finished own: 3 made, 3 files fail a check") + 1].startswith(
        "  name: 3, for example job-0: job-0.webp; wanted "
    )
    header, *rows = (done.out / "finished/own/report.csv").read_text().splitlines()
    assert header.startswith("job_id,file,fault,failed_checks,width,height,format,bytes,sha256,notes,check.")
    assert [
        row.startswith(f"job-{number},finished/own/job-{number}.webp,,1,10,10,webp,") for number, row in enumerate(rows)
    ]
    # Once more, from another working directory: nothing is made again.
    again = await done.command("finish", done.out, "--preset", "own.yaml", "--json")
    assert (again.json["made"], again.json["finished"]["own"]["checks"]["name"]["failed"]) == (0, 3)
    status = await done.command("status", done.out, "--json")
    assert status.json["finished"] == again.json["finished"]
    assert (await done.command("status", done.out)).out.count("Finished own: 3 made, 3 files fail a check\n") == 1


async def test_a_preset_that_a_command_asked_for_stays_with_its_picture_alone(done: Bench) -> None:
    assert (await done.command("finish", done.out, "--preset", "amazon-main")).code == 0
    (done.out / "finished/amazon-main/job-2.jpg").unlink()
    async with sandbox() as provider:
        await done.run([job("job-0", "another"), job("job-1"), job("job-2")], provider)
    # Neither made of the new picture nor made again: no manifest asks for it. Nor does it stay of the former one.
    assert on_disk(done) == ["amazon-main/job-1.jpg", "amazon-main/report.csv"]
    assert [row["finished"] for row in done.rows()] == ["", "finished/amazon-main/job-1.jpg", ""]


async def test_a_name_of_the_manifest_can_be_chosen_and_the_others_stay_as_they_are(bench: Bench) -> None:
    rules = {**WEB, "tiny": {"size": "4x4"}, "amazon-main": {"size": "6x6", "format": "webp"}}
    async with sandbox() as provider:
        await bench.run(bench.write(jobs(2), finish=rules), provider)
    for name in ("web/job-0.jpg", "tiny/job-0.png", "amazon-main/job-0.webp"):
        (bench.out / "finished" / name).unlink()
    said = await bench.command("finish", bench.out, "--preset", "tiny", "--preset", "amazon-main", "--json")
    assert (said.code, said.json["made"]) == (0, 2)
    assert "web/job-0.jpg" not in on_disk(bench)
    assert "amazon-main/job-0.webp" in on_disk(bench)  # the manifest's own rule of that name
    assert (await bench.command("finish", bench.out, "--json")).json["made"] == 1


async def test_a_preset_that_is_none_is_told_with_the_nearest(done: Bench) -> None:
    said = await done.command("finish", done.out, "--preset", "amazn-main", "--preset", "none.yaml")
    assert said.code == 2
    assert said.err == (
        "error: --preset is 'amazn-main'; expected amazon-main, google, shopify-square, or a path such as ./own.yaml"
        " (did you mean amazon-main?)\n"
        "error: --preset: none.yaml can't be read: No such file or directory\n"
    )


async def test_the_config_s_finish_holds_for_jobs_of_which_the_manifest_says_none(bench: Bench) -> None:
    (bench.folder / "one.yaml").write_text("finish: {one: {size: 8x8}}\n")
    (bench.folder / "two.yaml").write_text("finish: {two: {size: 9x9}}\n")
    wanted = [job("a"), job("own", finish=WEB), job("none", finish=[])]
    async with sandbox() as provider:
        arguments = bench.run_arguments(bench.write(wanted), provider, "-c", "one.yaml")
        assert (await bench.command(*arguments)).code == 0
    assert on_disk(bench) == ["one/a.png", "one/report.csv", "web/own.jpg", "web/report.csv"]
    (bench.out / "finished/one/a.png").unlink()
    assert (await bench.command("finish", bench.out)).code == 0  # as at the last run
    assert "one/a.png" in on_disk(bench)
    assert (await bench.command("finish", bench.out, "-c", "two.yaml")).code == 0
    assert on_disk(bench) == ["two/a.png", "two/report.csv", "web/own.jpg", "web/report.csv"]


async def test_files_that_are_lost_and_a_ledger_made_anew_are_mended_by_it(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(bench.write(jobs(2), finish=WEB), provider)
    kept = (bench.out / "finished/web/job-0.jpg").read_bytes()
    (bench.out / "ledger.sqlite3").unlink()
    assert (await bench.command("status", bench.out, "--rebuild")).code == 0
    (bench.folder / "config.yaml").write_text(json.dumps({"finish": WEB}))
    (bench.out / "finished/web/job-0.jpg").unlink()
    said = await bench.command("finish", bench.out, "--json")
    assert (said.code, said.json["made"], said.json["finished"]["web"]["made"]) == (0, 2, 2)
    assert (bench.out / "finished/web/job-0.jpg").read_bytes() == kept


async def test_what_a_picture_or_its_rules_forbid_is_not_tried_again_until_one_of_them_changes(bench: Bench) -> None:
    """Where it is tried without the picture's file, that is what is said of it."""
    small = {"web": {"max_bytes": 50}}
    async with sandbox() as provider:
        await bench.run(bench.write([job("a")], finish=small), provider)
    picture, hidden = bench.images / "a.png", bench.folder / "hidden"
    picture.rename(hidden)
    fault = "does not fit into 50 bytes, not even at 32 pixels"
    said = await bench.command("finish", bench.out, "--json")
    assert (said.code, said.json["made"], said.json["failed"]) == (1, 0, 1)
    assert said.json["finished"]["web"]["example"] == {"job_id": "a", "fault": fault}
    ledger = sqlite3.connect(bench.out / "ledger.sqlite3")
    with closing(ledger), ledger:
        ledger.execute("UPDATE finished SET rules = rules || '.1'")  # as of a Pillow of another version
    said = await bench.command("finish", bench.out, "--json")
    assert said.json["finished"]["web"]["example"]["fault"] == "it could not be made: No such file or directory"
    hidden.rename(picture)  # what was tried in vain for another reason is tried each time
    said = await bench.command("finish", bench.out, "--json")
    assert said.json["finished"]["web"]["example"]["fault"] == fault
    async with sandbox() as provider:
        again = await bench.run(bench.write([job("a")], finish=WEB), provider)
    assert again.finished.counts[0].made == 1


async def test_it_waits_for_nobody_and_works_beside_nobody(done: Bench) -> None:
    with (done.out / ".lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = await done.command("finish", done.out, "--preset", "google")
    assert (said.code, said.err) == (
        5,
        f"error: {done.out}: another process is at work here; wait for it, or stop it\n",
    )


async def test_a_worker_that_dies_twice_over_a_picture_costs_that_file_alone(done: Bench) -> None:
    with hanging(done.images / "job-1.png") as picture:
        async with done.started("finish", done.out, "--preset", "google", "--json") as process:
            for _ in range(2):
                os.kill(await picture.reader(), signal.SIGKILL)
            said = await process.finished()
    assert (said.code, said.json["made"], said.json["failed"]) == (1, 2, 1)
    assert said.json["finished"]["google"]["example"] == {
        "job_id": "job-1",
        "fault": "it could not be made: its process ended",
    }
    assert set(done.statuses().values()) == {"succeeded"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_soon_with_everything_whole(done: Bench, number: signal.Signals) -> None:
    with hanging(done.images / "job-2.png") as picture:
        async with done.started("finish", done.out, "--preset", "shopify-square") as process:
            await picture.reader()
            process.send(number)
            said = await asyncio.wait_for(process.finished(), 15)
    assert said.code == (130 if number is signal.SIGINT else 143)
    assert said.err.strip() == "Interrupted; nothing is lost, running again resumes."
    for path in on_disk(done):
        if not path.startswith(".staged/"):
            with Image.open(done.out / "finished" / path) as image:
                image.load()


async def test_a_link_in_the_place_of_a_folder_leads_nothing_out_of_the_output_directory(done: Bench) -> None:
    outside = done.folder / "outside"
    outside.mkdir()
    (done.out / "finished").mkdir()
    (done.out / "finished/google").symlink_to(outside)
    said = await done.command("finish", done.out, "--preset", "google")
    assert (said.code, list(outside.iterdir())) == (6, [])
    assert said.err == f"error: {done.out}/finished/google: a link that leads elsewhere; expected a folder\n"
    (done.out / "finished/google").unlink()
    (done.out / "finished").rmdir()
    (done.out / "finished").symlink_to(outside)
    said = await done.command("finish", done.out, "--preset", "google")
    assert (said.code, said.err) == (6, f"error: {done.out}/finished: a link that leads elsewhere; expected a folder\n")
    assert list(outside.iterdir()) == []
