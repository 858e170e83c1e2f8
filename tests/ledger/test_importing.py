"""What the ledger takes over of a manifest's jobs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from tests.support.bench import Bench, Job, job, sandbox


def stored(bench: Bench) -> dict[str, tuple[str, str]]:
    """The template and the axes of each job."""
    with closing(sqlite3.connect(bench.out / "ledger.sqlite3")) as db:
        return {name: tuple(found) for name, *found in db.execute("SELECT job_id, template, axes FROM jobs")}


@pytest.mark.parametrize(
    ("entry", "axes"),
    [
        ({}, {"mug": "{}"}),
        ({"rows": [{"sku": "a"}], "id": "{{ sku }}"}, {"a": "{}"}),
        (
            {"matrix": {"scene": ["beach", "studio"]}, "id": "{{ scene }}"},
            {"beach": '{"scene":"beach"}', "studio": '{"scene":"studio"}'},
        ),
        (
            {"rows": [{"sku": "a"}], "matrix": {"size": ["1"], "scene": ["x"]}, "id": "{{ sku }}-{{ scene }}"},
            {"a-x": '{"size":"1","scene":"x"}'},
        ),
    ],
)
async def test_a_job_is_stored_with_its_template_and_its_values_of_the_matrix(
    bench: Bench, entry: dict[str, Any], axes: dict[str, str]
) -> None:
    wanted = job("mug") | entry
    async with sandbox() as provider:
        await bench.run([wanted], provider)
    assert stored(bench) == {name: (f"{bench.folder / 'jobs.yaml'}:7", found) for name, found in axes.items()}


async def test_a_ledger_that_lacks_them_gets_them_and_nothing_is_sent_again(bench: Bench) -> None:
    wanted: list[Job] = [job("mug-{{ scene }}", "{{ scene }}", matrix={"scene": ["beach", "studio"]})]
    async with sandbox() as provider:
        await bench.run(wanted, provider)
        complete = stored(bench)
        with closing(sqlite3.connect(bench.out / "ledger.sqlite3", isolation_level=None)) as db:
            db.execute("UPDATE jobs SET template = NULL, axes = '{}'")
        await bench.run(wanted, provider)
        assert provider.books.requests == 2
    assert stored(bench) == complete
    assert {axes for _, axes in complete.values()} == {'{"scene":"beach"}', '{"scene":"studio"}'}
