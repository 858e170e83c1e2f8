"""Jobs that left the manifest, and manifests that are others."""

from __future__ import annotations

import hashlib

import pytest

from batch_editor.output import Store
from tests.support.bench import Bench, Job, job, jobs, sandbox, with_options

SAY_YES = "error: nothing was sent; if that is what is meant, pass --yes"


def others(named: int, of: int, renamed: str = "") -> str:
    return (
        f"the manifest names {named} of the {of} jobs of this output directory{renamed}; the others' images would move"
        " to images/.history. Another manifest wants another --output"
    )


def named(names: str) -> list[Job]:
    return [job(name) for name in names]


@pytest.mark.parametrize(
    ("failed", "left", "said"),
    [
        ("", "bcd", "1 job left the manifest; its image is in images/.history"),
        ("", "cd", "2 jobs left the manifest; their images are in images/.history"),
        ("a", "bcd", "1 job left the manifest without an image of its own"),
        ("ab", "cd", "2 jobs left the manifest without an image of their own"),
        ("a", "cd", "2 jobs left the manifest; the image of 1 is in images/.history"),
    ],
)
@pytest.mark.slow
async def test_a_run_says_how_many_jobs_left_and_a_plan_beforehand(
    bench: Bench, failed: str, left: str, said: str
) -> None:
    wanted = [job(name, image_urls=[f"http://127.0.0.1:9/{name}.png"]) for name in "abcd"]
    async with sandbox() as provider:
        await bench.run([each for each in wanted if each["id"] not in failed], provider)
    if failed:
        async with sandbox(faults=("400",)) as provider:
            await bench.run(wanted, provider)
    manifest = bench.write([each for each in wanted if each["id"] in left])
    planned = await bench.command("plan", manifest, "-o", bench.out, "--json", key=None)
    count = 4 - len(left)
    assert (planned.json["gone"], planned.json["asks"]) == (count, [])
    shown = await bench.command("plan", manifest, "-o", bench.out, key=None)
    line = f"gone from the manifest: {count} job{'s' * (count > 1)}; a run moves the images to images/.history"
    assert line in [each.strip() for each in shown.out.splitlines()]
    async with sandbox() as provider:
        done = await bench.command(*bench.run_arguments(manifest, provider))
        again = await bench.command(*bench.run_arguments(manifest, provider))
        assert provider.books.requests == 0
    assert [each for each in done.err.splitlines() if "left the manifest" in each] == [said]
    assert "left the manifest" not in again.err
    assert list(bench.statuses()) == list(left)
    kept = [name for name in bench.files() if name.startswith(".history")]
    assert len(kept) == count - len(failed)


@pytest.mark.parametrize("choice", [("--limit", "1"), ("--only", "a"), ("--only", "a", "--limit", "1")])
@pytest.mark.slow
async def test_jobs_that_are_not_chosen_have_not_left(bench: Bench, choice: tuple[str, ...]) -> None:
    async with sandbox() as provider:
        await bench.run(named("abcd"), provider)
        before = bench.files()
        done = await bench.command(*bench.run_arguments(bench.write(named("abcd")), provider, *choice))
    assert (done.code, bench.files(), list(bench.statuses())) == (0, before, list("abcd"))
    assert "left the manifest" not in done.err


