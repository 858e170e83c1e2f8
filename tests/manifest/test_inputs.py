from __future__ import annotations

import base64
import hashlib
import os
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from batch_editor.manifest.inputs import read_links
from batch_editor.records import ParamValue
from tests.support.manifest_reading import LINK, Reading, draw, read, write

A, B = "https://a.example/1.jpg", "https://b.example/2.jpg?x=1,2"


def read_cell(tmp_path: Path, cell: str, mask: str = "") -> Reading:
    quoted = ",".join('"' + text.replace('"', '""') + '"' for text in ("a", "x", cell, mask))
    return read(write(tmp_path / "m.csv", f"id,prompt,image_urls,mask\n{quoted}\n"))


def links(tmp_path: Path, cell: str) -> ParamValue:
    return read_cell(tmp_path, cell).job.request.params["image_urls"]


@pytest.mark.parametrize(
    "cell",
    [
        f"{A}|{B}",
        f" {A} | {B} ",
        f"{A}, {B},",
        f"{A}\n{B}",
        f'["{A}", "{B}", ""]',
        f"{A} {B} {A}",
        f"{A},{B}",
        f"{A};{B};",
        f"{A},,{B}",
        f"{A}; {B}",
        f",{A}|{B},{A}",
        f'["{A},{B}"]',
    ],
)
def test_a_cell_holds_one_or_more_links(tmp_path: Path, cell: str) -> None:
    assert links(tmp_path, cell) == [A, B]


@pytest.mark.parametrize(
    "link",
    [
        "https://res.cloudinary.com/demo/image/upload/w_400,h_400,c_fill/cup.jpg",
        "https://res.cloudinary.com/demo/image/fetch/w_400,h_400/https://example.com/cup.jpg",
        "https://i0.wp.com/cdn.example/cup.jpg?resize=400,400&src=https://example.com/a;b.jpg",
        "https://example.com/a,b;c/cup,httpsfoo.jpg",
    ],
)
def test_what_separates_links_may_stand_inside_of_one(tmp_path: Path, link: str) -> None:
    assert links(tmp_path, link) == [link]
    assert links(tmp_path, f"{link},{A}") == [link, A]


@pytest.mark.parametrize("glue", [",", ";", "|", ",;", "|,"])
@pytest.mark.parametrize("scheme", ["https", "http", "HTTPS", "Http"])
def test_glued_links_are_taken_apart_in_cells_lists_templates_and_masks(tmp_path: Path, glue: str, scheme: str) -> None:
    other = f"{scheme}://c.example/w_1,h_2/3.jpg"
    glued = f"{A}{glue}{other}"
    sent = other.replace(scheme, scheme.lower())
    assert links(tmp_path, glued) == [A, sent]
    path = write(
        tmp_path / "m.yaml",
        "jobs:\n"
        f"  - {{prompt: x, image_urls: ['{glued}', '{B}']}}\n"
        f"  - {{prompt: x, rows: [{{i: '{glued}'}}], image_urls: ['{{{{ i }}}}']}}\n"
        f"  - {{prompt: x, image_urls: '{glued}'}}\n",
    )
    assert read(path).values("image_urls") == [[A, sent, B], [A, sent], [A, sent]]
    assert read_cell(tmp_path, A, glued).fault == "m.csv:2: job a: mask has 2 links; expected one"


def test_a_local_path_may_be_glued_to_a_link(tmp_path: Path) -> None:
    draw(tmp_path / "a, b.png")
    path = write(tmp_path / "m.yaml", f"jobs:\n  - {{prompt: x, image_urls: ['a, b.png,{A}']}}\n")
    job = read(path).job
    (digest,) = job.files
    assert job.request.params["image_urls"] == [f"sha256:{digest}", A]


