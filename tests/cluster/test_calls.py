"""What a node does for a call, and what it refuses; without a cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from batch_editor.cluster.calls import FROM_DRIVER, Call, Outcome, Proof, Sent, carried_out, installed_version, prove
from batch_editor.output import FinishedFiles
from batch_editor.output.local_pictures import LocalPictures
from batch_editor.processes import NewFile, Processes

pytestmark = pytest.mark.slow  # each node starts a process


@pytest.fixture
def proof(tmp_path: Path) -> Proof:
    folder = tmp_path / "out" / ".cluster"
    folder.mkdir(parents=True)
    (folder / FROM_DRIVER).write_text("token")
    return Proof(installed_version(), folder, "token")


@pytest.fixture(scope="module")
def node() -> Iterator[Processes]:
    """A process that is a worker of a node: what it keeps from call to call goes with it."""
    worker = Processes(1)
    yield worker
    worker.close()


def copy(source: Path, target: Path) -> str:
    target.write_bytes(source.read_bytes())
    return target.name


def test_a_file_that_a_node_writes_has_its_name_once_it_is_whole(node: Processes, proof: Proof, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"pixels")
    call = Call(copy, [source, NewFile(target)], {})
    first, second = node.call(carried_out, call, proof, 60), node.call(carried_out, call, proof, 60)
    assert first.result != second.result  # a node that is taken for lost, and isn't, writes another one
    assert {name.startswith("target.") for name in (first.result, second.result)} == {True}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source", "target"]
    assert target.read_bytes() == b"pixels"


def test_a_node_that_cannot_give_a_file_its_name_says_so_and_leaves_nothing(
    node: Processes, proof: Proof, tmp_path: Path
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"pixels")
    target.mkdir()
    outcome = node.call(carried_out, Call(copy, [source, NewFile(target)], {}), proof, 60)
    assert outcome.refused is not None
    assert outcome.refused.startswith(f"node {os.uname().nodename} can't work: [Errno 21] Is a directory: '{target}.")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source", "target"]


def test_files_that_travel_come_back(node: Processes, tmp_path: Path) -> None:
    proof = Proof(installed_version(), None, "token")
    outcome = node.call(carried_out, Call(copy, [Sent(b"pixels"), NewFile(tmp_path / "target")], {}), proof, 60)
    assert (outcome.written, outcome.failed) == ((b"pixels",), None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("token", "why"), [(None, "No such file or directory"), ("of another run", "another one is there")]
)
def test_a_node_without_the_folder_calls_nothing(node: Processes, proof: Proof, token: str | None, why: str) -> None:
    assert proof.folder is not None
    (proof.folder / FROM_DRIVER).unlink()
    if token is not None:
        (proof.folder / FROM_DRIVER).write_text(token)
    said = (
        f"doesn't see {proof.folder.parent} as the driver does ({why}); mount the same folder at that path on every"
        " node, or keep pictures in a bucket (outputs.images)"
    )
    assert node.call(carried_out, Call(int, ["7"], {}), proof, 60) == Outcome(
        refused=f"node {os.uname().nodename} {said}"
    )
    assert prove(proof, "node") == said


def test_a_node_writes_what_the_driver_looks_for(proof: Proof) -> None:
    assert proof.folder is not None
    assert prove(proof, "node-7") is None
    assert (proof.folder / "node-7").read_text() == "token"


def test_no_two_runs_stage_a_file_under_one_name(tmp_path: Path) -> None:
    """What a node still writes for a run that died is in nobody's way."""
    names = set()
    for _ in range(2):
        with FinishedFiles(tmp_path, LocalPictures(tmp_path)).staged() as path:
            names.add(path.name)
    assert len(names) == 2
