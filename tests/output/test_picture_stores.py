"""What every place for pictures promises, whatever it is made of."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from batch_editor.buckets import Address, open_bucket
from batch_editor.errors import StorageError, UsageError
from batch_editor.output import NewName, PictureStore, picture_store_for_run
from batch_editor.output.bucket_pictures import MARKER, BucketPictures
from batch_editor.output.local_pictures import LocalPictures

ID = "0123456789abcdef0123456789abcdef"


def local(root: Path) -> PictureStore:
    return LocalPictures(root)


def in_memory(root: Path) -> PictureStore:
    return BucketPictures(root, open_bucket(Address("memory", "", str(root).strip("/"))))


@pytest.fixture(params=[local, in_memory])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> PictureStore:
    make: Callable[[Path], PictureStore] = request.param
    # A folder of a test that has passed is gone, and the next one's may have its name; what is in memory stays.
    root = tmp_path / uuid4().hex
    (root / "images" / ".landing").mkdir(parents=True)
    (root / "images" / ".history").mkdir()
    made = make(root)
    made.prepare(ID, lambda _: None)
    return made


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def staged(folder: Path, content: bytes) -> Path:
    path = folder / digest(content)
    path.write_bytes(content)
    return path


def new(folder: Path, output: str, content: bytes) -> NewName:
    return NewName(staged(folder, content), output, digest(content), "png")


def content(store: PictureStore, path: str) -> bytes | None:
    found = store.open(path)
    if found is None:
        return None
    with found:
        return found.read()


def test_an_image_is_read_under_its_name(store: PictureStore, tmp_path: Path) -> None:
    assert store.place([new(tmp_path, "a b/ü [1]", b"one")]) == ["images/a b/ü [1].png"]
    path = "images/a b/ü [1].png"
    assert content(store, path) == b"one"
    assert store.content_sha256(path) == digest(b"one")
    assert store.written_at(path) is not None
    assert path in store.standing()
    assert store.find(path, digest(b"one")) == path


def test_what_is_not_there_is_not_found(store: PictureStore) -> None:
    path = "images/a.png"
    assert content(store, path) is None
    assert store.content_sha256(path) is None
    assert store.written_at(path) is None
    assert path not in store.standing()
    assert store.find(path, digest(b"one")) is None
    assert store.find(None, digest(b"one")) is None
    store.clear(path, digest(b"one"), keep=True)
    store.remove_finished("finished/web/a.jpg")


def test_done_again_it_comes_to_the_same(store: PictureStore, tmp_path: Path) -> None:
    names = [new(tmp_path, name, b"the same") for name in ("x/a", "x/b")]
    assert store.place(names) == store.place(names) == ["images/x/a.png", "images/x/b.png"]
    assert list(store.former(digest(b"the same"))) == []


def test_a_changed_image_leaves_the_former_one_in_the_history(store: PictureStore, tmp_path: Path) -> None:
    store.place([new(tmp_path, "x/a", b"one")])
    store.place([new(tmp_path, "x/a", b"two")])
    kept = f"images/.history/x/a.{digest(b'one')[:12]}.png"
    assert content(store, "images/x/a.png") == b"two"
    assert content(store, kept) == b"one"
    assert store.find("images/x/a.png", digest(b"one")) == kept
    assert list(store.former(digest(b"one"))) == [kept]


def test_an_image_gets_a_second_name_from_its_first(store: PictureStore, tmp_path: Path) -> None:
    store.place([new(tmp_path, "a", b"one"), new(tmp_path, "b", b"other")])
    store.place([NewName("images/a.png", name, digest(b"one"), "png") for name in ("a", "b", "c")])
    assert [content(store, f"images/{name}.png") for name in "abc"] == [b"one"] * 3
    assert content(store, f"images/.history/b.{digest(b'other')[:12]}.png") == b"other"


def test_an_image_comes_back_from_the_history(store: PictureStore, tmp_path: Path) -> None:
    store.place([new(tmp_path, "a", b"one")])
    store.clear("images/a.png", digest(b"one"), keep=True)
    assert content(store, "images/a.png") is None
    found = store.find("images/a.png", digest(b"one"))
    assert found is not None
    store.place([NewName(found, "a", digest(b"one"), "png")])
    assert content(store, "images/a.png") == b"one"


@pytest.mark.parametrize("keep", [True, False])
def test_a_name_is_cleared_of_that_content_alone(store: PictureStore, tmp_path: Path, keep: bool) -> None:
    store.place([new(tmp_path, "a", b"one")])
    store.clear("images/a.png", digest(b"another"), keep=keep)
    assert content(store, "images/a.png") == b"one"
    store.clear("images/a.png", digest(b"one"), keep=keep)
    assert content(store, "images/a.png") is None
    assert list(store.former(digest(b"one"))) == ([f"images/.history/a.{digest(b'one')[:12]}.png"] if keep else [])


def test_what_is_no_result_is_set_aside_and_overwrites_nothing(store: PictureStore, tmp_path: Path) -> None:
    path = "images/.rejected/a.attempt-1.bin"
    for _ in range(2):
        store.set_aside(staged(tmp_path, b"<html>"), path, digest(b"<html>"))
    assert content(store, path) == b"<html>"


def test_a_finished_file_takes_the_place_of_the_former_one(store: PictureStore, tmp_path: Path) -> None:
    for made in (b"one", b"one", b"two"):
        store.place_finished(staged(tmp_path, made), "finished/web/x/a.jpg")
        assert content(store, "finished/web/x/a.jpg") == made
    store.remove_finished("finished/web/x/a.jpg")
    assert content(store, "finished/web/x/a.jpg") is None


def test_threads_that_move_images_in_a_ring_lose_none(store: PictureStore, tmp_path: Path) -> None:
    for turn in range(10):
        names = [f"{turn}-{number}" for number in range(4)]
        store.place([new(tmp_path, name, f"old {name}".encode()) for name in names])

        def move(name: str, former: str) -> None:
            store.place([new(tmp_path, name, f"new {name}".encode())])
            store.clear(f"images/{former}.png", digest(f"old {former}".encode()), keep=True)

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(move, names, [*names[1:], names[0]]))
        for name in names:
            assert content(store, f"images/{name}.png") == f"new {name}".encode()
            assert store.find(f"images/{name}.png", digest(f"old {name}".encode())) is not None


def test_a_source_that_is_gone_is_told(store: PictureStore, tmp_path: Path) -> None:
    name = new(tmp_path, "a", b"one")
    assert isinstance(name.source, Path)
    name.source.unlink()
    with pytest.raises(StorageError):
        store.place([name])


def test_a_bucket_of_another_ledger_is_refused(tmp_path: Path) -> None:
    in_memory(tmp_path).prepare(ID, lambda _: None)
    in_memory(tmp_path).prepare(ID, lambda _: None)
    with pytest.raises(UsageError) as refused:
        in_memory(tmp_path).prepare("another", lambda _: None)
    place = Address("memory", "", str(tmp_path).strip("/"))
    assert str(refused.value) == (
        f"{place}: holds the pictures of another output directory than {tmp_path}: {MARKER} there has the ledger {ID},"
        " here it is another; choose another --output or outputs.images. If that directory is gone for good, remove"
        f" {MARKER}"
    )


def test_images_that_were_kept_in_the_directory_are_brought_to_the_bucket(tmp_path: Path) -> None:
    files, bucket = local(tmp_path), in_memory(tmp_path)
    (tmp_path / "images").mkdir()
    files.place([new(tmp_path, name, name.encode()) for name in "abc"])
    said: list[str] = []
    bucket.prepare(ID, said.append)
    place = f"memory://{str(tmp_path).strip('/')}"
    line = f"images go to {place} from now on; those in {tmp_path / 'images'} are sent there too, and stay"
    assert said == [line]
    names = [NewName(f"images/{name}.png", name, digest(name.encode()), "png") for name in "abd"]
    bucket.bring(names)
    assert [f"images/{name}.png" in bucket.standing() for name in "abcd"] == [True, True, False, False]
    assert content(bucket, "images/c.png") == b"c"  # in the directory still


@pytest.mark.parametrize(("images", "given"), [(None, "is not set"), ("s3://pictures/other", "is s3://pictures/other")])
def test_images_that_are_elsewhere_are_not_taken_for_lost(tmp_path: Path, images: str | None, given: str) -> None:
    (tmp_path / ".bucket.json").write_text('{"images": "s3://pictures/shop/out"}')
    with pytest.raises(UsageError) as refused:
        picture_store_for_run(tmp_path, images, rehearsal=False, patience_s=1)
    assert str(refused.value) == (
        f"{tmp_path}: its images are in s3://pictures/shop/out, and outputs.images {given}; expected s3://pictures/shop."
        f" Or choose another --output; or copy all that is there to {tmp_path}, and remove .bucket.json"
    )


def test_memory_is_for_rehearsals_alone(tmp_path: Path) -> None:
    picture_store_for_run(tmp_path, "memory://", rehearsal=True, patience_s=1)
    with pytest.raises(UsageError) as refused:
        picture_store_for_run(tmp_path, "memory://", rehearsal=False, patience_s=1)
    assert str(refused.value) == (
        "outputs.images is memory://, which keeps nothing; expected a bucket, or a rehearsal (--sandbox)"
    )


def test_a_record_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / ".bucket.json").write_text("{}")
    with pytest.raises(StorageError, match=r"\.bucket\.json: doesn't say in which bucket the images are \('images'\)"):
        picture_store_for_run(tmp_path, None, rehearsal=False, patience_s=1)


def test_what_is_kept_is_listed_by_folder_and_removed(store: PictureStore, tmp_path: Path) -> None:
    began = time.time() - 2  # stores tell whole seconds
    store.place([new(tmp_path, "mugs/red", b"first"), new(tmp_path, "lamp", b"lamp")])
    store.place([new(tmp_path, "mugs/red", b"other")])
    store.clear("images/lamp.png", digest(b"lamp"), keep=True)
    answer = f"images/.rejected/mugs/red.attempt-1.{digest(b'no')[:12]}.bin"
    store.set_aside(staged(tmp_path, b"no"), answer, digest(b"no"))
    former = [
        f"images/.history/lamp.{digest(b'lamp')[:12]}.png",
        f"images/.history/mugs/red.{digest(b'first')[:12]}.png",
    ]
    found = sorted(store.kept("images/.history"))
    assert [(each.path, each.size_bytes) for each in found] == [(former[0], 4), (former[1], 5)]
    assert all(began <= each.since <= time.time() for each in found)
    assert [(each.path, each.size_bytes) for each in store.kept("images/.rejected")] == [(answer, 2)]
    store.remove_kept("images/.history", [*former, "images/.history/never.png"])
    assert list(store.kept("images/.history")) == []
    assert store.find("images/mugs/red.png", digest(b"first")) is None
    assert content(store, "images/mugs/red.png") == b"other"
    assert [each.path for each in store.kept("images/.rejected")] == [answer]
