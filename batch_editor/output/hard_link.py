"""A second name for a file, or a copy under it where the file system knows no second names."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path


def hard_link(source: Path | str, target: Path | str) -> bool:
    """Whether the target could be made; False if something stands there.

    Raises:
        OSError: the disk refuses to read or write.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError as error:
        # FAT, some network file systems and link counts at their limit know no further links.
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS, errno.EXDEV):
            raise
        if os.path.lexists(target):
            return False
        _copy(Path(source), Path(target))
    return True


def _copy(source: Path, target: Path) -> None:
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".copy-", delete=False) as copy:
        with source.open("rb") as original:
            while block := original.read(2**20):
                copy.write(block)
            os.fchmod(copy.fileno(), stat.S_IMODE(os.fstat(original.fileno()).st_mode))  # not of a temporary file
        copy.flush()
        os.fsync(copy.fileno())
    Path(copy.name).replace(target)
