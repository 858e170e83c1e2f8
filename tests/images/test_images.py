from __future__ import annotations

import io
import subprocess
import sys

from PIL import Image

LOOK = """
import io, sys
from batch_editor.images import inspect_image
print(inspect_image(io.BytesIO(sys.stdin.buffer.read())))
"""


def test_nobody_is_warned_of_a_large_picture() -> None:
    picture = io.BytesIO()
    Image.new("1", (10_000, 9_000)).save(picture, "PNG")
    looked = subprocess.run(
        [sys.executable, "-c", LOOK], input=picture.getvalue(), capture_output=True, check=True, timeout=30
    )
    assert (looked.stdout, looked.stderr) == (b"('png', 10000, 9000)\n", b"")
