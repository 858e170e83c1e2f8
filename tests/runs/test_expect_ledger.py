"""`--expect-ledger`: a night begins nothing where no run was before it."""

from __future__ import annotations

import pytest

from tests.support.bench import Bench, jobs, sandbox

MESSAGE = (
    "error: {out}: has no ledger yet, which --expect-ledger expects: everything would be bought. See that its disk is"
    " mounted and the working directory is right; a first run goes without --expect-ledger"
)


@pytest.mark.parametrize("before", ["nothing", "a folder", "an empty ledger"])
async def test_without_a_ledger_nothing_is_sent_and_nothing_is_made(bench: Bench, before: str) -> None:
    if before != "nothing":
        bench.out.mkdir()
    if before == "an empty ledger":
        (bench.out / "ledger.sqlite3").touch()
    found = list(bench.folder.rglob("*"))
    async with sandbox() as provider:
        manifest = bench.write(jobs(2))
        done = await bench.command(*bench.run_arguments(manifest, provider, "--expect-ledger"))
        assert provider.books.requests == 0
    assert (done.code, done.err.splitlines()) == (2, [MESSAGE.format(out=bench.out)])
    assert [path for path in bench.folder.rglob("*") if path != manifest] == found


async def test_with_a_ledger_the_night_goes_on(bench: Bench) -> None:
    async with sandbox() as provider:
        manifest = bench.write(jobs(3))
        await bench.command(*bench.run_arguments(manifest, provider, "--limit", "1"))
        done = await bench.command(*bench.run_arguments(manifest, provider, "--expect-ledger"))
        assert (done.code, provider.books.requests) == (0, 3)


async def test_a_ledger_that_is_gone_is_told_of_as_such(bench: Bench) -> None:
    async with sandbox() as provider:
        manifest = bench.write(jobs(1))
        await bench.command(*bench.run_arguments(manifest, provider))
        for path in list(bench.out.glob("ledger.sqlite3*")):
            path.unlink()
        done = await bench.command(*bench.run_arguments(manifest, provider, "--expect-ledger"))
    assert done.code == 6
    assert "--rebuild` makes it anew" in done.err