async def test_rows_that_are_skipped_as_faulty_have_not_left(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(named("abcd"), provider)
        before = bench.files()
        wanted = [job("a"), *(job(name, size="huge") for name in "bcd")]
        arguments = bench.run_arguments(bench.write(wanted), provider, "--skip-faulty")
        done = await bench.command(*arguments)
        assert (done.code, bench.files()) == (1, before)
        await bench.run(named("abcd"), provider)
        assert provider.books.requests == 4
    assert set(bench.statuses().values()) == {"succeeded"}


@pytest.mark.slow
async def test_a_plan_says_what_a_run_would_ask(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(named("abcd"), provider)
        manifest = bench.write(named("aefg"))
        planned = await bench.command("plan", manifest, "-o", bench.out, "--json", key=None)
        assert (planned.code, planned.json["gone"], planned.json["asks"]) == (0, 3, [others(1, 4)])
        shown = await bench.command("plan", manifest, "-o", bench.out, key=None)
        assert f"Asks before it sends: {others(1, 4)}" in shown.out.splitlines()
        refused = await bench.command(*bench.run_arguments(manifest, provider))
        assert (refused.code, refused.err.splitlines()[-2:]) == (2, [f"error: {others(1, 4)}", SAY_YES])
        assert (provider.books.requests, list(bench.statuses())) == (4, list("abcd"))
        sent = await bench.command(*bench.run_arguments(manifest, provider, "--yes"))
        assert (sent.code, provider.books.requests, list(bench.statuses())) == (0, 7, list("aefg"))
        # All that left comes back for nothing, as often as it likes.
        back = await bench.command(*bench.run_arguments(bench.write(named("abcd")), provider, "--yes"))
        assert (back.code, provider.books.requests) == (0, 7)
    assert [bench.row(name)["output_path"] for name in "abcd"] == [f"images/{name}.png" for name in "abcd"]


@pytest.mark.parametrize(("same", "new", "asks"), [(4, 0, False), (2, 2, False), (1, 3, True)])
@pytest.mark.slow
async def test_jobs_under_other_ids_keep_their_images_and_make_no_other_manifest(
    bench: Bench, same: int, new: int, asks: bool
) -> None:
    wanted = jobs(4)
    renamed = [{**each, "id": f"new-{each['id']}"} for each in wanted[:same]]
    async with sandbox() as provider:
        await bench.run(wanted, provider)
        manifest = bench.write([*renamed, *jobs(new, name="other")])
        planned = await bench.command("plan", manifest, "-o", bench.out, key=None)
        assert f"gone from the manifest: 4 jobs ({same} under another id now)" in planned.out
        done = await bench.command(*bench.run_arguments(manifest, provider))
        if asks:
            question = others(0, 4, f", and {same} more under other ids")
            assert (done.code, done.err.splitlines()[-2:]) == (2, [f"error: {question}", SAY_YES])
            assert provider.books.requests == 4
            return
        assert (done.code, provider.books.requests) == (0, 4 + new)
    assert [name for name in bench.files() if name.startswith("new-")] == [f"new-job-{n}.png" for n in range(same)]
    assert list(bench.statuses()) == [each["id"] for each in (*renamed, *jobs(new, name="other"))]


async def test_a_manifest_whose_file_was_renamed_is_the_same_one(bench: Bench) -> None:
    rows = "".join(f"x{n},http://127.0.0.1:9/a.png,low,1024x1024\n" for n in range(4))
    async with sandbox() as provider:
        for name in ("one.csv", "two.csv"):
            (bench.folder / name).write_text(f"prompt,image_urls,quality,size\n{rows}")
            done = await bench.command(*bench.run_arguments(bench.folder / name, provider))
            assert (done.code, provider.books.requests) == (0, 4), done.err
    assert list(bench.statuses()) == ["two-1", "two-2", "two-3", "two-4"]


@pytest.mark.parametrize(("kept", "asks"), [("cdef", False), ("ab", True)])
@pytest.mark.slow
async def test_of_two_manifests_one_alone_is_told_apart_by_its_share(bench: Bench, kept: str, asks: bool) -> None:
    one, two = (bench.write(named(names), name=f"{names}.yaml") for names in ("ab", "cdef"))
    async with sandbox() as provider:
        run, *both = bench.run_arguments(one, provider)
        assert (await bench.command(run, two, *both)).code == 0
        alone = await bench.command(*bench.run_arguments(bench.folder / f"{kept}.yaml", provider))
        assert (alone.code, provider.books.requests) == (2 if asks else 0, 6)
    assert len(bench.statuses()) == (6 if asks else 4)


@pytest.mark.parametrize("comes_back", [True, False])
async def test_a_run_that_died_between_the_move_and_its_record_loses_nothing(bench: Bench, comes_back: bool) -> None:
    """As a kill leaves it: the image has moved, and the ledger says that it stands under the job's name."""
    async with sandbox() as provider:
        await bench.run(named("abcd"), provider)
        digest = hashlib.sha256((bench.images / "a.png").read_bytes()).hexdigest()
        store = Store(bench.out)
        store.pictures.clear("images/a.png", digest, keep=True)
        store.close()
        assert bench.files()[0].startswith(".history/a.")
        wanted = named("abcd" if comes_back else "bcd")
        summary = await bench.run(wanted, provider)
        assert (summary.exit_code, list(bench.statuses())) == (0, [each["id"] for each in wanted])
        await bench.run(named("abcd"), provider)
        assert provider.books.requests == 4
    assert (bench.images / "a.png").is_file()


async def test_what_a_rehearsal_left_is_no_manifest_of_the_output_directory(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(named("abcd"), provider, options=with_options(sandbox=True))
        done = await bench.command(*bench.run_arguments(bench.write(named("xyz")), provider))
    assert (done.code, list(bench.statuses())) == (0, list("xyz")), done.err
    assert "left the manifest" not in done.err
