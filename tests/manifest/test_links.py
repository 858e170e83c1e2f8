# ruff: noqa: E501  # tables of links and messages
"""Links as tables, feeds and people write them are what they mean, encoded; or the message names what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_editor.links.encoded import encoded
from batch_editor.records import ParamValue
from tests.manifest.test_inputs import links, read_cell
from tests.support.manifest_reading import draw, read, write

A, B = "https://h.example/a.jpg", "https://h.example/b.jpg"
C = "https://h.example/c.jpg"
# Every kind of thing that stands in a cell, with what is to be sent.
MEANT = {
    "space": ("https://h.example/My Cup.jpg", ["https://h.example/My%20Cup.jpg"]),
    "spaces and another link": (f"https://h.example/My  Red Cup.jpg {B}", ["https://h.example/My%20%20Red%20Cup.jpg", B]),
    "space after a link": (f"{A} https://h.example/My Cup.jpg", [A, "https://h.example/My%20Cup.jpg"]),
    "space in two folders": ("https://h.example/My Shop/My Cup.jpg?w=1", ["https://h.example/My%20Shop/My%20Cup.jpg?w=1"]),
    "space in a query": ("https://h.example/get?file=My Cup.jpg", ["https://h.example/get?file=My%20Cup.jpg"]),
    "spaces and pipe": ("https://h.example/My Cup.jpg | https://h.example/b c.png", ["https://h.example/My%20Cup.jpg", "https://h.example/b%20c.png"]),
    "spaces and comma": ("https://h.example/My Cup.jpg, https://h.example/b c.png", ["https://h.example/My%20Cup.jpg", "https://h.example/b%20c.png"]),
    "no ending": ("https://h.example/My Cup", ["https://h.example/My%20Cup"]),
    "no scheme": ("//h.example/c.jpg", [C]),
    "no scheme, several": (f"//h.example/c.jpg, //h.example/a.jpg {B}", [C, A, B]),
    "www": ("www.h.example/c.jpg", ["https://www.h.example/c.jpg"]),
    "one slash": ("https:/h.example/c.jpg", [C]),
    "no colon": ("https//h.example/c.jpg", [C]),
    "backslashes": ("https:\\\\h.example\\c.jpg", [C]),
    "backslash in the path": ("https://h.example\\x\\c.jpg", ["https://h.example/x/c.jpg"]),
    "scheme in capitals": ("HTTPS://h.example/c.jpg", [C]),
    "Airtable": ("cup.jpg (https://h.example/c.jpg)", [C]),
    "Airtable, several": ("cup (1), final.jpg (https://h.example/c.jpg),handbag.jpg (https://h.example/a.jpg)", [C, A]),
    "Airtable, in lines": ("cup.jpg (https://h.example/c.jpg)\nb.jpg (https://h.example/b.jpg)", [C, B]),
    "Airtable, first letter h": ("handbag.jpg (https://h.example/c.jpg)", [C]),
    "IMAGE": ('=IMAGE("https://h.example/c.jpg")', [C]),
    "IMAGE with arguments": ('=IMAGE("https://h.example/c.jpg", 4, 50, 60)', [C]),
    "IMAGE with semicolons": ('=image("https://h.example/c.jpg"; "a cup (blue)"; 4)', [C]),
    "IMAGE of Excel": ('=_xlfn.IMAGE("https://h.example/c.jpg")', [C]),
    "HYPERLINK": ('=HYPERLINK("https://h.example/c.jpg","Cup")', [C]),
    "HYPERLINK with semicolon": ('=HYPERLINK("https://h.example/c.jpg";"Cup")', [C]),
    "&amp;": ("https://h.example/c?a=1&amp;b=2&#38;c=3&amp;amp;d=4", ["https://h.example/c?a=1&b=2&c=3&d=4"]),
    "angle brackets": ("<https://h.example/c.jpg>", [C]),
    "angle brackets, several": ("<https://h.example/c.jpg>, <https://h.example/a.jpg>", [C, A]),
    "Markdown": ("![A cup](https://h.example/c.jpg)", [C]),
    "Markdown with a title": ('![A cup](https://h.example/c.jpg "Cup") [b](https://h.example/b.jpg)', [C, B]),
    "HTML": ("<img class='x' src=\"https://h.example/c.jpg?a=1&amp;b=2\"/>", ["https://h.example/c.jpg?a=1&b=2"]),
    "HTML link": ('<a href="https://h.example/c.jpg">Cup</a>', [C]),
    "path": ("https://h.example/größe–1/杯.jpg", ["https://h.example/gr%C3%B6%C3%9Fe%E2%80%931/%E6%9D%AF.jpg"]),
    "host": ("https://Müller.example:8080/c.jpg", ["https://xn--mller-kva.example:8080/c.jpg"]),
    "host with sharp s": ("https://faß.example/c.jpg", ["https://xn--fa-hia.example/c.jpg"]),
    "encoded already": ("https://h.example/gr%C3%B6%c3%9fe%20%2F.jpg", ["https://h.example/gr%C3%B6%c3%9fe%20%2F.jpg"]),
    "lone percent": ("https://h.example/100% cotton 50%25.jpg", ["https://h.example/100%25%20cotton%2050%25.jpg"]),
    "braces and brackets": ('https://h.example/{a}[1]^`"b.jpg', ["https://h.example/%7Ba%7D%5B1%5D%5E%60%22b.jpg"]),
    "quotes": ('"https://h.example/c.jpg"', [C]),
    "typographic quotes": ("“https://h.example/c.jpg”", [C]),
    "trailing quote": ('https://h.example/c.jpg"', [C]),
    "trailing comma": ("https://h.example/c.jpg,", [C]),
    "trailing comma and quote": ('https://h.example/c.jpg",', [C]),
    "zero-width": ("\u200bhttps://h.example/\ufeffc.jpg\u200b", [C]),
    "non-breaking spaces around": ("\u00a0https://h.example/c.jpg\u00a0", [C]),
    "non-breaking space between": (f"{A}\u00a0{B}", [A, B]),
    "fragment": ("https://h.example/c.jpg#front", ["https://h.example/c.jpg#front"]),
    "Python list": ("['https://h.example/c.jpg', 'https://h.example/a.jpg']", [C, A]),
    "objects of a shop": ('[{"id": 1, "src": "https://h.example/c.jpg", "alt": "x"}, {"src": "https://h.example/a.jpg"}]', [C, A]),
    "one object": ('{"url": "https://h.example/c.jpg", "thumbnails": {"url": "https://h.example/t.jpg"}}', [C]),
    "signature": ("https://b.example/c.jpg?X-Sig=a%2Fb+c~d&e=f%3D", ["https://b.example/c.jpg?X-Sig=a%2Fb+c~d&e=f%3D"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", MEANT)
def test_links_are_what_they_mean_in_cells_lists_templates_and_masks(tmp_path: Path, kind: str) -> None:
    written, meant = MEANT[kind]
    assert links(tmp_path, written) == meant
    assert links(tmp_path, json.dumps([written])) == meant
    item, rows = json.dumps([written]), json.dumps([{"i": written}])
    path = write(
        tmp_path / "m.yaml",
        f"jobs:\n  - {{prompt: x, image_urls: {item}}}\n"
        f'  - {{prompt: x, rows: {rows}, image_urls: ["{{{{ i }}}}"]}}\n'
        f'  - {{prompt: x, rows: {rows}, image_urls: "{{{{ i }}}}"}}\n',
    )
    if kind != "spaces and pipe":  # a pipe in an item of a list is the link's own
        assert read(path).values("image_urls") == [meant, meant, meant]
    if len(meant) == 1:
        assert read_cell(tmp_path, A, written).job.request.params["mask"] == meant[0]


def said(tmp_path: Path, cell: str) -> str:
    return read_cell(tmp_path, cell).fault.removeprefix("m.csv:2: job a: image_urls ")


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("file://server/share/c.jpg", "is 'file://server/share/c.jpg'; file:// is for this machine alone. Write the path itself, without file://"),
        ("blob:https://h.example/8f", "is 'blob:https://h.example/8f'; a blob: link is known to one browser's window alone. Save the picture, and name the file"),
        ("ftp://h.example/c.jpg", "is 'ftp://h.example/c.jpg'; expected an http(s) link or a local path"),
        ("https://a:b@h.example/c.jpg", "is 'https://…@h.example/c.jpg'; expected a link without a user name or password in it"),
        ("https://h.example/My\u00a0Cup.jpg", r"is 'https://h.example/My\xa0Cup.jpg', which has a non-breaking space in it; write %20, or %C2%A0 if the file's name really has one"),
        ("https://i❤.example/c.jpg", "is 'https://i❤.example/c.jpg', which has the host 'i❤.example', which can be no internet name (Codepoint U+2764 at position 2 of 'i❤' not allowed)"),
        ("https://h.example/cup #2.jpg", "is 'https://h.example/cup #2.jpg'; what stands behind # is never sent. Write the # as %23 if it belongs to the file's name"),
        ("https://h.example/c.jpg front view", "is 'https://h.example/c.jpg front view', where 'front' follows a link and is none; white space inside of a link is written %20, what isn't part of it goes into another column"),
        ("https://h.example/c.jpg gone.png", "is 'gone.png'; there is no such file (paths are relative to the manifest)"),
        ("=IMAGE(A2)", "is '=IMAGE(A2)', a formula that doesn't hold the link itself; write the link, or save the table with the links as text"),
        ("https:///c.jpg", "is 'https:///c.jpg'; expected a link such as https://example.com/mug.jpg"),
        ("h.example/c.jpg", "is 'h.example/c.jpg'; there is no such file; if it is a link, write 'https://h.example/c.jpg'"),
        (r"C:\photos\c.jpg", r"is 'C:\\photos\\c.jpg'; there is no such file on this machine; put the picture beside the manifest, and name it from there"),
        (r"\\nas\photos\c.jpg", r"is '\\\\nas\\photos\\c.jpg'; there is no such file on this machine; put the picture beside the manifest, and name it from there"),
        ("/image/c.jpg", "is '/image/c.jpg'; there is no such file; if it belongs to a web page, write 'https://shop.example/image/c.jpg' with the page's own host"),
        ("Click here", "is 'Click here'; there is no such file (paths are relative to the manifest)"),
        ("N/A", "is 'N/A', which is no link; leave the cell empty, or skip such rows by when"),
        ("-", "is '-', which is no link; leave the cell empty, or skip such rows by when"),
        ('[{"a": "https://h.example/c.jpg", "b": "https://h.example/d.jpg"}]', "is '[{\"a\": \"https://h.example/c.jpg\", \"b\": \"https://h.example/d…'; expected a JSON array of links, as it starts with ["),
        ("https://imgur.com/a/Ab1", "is 'https://imgur.com/a/Ab1', an Imgur page and no picture; in the browser open the picture's menu, copy the image address and write that"),
        ("https://unsplash.com/photos/a-cup-Ab1", "is 'https://unsplash.com/photos/a-cup-Ab1', a photo page and no picture; in the browser open the picture's menu, copy the image address and write that"),
    ],
)  # fmt: skip
def test_what_can_not_be_meant_is_refused_in_words_that_name_the_cause(tmp_path: Path, cell: str, message: str) -> None:
    assert said(tmp_path, cell) == message


DRIVE = "https://drive.google.com"
DOWNLOAD = "download the picture, and name the file or put it where pictures are served"
PAGES = {
    f"{DRIVE}/file/d/1a-B_2/view?usp=sharing": f"a Google Drive page and no picture; its direct link is {DRIVE}/uc?export=download&id=1a-B_2",
    f"{DRIVE}/file/u/0/d/1a/view?resourcekey=0-x": f"a Google Drive page and no picture; its direct link is {DRIVE}/uc?export=download&id=1a&resourcekey=0-x",
    f"{DRIVE}/open?usp=x&id=1a": f"a Google Drive page and no picture; its direct link is {DRIVE}/uc?export=download&id=1a",
    f"{DRIVE}/drive/folders/1a": "a Google Drive folder and no picture; name the picture's own link, not its folder's",
    "https://www.dropbox.com/s/x1/cup.jpg?dl=0": "a Dropbox page and no picture; its direct link is https://www.dropbox.com/s/x1/cup.jpg?raw=1",
    "https://www.dropbox.com/scl/fi/x1/cup.jpg?rlkey=k&dl=0": "a Dropbox page and no picture; its direct link is https://www.dropbox.com/scl/fi/x1/cup.jpg?rlkey=k&raw=1",
    "https://www.dropbox.com/scl/fo/x1/y?rlkey=k": "a Dropbox folder and no picture; name the picture's own link, not its folder's",
    "https://acme.sharepoint.com/:i:/s/shop/Ex?e=4": "a OneDrive or SharePoint page and no picture; its direct link is https://acme.sharepoint.com/:i:/s/shop/Ex?e=4&download=1",
    "https://onedrive.live.com/embed?resid=A1&authkey=k": "a OneDrive page and no picture; its direct link is https://onedrive.live.com/download?resid=A1&authkey=k",
    "https://1drv.ms/i/s!Ab": f"a OneDrive page and no picture; {DOWNLOAD}",
    "https://photos.app.goo.gl/x": f"a Google Photos page and no picture; {DOWNLOAD}",
    "https://we.tl/t-x": f"a WeTransfer page and no picture; {DOWNLOAD}",
    "https://www.icloud.com/iclouddrive/x": f"an iCloud page and no picture; {DOWNLOAD}",
    "https://acme.app.box.com/s/x1": "a Box page and no picture; its direct link, which ends in .jpg or .png, is in Box's settings of the shared link",
    "https://github.com/me/shop/blob/main/a/cup.jpg?raw=true": "a GitHub page and no picture; its direct link is https://raw.githubusercontent.com/me/shop/main/a/cup.jpg",
}  # fmt: skip


@pytest.mark.parametrize("link", PAGES)
def test_a_page_that_shares_a_picture_is_refused_with_the_direct_link(tmp_path: Path, link: str) -> None:
    assert said(tmp_path, link) == f"is {link.partition('?')[0]!r}, {PAGES[link]}"


@pytest.mark.parametrize(
    "link",
    [
        f"{DRIVE}/uc?export=download&id=1a",
        "https://lh3.googleusercontent.com/d/1a",
        "https://www.dropbox.com/s/x1/cup.jpg?raw=1",
        "https://www.dropbox.com/scl/fi/x1/cup.jpg?rlkey=k&dl=1",
        "https://dl.dropboxusercontent.com/s/x1/cup.jpg",
        "https://acme.sharepoint.com/:i:/s/shop/Ex?e=4&download=1",
        "https://acme.sharepoint.com/sites/shop/cup.jpg",
        "https://onedrive.live.com/download?resid=A1&authkey=k",
        "https://app.box.com/shared/static/x1.jpg",
        "https://raw.githubusercontent.com/me/shop/main/cup.jpg",
        "https://notdropbox.com/s/x1/cup.jpg",
    ],
)
def test_a_direct_link_of_these_services_passes(tmp_path: Path, link: str) -> None:
    assert links(tmp_path, link) == [link]


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("My Mug/a 1.png, My Mug/b.png", ["My Mug/a 1.png", "My Mug/b.png"]),
        ("My Mug/a 1.png\nMy Mug/b.png", ["My Mug/a 1.png", "My Mug/b.png"]),
        ("cup.png;My Mug/b.png", ["cup.png", "My Mug/b.png"]),
        ("cup.png,My Mug/b.png", ["cup.png", "My Mug/b.png"]),
        ('"My Mug/b.png"', ["My Mug/b.png"]),
        ("My%20Mug/a%201.png", ["My Mug/a 1.png"]),
        ("one, two.png", ["one, two.png"]),
        ("cup.png 50%25.png", ["cup.png", "50%25.png"]),
    ],
)
def test_local_paths_keep_their_spaces(tmp_path: Path, cell: str, names: list[str]) -> None:
    sizes = {"My Mug/a 1.png": 64, "My Mug/b.png": 65, "cup.png": 66, "one, two.png": 67, "50%25.png": 68}
    (tmp_path / "My Mug").mkdir()
    for name, side in sizes.items():
        draw(tmp_path / name, size=(side, side))
    files = read_cell(tmp_path, cell).job.files.values()
    assert [str(Path(file.path).relative_to(tmp_path)) for file in files] == names


def test_local_files_go_before_links_that_would_have_to_be_guessed(tmp_path: Path) -> None:
    draw(tmp_path / "b.png")
    (tmp_path / "www.h.example").mkdir()
    draw(tmp_path / "www.h.example" / "c.png", size=(9, 9))
    local: list[ParamValue] = [links(tmp_path, name) for name in ("b.png", "www.h.example/c.png")]
    assert all(isinstance(each, list) and each[0].startswith("sha256:") for each in local)
    assert links(tmp_path, "https://h.example/My b.png") == ["https://h.example/My", *(local[0] or [])]  # type: ignore[misc]


@given(st.text(st.sampled_from("ab/.:?#[]@!$&'()*+,;=-_~%25äß杯 \"<>\\^`{|}\u200b\u00ad\u200d”amp;#38"), max_size=30))
def test_encoding_is_done_once(rest: str) -> None:
    link = f"Https://h.example/{rest}"
    try:
        once = encoded(link)
    except ValueError:
        return
    assert encoded(once) == once
    assert once.isascii()


def test_links_that_end_like_no_picture_are_one_warning(tmp_path: Path) -> None:
    rows = "".join(f"x,https://h.example/{name}\n" for name in ("1.heic", "2.HEIC", "3.jpg", "4.pdf?x=1", "5.gif"))
    reading = read(write(tmp_path / "m.csv", f"prompt,image_urls\n{rows}"))
    look = "JPEG, PNG and WebP are taken: --check-inputs looks at what it really is"
    assert reading.warnings == [
        f"m.csv: image_urls has a link that ends in .heic in 2 rows, first at line 2; {look}",
        f"m.csv: image_urls has a link that ends in .gif in 1 row, first at line 6; {look}",
    ]
    assert len(reading.jobs) == 5
