"""A picture of another output directory comes into the staging folder: whole and as it was, or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from batch_editor.output import Store
from batch_editor.output.local_pictures import LocalPictures

CONTENT = b"a picture" * 100_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class NoFiles(LocalPictures):
    """Pictures that are no files for whoever reads them, as those of a bucket."""

    folder = None  # type: ignore[assignment]  # as those of a bucket have it


@pytest.fixture
def there(tmp_path: Path) -> Path:
    (tmp_path / "there" / "images").mkdir(parents=True)
    (tmp_path / "there" / "images" / "mug.png").write_bytes(CONTENT)
    return tmp_path / "there"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "here")
    store.prepare()
    return store


@pytest.mark.parametrize("kind", [LocalPictures, NoFiles])
def test_it_is_staged_whole_and_the_next_sweep_takes_it_away(
    there: Path, store: Store, kind: type[LocalPictures]
) -> None:
    staged = store.stage_copy(kind(there), "images/mug.png", "a.taken", SHA256)
    assert staged is not None
    assert staged.read_bytes() == CONTENT
    assert store.stage_copy(kind(there), "images/mug.png", "a.taken", SHA256) == staged  # after a kill: once more
    store.sweep()
    assert not staged.exists()
    assert (there / "images" / "mug.png").read_bytes() == CONTENT


@pytest.mark.parametrize("kind", [LocalPictures, NoFiles])
def test_one_that_is_gone_or_another_by_now_is_none(there: Path, store: Store, kind: type[LocalPictures]) -> None:
    assert store.stage_copy(kind(there), "images/cup.png", "a.taken", SHA256) is None
    assert store.stage_copy(kind(there), "images/mug.png", "a.taken", SHA256[::-1]) is None
    (there / "images" / "link.png").symlink_to(there / "images" / "mug.png")
    assert store.stage_copy(LocalPictures(there), "images/link.png", "a.taken", SHA256) is None
