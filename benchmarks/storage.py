"""How fast pictures go to a bucket, beside the library alone: `python benchmarks/storage.py [--quick]`.

1,000 pictures of 2 MB, 16 at a time, from files, to a server on this machine that reads and forgets them, and answers
as late as S3 does. Both are measured in turn, three times; the best of each counts. `--quick`: 100 pictures, once.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import resource
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # from wherever this is started

from batch_editor.buckets import open_bucket, read_address  # noqa: E402
from batch_editor.output import NewName  # noqa: E402
from batch_editor.output.bucket_pictures import THREADS, BucketPictures  # noqa: E402

BYTES = 2_000_000
ANSWERS_AFTER_S = 0.03


class _Sink(socketserver.StreamRequestHandler):
    """Reads each request to its end, and says that it was carried out."""

    def handle(self) -> None:
        """Serve a connection."""
        while head := self._head():
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            left = int(length[1]) if length else 0
            while left:
                left -= len(self.rfile.read(min(left, 2**18)))
            time.sleep(ANSWERS_AFTER_S)
            self.wfile.write(b'HTTP/1.1 200 OK\r\nETag: "0"\r\nContent-Length: 0\r\n\r\n')

    def _head(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()).strip():
            lines.append(line)
        return b"".join(lines)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64


def serve() -> None:
    """Be the server, until standard input ends."""
    with _Server(("127.0.0.1", 0), _Sink) as server:
        print(server.server_address[1], flush=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdin.read()


@contextmanager
def server() -> Iterator[int]:
    """The port of a server in a process of its own."""
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.terminate()


def bare(files: Sequence[Path], place: str) -> None:
    """The library alone."""
    from obstore.store import S3Store

    store = S3Store(
        "pictures", prefix=place, endpoint=os.environ["AWS_ENDPOINT_URL"], client_options={"allow_http": True}
    )
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(lambda file: store.put(f"images/{file.stem}.png", file.read_bytes(), mode="create"), files))


def ours(files: Sequence[Path], place: str) -> None:
    """As a run has it."""
    pictures = BucketPictures(Path(place), open_bucket(read_address(f"s3://pictures/{place}")))
    names = [NewName(file, file.stem, hashlib.sha256(file.name.encode()).hexdigest(), "png") for file in files]
    list(pictures.executor.map(lambda name: pictures.place([name]), names))
    pictures.close()


def seconds(work: Callable[[Sequence[Path], str], None], files: Sequence[Path], place: str) -> float:
    """How long it takes."""
    began_at = time.perf_counter()
    work(files, place)
    return time.perf_counter() - began_at


def main() -> None:
    """Print both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    count, turns = (100, 1) if options.quick else (1000, 3)
    with tempfile.TemporaryDirectory() as folder, server() as port:
        os.environ |= {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_REGION": "us-east-1",
        }
        content = os.urandom(BYTES)
        files = [Path(folder) / f"{number}.full" for number in range(count)]
        for file in files:
            file.write_bytes(content)
        took: dict[str, list[float]] = {"bare": [], "ours": []}
        seconds(ours, files[:THREADS], "warm")
        for turn in range(turns):
            took["bare"].append(seconds(bare, files, f"bare-{turn}"))
            before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            took["ours"].append(seconds(ours, files, f"ours-{turn}"))
    megabytes = count * BYTES / 1e6
    for name, each in took.items():
        print(f"{megabytes / min(each):8.0f} MB/s  {name}: {count} pictures of 2 MB in {min(each):.2f} s")
    print(f"{min(took['bare']) / min(took['ours']):8.2f} of the library alone")
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{peak_kb / 1024:8.0f} MB    of memory at most, {(peak_kb - before_kb) / 1024:.0f} MB more than the library")


if __name__ == "__main__":
    main()
