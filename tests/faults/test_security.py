"""Input that means harm: manifests, names, links in the output directory, addresses, pictures and words."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from batch_editor import Summary
from batch_editor.client.links import look_at
from batch_editor.client.network import Network
from batch_editor.errors import MachineError
from batch_editor.images import BadImage, inspect_image
from tests.support.bench import INPUT, KEY, Bench, job, jobs, sandbox
from tests.support.recorder import Recorder, http

LINK = "https://example.com/a.png"

# Reads manifests one after the other in 1 GiB of addresses; tells each one's exit code, errors and time.
READER = """
import contextlib, io, json, resource, sys, time
from batch_editor.cli.main import main
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
for path in sys.argv[1:]:
    out, err, began = io.StringIO(), io.StringIO(), time.process_time()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["plan", path, "-o", "out"])
    print(json.dumps([path, code, err.getvalue(), time.process_time() - began]))
"""


def entry(**values: object) -> str:
    return json.dumps({"jobs": [{"id": "a", "prompt": "p", "image_urls": [LINK], **values}]})


def template(text: str) -> str:
    return entry(rows=[{"sku": "b"}], prompt=text)


# Those that are large are made when they are written.
TEXTS: dict[str, tuple[str | bytes | Callable[[], bytes], str]] = {
    "bomb.yaml": (
        "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{name}: &{name} [{','.join(['*' + before] * 10)}]\n"
            for before, name in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "aliases that expand to more than 100,000 values",
    ),
    "tag.yaml": ("jobs: !!python/object/apply:os.system [touch HARM]", "a tag (tag:yaml.org,2002:python/object"),
    "lists.yaml": ("jobs: " + "[" * 5000 + "]" * 5000, "nested deeper than 32"),
    "maps.yaml": ("jobs: " + "{a: " * 5000 + "}" * 5000, "nested deeper than 32"),
    "large.yaml": (lambda: b"a" * 70_000_000, "the file has more than 64 MiB; expected a smaller one"),
    "scalar.yaml": (
        lambda: entry(prompt="x" * 40_000_000).encode(),
        "prompt has 40,000,000 characters; expected at most 32,000",
    ),
    "keys.yaml": (entry(**{f"k{number}": 1 for number in range(20_000)}), "… and 19980 more"),
    "matrix.yaml": (
        entry(id="{{ a }}{{ b }}{{ c }}{{ d }}", matrix={name: list(range(100)) for name in "abcd"}),
        "matrix has 100,000,000 combinations; expected at most 100,000",
    ),
    "variants.yaml": (entry(variants=10**9), "variants is '1000000000'; expected a whole number from 1 to 100"),
    "nul.yaml": (entry(id="a\0b"), "expected text without NUL characters"),
    "controls.yaml": (entry(id="a\n\x1b[31m\u202eb"), "expected text without control characters"),
    "latin.yaml": (
        "jobs: café".encode("latin1"),
        "latin.yaml:1: not UTF-8: byte 0xE9 at offset 9; save the file as UTF-8",
    ),
    "attribute.yaml": (template("{{ ''.__class__.__mro__ }}"), "access to attribute '__class__' of 'str' object"),
    "range.yaml": (template("{{ range(10**9)|list }}"), "template of prompt is not a template: it may not use range()"),
    "times.yaml": (template("{{ 'a' * 1000000000 }}"), "template of prompt fails: * of a text"),
    "center.yaml": (template("{{ 'a'.center(100000000) }}"), "template of prompt fails: center(100000000)"),
    "loops.yaml": (template("{% for a in 'x' %}" * 3 + "x" + "{% endfor %}" * 3), "at most 2 deep is taken"),
    "line.csv": (lambda: b"id,prompt,image_urls\n" + b"x" * 100_000_000, "a row of more than 16 MiB"),
    "quote.csv": (lambda: b'id,prompt,image_urls\n"' + b"x" * 100_000_000, "a row of more than 16 MiB"),
    "header.csv": (lambda: b"x" * 100_000_000, "a row of more than 16 MiB"),
    "commas.csv": (lambda: b"id,prompt,image_urls\n" + b"," * 20_000_000, "a row of more than 16 MiB"),
    "id.csv": (f"id,prompt,image_urls\n{'i' * 10**5},p,{LINK}\n", "id has 100,000 characters; expected at most 200"),
    "nul.csv": (f"id,prompt,image_urls\na\0b,p,{LINK}\n", "a NUL character"),
    "array.csv": (f"id,prompt,image_urls\na,p,{'[' * 10**5}\n", "expected a JSON array of links"),
    "schemes.csv": (
        "id,prompt,image_urls\na,p,file:///etc/passwd\nb,p,ftp://e.com/x.png\nc,p,/dev/zero\nd,p,/etc/passwd\n",
        "image_urls is 'ftp://e.com/x.png'; expected an http(s) link or a local path",
    ),
}


@pytest.mark.fault(100, 101)
@pytest.mark.slow
def test_no_manifest_takes_long_fills_the_memory_or_does_anything(tmp_path: Path) -> None:
    for name, (text, _) in TEXTS.items():
        data = text() if callable(text) else text
        (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    finished = subprocess.run(
        [sys.executable, "-c", READER, *TEXTS],
        cwd=tmp_path,
        env={**os.environ, "SEGMIND_API_KEY": KEY},
        capture_output=True,
        text=True,
        check=True,
    )
    told = {path: rest for path, *rest in map(json.loads, finished.stdout.splitlines())}
    assert list(told) == list(TEXTS)
    for name, (code, err, cpu_s) in told.items():
        assert (code, TEXTS[name][1] in err) == (2, True), (name, err[:300])
        assert err.startswith(f"error: {name}:")
        assert len(err) < 25_000
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", err), name
        assert cpu_s < 20, name
    assert {path.name for path in tmp_path.iterdir()} == set(TEXTS)


NAMES = [
    "..",
    "../../../escape",
    "/etc/passwd",
    "C:evil",
    "CON",
    "nul.txt",
    "COM¹",
    "a/../../b",
    "~",
    "-rf",
    "a\\b",
]
TWINS = ["Café", "café", "cafe\u0301", "CAFÉ", "ﬁ", "fi", "FI"]


@pytest.mark.fault(92, 93)
async def test_no_name_leaves_the_directory_or_takes_another_ones_file(bench: Bench, recorder: Recorder) -> None:
    wanted = [job(f"by output {n}", output=name) for n, name in enumerate([*NAMES, *TWINS])]
    wanted += [job(name, f"by id {name}") for name in [*NAMES, *TWINS]]
    before = {path for path in bench.folder.rglob("*") if "out" not in path.parts} | {bench.folder / "jobs.yaml"}
    summary = await bench.run(wanted, recorder.base_url)
    assert summary.jobs.succeeded == len(wanted)
    paths = [row["output_path"] for row in bench.rows()]
    assert len({path.casefold() for path in paths}) == len(wanted)
    for path in paths:
        assert (bench.out / path).resolve().is_relative_to(bench.images)
        assert len(os.fsencode(Path(path).name)) < 200
        assert not {"..", "~"} & set(Path(path).parts)
        assert not re.fullmatch(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", Path(path).name)
    assert {path for path in bench.folder.rglob("*") if not path.is_relative_to(bench.out)} == before


def to_elsewhere(path: Path, elsewhere: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(elsewhere)


async def end_of(run: Coroutine[Any, Any, Summary]) -> str:
    """Why a run ended with exit code 6."""
    try:
        summary = await run
    except MachineError as error:
        return str(error)
    assert summary.exit_code == 6
    assert summary.stop is not None
    return summary.stop.message


@pytest.mark.parametrize(
    "place", ["images", "images/.landing", "images/.history", ".lock", "ledger.sqlite3", "images/deep"]
)
@pytest.mark.fault(92)
async def test_a_link_in_the_output_directory_leads_nothing_out_of_it(bench: Bench, place: str) -> None:
    elsewhere = bench.folder / "elsewhere"
    if place.startswith("images"):
        elsewhere.mkdir()
    else:
        elsewhere.write_bytes(b"precious")
    to_elsewhere(bench.out / place, elsewhere)
    async with sandbox() as provider:
        message = await end_of(bench.run([job("a", output="deep/a")], provider))
    assert place in message
    assert "link" in message
    assert elsewhere.read_bytes() == b"precious" if elsewhere.is_file() else not any(elsewhere.iterdir())


@pytest.mark.fault(92)
async def test_a_link_in_the_place_of_a_file_is_never_written_through(bench: Bench) -> None:
    precious = bench.folder / "precious"
    precious.write_bytes(b"precious")
    for place in ("manifest.csv", "images/.landing/1.part", "images/.landing/1.full", ".ballast"):
        to_elsewhere(bench.out / place, precious)
    async with sandbox() as provider:
        assert (await bench.run(jobs(2), provider)).exit_code == 0
        assert not (bench.out / "manifest.csv").is_symlink()
        # In the place of an image: told, and left alone.
        (bench.images / "job-1.png").unlink()
        to_elsewhere(bench.images / "job-1.png", precious)
        message = await end_of(bench.run([jobs(2)[0], job("job-1", "another")], provider))
        assert "job-1.png: something other than a file stands where an image belongs" in message
        (bench.images / "job-1.png").unlink()
        # And in the history's folders.
        await bench.run([job("deep", output="deep/er")], provider)
        to_elsewhere(bench.images / ".history/deep", bench.folder)
        message = await end_of(bench.run([job("deep", "another", output="deep/er")], provider))
        assert "a link on the way leads out of the output directory" in message
    assert precious.read_bytes() == b"precious"
    assert {path.name for path in bench.folder.iterdir()} == {"jobs.yaml", "out", "precious"}


HOSTS = [
    *("127.0.0.1", "localhost", "0.0.0.0", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1"),
    *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"),
    *("①②⑦.⓪.⓪.①", "127。0。0。1", "169.254.169.254", "[::ffff:a9fe:a9fe]", "10.0.0.1", "100.64.0.1"),
    *("[fe80::1%25lo]", "[fd00:ec2::254]", "224.0.0.1", "255.255.255.255", "user:password@127.0.0.1"),
]


@pytest.mark.fault(102)
async def test_no_link_reaches_this_machine_or_its_networks_however_it_is_written() -> None:
    reached: list[object] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(writer.get_extra_info("sockname"))
        writer.close()

    server = await asyncio.start_server(serve, "0.0.0.0", 0)
    port = server.sockets[0].getsockname()[1]
    links = [f"{host}:{port}/x" for host in HOSTS]
    links = [f"http://{link}" for link in links] + ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x"]
    reports = [report async for report in look_at(links, allow_private=False, network=Network({}))]
    server.close()
    await server.wait_closed()
    assert len(reports) == len(links)
    assert [report.link for report in reports if report.fault is None] == []
    assert reached == []


@pytest.mark.parametrize("link", ["file:///etc/passwd", "ftp://127.0.0.1/a.png", "//127.0.0.1/a.png", "/etc/passwd"])
@pytest.mark.fault(102)
async def test_a_result_link_that_is_none_of_the_web_is_not_followed(
    bench: Bench, recorder: Recorder, link: str
) -> None:
    recorder.answer = http(json.dumps({"output": link}).encode(), content_type="application/json")
    summary = await bench.run([job("a")], recorder.base_url)
    assert summary.exit_code == 1
    assert bench.row("a")["status"] == "unknown"
    assert "HTTP 200 without an image" in bench.row("a")["error"]
    (kept,) = bench.files()
    assert kept.startswith(".rejected/a.attempt-1.")


def vast(form: str) -> bytes:
    """A picture that says it is 30,000 × 30,000 or the most its format allows, in a few bytes."""
    buffer = io.BytesIO()
    # Transparency and a comment make a WebP of the kind that has its size apart.
    Image.new("RGBA" if form == "WEBP" else "L", (8, 8), 1).save(buffer, form, exif=b"x")
    data = bytearray(buffer.getvalue())
    match form:
        case "PNG":
            data[16:24] = (30_000).to_bytes(4, "big") * 2
            data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
        case "WEBP":
            data[24:30] = (30_000).to_bytes(3, "little") * 2
        case "JPEG":
            at = data.index(b"\xff\xc0")
            data[at + 5 : at + 9] = (30_000).to_bytes(2, "big") * 2
        case "GIF":
            data[6:10] = b"\xff\xff\xff\xff"
    return bytes(data)


def test_what_a_library_thinks_of_a_picture_is_not_printed() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3)).save(buffer, "PNG")
    data = buffer.getvalue()
    frames = b"acTL" + bytes(8)  # an animation of no frames, which Pillow warns of
    chunk = (8).to_bytes(4, "big") + frames + zlib.crc32(frames).to_bytes(4, "big")
    assert inspect_image(io.BytesIO(data[:33] + chunk + data[33:])) == ("png", 4, 3)  # any warning is an error here


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF"])
@pytest.mark.fault(50, 88)
@pytest.mark.slow
def test_a_picture_is_known_by_its_header_and_never_decoded(tmp_path: Path, form: str) -> None:
    """So a bomb fills no memory and holds no thread, as a result and as an input."""
    (tmp_path / "vast").write_bytes(vast(form))
    with (tmp_path / "vast").open("rb") as file, pytest.raises(BadImage, match="exceeds limit of 178956970 pixels"):
        inspect_image(file)
    (tmp_path / "m.csv").write_text("id,prompt,image_urls\na,p,vast\n")
    program = READER.replace("2**30", "2**29")
    finished = subprocess.run(
        [sys.executable, "-c", program, "m.csv"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    _, code, err, _ = json.loads(finished.stdout)
    wanted = (
        "which is a GIF image; save it as JPEG, PNG or WebP"
        if form == "GIF"
        else "which has more than 178 million pixels"
    )
    assert (code, wanted in err) == (2, True), err


FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", "＋1", "－1", "＠A1"]


@pytest.mark.fault(104)
async def test_no_cell_runs_in_a_spreadsheet(bench: Bench, recorder: Recorder) -> None:
    path = bench.folder / "jobs.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "prompt", "image_urls", "note"])
        rows.writerows([[f"job-{n}", text.strip() + " edit", INPUT, text] for n, text in enumerate(FORMULAS)])
        rows.writerow(["=cmd|'/c calc'!A1", "a plain one", INPUT, "-3.5"])
    recorder.answer = http(b'{"error": "=HYPERLINK(1)"}', status="422 No", content_type="application/json")
    await bench.run(path, recorder.base_url)
    cells = [cell for row in bench.rows() for cell in row.values()]
    assert [cell for cell in cells if cell.startswith(tuple("=+-@\t\r\n＝＋－＠")) and cell != "-3.5"] == []
    assert [row["row.note"] for row in bench.rows()] == [
        *("'" + text.replace("\r", "\n") for text in FORMULAS),
        "-3.5",
    ]


SAID = "one\nerror: all is well \x1b]0;title\x07\x1b[2J\x1b[31mred \u202eevil\u2028line\u0085next \x9b31m \x00"


@pytest.mark.fault(104)
@pytest.mark.slow
async def test_no_word_of_the_provider_forges_a_line_or_moves_a_cursor(bench: Bench, recorder: Recorder) -> None:
    answer = json.dumps({"error": SAID}).encode()
    recorder.answer = http(answer, status="422 No", content_type="application/json", more="x-request-id: a\tb\r\n")
    log = bench.folder / "log.jsonl"
    finished = await bench.command(
        *("run", bench.write(jobs(1)), "-o", bench.out, "--base-url", recorder.base_url, "-v", f"--log-file={log}")
    )
    assert finished.code == 1
    for text in (finished.out, finished.err, (bench.out / "manifest.csv").read_text(encoding="utf-8")):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202e]", text)
        assert "\nerror: all is well" not in text
    lines = log.read_text(encoding="utf-8").split("\n")
    assert all(isinstance(json.loads(line), dict) for line in lines if line)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202e]", "".join(lines))
