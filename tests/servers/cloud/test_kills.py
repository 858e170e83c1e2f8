"""Runs with a bucket that are killed at every request that they send it: nothing is half, lost or paid again."""

from __future__ import annotations

import hashlib
import os
import random
import signal
from contextlib import suppress

import pytest

from tests.support.bench import Bench, Job, job, sandbox
from tests.support.command import Process
from tests.support.s3_server import S3, Fault, Request

FIRST = [job("a"), job("b"), job("c")]
# New, changed, moved and gone: what a bucket is asked for all that.
THEN = [job("a", "another edit of a"), job("b", output="shelf/b"), job("d"), job("e", FIRST[0]["prompt"])]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def expect_nothing_half(s3: S3, place: str) -> dict[str, bytes]:
    """Every picture in the bucket is what its writer said; return them."""
    client = s3.client
    found = {path: content for path, content in s3.objects(place).items() if path.startswith("images/")}
    for path, content in found.items():
        metadata = client.head_object(Bucket=s3.bucket, Key=f"{place}{path}")["Metadata"]
        assert digest(content) == metadata["sha256"], path
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("when", "stride"), [("after", 1), ("before", 4)])
async def test_a_run_killed_at_any_request_to_the_bucket_and_resumed_is_as_one_never_killed(
    bench: Bench, s3: S3, when: str, stride: int
) -> None:
    """After it was carried out, and the run has not heard of it; or before, which is as any other death."""
    (bench.folder / "config.yaml").write_text(f"outputs: {{images: 's3://{s3.bucket}/shop'}}")
    first, then = bench.write(FIRST, name="first.yaml"), bench.write(THEN, name="then.yaml")
    async with sandbox() as provider:
        step, was_killed = 0, True
        while was_killed:
            out = bench.folder / f"out-{step}"
            place = f"shop/out-{step}/"
            await bench.run(first, provider, out=out, outputs__images=f"s3://{s3.bucket}/shop")
            former = {row["job_id"]: row["sha256"] for row in bench.rows(out)}
            arguments = bench.run_arguments(then, provider, "--concurrency", "1", "--yes", out=out)
            before = provider.books.requests
            async with bench.started(*arguments, environment=s3.environment) as process:
                s3.fault_of = Killer(s3, process, step, after=when == "after")
                was_killed = (await process.finished()).code == -signal.SIGKILL
            s3.fault_of = lambda _: None
            expect_nothing_half(s3, place)
            assert (await bench.command(*arguments, environment=s3.environment)).code == 0
            assert provider.books.requests - before == 2, f"paid again after a death at request {step}"
            found = expect_nothing_half(s3, place)
            rows = {row["job_id"]: row for row in bench.rows(out)}
            assert {name: digest(found[row["output_path"]]) for name, row in rows.items()} == {
                name: row["sha256"] for name, row in rows.items()
            }
            assert {former[name] for name in "abc"} <= set(map(digest, found.values())), "a former picture is lost"
            step += stride
    assert step > 20


class Killer:
    """Kills a process when its request of that number comes: before or after it is carried out."""

    def __init__(self, s3: S3, process: Process, step: int, *, after: bool) -> None:
        self._at = len(s3.requests) + step
        self._process = process
        self._after = after

    def __call__(self, request: Request) -> Fault | None:
        if request.number != self._at:
            return None
        if self._after:
            return Fault("lost", then=self._kill)
        self._kill()
        return Fault("reset")

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_after_sixty_faults_nothing_is_half_lost_or_paid_again(bench: Bench, s3: S3) -> None:
    """One of each kind in turn, at requests of all kinds, in runs that follow one another."""
    rng = random.Random(19)
    faults = [
        Fault("reset"),
        Fault("lost"),
        Fault("refused", 503, "SlowDown"),
        Fault("refused", 500, "InternalError"),
        Fault("refused", 400, "RequestTimeout"),
        Fault("refused", 409, "ConditionalRequestConflict"),
        Fault("slow", seconds=0.05),
    ] * 10

    def fault_of(_: Request) -> Fault | None:
        return faults.pop() if faults and rng.random() < 0.4 else None

    wanted: list[Job] = []
    paid = 0
    async with sandbox() as provider:
        for night in range(20):
            if len(s3.faults) >= 60:
                break
            wanted = [job(f"job-{n}", f"edit {n} of {night if n % 3 == 0 else 0}") for n in range(8)]
            s3.fault_of = fault_of
            with suppress(AssertionError):
                await bench.run(wanted, provider, outputs__images=f"s3://{s3.bucket}/shop", outputs__wait_s=5)
            expect_nothing_half(s3, "shop/out/")
        s3.fault_of = lambda _: None
        paid = provider.books.requests
        assert len(s3.faults) >= 60
        summary = await bench.run(wanted, provider, outputs__images=f"s3://{s3.bucket}/shop")
        assert (summary.exit_code, provider.books.requests) == (0, paid)
        assert max(provider.books.arrived_by_body.values()) == 1
        found = expect_nothing_half(s3, "shop/out/")
    assert {row["job_id"]: digest(found[row["output_path"]]) for row in bench.rows()} == {
        row["job_id"]: row["sha256"] for row in bench.rows()
    }
    # Every picture that was ever paid for is there, under its name or in the history.
    assert len(set(map(digest, found.values()))) == paid


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_many_runs_end_with_their_own_exit_code(bench: Bench, s3: S3) -> None:
    """Whatever threads the library has: none keeps the process, or ends it otherwise. `RUNS=200` for the long form."""
    (bench.folder / "config.yaml").write_text(f"outputs: {{images: 's3://{s3.bucket}/shop', wait_s: 0.1}}")
    async with sandbox() as provider:
        arguments = bench.run_arguments(bench.write([job("a")]), provider)
        for turn in range(int(os.environ.get("RUNS", "24"))):
            away = turn % 4 == 3
            s3.fault_of = (lambda _: Fault("reset")) if away else (lambda _: None)
            ended = await bench.command(*arguments, environment=s3.environment)
            assert ended.code == (6 if away else 0), ended.err
            assert "panic" not in ended.err
            assert "Traceback" not in ended.err
