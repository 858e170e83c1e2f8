"""What `--on` may say, and what is said of all else, before anything is sent."""

from __future__ import annotations

import sys

import pytest

from batch_editor import ConfigError, UsageError, load_settings
from batch_editor.cluster.address import cluster_address
from batch_editor.cluster.opening import pool_on
from batch_editor.processes import Processes
from tests.support.bench import Bench, jobs, sandbox

WITHIN = "a command with --on ray runs in the cluster: ray job submit -- batch-editor …"


@pytest.mark.parametrize("text", ["local", "ray", "ray=10.0.0.4:6379", "ray=head.ray.svc:6379", "ray=[fd00::4]:6379"])
def test_a_place_is_taken_as_it_is_written(text: str) -> None:
    assert load_settings(flags={"run": {"on": text}}).run.on == text


@pytest.mark.parametrize(
    "text",
    [
        *("Ray", "ray=", "ray=head", "ray=head:0", "ray=head:65536", "ray=[fd00::4]:99999"),
        *("ray=ray://10.0.0.4:10001", "ray=http://10.0.0.4:8265", "cluster", ""),
    ],
)
def test_another_place_is_told(text: str) -> None:
    with pytest.raises(ConfigError) as told:
        load_settings(flags={"run": {"on": text}})
    assert str(told.value) == f"command line: run.on is {text!r}; expected local, ray, or ray=HOST:PORT; {WITHIN}"


def test_here_is_where_nothing_is_said(bench: Bench) -> None:
    pool = pool_on(load_settings().run.on, bench.folder, processes=3)
    assert isinstance(pool, Processes)
    assert pool.count == 3


def test_the_environment_names_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert cluster_address("ray") == "auto"
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.4:6379")
    assert (cluster_address("ray"), cluster_address("ray=other:1")) == ("10.0.0.4:6379", "other:1")
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:8265")
    with pytest.raises(UsageError) as told:
        cluster_address("ray")
    assert str(told.value) == (
        f"RAY_ADDRESS is 'http://127.0.0.1:8265'; expected HOST:PORT of the cluster's head; {WITHIN}"
    )


async def test_without_ray_it_says_what_to_install_and_sends_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    async with sandbox() as provider:
        with pytest.raises(UsageError) as told:
            await bench.run(jobs(1), provider, run__on="ray")
        assert provider.books.requests == 0
    assert str(told.value) == "--on ray needs Ray, which isn't installed: pip install 'batch_editor[ray]'"
