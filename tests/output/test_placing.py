"""Images under their names, several at a time."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from batch_editor.errors import StorageError
from batch_editor.ledger import Placement
from batch_editor.output import Store
from batch_editor.output.placing import Unplaced, keep, put, put_one
from batch_editor.records import SavedImage


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.prepare()
    return store


def landed(store: Store, name: str, content: bytes, *, former: tuple[str, bytes] | None = None) -> Unplaced:
    """An image for the job of that name; `former` is the path and the content that it had."""
    source = store.root / "images" / ".landing" / f"{hash(name)}.full"
    source.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    path, before = former or (None, b"")
    placement = Placement(
        job_id=name,
        output=name,
        fingerprint="now",
        sha256=sha256,
        format="png",
        image_path=None,
        former_path=path,
        former_sha256=hashlib.sha256(before).hexdigest() if former else None,
    )
    return Unplaced(placement, source, sha256, "png")


def test_an_image_whose_name_a_folder_has_is_refused(store: Store) -> None:
    (store.root / "images" / "b.png").mkdir()
    with pytest.raises(StorageError, match="something other than a file stands where an image belongs") as refused:
        put(store, [landed(store, "b", b"b")])
    assert not refused.value.transient
    assert (store.root / "images" / ".landing" / f"{hash('b')}.full").read_bytes() == b"b"


def test_threads_that_move_images_in_a_ring_lose_none(store: Store) -> None:
    """Each takes the name that another one clears."""
    images = store.root / "images"
    for turn in range(20):
        names = [f"{turn}-{number}" for number in range(4)]
        for name in names:
            (images / f"{name}.png").write_bytes(f"old {name}".encode())
        former = dict(zip(names, [*names[1:], names[0]], strict=True))
        moved = [
            landed(store, name, f"new {name}".encode(), former=(f"images/{old}.png", f"old {old}".encode()))
            for name, old in former.items()
        ]
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(lambda image: put_one(store, image), moved)) == [f"images/{n}.png" for n in names]
        assert [(images / f"{name}.png").read_bytes() for name in names] == [f"new {name}".encode() for name in names]


def test_done_again_it_comes_to_the_same(store: Store) -> None:
    images = [landed(store, name, b"the same") for name in ("x/a", "x/b")]
    assert put(store, images) == put(store, images) == ["images/x/a.png", "images/x/b.png"]


def test_two_images_of_one_request_that_no_job_wants_are_both_kept(store: Store) -> None:
    paths = []
    for content in (b"one", b"two"):
        image = landed(store, "a", content)
        assert isinstance(image.source, Path)
        saved = SavedImage(str(image.source), image.sha256, len(content), "png", 1, 1)
        paths.append(keep(store, "fingerprint", image.source, saved))
        image.source.unlink()
    assert [(store.root / path).read_bytes() for path in paths] == [b"one", b"two"]


def test_a_folder_that_a_link_leads_out_of_is_refused(store: Store, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (store.root / "images" / "x").symlink_to(outside)
    with pytest.raises(StorageError, match="leads out of the output directory"):
        put(store, [landed(store, "x/a", b"a")])
    assert list(outside.iterdir()) == []


def test_a_former_name_that_another_image_has_just_taken_is_left_alone(store: Store) -> None:
    """Two jobs change places, and the one's new image happens to be what the other's was."""
    (store.root / "images" / "b.png").write_bytes(b"same")
    moved = landed(store, "a", b"new", former=("images/b.png", b"same"))
    assert put(store, [moved, landed(store, "b", b"same")]) == ["images/a.png", "images/b.png"]
    assert (store.root / "images" / "b.png").read_bytes() == b"same"


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What is made durable from here on, files and folders, in order."""
    paths: list[Path] = []
    fsync = os.fsync

    def noted(file: int) -> None:
        paths.append(Path(f"/proc/self/fd/{file}").readlink())
        fsync(file)

    monkeypatch.setattr(os, "fsync", noted)
    return paths


def test_the_names_of_new_folders_are_made_durable_too(store: Store, synced: list[Path]) -> None:
    put(store, [landed(store, "x/y/a", b"a")])
    images = store.root / "images"
    assert set(synced) == {images, images / "x", images / "x" / "y"}


def test_what_is_set_aside_is_durable_though_who_began_with_it_died(store: Store, synced: list[Path]) -> None:
    (store.root / "images" / ".landing" / "1.bad").write_bytes(b"<html>")
    path = store.reject(1, "a", 1)
    assert path is not None
    assert store.root / "images" / ".rejected" in synced
    synced.clear()
    assert store.reject(1, "a", 1) == path
    assert store.root / "images" / ".rejected" in synced


def test_an_image_that_nobody_claims_is_durable_in_the_history_before_it_leaves_the_landing_folder(
    store: Store, synced: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    landed = store.root / "images" / ".landing" / "7.full"
    Image.new("RGB", (8, 8)).save(landed, "PNG")
    removed_after: list[list[Path]] = []
    unlink = Path.unlink

    def noted(path: Path, missing_ok: bool = False) -> None:
        removed_after.append([*synced])
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", noted)
    assert store.keep_unclaimed() == 1
    assert [set(each) for each in removed_after] == [{store.root / "images", store.root / "images" / ".history"}]
    assert not landed.exists()
    assert len(list((store.root / "images" / ".history").glob("unclaimed-*.png"))) == 1