def test_items_of_a_list_are_whole_but_for_a_cell_that_came_through_a_template(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.yaml",
        "jobs:\n"
        f'  - {{rows: [{{Images: "{A}, {B}"}}, {{Images: ""}}], prompt: x,\n'
        f'     image_urls: ["{{{{ images }}}}", "", "https://c.example/a|b", "{A}"]}}\n',
    )
    assert read(path).values("image_urls") == [
        [A, B, "https://c.example/a%7Cb"],
        ["https://c.example/a%7Cb", A],
    ]


def test_a_faulty_input_does_not_hide_a_broken_rule(tmp_path: Path) -> None:
    for own in ("output_format: jpeg", "output_format: jpgg"):
        job = f"{{id: a, prompt: x, image_urls: [gone.png], background: transparent, {own}}}"
        faults = read(write(tmp_path / "m.yaml", f"jobs:\n  - {job}\n")).faults
        assert "gone.png" in faults[0]
        assert len(faults) == 2
        assert ("needs output_format png or webp" in faults[1]) == own.endswith("jpeg")


def test_a_null_among_links_is_a_fault_and_not_one_link_less(tmp_path: Path) -> None:
    path = write(tmp_path / "m.yaml", f"jobs:\n  - {{id: a, prompt: x, image_urls: [{A}, null]}}\n")
    assert read(path).fault == "m.yaml:2: job a: image_urls has a link that is null; expected a link or a path"


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("file:///etc/passwd", "is 'file:///etc/passwd', which is no PNG, JPEG or WEBP image"),
        ("gs://bucket/a.png", "is 'gs://bucket/a.png'; expected an http(s) link or a local path"),
        ("https://a:b@c.example", "is 'https://…@c.example'; expected a link without a user name or password in it"),
        ("https:///x.png", "is 'https:///x.png'; expected a link such as https://example.com/mug.jpg"),
        ("http://:80/", "is 'http://:80/'; expected a link such as https://example.com/mug.jpg"),
        ('["\\ud800"]', r"is '\ud800'; expected text that UTF-8 can carry, without lone surrogates"),
        ("[x", "is '[x'; expected a JSON array of links, as it starts with ["),
        ("[1]", "is '[1]'; expected a JSON array of links, as it starts with ["),
        ("[" * 100_000, "is '" + "[" * 59 + "…'; expected a JSON array of links, as it starts with ["),
        ("data:image/gif,x", "is 'data:image/gif,x'; expected data:image/png, jpeg or webp in base64"),
        ("data:image/png;base64,?", "is 'data:image/png;base64,?', which is not base64: Only base64 data is allowed"),
        ('["data:image/png;base64,"]', "is a data link of 0 bytes; expected 1 to 49,999,999"),
        ("gone.png", "is 'gone.png'; there is no such file (paths are relative to the manifest)"),
        ("~/x.png", "is '~/x.png'; there is no such file (paths are relative to the manifest)"),
        ("x" * 300, "is '" + "x" * 59 + "…', which can't be read: File name too long"),
        (".", "is '.', which is no file; expected an image"),
        (" | , ", "is empty"),
        ("|".join(f"https://a.example/{n}" for n in range(17)), "has 17 links; expected at most 16"),
    ],
)  # fmt: skip
def test_what_is_no_link_says_why(tmp_path: Path, cell: str, message: str) -> None:
    assert read_cell(tmp_path, cell).fault == f"m.csv:2: job a: image_urls {message}"


def test_links_of_all_the_usual_forms_pass_as_they_are(tmp_path: Path) -> None:
    for link in ("http://localhost:8080/x", "https://[::1]/a", "https://a.example?q=#f", "https://a.example/@x:y"):
        assert links(tmp_path, link) == [link]


def test_a_data_link_is_passed_on_as_it_is(tmp_path: Path) -> None:
    link = "data:image/png;base64," + base64.b64encode(b"anything").decode()
    assert links(tmp_path, link) == [link]


