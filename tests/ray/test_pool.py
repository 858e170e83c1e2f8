"""Calls on the nodes of a cluster come to what they come to on this machine, whatever becomes of a node."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from batch_editor import UsageError
from batch_editor.cluster.cluster_pool import ClusterPool
from batch_editor.cluster.opening import pool_on
from batch_editor.processes import CallFailed, NewFile, Pool
from tests.ray.clusters import Nodes
from tests.support.bench import KEY

pytestmark = [pytest.mark.ray, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def pool(nodes: Nodes, shared: Path) -> Iterator[Pool]:
    """Of nodes that have the folder as well."""
    opened = pool_on(nodes.on, shared)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def sending(nodes: Nodes) -> Iterator[Pool]:
    """Of nodes that share no folder."""
    opened = pool_on(nodes.on, None)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def strict(nodes: Nodes) -> Iterator[ClusterPool]:
    """With a second for a call, which isn't made again. Opened by who has a key."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGMIND_API_KEY", KEY)
        opened = ClusterPool(nodes.address, None, limit_s=1, retries=0)
    yield opened
    opened.close()


def end_worker() -> None:
    """As a kernel without memory does to what calls this."""
    os.kill(os.getppid(), signal.SIGKILL)


def end_worker_once(path: Path) -> str:
    if path.exists():
        return "made again"
    path.touch()
    end_worker()
    return "once"


def write_twice(source: Path, target: Path) -> int:
    return target.write_bytes(source.read_bytes() * 2)


def test_a_call_s_result_is_the_function_s(pool: Pool) -> None:
    assert pool.count == 4
    pool.start(os.getpid)
    with ThreadPoolExecutor(pool.count) as threads:
        assert list(threads.map(lambda number: pool.call(math.isqrt, number * number), range(100))) == list(range(100))


def test_what_a_function_raises_is_told(pool: Pool) -> None:
    with pytest.raises(CallFailed, match=r"^ValueError: invalid literal for int\(\) with base 10: 'x'$"):
        pool.call(int, "x")


def test_what_ends_its_process_costs_its_call_alone(pool: Pool) -> None:
    with ThreadPoolExecutor(1) as thread:
        ended = thread.submit(pool.call, os.abort)
        assert [pool.call(math.isqrt, 4) for _ in range(20)] == [2] * 20
        with pytest.raises(CallFailed, match=r"^its process ended$"):
            ended.result()


def test_a_call_whose_worker_is_ended_for_lack_of_memory_is_made_again(pool: Pool, shared: Path) -> None:
    assert pool.call(end_worker_once, shared / "ended") == "made again"


def test_a_call_that_ends_its_workers_is_given_up(strict: Pool) -> None:
    with pytest.raises(CallFailed, match=r"^its process ended$"):
        strict.call(end_worker)


def test_a_call_that_hangs_is_ended(strict: Pool) -> None:
    with pytest.raises(CallFailed, match=r"^it took longer than 1 s$"):
        strict.call(time.sleep, 60)


@pytest.mark.parametrize("name", ["pool", "sending"])
def test_files_are_read_and_written_wherever_they_are(
    name: str, request: pytest.FixtureRequest, shared: Path, tmp_path: Path
) -> None:
    chosen: Pool = request.getfixturevalue(name)
    for number, folder in enumerate((shared, tmp_path)):
        source, target = folder / "source", (shared if name == "pool" else folder) / f"{name}{number}"
        source.write_bytes(b"pixels")
        assert chosen.call(write_twice, source, NewFile(target)) == 12
        assert target.read_bytes() == b"pixels" * 2
    assert [path for path in shared.iterdir() if path.name.startswith(f"{name}0.")] == []
    with pytest.raises(CallFailed, match=r"^FileNotFoundError: \[Errno 2\] No such file or directory: '.*/gone'$"):
        chosen.call(write_twice, tmp_path / "gone", NewFile(tmp_path / "never"))


def test_large_files_travel_both_ways_at_once(sending: Pool, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(4 << 20))

    def there_and_back(number: int) -> int:
        return sending.call(write_twice, source, NewFile(tmp_path / f"{number}"))

    with ThreadPoolExecutor(sending.count) as threads:
        assert list(threads.map(there_and_back, range(20))) == [8 << 20] * 20
    assert {path.stat().st_size for path in tmp_path.iterdir()} == {4 << 20, 8 << 20}


def test_no_key_is_where_functions_are_called(strict: ClusterPool) -> None:
    assert strict.call(os.getenv, "SEGMIND_API_KEY") is None  # which its node has
    assert KEY.encode() not in Path(f"/proc/{strict.driver_pid}/environ").read_bytes()


def test_closing_gives_up_what_is_under_way(nodes: Nodes) -> None:
    pool = ClusterPool(nodes.address, None)
    with ThreadPoolExecutor(1) as thread:
        hung = thread.submit(pool.call, time.sleep, 60)
        time.sleep(1)
        began = time.monotonic()
        pool.close()
        with pytest.raises(CallFailed, match=r"^the run is over$"):
            hung.result()
    assert time.monotonic() - began < 5
    with pytest.raises(CallFailed, match=r"^the run is over$"):
        pool.call(math.isqrt, 4)


def test_a_node_with_another_version_is_named(nodes: Nodes, tmp_path: Path) -> None:
    """Python takes the first that it finds of what is installed."""
    other = tmp_path / "batch_editor-9.9.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: batch_editor\nVersion: 9.9\n")
    node = nodes.add(env_vars={"PYTHONPATH": str(tmp_path)}, node_name="second")
    try:
        with pytest.raises(UsageError) as told:
            pool_on(nodes.on, None)
    finally:
        nodes.kill(node)
    assert str(told.value).partition(" (second) ")[2] == (
        "has batch_editor 9.9, and the driver 0.1.0; install the same one on every node"
    )


def test_where_nobody_listens_there_is_no_cluster() -> None:
    with pytest.raises(UsageError) as told:
        pool_on("ray=127.0.0.1:9", None)
    assert str(told.value) == (
        "no Ray cluster at 127.0.0.1:9: [Errno 111] Connection refused; a command with --on ray runs in the cluster:"
        " ray job submit -- batch-editor …"
    )
