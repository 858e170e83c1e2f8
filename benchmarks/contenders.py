"""Who is compared, and with what command each does the same work."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from batch_editor.records import Rate
from batch_editor.scheduling.send_policy import spacing_s

HERE = Path(__file__).parent
ENVIRONMENTS = HERE / ".envs"
sys.path.insert(0, str(HERE / "clients"))

from work import HEADERS, body, prompt  # noqa: E402  # it lies with the clients, whose environments know no package

KEY = {"SEGMIND_API_KEY": "SG_0000bench"}
NO_LIMIT = "100000/s"


@dataclass(frozen=True, slots=True)
class Load:
    """`count` requests for what the server calls `what`, at most `in_flight` at a time."""

    what: str
    count: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do the work. `keeps`: what is left of it, in a few words; `sends`: whether it asks the server."""

    name: str
    keeps: str
    command: Callable[[Load, str, Path], Sequence[str]]
    sends: bool = True


def manifest_of(count: int, folder: Path) -> Path:
    """A CSV manifest of so many jobs."""
    path = folder / f"{count}.csv"
    if not path.exists():
        with path.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["id", "prompt", "image_urls", "size", "quality"])
            for number in range(count):
                rows.writerow([f"job-{number}", prompt(number), "http://127.0.0.1:9/mug.png", "1024x1024", "low"])
    return path


def run_command(load: Load, url: str, folder: Path, *more: str, rate: str = NO_LIMIT) -> list[str]:
    """The command line's run of a load."""
    manifest = manifest_of(load.count, folder.parent)
    return command_line(
        *("run", str(manifest), "--base-url", f"{url}/{load.what}/v1", "--rate", rate),
        *("--concurrency", str(load.in_flight), "--output", str(folder), "--progress", "none", *more),
    )


def paced_command(load: Load, url: str, rate: str) -> list[str]:
    """A bare loop that sends at that rate."""
    script = HERE / "clients/paced.py"
    return [sys.executable, str(script), f"{url}/{load.what}/v1/edit", str(spacing_s(Rate.parse(rate)))]


def command_line(*arguments: str) -> list[str]:
    """The command line."""
    return [sys.executable, "-m", "batch_editor", *arguments]


def _script(name: str, *more: str, python: str = sys.executable) -> Callable[[Load, str, Path], list[str]]:
    def command(load: Load, url: str, folder: Path) -> list[str]:
        script = HERE / "clients" / f"{name}.py"
        url = f"{url}/{load.what}/v1/edit"
        return [python, str(script), url, str(load.count), str(load.in_flight), str(folder), *more]

    return command


def _curl(load: Load, url: str, folder: Path) -> list[str]:
    """curl reads its requests from a file; each brings a body and a name of its own."""
    config = folder.parent / f"{folder.name}.curl"
    headers = "".join(f'header = "{name}: {value}"\n' for name, value in HEADERS.items())
    blocks = (
        f'url = "{url}/{load.what}/v1/edit"\noutput = "{folder}/{number}.png"\n{headers}'
        f"data = {json.dumps(body(number).decode())}\n"
        for number in range(load.count)
    )
    config.write_text("next\n".join(blocks), encoding="utf-8")
    return ["curl", "--silent", "--parallel", "--parallel-max", str(load.in_flight), "--config", str(config)]


def _img2dataset(load: Load, url: str, folder: Path) -> list[str]:
    links = folder.parent / f"{folder.name}.txt"
    links.write_text("\n".join(f"{url}/{load.what}/{number}" for number in range(load.count)), encoding="utf-8")
    return [
        *(str(ENVIRONMENTS / "img2dataset/bin/img2dataset"), "--url_list", str(links), "--input_format", "txt"),
        *("--output_folder", str(folder), "--output_format", "files", "--disable_all_reencoding", "True"),
        *("--resize_mode", "no", "--processes_count", "2", "--thread_count", str(load.in_flight // 2)),
    ]


PIPELINE = Contender("batch-editor run", "image fsynced, ledger durable, manifest", run_command)
CEILING = Contender("bare aiohttp, uvloop", "nothing", _script("bare", "uvloop", "kept"))
CEILING_ASYNCIO = Contender("bare aiohttp, asyncio", "nothing", _script("bare", "asyncio", "kept"))
CEILING_NEW = Contender("bare aiohttp, uvloop, a connection each", "nothing", _script("bare", "uvloop", "new"))
DURABLE = Contender("aiohttp, as durable", "image fsynced, row durable", _script("durable"))
CURL = Contender("curl --parallel", "files", _curl)
DISK = Contender("the disk alone, 8 threads", "files fsynced", _script("disk"), sends=False)
NAIVE = Contender("asyncio.gather and a semaphore", "files", _script("naive"))
HTTPX = Contender("httpx", "files", _script("with_httpx", python=str(ENVIRONMENTS / "httpx/bin/python")))
SCRAPY = Contender("Scrapy", "files", _script("with_scrapy", python=str(ENVIRONMENTS / "scrapy/bin/python")))
IMG2DATASET = Contender("img2dataset (GET, not re-encoded)", "files", _img2dataset)


def install_peers() -> None:
    """Each peer from PyPI in an environment of its own."""
    for name in ("httpx", "scrapy", "img2dataset"):
        environment = ENVIRONMENTS / name
        if not (environment / "ready").exists():
            subprocess.run([sys.executable, "-m", "venv", environment], check=True)
            subprocess.run([environment / "bin/python", "-m", "pip", "install", "--quiet", name], check=True)
            (environment / "ready").touch()