def test_a_mask_is_one_link(tmp_path: Path) -> None:
    assert read_cell(tmp_path, A, A).job.request.params["mask"] == A
    assert read_cell(tmp_path, A, f"{A}|{B}").fault == "m.csv:2: job a: mask has 2 links; expected one"


@pytest.mark.parametrize(
    ("name", "mode", "known"),
    [
        ("a.png", "RGBA", ("png", True)),
        ("a.png", "L", ("png", False)),
        ("a.jpg", "RGB", ("jpeg", False)),
        ("a.webp", "RGBA", ("webp", True)),
        ("wrong.jpg.png", "LA", ("png", True)),
    ],
)
def test_a_local_file_stands_by_its_content(tmp_path: Path, name: str, mode: str, known: tuple[str, bool]) -> None:
    path = draw(tmp_path / name, mode)
    job = read_cell(tmp_path, name).job
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert job.request.params["image_urls"] == [f"sha256:{digest}"]
    file = job.files[digest]
    assert (file.path, file.size_bytes, file.width, file.height) == (str(path), path.stat().st_size, 4, 3)
    assert (file.format, file.has_alpha) == known


def test_transparency_of_a_palette_counts_as_alpha(tmp_path: Path) -> None:
    Image.new("P", (4, 3)).save(tmp_path / "m.png", transparency=0)
    (file,) = read_cell(tmp_path, "m.png").job.files.values()
    assert file.has_alpha


def test_local_paths_may_be_absolute_links_to_files_or_have_spaces(tmp_path: Path) -> None:
    shot = draw(tmp_path / "my photo, new.png")
    (tmp_path / "link.png").symlink_to(shot)
    digest = f"sha256:{hashlib.sha256(shot.read_bytes()).hexdigest()}"
    for cell in (shot.name, f'["{shot.name}"]', str(shot), "link.png", f'["link.png", "{shot.name}"]'):
        assert links(tmp_path, cell) == [digest]


def test_a_file_that_is_no_image_says_so(tmp_path: Path) -> None:
    write(tmp_path / "empty.png", b"")
    write(tmp_path / "text.png", b"hello")
    Image.new("RGB", (4, 3)).save(tmp_path / "a.gif")
    draw(tmp_path / "whole.png")
    write(tmp_path / "cut.png", (tmp_path / "whole.png").read_bytes()[:50])
    os.mkfifo(tmp_path / "pipe.png")
    with (tmp_path / "big.png").open("wb") as file:
        file.truncate(50_000_000)
    names = ["empty.png", "text.png", "a.gif", "cut.png", "pipe.png", "big.png"]
    rows = "".join(f"x,{name}\n" for name in names)
    assert read(write(tmp_path / "m.csv", "prompt,image_urls\n" + rows)).faults == [
        "m.csv:2: job m-1: image_urls is 'empty.png', which has 0 bytes; expected 1 to 49,999,999",
        "m.csv:3: job m-2: image_urls is 'text.png', which is no PNG, JPEG or WEBP image",
        "m.csv:4: job m-3: image_urls is 'a.gif', which is a GIF image; save it as JPEG, PNG or WebP",
        "m.csv:5: job m-4: image_urls is 'cut.png', a PNG that was cut short; copy or download it again",
        "m.csv:6: job m-5: image_urls is 'pipe.png', which is no file; expected an image",
        "m.csv:7: job m-6: image_urls is 'big.png', which has 50,000,000 bytes; expected 1 to 49,999,999",
    ]


@pytest.mark.parametrize(("ending", "format"), [("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP")])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_local_image_that_was_cut_short_is_refused(tmp_path: Path, ending: str, format: str, share: float) -> None:
    path = tmp_path / f"cup.{ending}"
    Image.effect_noise((200, 150), 80).convert("RGB").save(path)
    content = path.read_bytes()
    assert read_cell(tmp_path, path.name).faults == []
    for cut in (content[: int(len(content) * share)], content[:-2]):
        path.write_bytes(cut)
        assert read_cell(tmp_path, path.name).fault == (
            f"m.csv:2: job a: image_urls is 'cup.{ending}', a {format} that was cut short; copy or download it again"
        )


