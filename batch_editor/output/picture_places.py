"""Where an output directory's pictures are: in itself, or in the bucket that a file in it names."""

from __future__ import annotations

import os
from pathlib import Path

import orjson

from batch_editor.buckets import Address, open_bucket, read_address
from batch_editor.errors import StorageError, UsageError
from batch_editor.files import open_regular, whole_file
from batch_editor.output.bucket_pictures import BucketPictures
from batch_editor.output.local_pictures import LocalPictures
from batch_editor.output.picture_store import IMAGES, PictureStore

# Beside the ledger, which may be lost: from it, what is in the bucket is found again.
FILE_NAME = ".bucket.json"
# Who only reads isn't kept waiting for as long as a run, which has paid.
READER_PATIENCE_S = 10.0


def picture_store(root: Path) -> PictureStore:
    """The pictures of an output directory, for whoever reads them; nothing is asked of a bucket yet.

    Raises:
        UsageError: they are in a bucket, and the extra isn't installed or the access can't be used.
        StorageError: what the directory says of it can't be read.
    """
    address = recorded(root)
    if address is None:
        return LocalPictures(root)
    return BucketPictures(root, open_bucket(address, patience_s=READER_PATIENCE_S))


def picture_store_for_run(root: Path, images: str | None, *, rehearsal: bool, patience_s: float) -> PictureStore:
    """The pictures of an output directory as a run wants them, `images` being the setting `outputs.images`.

    Raises:
        UsageError: they are elsewhere already; or as `picture_store`.
        StorageError: as `picture_store`.
    """
    address = recorded(root)
    if images is None:
        if address is not None:
            raise UsageError(_elsewhere(root, address, "is not set"))
        return LocalPictures(root)
    wanted = read_address(images)
    if address is None:
        address = _below(wanted, root)
    elif address.above != wanted:
        raise UsageError(_elsewhere(root, address, f"is {images}"))
    if wanted.scheme == "memory" and not rehearsal:
        raise UsageError(
            f"outputs.images is {images}, which keeps nothing; expected a bucket, or a rehearsal (--sandbox)"
        )
    return BucketPictures(root, open_bucket(address, patience_s=patience_s))


def images_in(root: Path) -> str:
    """Where the images of an output directory are, for people."""
    address = recorded(root)
    return str(root / IMAGES) if address is None else f"{address}/{IMAGES}"


def record_place(root: Path, pictures: PictureStore) -> None:
    """Let the output directory say where its pictures are, for whoever reads them without a config.

    Raises:
        StorageError: it can't be written.
    """
    if not isinstance(pictures, BucketPictures):
        return
    address = pictures.bucket.address
    # What is in memory is gone with its process.
    if address.scheme == "memory" or recorded(root) == address:
        return
    try:
        with whole_file(root / FILE_NAME) as file:
            file.write(orjson.dumps({"images": str(address)}, option=orjson.OPT_APPEND_NEWLINE))
    except OSError as error:
        raise StorageError(f"{root / FILE_NAME}: can't be written ({error.strerror})") from error


def recorded(root: Path) -> Address | None:
    """The bucket that an output directory says its pictures are in.

    Raises:
        StorageError: what it says can't be read.
    """
    path = root / FILE_NAME
    try:
        with open(path, "rb", opener=open_regular) as file:
            return read_address(orjson.loads(file.read())["images"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{path}: doesn't say in which bucket the images are ({error})", transient=False) from error


def _below(wanted: Address, root: Path) -> Address:
    name = Path(os.path.abspath(root)).name  # noqa: PTH100  # its name is what was typed, wherever links lead
    try:
        return wanted.below(name)
    except ValueError as error:
        raise UsageError(f"{root}: its name can't be that of a place in a bucket ({error})") from error


def _elsewhere(root: Path, address: Address, given: str) -> str:
    return (
        f"{root}: its images are in {address}, and outputs.images {given}; expected {address.above}. Or choose another"
        f" --output; or copy all that is there to {root}, and remove {FILE_NAME}"
    )
