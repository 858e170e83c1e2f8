"""Fuzzing of what strangers write: manifests, names and answers. Not a test of pytest's; run by `make fuzz`.

`fuzz.py TARGET FOLDER [libFuzzer options]` throws mutated input at one door until it is told to stop. What comes out
must be a value within its bounds or an error of the package's own; anything else, a slow input as well, ends the run
and is kept in FOLDER. To see it again: `fuzz.py TARGET FOLDER FOLDER/crash-…`.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import sys
import unicodedata
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path, PureWindowsPath

import atheris

with atheris.instrument_imports(include=["batch_editor", "jinja2", "PIL", "yaml"]):
    from PIL import GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401

    from batch_editor.client.pictures import image_in_json
    from batch_editor.client.v2 import Completed, NotYet, progress_of, submitted_in
    from batch_editor.client.wire import MAX_COST_USD, billing_of, error_text, failure_of
    from batch_editor.endpoints import load_endpoint
    from batch_editor.images.inspect import MAX_PIXELS, BadImage, inspect_image
    from batch_editor.manifest import Expansion, Faults, read_manifests
    from batch_editor.manifest.limits import MAX_OUTPUT
    from batch_editor.manifest.rows import Columns, Row
    from batch_editor.manifest.templates import TemplateFault, compiled
    from batch_editor.manifest.values import MAX_ID
    from batch_editor.naming import MAX_BYTES, distinct, safe_output
    from batch_editor.records import Failure, Job

ENDPOINT = load_endpoint("gpt-image-1.5-edit")
NOW = datetime(2026, 11, 22, tzinfo=UTC)
STATUSES = (200, 201, 202, 204, 302, 400, 401, 402, 403, 404, 406, 408, 410, 422, 425, 429, 500, 502, 521, 598)
HEADERS = ("retry-after", "date", "x-rate-limit-reset-at-utc", "x-cost", "x-remaining-credits", "x-request-id")
SOME_JOBS = 1000  # a matrix makes a million of a line, and the next one is no different


def read(name: str, content: bytes) -> None:
    """A manifest gives jobs with safe names, or faults that can be printed."""
    path = Path(name)
    path.write_bytes(content)
    faults = Faults()
    expansion = Expansion(endpoint=ENDPOINT, load_endpoint=lambda name, folder: load_endpoint(name, beside=folder))
    jobs = list(islice(read_manifests([path], expansion, faults), SOME_JOBS))
    assert jobs or faults.total
    for job in jobs:
        assert isinstance(job, Job)
        assert 0 < len(job.id) <= MAX_ID
        assert set(job.request.params) <= set(ENDPOINT.parameters) or b"endpoint" in content
        check_name(safe_output(job.id, folders=False), most=1)
    assert all(len(line) <= 1000 and line.isprintable() for line in faults.lines + faults.warnings)


def csv(data: bytes) -> None:
    read("m.csv", data)


def yaml(data: bytes) -> None:
    read("m.yaml", data)


def template(data: bytes) -> None:
    """A template gives a bounded text, the same by both ways of rendering, or is refused."""
    row = Row("m.csv:2", 1, Columns(["id", "Image Src", "n"]), ["a{{ n }}", "é%s", "12"])
    with contextlib.suppress(TemplateFault):
        made = compiled(data.decode(errors="replace"))
        text = made.render_row(row)
        assert isinstance(text, str)
        assert len(text) <= MAX_OUTPUT
        assert text == made.render(row.names)


def name(data: bytes) -> None:
    """A name is safe on every file system, and stays as it is when it is made safe again."""
    # As YAML's escapes can: a lone surrogate comes through as well.
    text = data.decode("utf-8", errors="surrogateescape")
    for folders in (False, True):
        safe = safe_output(text, folders=folders)
        check_name(safe, most=len(text) + 1 if folders else 1)
        check_name(distinct(safe, text), most=len(text) + 1 if folders else 1)
        assert safe_output(safe, folders=folders) == safe


def check_name(name: str, *, most: int) -> None:
    parts = name.split("/")
    assert len(parts) <= most
    for part in parts:
        assert 0 < len(part.encode()) <= MAX_BYTES
        assert part.strip(" .") == part
        assert part.isprintable()
        assert not part.startswith(("-", "~"))
        assert not set(part) & set('<>:"\\|?*')
        assert not PureWindowsPath(f"{part}.png").is_reserved()


def answer(data: bytes) -> None:
    """A status (by a letter), a line for each header, and the body: figures and texts are within their bounds."""
    first, *lines = data.split(b"\n", len(HEADERS) + 1)
    status = STATUSES[(first or b"\0")[0] % len(STATUSES)]
    headers = {key: line.decode("latin-1") for key, line in zip(HEADERS, lines, strict=False) if line}
    headers["location"] = headers.get("x-request-id", "")
    body = lines[len(HEADERS)] if len(lines) > len(HEADERS) else first

    billing = billing_of(headers)
    check_number(billing.cost_usd, most=MAX_COST_USD)
    check_number(billing.remaining_credits)
    check_text(billing.request_id or "", most=200)
    check_text(error_text(body), most=500)
    check_failure(failure_of(status, headers, body, endpoint=ENDPOINT, retried=frozenset([429, 502]), now=NOW))
    image = image_in_json(body)
    if isinstance(image, Failure):
        check_failure(image)
    submitted = submitted_in(body)
    if submitted:
        assert 0 < len(submitted.request_id) <= 200
        assert not set(submitted.request_id) & set("/\\?#% ")
    match progress_of(status, headers, body, endpoint=ENDPOINT):
        case Failure() as failure:
            check_failure(failure)
        case Completed() as done:
            check_number(done.cost_usd, most=MAX_COST_USD)
            check_number(done.remaining_credits)
        case NotYet() as wait:
            check_text(wait.message, most=100)
            check_number(wait.retry_after_s)


def check_failure(failure: Failure) -> None:
    check_text(failure.message, most=1000)
    check_number(failure.retry_after_s)


def check_number(number: float | None, *, most: float = sys.float_info.max) -> None:
    assert number is None or (math.isfinite(number) and 0 <= number <= most)


def check_text(text: str, *, most: int) -> None:
    assert len(text) <= most
    assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in text)


def image(data: bytes) -> None:
    """A body is an image of a size, or a bad one."""
    with contextlib.suppress(BadImage):
        _, width, height = inspect_image(io.BytesIO(data))
        assert 0 < width * height <= MAX_PIXELS


def drawn(format: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 3)).save(file, format)
    return file.getvalue()


ROW = b'id,prompt,image_urls,Note\nmug,"Show {{ note }}",https://example.com/mug.jpg,red\n'
# What each door is shown first; the words of `words.dict` are put into it besides.
TARGETS: dict[Callable[[bytes], None], list[bytes]] = {
    csv: [ROW, ROW.replace(b",", b";"), ROW.decode().encode("utf-16")],
    yaml: [
        b"defaults: {quality: low}\njobs:\n  - {id: mug, prompt: Cut it out, image_urls: [https://a.example/b]}\n",
        b"jobs:\n  - {id: '{{ a }}-{{ b }}', matrix: {a: [x, y], b: [1, 2]}, prompt: '{{ a }}', image_urls: [x]}\n",
        b"jobs:\n  - {prompt: x, image_urls: &l [https://a.example/b], output: a/b}\n  - {prompt: y, image_urls: *l}\n",
    ],
    template: [
        b'{{ image_src|replace("a", "b")|upper }} {{ row["Image Src"] }} {{ id ~ n }}',
        b'{% for i in [1, 2] %}{% if i > 1 %}{{ "%05d" % i }}{% else %}{{ n.center(20) }}{% endif %}{% endfor %}',
        b'{% set x = n|int ** 3 %}{{ x|string|length }}{{ id|default("c")|join("-") }}',
    ],
    name: [b"a/../con.txt", "Café/é\u202e".encode(), b"nul.", b"x" * 130 + b"/" + b"y" * 130, b"a.png/b"],
    answer: [
        b'A\n5\n\n\n0.24\n9.5\nid-1\n{"request_id": "7f-1", "status": "QUEUED", "poll_url": "https://a.example/"}',
        b"B\nSun, 22 Nov 2026 00:00:05 GMT\nSun, 22 Nov 2026 00:00:00 GMT\n\n\n\n\n<h1>502</h1><script>x</script>",
        b'C\n\nFri, 31 Dec 9999 23:59:58 GMT\n9999-12-31T23:59:58+00:00\n1e3\n\n\n{"error": {"message": ["no"]}}',
        b'D\n\n\n1795305600\n\n\n\n{"status": "COMPLETED", "output": ["https://a.example"], "metrics": {"cost": 1}}',
        b'E\n\n\n\n\n\n\n{"data": [{"b64_json": "' + b"QUJD" * 20 + b'"}]}',
    ],
    image: [drawn(format) for format in ("PNG", "JPEG", "WEBP", "GIF")],
}


def main(target: str, folder: str, *options: str) -> None:
    """Does not come back: libFuzzer ends the process."""
    run, seeds = next((run, seeds) for run, seeds in TARGETS.items() if run.__name__ == target)
    words = Path(__file__).with_name("words.dict")
    kept = Path(folder).absolute()
    corpus = kept / target
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    given = [option if option.startswith("-") else str(Path(option).absolute()) for option in options]
    if all(option.startswith("-") for option in given):
        given += [str(corpus), f"-dict={words}", "-timeout=5", "-max_len=4096", "-print_final_stats=1"]
    work = kept / "work"
    work.mkdir(exist_ok=True)
    os.chdir(work)
    warnings.simplefilter("error")  # a user would see it
    atheris.Setup([sys.argv[0], f"-artifact_prefix={kept}/", *given], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
