"""One file that says what runs did: its figures are the ledger's, and nothing in it leads out of it."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import re
import shutil
from email.message import EmailMessage
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from batch_editor.errors import StorageError, UsageError
from batch_editor.images.thumbnails import thumbnail
from batch_editor.ledger import figure_readings, readings
from batch_editor.output import picture_store
from batch_editor.report import Source, write_report
from batch_editor.report.gathering import gather
from batch_editor.report.page import page
from batch_editor.report.plots import Line, Plot, plots
from batch_editor.report.thumbnails import picture_file, thumbnails
from batch_editor.text import many
from batch_editor.verdicts import FILE_NAME as VERDICTS
from batch_editor.verdicts import Picture, Verdicts
from tests.support.bench import LOW_USD, Bench, arrived, jobs, sandbox
from tests.support.made_output import MadeOutput, make_output
from tests.support.read_page import Read, nothing_leads_out


def report(*outputs: Path, to: Path) -> Read:
    said: list[str] = []
    write_report([Source(each) for each in outputs], to, say=said.append)
    return Read(to.read_text(encoding="ascii"))


async def test_its_figures_are_the_ledger_s_and_the_provider_s_to_the_cent(bench: Bench) -> None:
    async with sandbox(latency="0.1", faults=["502:0.2:billed=1", "400:0.1"], seed=4) as provider:
        await bench.run([*jobs(20), *jobs(6, name="better", quality="medium")], provider, concurrency=4)
    page = await asyncio.to_thread(report, bench.out, to=bench.out / "report.html")
    with readings.reading(bench.out) as db:
        standing, figures = readings.standing(db), figure_readings.figures(db)
        examples = readings.examples(db)
    assert figures is not None
    money, sums = standing.money, figures.sums
    assert f"{standing.jobs.succeeded} of {standing.jobs.total}" in page.text
    assert f"${money.estimated:,.2f} by the price list" in page.text
    assert f"up to ${money.possibly_billed:,.2f} more possibly billed" in page.text
    said = {row[0]: row[1:] for row in page.table("")}
    assert said["Images"] == [str(figures.plan.plan_requests), str(sums.images)]
    assert said["Confirmed cost"][1] == f"${sums.confirmed_usd:,.2f}"
    charged_usd = provider.books.billed_usd
    assert sums.confirmed_usd - 1e-9 <= charged_usd <= sums.confirmed_usd + sums.possibly_usd + 1e-9
    groups = page.table("Kind")
    assert [row[1] for row in groups] == [str(group.sums.images) for group in figures.groups]
    assert [row[3] for row in groups] == ["$0.0108", "$0.0408"] or [row[3] for row in groups] == ["$0.0408", "$0.0108"]
    numbers = page.table("From")
    assert sum(int(row[2]) for row in numbers) == sums.images
    assert sum(float(row[4].strip("$")) for row in numbers) == pytest.approx(sums.confirmed_usd, abs=0.001)
    assert [(row[0], row[1]) for row in page.table("Cause")] == [
        (each.kind.replace("_", " "), str(each.count)) for each in examples
    ]
    assert len(page.table("Job")) == standing.jobs.failed + standing.jobs.unknown + standing.jobs.pending
    assert page.tags.count("img") == standing.jobs.succeeded
    assert page.tags.count("svg") == 4


async def test_nothing_in_it_leads_out_and_everything_is_text(bench: Bench) -> None:
    hostile = [
        "<script>alert(1)</script>",
        '"><img src=http://evil.example/x onerror=alert(1)>',
        "{% raw %}{{ 7 * 7 }}{% endraw %}",
        "\u202egpj.exe",
        "日本 שלום 🫖",
        "&lt;b&gt;",
    ]
    listed = [
        {**job, "id": f"{number} {name}"} for number, (name, job) in enumerate(zip(hostile, jobs(6), strict=True))
    ]
    out = bench.folder / "<b>out & 'more'"
    async with sandbox(faults=["400@3:text=<i>refused</i> & more"]) as provider:
        manifest = bench.folder / "jobs.yaml"
        told = {"defaults": {"quality": "low", "size": "1024x1024"}, "jobs": listed}
        manifest.write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
        await bench.run(manifest, provider, out=out, concurrency=1)
    verdicts = Verdicts(out / VERDICTS)
    gathered = gather(Source(out))
    with readings.reading(out) as db:
        fingerprints = {row.sha256: row.fingerprint for row in readings.rows(db) if row.sha256}
    first = gathered.others[0]
    verdicts.give(
        [Picture(fingerprints[first.sha256], first.sha256)], verdict="rejected", note="</ul><u>why", now=1.0, by="ann"
    )
    verdicts.close()
    to = bench.folder / "r.html"
    page = await asyncio.to_thread(report, out, to=to)
    nothing_leads_out(page, to.read_text(encoding="ascii"))
    assert {"b", "i", "u", "script"} & set(page.tags) == {"b"}  # of the tiles
    assert page.tags.count("b") == 4
    for expected in ("<b>out & 'more'", "<script>alert(1)</script>", "{{ 7 * 7 }}", "日本 שלום 🫖", "&lt;b&gt;"):
        assert expected in page.text
    assert "</ul><u>why" in page.text
    assert "\u202e" not in page.text
    assert "Rejected pictures (1)" in page.text


def test_a_thousand_jobs_come_to_less_than_five_megabytes_and_survive_mail(tmp_path: Path) -> None:
    made = make_output(tmp_path / "made", jobs=1000, kinds=24, side=320)
    to = tmp_path / "report.html"
    page = report(made.path, to=to)
    data = to.read_bytes()
    assert len(data) < 5_000_000
    assert page.tags.count("img") > 900
    assert "no room" not in page.text
    nothing_leads_out(page, data.decode("ascii"))
    assert max(map(len, data.splitlines())) < 998
    mail = EmailMessage(policy=email.policy.SMTP)
    mail.set_content("Last night")
    mail.add_attachment(data.decode("ascii"), subtype="html", filename="report.html", cte="7bit")
    received = email.message_from_bytes(mail.as_bytes(), policy=email.policy.SMTP)
    (attached,) = received.iter_attachments()
    assert attached.get_content().splitlines() == data.decode("ascii").splitlines()


def test_of_more_pictures_there_is_a_sample_the_rejected_first(tmp_path: Path) -> None:
    made = make_output(tmp_path / "made", jobs=120, kinds=2, side=48)
    with readings.reading(made.path) as db:
        rows = [row for row in readings.rows(db) if row.status == "succeeded"]
    verdicts = Verdicts(made.path / VERDICTS)
    rejected = [Picture(row.fingerprint, row.sha256 or "") for row in rows[60:70]]
    verdicts.give(rejected, verdict="rejected", note="no", now=1.0, by="ann")
    verdicts.close()
    found = gather(Source(made.path), most_pictures=40)
    assert [each.job_id for each in found.rejected] == [row.job_id for row in rows[60:70]]
    assert len(found.others) == 30
    places = [[row.job_id for row in rows].index(each.job_id) for each in found.others]
    assert places == sorted(places)
    assert max(after - before for before, after in pairwise(places)) <= 16  # evenly
    few = gather(Source(made.path), most_pictures=4)
    assert "Rejected pictures (10, the first 4)" in Read(page([few], {}, now=0.0).decode("ascii")).text
    everything = gather(Source(made.path))
    assert len(everything.others) + len(everything.rejected) == len(rows)


def test_pictures_that_find_no_room_are_left_out_from_the_end(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number in range(3):
        Image.effect_noise((200, 200), 60 + number).save(tmp_path / "images" / f"{number}.png")
    listed = [(tmp_path, f"images/{number}.png", f"sha-{number}") for number in range(3)]
    made = thumbnails([*listed, (tmp_path, "images/none.png", "sha-none"), (tmp_path, "../x.png", "sha-out")])
    assert list(made) == ["sha-0", "sha-1", "sha-2"]
    assert all(link.startswith("data:image/webp;base64,") for link in made.values())
    store = picture_store(tmp_path)
    with picture_file(store, "images/0.png") as file:
        assert file == tmp_path / "images/0.png"
    with picture_file(store, "../x.png") as file:
        assert file is None
    (tmp_path / "images" / "link.png").symlink_to("/etc/hosts")
    with picture_file(store, "images/link.png") as file:
        assert file is None
    assert len(thumbnail(tmp_path / "images/0.png", length=88, quality=10)) < len(
        thumbnail(tmp_path / "images/0.png", length=88)
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeOutput:
    return make_output(tmp_path_factory.mktemp("made"), jobs=12, kinds=2, side=48)


async def test_several_outputs_come_into_one_file_with_sums_of_each(made: MadeOutput, bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(3), provider)
    both = [str(made.path), str(bench.out)]
    done = await bench.command("report", *both, "--to", "both.html")
    assert (done.code, done.out) == (0, "Report: both.html\n")
    page = Read((bench.folder / "both.html").read_text(encoding="ascii"))
    assert [row[0] for row in page.table("Output")] == both
    assert page.table("Output")[1][6] == f"${3 * LOW_USD:,.2f}"
    assert page.tags.count("h2") == 2
    refused = await bench.command("report", *both)
    assert refused.code == 2
    assert "Error: several OUT come into one file; say where: --to FILE" in refused.err


async def test_the_summary_of_a_run_names_the_command(bench: Bench) -> None:
    async with sandbox() as provider:
        done = await bench.command(*bench.run_arguments(bench.write(jobs(2)), provider))
    (line,) = [line for line in done.out.splitlines() if line.startswith("Report: ")]
    assert line == f"Report: batch-editor report {bench.out}"
    made = await bench.command("report", bench.out)
    assert (made.code, made.out, made.err) == (0, f"Report: {bench.out}/report.html\n", "")


async def test_a_report_is_made_beside_a_run_and_of_one_that_died(bench: Bench) -> None:
    manifest = bench.write(jobs(10))
    async with sandbox(latency="0.6") as provider:
        async with bench.started(*bench.run_arguments(manifest, provider, "--concurrency", "2")) as process:
            await arrived(provider.books, 4)
            beside = await bench.command("report", bench.out, "--to", "beside.html")
            process.kill()
            await process.ended()
        assert beside.code == 0
        await bench.command("report", bench.out)
        assert "without an end" in Read((bench.out / "report.html").read_text()).text
        left = json.loads((await bench.command("status", bench.out, "--json")).out)
        with readings.reading(bench.out) as db:
            died = figure_readings.figures(db)
        assert died is not None
        assert left["elapsed_s"] == pytest.approx(died.elapsed_s, abs=0.001) != 0
        assert (await bench.run(manifest, provider)).exit_code == 0
    await bench.command("report", bench.out)
    page = Read((bench.out / "report.html").read_text())
    # Which the first of the two runs left behind.
    assert f"for {many(died.sums.open, 'attempt')} possibly billed without a result" in page.text
    assert "2 runs that resumed one another, counted as one" in page.text
    assert len(page.table("Began")) == 2


def test_it_is_written_whole_or_not_at_all(made: MadeOutput, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no ledger here"):
        report(tmp_path, to=tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StorageError, match="can't be written"):
        report(made.path, to=tmp_path / "nowhere" / "report.html")
    (tmp_path / "report.html").mkdir()
    with pytest.raises(StorageError, match="can't be written"):
        report(made.path, to=tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_picture_that_is_gone_is_said_to_be(made: MadeOutput, tmp_path: Path) -> None:
    output = Path(shutil.copytree(made.path, tmp_path / "out"))
    for path in (output / "images").rglob("*.jpg"):
        path.unlink()
    page = report(output, to=tmp_path / "r.html")
    assert page.tags.count("img") == 0
    assert "no room, or not to be read" in page.text


@pytest.mark.parametrize("points", [[], [(0.0, 0.0)], [(1.0, None)], [(5.0, 3.0)], [(0.0, 1e-9), (1e9, 1e9)]])
@pytest.mark.parametrize("stepped", [False, True])
def test_a_plot_of_anything_is_drawn_within_its_frame(
    points: list[tuple[float, float | None]], *, stepped: bool
) -> None:
    drawn = Plot("<Title>", [Line("a & b", "main", points, is_stepped=stepped)], str).svg
    page = Read(drawn)
    assert "a & b" in page.text
    for _, name, value in page.attributes:
        if name == "d":
            assert all(-1 <= float(number) <= 521 for number in re.findall(r"-?\d+\.?\d*", value)), value


async def test_what_plots_show_ends_at_the_ledger_s_sums(bench: Bench) -> None:
    async with sandbox(latency="0.05", faults=["502@2-3"]) as provider:
        await bench.run(jobs(9), provider, concurrency=2)
    with readings.reading(bench.out) as db:
        found = figure_readings.figures(db)
    assert found is not None
    images, cost, pace, latency = plots(found)
    assert [line.label for line in cost.lines] == ["Confirmed", "With possibly billed", "Plan"]
    assert images.lines[0].points[-1][1] == found.sums.images == 9
    assert images.lines[-1].points[-1] == (max(found.plan.plan_s, 1.0), 9.0)
    assert cost.lines[0].points[-1][1] == pytest.approx(found.sums.confirmed_usd)
    assert cost.lines[1].points[-1][1] == pytest.approx(found.sums.confirmed_usd + found.sums.possibly_usd)
    assert len(pace.lines[0].points) == len(found.buckets) + 1
    assert [line.label for line in latency.lines] == ["Half within", "95 % within"]
