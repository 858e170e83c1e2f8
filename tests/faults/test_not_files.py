"""What stands where a file belongs and is none: told in words before anything is sent, and never waited for."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batch_editor import ManifestError
from batch_editor.errors import BatchEditorError, MachineError
from batch_editor.files import NotAFile, open_regular
from batch_editor.money import SpendingFile
from tests.support.bench import KEY, Bench, jobs, sandbox

# What hangs, hangs a thread: only the end of the whole process ends it.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(30)]


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(path))  # its own limit is 107 bytes


def make_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


OTHERS: dict[str, Callable[[Path], object]] = {
    "a FIFO": os.mkfifo,
    "a folder": Path.mkdir,
    "a socket": make_socket,
    "a device": make_device,
}
LINK: dict[str, Callable[[Path], object]] = {"a link": lambda path: path.symlink_to(path.parent / "nowhere")}
PLACES = [(name, kind) for name in ("manifest.csv", ".manifest.csv.part") for kind in OTHERS]
# No link is written through there, wherever it leads.
UNLINKED = [
    (name, kind)
    for name in (".lock", "ledger.sqlite3", "ledger.sqlite3-journal", "ledger.sqlite3-wal", "ledger.sqlite3-shm")
    for kind in ("a FIFO", "a folder", "a socket", "a link")
    if (name, kind) != ("ledger.sqlite3", "a link")  # one that leads nowhere is a ledger that is gone
]


def instead(path: Path, kind: str) -> Path:
    path.unlink(missing_ok=True)
    (OTHERS | LINK)[kind](path)
    return path


@pytest.mark.parametrize(("name", "kind"), PLACES + UNLINKED)
async def test_what_is_no_file_in_the_output_directory_ends_a_run_before_anything_is_sent(
    bench: Bench, name: str, kind: str
) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(1), provider)
        path = instead(bench.out / name, kind)
        with pytest.raises(MachineError) as caught:
            await bench.run(jobs(2), provider)
    ledger = f"{bench.out / 'ledger.sqlite3'}: the ledger can't be used ("
    expected = {
        ".lock": f"{path}: can't be opened (",
        "ledger.sqlite3": ledger,
        **dict.fromkeys((f"ledger.sqlite3{end}" for end in ("-journal", "-wal", "-shm")), f"{ledger}{path}: "),
    }.get(name, f"{path}: can't be written (")
    assert str(caught.value) == f"{expected}{kind}; expected a file)"
    assert provider.books.requests == 1


@pytest.mark.parametrize("kind", ["a FIFO", "a folder", "a socket"])
async def test_that_holds_for_a_first_run_that_finds_no_ledger(bench: Bench, kind: str) -> None:
    bench.out.mkdir()
    path = instead(bench.out / "manifest.csv", kind)
    async with sandbox() as provider:
        finished = await bench.command(*bench.run_arguments(bench.write(jobs(1)), provider))
    assert (finished.code, finished.err) == (6, f"error: {path}: can't be written ({kind}; expected a file)\n")
    assert provider.books.requests == 0


@pytest.mark.parametrize("kind", ["a FIFO", "a socket"])
@pytest.mark.parametrize("folder", ["images", "images/.history", "images/.landing"])
async def test_what_is_no_folder_is_told_by_its_name(bench: Bench, folder: str, kind: str) -> None:
    (bench.out / folder).parent.mkdir(parents=True)
    path = instead(bench.out / folder, kind)
    async with sandbox() as provider:
        with pytest.raises(MachineError, match=f"^{path}: something else stands there; expected a folder$"):
            await bench.run(jobs(1), provider)
    assert provider.books.requests == 0


@pytest.mark.parametrize("kind", OTHERS)
def test_a_shared_budget_that_is_no_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = instead(tmp_path / "spending", kind)
    with pytest.raises(MachineError) as caught:
        SpendingFile(path, "here", per_day_usd=1.0, per_month_usd=None)
    assert str(caught.value) == f"{path}: budget.ledger can't be used ({kind}; expected a file)"


JOB = "{id: a, prompt: edit, image_urls: ['http://127.0.0.1:9/mug.png']"
NAMING: dict[str, tuple[str, str]] = {
    "jobs.csv": ("jobs.csv", ""),
    "jobs.yaml": ("jobs.yaml", ""),
    "rows.csv": ("manifest.yaml", f"jobs: [{JOB}, rows: rows.csv}}]"),
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("name", NAMING)
async def test_a_manifest_that_is_no_file_is_a_fault(bench: Bench, name: str, kind: str) -> None:
    manifest, text = NAMING[name]
    path = instead(bench.folder / name, kind)
    if text:
        (bench.folder / manifest).write_text(text, encoding="utf-8")
    async with sandbox() as provider:
        with pytest.raises(ManifestError) as caught:
            await bench.run(bench.folder / manifest, provider)
    assert str(caught.value) == f"{path}: can't be read: {kind}; expected a file"


@pytest.mark.parametrize("kind", ["a FIFO", "a folder", "a socket"])
async def test_an_input_or_an_endpoint_that_is_no_file_is_a_mistake(bench: Bench, kind: str) -> None:
    instead(bench.folder / "mug.png", kind)
    instead(bench.folder / "mine.yaml", kind)
    for job in ({"image_urls": ["mug.png"]}, {"endpoint": "mine.yaml"}):
        async with sandbox() as provider:
            with pytest.raises(BatchEditorError) as caught:
                await bench.run(jobs(1, **job), provider)
        assert (caught.value.exit_code, provider.books.requests) == (2, 0)


def feed(path: Path, text: str) -> asyncio.Future[Any]:
    """What somebody writes into a FIFO, once it is read."""
    return asyncio.ensure_future(asyncio.to_thread(path.write_text, text, encoding="utf-8"))


async def test_config_and_key_may_come_out_of_a_pipe(bench: Bench) -> None:
    """As `-c <(envsubst < config.yaml)` and a key out of a password store have it."""
    for name in ("config", "key"):
        os.mkfifo(bench.folder / name, 0o600)
    manifest = bench.write(jobs(2))
    async with sandbox() as provider:
        config = f"{{api: {{base_url: '{provider.base_url}', key_file: key}}}}"
        fed = [feed(bench.folder / "config", config), feed(bench.folder / "key", KEY)]
        finished = await bench.command("run", manifest, "-o", bench.out, "-c", "config", key=None)
        await asyncio.gather(*fed)
    assert finished.code == 0, finished.err
    assert provider.books.requests == 2


@pytest.mark.parametrize("name", ["config", "key"])
async def test_whoever_waits_for_a_pipe_hears_ctrl_c(bench: Bench, name: str) -> None:
    path = bench.folder / name
    os.mkfifo(path, 0o600)
    more = ("-c", path) if name == "config" else ()
    environment = {"BATCH_EDITOR_API__KEY_FILE": str(path)} if name == "key" else {}
    async with bench.started("run", bench.write(jobs(1)), "-o", bench.out, *more, environment=environment) as process:
        writer = await asyncio.to_thread(os.open, path, os.O_WRONLY)  # waits for its reader
        process.send(signal.SIGINT)
        finished = await process.finished()
        os.close(writer)
    said = {"config": "", "key": "Interrupted; nothing is lost, running again resumes."}  # by then there is work to end
    assert (finished.code, finished.err.strip()) == (130, said[name])


def test_a_file_is_opened_as_ever_and_what_is_not_there_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(FileNotFoundError):
        open_regular(path)
    os.close(open_regular(path, os.O_WRONLY | os.O_CREAT, 0o600))
    assert path.stat().st_mode & 0o777 == 0o600
    (tmp_path / "link").symlink_to(path)
    os.close(open_regular(tmp_path / "link"))
    with pytest.raises(NotAFile) as caught:
        open_regular(tmp_path / "link", os.O_RDONLY | os.O_NOFOLLOW)
    assert (caught.value.strerror, caught.value.filename) == ("a link; expected a file", str(tmp_path / "link"))
    with path.open("rb") as file:
        assert os.get_blocking(file.fileno())