def png_header(width: int, height: int) -> bytes:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    ends = (b"\0\0\0\0" + kind + struct.pack(">I", zlib.crc32(kind)) for kind in (b"IDAT", b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + data + b"".join(ends)


@pytest.mark.fault(50)
def test_an_image_of_absurd_size_is_refused_by_its_header(tmp_path: Path) -> None:
    write(tmp_path / "bomb.png", png_header(20_000, 20_000))
    assert read_cell(tmp_path, "bomb.png").fault == (
        "m.csv:2: job a: image_urls is 'bomb.png', which has more than 178 million pixels"
    )
    write(tmp_path / "large.png", png_header(10_000, 10_000))
    (file,) = read_cell(tmp_path, "large.png").job.files.values()
    assert file.width == 10_000


def test_a_local_mask_has_alpha_and_the_size_of_the_first_image(tmp_path: Path) -> None:
    for name, mode, size in (("i.png", "RGB", (4, 3)), ("ok.png", "RGBA", (4, 3)), ("bad.png", "RGB", (3, 4))):
        draw(tmp_path / name, mode, size)
    job = read_cell(tmp_path, "i.png", "ok.png").job
    assert len(job.files) == 2
    assert read_cell(tmp_path, f"i.png|{LINK}", "bad.png").faults == [
        "m.csv:2: job a: mask is 'bad.png', which has no alpha; expected transparency where to edit",
        "m.csv:2: job a: mask is 3x4; expected the size of the first image, 4x3",
    ]
    assert read_cell(tmp_path, LINK, "ok.png").faults == []


def test_a_file_is_looked_at_again_only_once_it_has_changed(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.png")
    first = read_links("a.png", tmp_path)
    assert read_links("a.png", tmp_path)[0] is first[0]
    draw(path, "RGBA", (8, 8))
    assert read_links("a.png", tmp_path) != first


def test_jobs_name_the_files_they_use_and_no_others(tmp_path: Path) -> None:
    for name, size in (("a.png", (1, 1)), ("b.png", (2, 2)), ("c.png", (3, 3))):
        draw(tmp_path / name, size=size)
    path = write(
        tmp_path / "m.yaml",
        "defaults: {image_urls: c.png}\n"
        'jobs: [{rows: [{f: a.png}, {f: a.png b.png}, {f: ""}], prompt: x, image_urls: "{{ f }}"}]\n',
    )
    reading = read(path)
    assert reading.faults == []
    names = [sorted(Path(file.path).name for file in job.files.values()) for job in reading.jobs]
    assert names == [["a.png"], ["a.png", "b.png"], ["c.png"]]


NOT_TAKEN = {
    "photo.jpg": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC photo; save it as JPEG, PNG or WebP"),
    "photo.png": (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "an AVIF image; save it as JPEG, PNG or WebP"),
    "scan.jpg": (b"II*\0\x08\0\0\0", "a TIFF image; save it as JPEG, PNG or WebP"),
    "logo.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing; save it as JPEG, PNG or WebP"),
    "sheet.jpg": (b"%PDF-1.7", "a PDF document; save it as JPEG, PNG or WebP"),
    "login.jpg": (b"<!doctype html>", "a web page (HTML); expected a JPEG, PNG or WEBP image"),
    "film.jpg": (b"\0\0\0\x18ftypisom\0\0\0\0mp42", "a video; expected a JPEG, PNG or WEBP image"),
}


@pytest.mark.parametrize("name", NOT_TAKEN)
def test_a_file_of_another_kind_is_named_as_what_it_is(tmp_path: Path, name: str) -> None:
    data, message = NOT_TAKEN[name]
    write(tmp_path / name, data)
    assert read_cell(tmp_path, name).fault == f"m.csv:2: job a: image_urls is {name!r}, which is {message}"
