"""Finished files a second, beside bare Pillow that decodes, resizes, pads and encodes the same on as many cores.

    python benchmarks/finishing.py [--quick] [--pictures 2000]

Bare Pillow checks nothing, reads no file again and writes none of the metadata. Both work in turns on the same tenths
of the pictures, so that what else runs on the machine slows both. The memory is that of all processes.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bare_pillow import finish_barely

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # for tests.support, from wherever this is started

from batch_editor.finishing import FinishRules, finish_picture, read_finish  # noqa: E402
from batch_editor.processes import Processes  # noqa: E402
from tests.support.finishing import mug, photograph  # noqa: E402
from tests.support.memory import memory_mb  # noqa: E402

KINDS = 24  # different pictures; the others are hard links to them
TURNS = 10
RULES: dict[str, dict[str, Any]] = {
    "amazon-main": {"preset": "amazon-main"},
    "shopify-square": {"preset": "shopify-square", "format": "jpeg"},
    "800x800 webp": {"size": "800x800", "pad": "white", "format": "webp"},
}


def main() -> None:
    """Print a line for each set of rules."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=2_000)
    parser.add_argument("--quick", action="store_true", help="200 pictures")
    options = parser.parse_args()
    count = 200 if options.quick else options.pictures
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        pictures = made_pictures(Path(folder), count)
        print(f"{count:,} pictures of 1024x1024 and 1024x1536, {cores} cores")
        for name, given in RULES.items():
            (rules,) = read_finish({"web": given}, beside=ROOT)
            measure(name, rules, pictures, Path(folder), cores)


def made_pictures(folder: Path, count: int) -> list[Path]:
    """PNGs as models give them: products on white, and photographs."""
    chance = random.Random(20)
    kinds: list[Path] = []
    for number in range(min(KINDS, count)):
        size = (1024, 1024) if number % 3 else (1024, 1536)
        picture = mug(1024, share=chance.uniform(0.7, 0.95)) if number % 2 else photograph((1024, 1024))
        kinds.append(folder / f"kind-{number}.png")
        picture.resize(size).save(kinds[-1])
    pictures = [folder / f"{number}.png" for number in range(count)]
    for number, path in enumerate(pictures):
        path.hardlink_to(kinds[number % len(kinds)])
    return pictures


def measure(name: str, rules: FinishRules, pictures: Sequence[Path], folder: Path, cores: int) -> None:
    """Both in turns, and the memory after each of ours."""
    target = folder / "finished"
    target.mkdir(exist_ok=True)
    workers = Processes(cores)
    bare_s, ours_s, memory = 0.0, 0.0, []
    try:
        # Both once, unmeasured: processes start and import.
        for function in (finish_barely, finish_picture):
            timed(function, pictures[: 2 * cores], target, rules, workers)
        for turn in range(TURNS):
            part = pictures[turn::TURNS]
            bare_s += timed(finish_barely, part, target, rules, workers)
            ours_s += timed(finish_picture, part, target, rules, workers)
            memory.append(memory_mb(os.getpid()))
    finally:
        workers.close()
    rate, bare = len(pictures) / ours_s, len(pictures) / bare_s
    print(f"{name:16} {rate:6.1f} a second, bare Pillow {bare:6.1f}: {rate / bare:.2f}", end="; ")
    print("MB after each tenth:", " ".join(f"{each:.0f}" for each in memory))


def timed(
    function: Callable[..., object], pictures: Sequence[Path], target: Path, rules: FinishRules, workers: Processes
) -> float:
    """Seconds for all of them, on all cores."""

    def one(path: Path) -> None:
        workers.call(function, path, target / path.stem, rules, stem=path.stem)

    began_at = time.perf_counter()
    with ThreadPoolExecutor(workers.count) as threads:
        for _ in threads.map(one, pictures):
            pass
    return time.perf_counter() - began_at


if __name__ == "__main__":
    main()
