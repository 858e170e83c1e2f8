"""`init`: from a source to a manifest that plans as it stands, in two commands."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from openpyxl import Workbook
from PIL import Image

from batch_editor.cli.main import main
from batch_editor.strict_yaml import Block, read_yaml

LINK = "https://cdn.example.com"


@dataclass
class Said:
    """What a command ended with and said."""

    code: int
    out: str
    err: str


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def say(here: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def run(*arguments: str) -> Said:
        capsys.readouterr()
        code = main(arguments)
        return Said(code, *capsys.readouterr())

    return run


def draw(path: Path, *, colour: tuple[int, int, int] = (1, 2, 3)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 64), colour).save(path)
    return path


def draw_all(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        draw(folder / name, colour=(number, 99, 3))


def table(path: Path, *lines: str, encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding=encoding)


def entry(manifest: str) -> Block:
    """The only job of a manifest."""
    document = read_yaml(Path(manifest))
    assert isinstance(document, Block)
    jobs = document["jobs"]
    assert isinstance(jobs, list)
    (job,) = jobs
    assert isinstance(job, Block)
    return job


# --- Sources, each with the manifest that comes of it, how many jobs, and what of the job is to be seen.


def simple(_: Path) -> None:
    table(Path("products.csv"), "sku,title,photo", f"A1,Red mug,{LINK}/a.jpg", f"A2,Blue mug,{LINK}/b.jpg")


def semicolons(_: Path) -> None:
    lines = [
        "Artikelnummer;Bezeichnung;Preis;Bild-URL",
        f"0001;Becher;1,50;{LINK}/1.jpg",
        f"0002;Krug;2,50;{LINK}/2.jpg",
    ]
    table(Path("Preisliste 2026.csv"), *lines, encoding="cp1252")


def reserved_names(_: Path) -> None:
    table(Path("t.csv"), "id,row,in,Image Src", f"1,x,Mug,{LINK}/a.jpg", f"2,y,Jar,{LINK}/b.jpg")


def odd_column_names(_: Path) -> None:
    table(Path("t.tsv"), 'Item\'s "No"\tProduct: name #1\t50% photo', f"a\tMug\t{LINK}/a.jpg", f"b\tJar\t{LINK}/b.jpg")


def blank_titles(_: Path) -> None:
    lines = [f"A1,Mug,{LINK}/a.jpg", f"A2,,{LINK}/b.jpg", f"A3,#N/A,{LINK}/c.jpg", f"A4,  ,{LINK}/d.jpg"]
    table(Path("t.csv"), "sku,name,image", *lines)


def blank_links(_: Path) -> None:
    lines = [f"A1,Mug,{LINK}/a.jpg", "A2,Jar,", "A3,Jug,#N/A", "A4,Cup,n/a", "A5,Pot,-", "A6,Pan,coming soon"]
    table(Path("t.csv"), "sku,name,image", *lines)


def share_pages(_: Path) -> None:
    drive = "https://drive.google.com/file/d/1a2B3c/view"
    lines = [f"A1,Mug,{LINK}/a.jpg", f"A2,Jar,{drive}", f"A3,Jug,{drive}?usp=sharing", f"A4,Cup,{LINK}/c.jpg"]
    table(Path("t.csv"), "sku,name,image", *lines)


def repeated_ids(_: Path) -> None:
    table(Path("t.csv"), "sku,name,image", f"A,Mug,{LINK}/a.jpg", f"A,Mug,{LINK}/b.jpg", f"B,Jar,{LINK}/c.jpg")


def numbered_columns(_: Path) -> None:
    lines = [f"A,Mug,{LINK}/a.jpg,{LINK}/b.jpg,", f"B,Jar,{LINK}/c.jpg,,"]
    table(Path("t.csv"), "sku,name,Image 1,Image 2,Image 3", *lines)


def thumbnails(_: Path) -> None:
    lines = [f"A,{LINK}/page/1,{LINK}/t/a.jpg,{LINK}/a.jpg", f"B,{LINK}/page/2,{LINK}/t/b.jpg,{LINK}/b.jpg"]
    table(Path("t.csv"), "sku,url,thumbnail,image", *lines)


def several_in_a_cell(_: Path) -> None:
    table(Path("t.csv"), "sku,name,images", f"A,Mug,{LINK}/a.jpg|{LINK}/b.jpg", f"B,Jar,{LINK}/c.jpg")


def files_beside(_: Path) -> None:
    table(Path("data/t.csv"), "sku,name,file", "A,Mug,pics/a.png", "B,Jar,pics/b.png")
    draw_all(Path("data/pics"), "a.png", "b.png")


def files_in_a_folder_below(_: Path) -> None:
    table(Path("data/t.csv"), "sku,name,file", "A,Mug,a.png", "B,Jar,b.png")
    draw_all(Path("data/my 'pictures'"), "a.png", "b.png")


def files_and_links(_: Path) -> None:
    table(Path("data/t.csv"), "sku,name,photo", "A,Mug,a.png", f"B,Jar,{LINK}/b.jpg", "C,Jug,c.png")
    draw_all(Path("data"), "a.png", "c.png")


def missing_files(_: Path) -> None:
    table(Path("t.csv"), "sku,name,photo", "A,Mug,a.png", "B,Jar,b.png", "C,Jug,gone.png")
    draw_all(Path(), "a.png", "b.png")


def workbook(_: Path) -> None:
    book = Workbook()
    sheet = book.create_sheet("Products & more")
    for row in (["SKU", "Name", "Image"], [1001, "Mug", f"{LINK}/a.jpg"], [1002, "Jar", f"{LINK}/b.jpg"]):
        sheet.append(row)
    book.save("shop.xlsx")


def json_lines(_: Path) -> None:
    rows = [{"id": n, "title": f"Mug {n}", "picture": f"{LINK}/{n}.webp", "tags": "a"} for n in range(3)]
    Path("feed.jsonl").write_text("\n".join(map(json.dumps, rows)))


def made_for_the_program(_: Path) -> None:
    lines = [f"mug,Put it on white,{LINK}/a.jpg,low", f"jar,Cut it out,{LINK}/b.jpg,"]
    table(Path("t.csv"), "id,prompt,image_urls,quality", *lines)


def signed_links(_: Path) -> None:
    table(Path("t.csv"), "ref,image", f"a,{LINK}/a?size=10&x=1", f"b,{LINK}/b?size=10&x=1")


def html_descriptions(_: Path) -> None:
    html = f'"<p>Nice <img src=""{LINK}/x.jpg""> mug</p>"'
    table(Path("t.csv"), "sku,html,main picture", f"A,{html},{LINK}/a.jpg", f"B,{html},{LINK}/b.jpg")


def faulty_quality(_: Path) -> None:
    lines = [f"a,x,{LINK}/a.jpg,low", f"b,y,{LINK}/b.jpg,best", f"c,z,{LINK}/c.jpg,high"]
    table(Path("t.csv"), "id,title,image,quality", *lines)


def folder(_: Path) -> None:
    draw_all(Path("photos"), "a.jpg", "b.png", "c d.webp")


def folders(_: Path) -> None:
    draw_all(Path("photos"), "mug/1.jpg", "mug/2.jpg", "jar/1.jpg", "top.jpg")


def same_stems(_: Path) -> None:
    draw_all(Path("photos"), "mug.jpg", "mug.png", "jar.jpg")


def odd_folder(_: Path) -> None:
    draw_all(Path("[2026] it's #1: photos"), "a/mug & jar.jpg", "b/50%.png", "b/{{ x }}.jpg")


def bytes_in_names(_: Path) -> None:
    draw_all(Path(os.fsdecode(b"caf\xe9")), os.fsdecode(b"m\xfcg.jpg"), "jar.jpg")


def bytes_in_folders(_: Path) -> None:
    draw_all(Path(os.fsdecode(b"caf\xe9")), os.fsdecode(b"\xfc/m\xfcg.jpg"), "a/jar.jpg")


def heic_among_pictures(_: Path) -> None:
    draw_all(Path("photos"), "a.jpg", "b.jpg")
    Path("photos/IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    Path("photos/IMG_2.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    Path("photos/cut.jpg").write_bytes(Path("photos/a.jpg").read_bytes()[:300])
    Path("photos/notes.txt").write_text("no picture")


def one_picture(_: Path) -> None:
    draw(Path("mug.jpg"))


def shopify(_: Path) -> None:
    lines = [
        f"mug,Red mug,<p>Big</p>,Acme,M-S,{LINK}/1.jpg,1,Front,",
        f"mug,,,,M-L,{LINK}/2.jpg,2,,{LINK}/v.jpg",
        "mug,,,,M-XL,,,,",
        f"jar,Jar,,Acme,J,{LINK}/j.jpg,1,,",
        "lid,Lid,,Acme,L,,,,",
    ]
    table(
        Path("products_export_1.csv"),
        "Handle,Title,Body (HTML),Vendor,Variant SKU,Image Src,Image Position,Image Alt Text,Variant Image",
        *lines,
    )


def new_shopify(_: Path) -> None:
    lines = [f"Mug,mug,M-S,{LINK}/1.jpg,1,{LINK}/v.jpg", f",mug,M-L,{LINK}/2.jpg,2,", f",jar,,{LINK}/j.jpg,1,"]
    table(Path("p.csv"), "Title,URL handle,SKU,Product image URL,Image position,Variant image URL", *lines)


def shopify_without_handles(_: Path) -> None:
    lines = [f",Mug,M,{LINK}/1.jpg,1", f",,,{LINK}/2.jpg,1", f"jar,,J,{LINK}/j.jpg,1"]
    table(Path("p.csv"), "Handle,Title,Variant SKU,Image Src,Image Position", *lines)


def shopify_with_files(_: Path) -> None:
    lines = ["mug,Mug,photos/a.png,1", f"jar,Jar,{LINK}/j.jpg,1", "lid,Lid,photos/gone.png,1"]
    table(Path("data/p.csv"), "Handle,Title,Image Src,Image Position", *lines)
    draw_all(Path("data/photos"), "a.png")


def woocommerce(_: Path) -> None:
    lines = [
        f'1,variable,H,Hoodie,,"{LINK}/h1.jpg, {LINK}/h2.jpg"',
        f"2,variation,H-R,,H,{LINK}/red.jpg",
        f"3,simple,,Cap,,{LINK}/cap.jpg",
        "4,simple,S,Sock,,",
    ]
    table(Path("wc-product-export.csv"), "ID,Type,SKU,Name,Parent,Images", *lines)


def german_woocommerce(_: Path) -> None:
    lines = [f"7;simple;A1;Becher;;{LINK}/a.jpg", f"8;simple;A2;Krug;;{LINK}/b.jpg"]
    table(Path("wc.csv"), "ID;Typ;Artikelnummer;Name;Übergeordnetes Produkt;Bilder", *lines, encoding="utf-8-sig")


def google_feed(_: Path) -> None:
    lines = [f"1\tMug\t{LINK}/a.jpg\t{LINK}/b.jpg,{LINK}/c.jpg", f"2\tJar\t{LINK}/d.jpg\t", "3\tLid\t\t"]
    table(Path("feed.txt"), "id\ttitle\timage link\tadditional image link", *lines)


def google_xml(_: Path) -> None:
    item = "<item><g:id>{0}</g:id><title>Mug {0}</title><g:image_link>{1}/{0}.jpg</g:image_link></item>"
    items = "".join(item.format(number, LINK) for number in range(3))
    xml = f'<rss xmlns:g="http://base.google.com/ns/1.0" version="2.0"><channel>{items}</channel></rss>'
    Path("feed.xml").write_text(xml)


def shop_with_share_pages(_: Path) -> None:
    drive = "https://drive.google.com/file/d/1a2B3c/view"
    table(Path("p.csv"), "Handle,Title,Image Src", f"mug,Mug,{LINK}/a.jpg", f"jar,Jar,{drive}", f"lid,,{LINK}/c.jpg")


WHITE = "on a pure white background, with a soft shadow"
HEIC = "not path.lower().endswith('.heic')"
BELOW = "path.removeprefix('../photos/')"
BY_HANDLE = "{{ handle }}/{{ position }}"
SOURCES: list[tuple[Callable[[Path], None], str, str, int, dict[str, object]]] = [
    (simple, "products.csv", "products", 2, {"id": "{{ sku }}", "prompt": f"Show {{{{ title }}}} {WHITE}"}),
    (semicolons, "Preisliste 2026.csv", "Preisliste 2026", 2, {"id": "{{ artikelnummer }}"}),
    (reserved_names, "t.csv", "t", 2, {"id": "{{ id }}", "image_urls": ["{{ image_src }}"]}),
    (odd_column_names, "t.tsv", "t", 2, {"image_urls": ["{{ row['50% photo'] }}"]}),
    (blank_titles, "t.csv", "t", 4, {"prompt": f"Show {{{{ name or 'the product' }}}} {WHITE}"}),
    (blank_links, "t.csv", "t", 1, {"when": "{{ image and '://' in image }}"}),
    (share_pages, "t.csv", "t", 2, {"when": "{{ '//drive.google.com/' not in image }}"}),
    (repeated_ids, "t.csv", "t", 3, {"id": None}),
    (numbered_columns, "t.csv", "t", 3, {"image_urls": ["{{ row[picture] }}"], "when": "{{ row[picture] }}"}),
    (thumbnails, "t.csv", "t", 2, {"image_urls": ["{{ image }}"]}),
    (several_in_a_cell, "t.csv", "t", 2, {"image_urls": ["{{ images }}"]}),
    (files_beside, "data/t.csv", "t", 2, {"rows": "../data/t.csv", "image_urls": ["../data/{{ file }}"]}),
    (files_in_a_folder_below, "data/t.csv", "t", 2, {"image_urls": ["../data/my 'pictures'/{{ file }}"]}),
    (files_and_links, "data/t.csv", "t", 3, {"image_urls": ["{{ photo if '//' in photo else '../data/' ~ photo }}"]}),
    (missing_files, "t.csv", "t", 2, {"when": "{{ photo not in ['gone.png'] }}"}),
    (workbook, "shop.xlsx#Products & more", "shop", 2, {"rows": "../shop.xlsx#Products & more", "id": "{{ sku }}"}),
    (json_lines, "feed.jsonl", "feed", 3, {"image_urls": ["{{ picture }}"]}),
    (made_for_the_program, "t.csv", "t", 2, {"id": "{{ id }}", "quality": "{{ quality }}"}),
    (signed_links, "t.csv", "t", 2, {"id": "{{ ref }}"}),
    (html_descriptions, "t.csv", "t", 2, {"image_urls": ["{{ main_picture }}"]}),
    (faulty_quality, "t.csv", "t", 2, {"when": f"{{{{ image not in ['{LINK}/b.jpg'] }}}}"}),
    (folder, "photos", "photos", 3, {"rows": "../photos/", "id": "{{ stem }}"}),
    (folders, "photos/", "photos", 4, {"rows": "../photos/**/*.jpg", "id": f"{{{{ {BELOW}.rpartition('.')[0] }}}}"}),
    (same_stems, "photos", "photos", 3, {"id": f"{{{{ {BELOW} }}}}"}),
    (odd_folder, "[2026] it's #1: photos", "[2026] it's #1: photos", 3, {"id": "{{ stem }}"}),
    (bytes_in_names, os.fsdecode(b"caf\xe9"), os.fsdecode(b"caf\xe9"), 2, {"rows": "../caf\\xe9/"}),
    (bytes_in_folders, os.fsdecode(b"caf\xe9"), os.fsdecode(b"caf\xe9"), 2, {"rows": "../caf?/**/*.jpg"}),
    (heic_among_pictures, "photos", "photos", 2, {"when": f"{{{{ {HEIC} and path not in ['../photos/cut.jpg'] }}}}"}),
    (one_picture, "mug.jpg", "mug", 1, {"rows": "../mug.jpg"}),
    (shopify, "products_export_1.csv", "products_export_1", 4, {"format": "shopify", "output": BY_HANDLE, "id": None}),
    (new_shopify, "p.csv", "p", 4, {"prompt": f"Show {{{{ title or 'the product' }}}} {WHITE}", "output": BY_HANDLE}),
    (shopify_without_handles, "p.csv", "p", 3, {"format": "shopify", "output": None}),
    (shopify_with_files, "data/p.csv", "p", 2, {"when": "{{ image not in ['photos/gone.png'] }}"}),
    (woocommerce, "wc-product-export.csv", "wc-product-export", 4, {"format": "woocommerce", "output": None}),
    (german_woocommerce, "wc.csv", "wc", 2, {"format": "woocommerce", "image_urls": ["{{ image }}"]}),
    (google_feed, "feed.txt", "feed", 4, {"format": "google"}),
    (google_xml, "feed.xml", "feed", 3, {"format": "google", "rows": "../feed.xml"}),
    (shop_with_share_pages, "p.csv", "p", 2, {"when": "{{ '//drive.google.com/' not in image }}"}),
]


@pytest.mark.parametrize(
    ("make", "source", "stem", "jobs", "keys"), SOURCES, ids=[each[0].__name__ for each in SOURCES]
)
def test_what_init_writes_plans_as_it_stands(
    make: Callable[[Path], None],
    source: str,
    stem: str,
    jobs: int,
    keys: dict[str, object],
    here: Path,
    say: Callable[..., Said],
) -> None:
    make(here)
    begun = say("init", source)
    assert (begun.code, begun.err) == (0, "")
    manifest = f"jobs/{stem}.yaml"
    planned = say("plan", manifest, "--json")
    assert planned.code == 0, planned.err
    plan = json.loads(planned.out)
    assert (plan["jobs"], plan["faulty"]) == (jobs, 0)
    job = entry(manifest)
    assert {key: job.get(key) for key in keys} == keys
