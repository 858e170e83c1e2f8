"""Rejected images are made again, each by one more attempt at its request; the provider's books are the judge."""

from __future__ import annotations

import pytest

from batch_editor.verdicts import FILE_NAME, Picture, Verdicts, VerdictWord
from tests.support.bench import LOW_USD, Bench, job, sandbox, with_options

MUG, LAMP, CUP = job("mug"), job("lamp"), job("cup")
REDO = with_options(redo={"rejected"})


def say(bench: Bench, id: str, verdict: VerdictWord | None, note: str | None = None) -> Picture:
    """Give a verdict of a job's image, as somebody does who reviews."""
    row = bench.row(id)
    picture = Picture(row["fingerprint"], row["sha256"])
    given = Verdicts(bench.out / FILE_NAME)
    given.give([picture], verdict=verdict, note=note, by="Ada", now=1.0)
    given.close()
    return picture


async def test_a_rejected_image_is_made_again_with_its_note_and_then_left_alone(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run([MUG, LAMP], provider)
        say(bench, "mug", "rejected", "keep the handle")
        before = bench.row("mug")
        done = await bench.run([MUG, LAMP], provider, options=REDO)
        row = bench.row("mug")
        assert done.exit_code == 0
        assert provider.books.requests == 3
        assert [entry.prompt for entry in provider.books.log][-1] == "edit mug\n\nkeep the handle"
        assert (row["prompt"], row["attempts"], row["verdict"]) == ("edit mug\n\nkeep the handle", "2", "")
        assert row["fingerprint"] == before["fingerprint"]
        assert row["sha256"] != before["sha256"]
        assert bench.files() == [f".history/mug.{before['sha256'][:12]}.png", "lamp.png", "mug.png"]
        for options in (with_options(), REDO):
            again = await bench.run([MUG, LAMP], provider, options=options)
            assert again.exit_code == 0
        assert provider.books.requests == 3
        assert bench.row("mug")["sha256"] == row["sha256"]
        assert float(row["actual_cost_usd"] or row["estimated_cost_usd"]) == pytest.approx(2 * LOW_USD)
