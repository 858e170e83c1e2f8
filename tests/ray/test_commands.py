"""`--on ray`: what commands come to when images are checked and files finished on a cluster, whatever is lost of it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.ray.clusters import Nodes
from tests.support.bench import Bench, arrived, job, jobs, sandbox
from tests.support.command import ROOT

pytestmark = [pytest.mark.ray, pytest.mark.timeout(150)]

WEB: dict[str, Any] = {"web": {"size": "64x48", "fit": "cover", "format": "jpeg"}}
FULL = {"BATCH_EDITOR_CHECKS": "full"}


def finished(out: Path) -> list[tuple[Any, ...]]:
    """What the ledger knows of finished files."""
    with closing(sqlite3.connect(out / "ledger.sqlite3")) as db:
        return db.execute(
            "SELECT path, sha256, size_bytes, notes, checks, failing, fault FROM finished ORDER BY path"
        ).fetchall()


def whole(out: Path) -> list[tuple[Any, ...]]:
    """As `finished`, each of which is there, and no other."""
    rows = finished(out)
    for path, sha256, size_bytes, *_ in rows:
        data = (out / path).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (size_bytes, sha256)
    files = [path.relative_to(out) for path in (out / "finished").glob("[!.]*/**/*") if path.suffix != ".csv"]
    assert {str(path) for path in files} == {row[0] for row in rows}
    return rows


COUNT = 16


@pytest.fixture
async def out(bench: Bench) -> Path:
    """An output directory with pictures, and rules of which nothing is made yet. Each takes a fifth of a second."""
    rules = {"large": {"size": "1200x1200", "fit": "contain", "pad": "white", "format": "webp"}}
    async with sandbox(size_scale=0.5) as provider:
        await bench.run(bench.write(jobs(COUNT)), provider)
    (bench.folder / "config.yaml").write_text(json.dumps({"finish": rules}))
    return bench.out


async def more_made(out: Path) -> None:
    """Wait until two more files are made. Nobody tells of it: polled."""

    def made() -> int:
        return len(list(out.glob("finished/large/*.webp")))

    before = made()
    async with asyncio.timeout(60):
        while made() < before + 2:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_run_on_a_cluster_comes_to_the_same_as_here(bench: Bench, nodes: Nodes) -> None:
    shutil.copy(ROOT / "jobs/photos/coffee.jpg", bench.folder / "mug.jpg")
    wanted = [*jobs(3), job("blank", "a blank one"), job("mug", "the same", image_urls=["mug.jpg"])]
    manifest = bench.write(wanted, size="auto", finish=WEB)
    found = []
    for on in ("local", nodes.on):
        out = bench.folder / on.partition("=")[0]
        async with sandbox(size_scale=0.1, faults=("blank:prompt~blank", "unchanged:prompt~same")) as provider:
            arguments = bench.run_arguments(manifest, provider, "--on", on, out=out)
            said = await bench.command(*arguments, environment=FULL)
            assert (said.code, provider.books.requests) == (1, 5), said.err
        columns = ("job_id", "status", "error", "sha256", "finished", "possibly_billed")
        rows = [[row[name] for name in columns] for row in bench.rows(out)]
        found.append((rows, whole(out), said.err.replace(str(out), "OUT")))
    assert found[1] == found[0]
    assert [row[2] for row in found[1][0] if row[2]] == [
        "blank: every pixel is #ffffff",
        "the input came back unchanged",
    ]
    assert not (bench.folder / "ray/.cluster").exists()


async def test_where_pictures_are_in_a_bucket_nodes_need_no_folder(bench: Bench, nodes: Nodes) -> None:
    manifest = bench.write(jobs(3), finish=WEB)
    found = []
    for on in ("local", nodes.on):
        out = bench.folder / on.partition("=")[0] / "out"
        said = await bench.command(
            *("run", manifest, "-o", out, "--sandbox", "--rate", "100/s", "--progress", "none", "--on", on, "--yes"),
            environment={"BATCH_EDITOR_OUTPUTS__IMAGES": "memory://pictures"},
        )
        assert said.code == 0, said.err
        found.append(finished(out))
    assert [row[0] for row in found[1]] == [f"finished/web/job-{number}.jpg" for number in range(3)]
    assert found[1] == found[0]


async def test_whoever_ends_midway_costs_no_file(bench: Bench, out: Path, nodes: Nodes) -> None:
    for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
        async with bench.started("finish", out, "--on", nodes.on) as process:
            await more_made(out)
            process.send(number)
            said = await process.finished()
        assert said.code == code, said.err
    node = nodes.add(num_cpus=1)
    try:
        async with bench.started("finish", out, "--on", nodes.on, "--json") as process:
            await more_made(out)
            nodes.kill(node)
            said = await process.finished()
    finally:
        nodes.kill(node)  # if it still is there
    assert (said.code, said.json["failed"]) == (0, 0), said.err
    assert 2 < said.json["made"] < COUNT
    there = whole(out)
    assert len(there) == COUNT
    shutil.rmtree(out / "finished")
    assert (await bench.command("finish", out)).code == 0
    assert whole(out) == there


async def test_a_signal_lets_requests_in_flight_finish(bench: Bench, nodes: Nodes) -> None:
    manifest = bench.write(jobs(8), size="auto", finish=WEB)
    async with sandbox(latency="1-1") as provider:
        arguments = bench.run_arguments(manifest, provider, "--on", nodes.on, "--concurrency", "3")
        async with bench.started(*arguments, environment=FULL) as process:
            await arrived(provider.books, 3)
            process.send(signal.SIGTERM)
            said = await process.finished()
        assert (said.code, provider.books.billed) == (143, 3)
        assert sorted(bench.statuses().values()) == ["pending"] * 5 + ["succeeded"] * 3


async def test_a_node_that_has_another_folder_is_named_and_nothing_is_sent(bench: Bench, nodes: Nodes) -> None:
    manifest = bench.write(jobs(2), finish=WEB)
    async with sandbox() as provider:
        with nodes.elsewhere(bench.folder):
            said = await bench.command(*bench.run_arguments(manifest, provider, "--on", nodes.on))
        assert (said.code, provider.books.requests) == (2, 0)
        node, _, why = said.err.partition(") ")
        assert node.startswith("error: node ")
        assert why == (
            f"doesn't see {bench.out} as the driver does (No such file or directory); mount the same folder at that"
            " path on every node, or keep pictures in a bucket (outputs.images)\n"
        )


async def test_a_cluster_that_is_lost_loses_nothing_that_was_paid(bench: Bench) -> None:
    manifest = bench.write(jobs(10), size="auto", finish=WEB)
    async with sandbox(latency="1-1") as provider:
        with Nodes.started() as cluster:
            arguments = bench.run_arguments(manifest, provider, "--on", cluster.on, "--concurrency", "4")
            hasty = {"RAY_gcs_rpc_server_reconnect_timeout_s": "2"}  # instead of a minute
            async with bench.started(*arguments, environment={**FULL, **hasty}) as process:
                await arrived(provider.books, 4)
                cluster.kill_head()
                said = await process.finished()
        assert said.code == 6
        assert "the Ray cluster is lost (" in said.out + said.err
        assert (await bench.command(*bench.run_arguments(manifest, provider), environment=FULL)).code == 0
        assert (provider.books.requests, provider.books.billed) == (10, 10)
    assert len(whole(bench.out)) == 10
