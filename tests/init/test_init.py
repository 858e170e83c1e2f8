"""`init`: from a source to a manifest that plans as it stands, in two commands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import check_jsonschema
import pytest
from click.testing import CliRunner
from openpyxl import Workbook
from PIL import Image

from batch_editor.cli.main import main
from batch_editor.endpoints import TODAY
from batch_editor.manifest import manifest_schema
from batch_editor.strict_yaml import Block, read_yaml
from tests.docs.pages import PAGES, ROOT

LINK = "https://cdn.example.com"
DRIVE = "https://drive.google.com/file/d/1a2B3c/view"


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
        draw(folder / name, colour=(60 * number, 99, 3))


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
    lines = [f"A1,Mug,{LINK}/a.jpg", f"A2,Jar,{DRIVE}", f"A3,Jug,{DRIVE}?usp=sharing", f"A4,Cup,{LINK}/c.jpg"]
    table(Path("t.csv"), "sku,name,image", *lines)


def passwords(_: Path) -> None:
    table(Path("t.csv"), "sku,image", f"A,{LINK}/a.jpg", "B,https://tom:secret@e.example/b.jpg")


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


def sizes_of_products(_: Path) -> None:
    lines = [f"A1,Shirt,M,{LINK}/a.jpg,good", f"A2,Shirt,L,{LINK}/b.jpg,", f"A3,Shirt,XL,{LINK}/c.jpg,best"]
    table(Path("t.csv"), "sku,title,size,image,quality", *lines)


def etsy(_: Path) -> None:
    lines = [f"Mug,5.00,1,{LINK}/a.jpg,{LINK}/b.jpg,,", f"Jar,6.00,1,{LINK}/c.jpg,,,JAR-1"]
    table(Path("EtsyListingsDownload.csv"), "TITLE,PRICE,QUANTITY,IMAGE1,IMAGE2,IMAGE3,SKU", *lines)


def bigcommerce(_: Path) -> None:
    head = "Product ID,Product Name,Product Image File - 1,Product Image URL - 1,Product Image File - 2"
    table(Path("t.csv"), f"{head},Product Image URL - 2", f"7,Mug,m/a.jpg,{LINK}/a.jpg,m/b.jpg,{LINK}/b.jpg")


def affiliate(_: Path) -> None:
    lines = [f"{LINK}/go?p={n},Mug {n},{n},{LINK}/i/{n}.jpg,{LINK}/r?w=200&u=cdn%2F{n}.jpg" for n in (1, 2)]
    table(Path("t.csv"), "aw_deep_link,product_name,aw_product_id,merchant_image_url,aw_image_url", *lines)


def lines_in_ids(_: Path) -> None:
    table(Path("t.csv"), "sku,code,image", f'"a\nb",1,{LINK}/a.jpg', f"c,2,{LINK}/b.jpg")


def folder(_: Path) -> None:
    draw_all(Path("photos"), "a.jpg", "b.png", "c d.webp")


def folders(_: Path) -> None:
    draw_all(Path("photos"), "mug/1.jpg", "mug/2.jpg", "jar/1.jpg", "top.jpg")


def with_results(_: Path) -> None:
    draw_all(Path("photos"), "mug/1.jpg", "jar/1.jpg", "outputs/jobs/images/1.png")
    Path("photos/outputs/jobs/ledger.sqlite3").touch()


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


def glob(_: Path) -> None:
    draw_all(Path("photos"), "a.jpg", "b.png", "c.jpg")


def lines_in_names(_: Path) -> None:
    table(Path("a\nb\u2028.csv"), '"na\nme",sku,image', f"Mug,A,{LINK}/a.jpg")


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


def affiliate_xml(_: Path) -> None:
    item = "<product><productid>{0}</productid><productname>{0}</productname><imageurl>{1}/{0}.jpg</imageurl></product>"
    Path("feed.xml").write_text(f"<products>{item.format('A', LINK)}{item.format('B', LINK)}</products>")


def joined_names(_: Path) -> None:
    table(Path("t.csv"), "Name,ProductUniqueID,ImageUrl", f"Tee,T-1,{LINK}/a.jpg", f"Cap,T-2,{LINK}/b.jpg")


def shop_with_share_pages(_: Path) -> None:
    table(Path("p.csv"), "Handle,Title,Image Src", f"mug,Mug,{LINK}/a.jpg", f"jar,Jar,{DRIVE}", f"lid,,{LINK}/c.jpg")


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
    (passwords, "t.csv", "t", 1, {"when": "{{ '@' not in image }}"}),
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
    (sizes_of_products, "t.csv", "t", 3, {"id": "{{ sku }}", "size": None, "quality": None}),
    (etsy, "EtsyListingsDownload.csv", "EtsyListingsDownload", 3, {"id": "{{ title }}-{{ picture }}"}),
    (bigcommerce, "t.csv", "t", 2, {"id": "{{ product_id }}-{{ picture }}"}),
    (affiliate, "t.csv", "t", 2, {"id": "{{ aw_product_id }}", "image_urls": ["{{ merchant_image_url }}"]}),
    (lines_in_ids, "t.csv", "t", 2, {"id": "{{ code }}"}),
    (folder, "photos", "photos", 3, {"rows": "../photos/", "id": "{{ stem }}"}),
    (folders, "photos/", "photos", 4, {"rows": "../photos/**/*.jpg", "id": f"{{{{ {BELOW}.rpartition('.')[0] }}}}"}),
    (with_results, "photos", "photos", 2, {"rows": "../photos/**/*.jpg"}),
    (same_stems, "photos", "photos", 3, {"id": f"{{{{ {BELOW} }}}}"}),
    (odd_folder, "[2026] it's #1: photos", "[2026] it's #1: photos", 3, {"id": "{{ stem }}"}),
    (bytes_in_names, os.fsdecode(b"caf\xe9"), os.fsdecode(b"caf\xe9"), 2, {"rows": "../caf\\xe9/"}),
    (bytes_in_folders, os.fsdecode(b"caf\xe9"), os.fsdecode(b"caf\xe9"), 2, {"rows": "../caf?/**/*.jpg"}),
    (heic_among_pictures, "photos", "photos", 2, {"when": f"{{{{ {HEIC} and path not in ['../photos/cut.jpg'] }}}}"}),
    (glob, "photos/*.jpg", "photos", 2, {"rows": "../photos/*.jpg", "id": "{{ stem }}"}),
    (lines_in_names, "a\nb\u2028.csv", "a\nb\u2028", 1, {"rows": "../a\nb\u2028.csv"}),
    (one_picture, "mug.jpg", "mug", 1, {"rows": "../mug.jpg"}),
    (shopify, "products_export_1.csv", "products_export_1", 4, {"format": "shopify", "output": BY_HANDLE, "id": None}),
    (new_shopify, "p.csv", "p", 4, {"prompt": f"Show {{{{ title or 'the product' }}}} {WHITE}", "output": BY_HANDLE}),
    (shopify_without_handles, "p.csv", "p", 3, {"format": "shopify", "output": None}),
    (shopify_with_files, "data/p.csv", "p", 2, {"when": "{{ image not in ['photos/gone.png'] }}"}),
    (woocommerce, "wc-product-export.csv", "wc-product-export", 4, {"format": "woocommerce", "output": None}),
    (german_woocommerce, "wc.csv", "wc", 2, {"format": "woocommerce", "image_urls": ["{{ image }}"]}),
    (google_feed, "feed.txt", "feed", 4, {"format": "google"}),
    (google_xml, "feed.xml", "feed", 3, {"format": "google", "rows": "../feed.xml"}),
    (affiliate_xml, "feed.xml", "feed", 2, {"id": "{{ productid }}", "prompt": f"Show {{{{ productname }}}} {WHITE}"}),
    (joined_names, "t.csv", "t", 2, {"id": "{{ productuniqueid }}", "prompt": f"Show {{{{ name }}}} {WHITE}"}),
    (shop_with_share_pages, "p.csv", "p", 2, {"when": "{{ '//drive.google.com/' not in image }}"}),
]


@pytest.mark.parametrize(
    ("make", "source", "stem", "jobs", "keys"), SOURCES, ids=[each[0].__name__ for each in SOURCES]
)
@pytest.mark.slow
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


@pytest.mark.slow
def test_what_init_writes_is_valid_by_the_schema_beside_it(
    here: Path, say: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    for make, source, stem, _, _ in SOURCES:
        folder = here / make.__name__
        folder.mkdir()
        monkeypatch.chdir(folder)
        make(folder)
        say("init", source)
        written.append(folder / "jobs" / f"{stem}.yaml")
        first, *_ = written[-1].read_text().splitlines()
        assert first == "# yaml-language-server: $schema=.batch-editor.schema.json"
    schema = written[0].parent / ".batch-editor.schema.json"
    done = CliRunner().invoke(check_jsonschema.main, ["--schemafile", str(schema), *map(str, written)])
    assert done.exit_code == 0, done.stdout


@pytest.mark.parametrize("others", [[], [f"C,{LINK}/c.jpg"]])
def test_no_condition_costs_a_sound_row(others: list[str], here: Path, say: Callable[..., Said]) -> None:
    behind = "https://proxy.example.com//drive.google.com/a.jpg"
    table(Path("t.csv"), "sku,image", f"A,{behind}", f"B,{DRIVE}", *others)
    begun = say("init", "t.csv")
    assert f"Wrote jobs/t.yaml: {1 + len(others)} job" in begun.out
    assert "--skip-faulty" in begun.out
    assert "when" not in entry("jobs/t.yaml")


def test_no_password_of_a_link_gets_into_the_manifest(here: Path, say: Callable[..., Said]) -> None:
    passwords(here)
    begun = say("init", "t.csv")
    assert "secret" not in begun.out + Path("jobs/t.yaml").read_text()
    table(Path("u.csv"), "sku,image", f"A,{LINK}/a@2x.jpg", "B,https://tom:secret@e.example/b.jpg")
    begun = say("init", "u.csv")
    assert "--skip-faulty" in begun.out
    assert "secret" not in begun.out + Path("jobs/u.yaml").read_text()


@pytest.mark.slow
def test_what_is_said_can_be_copied_up_to_three_pictures(here: Path) -> None:
    draw_all(here / "my photos", "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    begun = shell("batch-editor init 'my photos'")
    assert begun.splitlines() == [
        "4 pictures in my photos.",
        "Wrote jobs/my photos.yaml: 4 jobs.",
        "Next: change its prompt, see what it costs, buy a few, then the rest:",
        "  batch-editor plan 'jobs/my photos.yaml'",
        "  batch-editor run 'jobs/my photos.yaml' --limit 3 --max-cost 0.16",
        "  batch-editor run 'jobs/my photos.yaml'",
    ]
    plan, few, _ = (line.strip() for line in begun.splitlines()[3:])
    assert "Jobs: 4   to send 4" in shell(plan)
    assert "Jobs: 4   succeeded 3, failed 0" in shell(f"{few} --sandbox")


def shell(command: str) -> str:
    """What a command line says on standard output, if it ends well."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, env={**os.environ, "PATH": path}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("make", [simple, shopify, folder, several_in_a_cell])
def test_the_amount_is_the_max_price_of_the_first_three(
    make: Callable[[Path], None], here: Path, say: Callable[..., Said]
) -> None:
    make(here)
    amount = float(say("init", next(here.iterdir()).name).out.partition("--max-cost ")[2].split()[0])
    (manifest,) = here.glob("jobs/*.yaml")
    most = json.loads(say("plan", str(manifest), "--limit", "3", "--json").out)["cost_usd"]["high"]
    assert most <= amount < most + 0.01


@pytest.mark.parametrize("make", [simple, shopify, folder, numbered_columns, blank_links])
def test_each_line_to_try_plans_without_its_hash(
    make: Callable[[Path], None], here: Path, say: Callable[..., Said]
) -> None:
    make(here)
    say("init", next(here.iterdir()).name)
    (manifest,) = here.glob("jobs/*.yaml")
    lines = manifest.read_text().splitlines()
    tries = [number for number, line in enumerate(lines) if re.match(r"    # \w+: ", line)]
    assert len(tries) == 3
    for number in tries:
        tried = lines[number].replace("# ", "", 1)
        key = tried.partition(":")[0]
        # One that is there already is replaced, and the scene goes where the comment says.
        kept = [line for at, line in enumerate(lines) if at != number and not line.startswith(f"{key}:")]
        if "scene" in tried:
            kept = [re.sub(r'^((?:  - id|    prompt|    output): ".*?)"', r'\1 {{ scene }}"', line) for line in kept]
        manifest.write_text("\n".join([*kept, tried]))
        planned = say("plan", str(manifest))
        assert planned.code == 0, planned.err


def test_nothing_is_overwritten_without_force(here: Path, say: Callable[..., Said]) -> None:
    simple(here)
    manifest = Path("jobs/products.yaml")
    table(manifest, "my own")
    refused = say("init", "products.csv")
    assert (refused.code, refused.err) == (
        2,
        "error: jobs/products.yaml is there already: --force overwrites it, --to FILE writes another one\n",
    )
    assert manifest.read_text() == "my own\n"
    assert say("init", "products.csv", "--to", "elsewhere/deep/mine.yaml").code == 0
    assert entry("elsewhere/deep/mine.yaml")["rows"] == "../../products.csv"
    assert say("plan", "elsewhere/deep/mine.yaml").code == 0
    assert say("init", "products.csv", "--force").code == 0
    assert entry("jobs/products.yaml")["rows"] == "../products.csv"
    assert [each.name for each in sorted(Path("jobs").iterdir())] == [".batch-editor.schema.json", "products.yaml"]


def test_the_schema_beside_it_is_renewed(here: Path, say: Callable[..., Said]) -> None:
    simple(here)
    table(Path("jobs/.batch-editor.schema.json"), "{}")
    say("init", "products.csv")
    assert json.loads(Path("jobs/.batch-editor.schema.json").read_text()) == manifest_schema()


def test_folders_that_are_links_lead_to_the_source(here: Path, say: Callable[..., Said]) -> None:
    (here / "far/away").mkdir(parents=True)
    (here / "work").mkdir()
    (here / "jobs").symlink_to("far/away")
    simple(here)
    assert say("init", "products.csv").code == 0
    assert entry("jobs/products.yaml")["rows"] == "../../products.csv"
    assert say("plan", "jobs/products.yaml").code == 0


def no_pictures(_: Path) -> None:
    table(Path("t.csv"), "sku,title", "A,Mug")


def links_to_pages(_: Path) -> None:
    table(Path("t.csv"), "sku,title,url", "A,Mug,https://shop.example/p/mug.html")


def header_alone(_: Path) -> None:
    table(Path("t.csv"), "sku,image")


def nothing(_: Path) -> None:
    Path("t.csv").touch()


def pdf(_: Path) -> None:
    table(Path("t.csv"), "%PDF-1.4")


def picture_of_a_table(_: Path) -> None:
    table(Path("t.pdf"), "%PDF-1.4")


def open_quote(_: Path) -> None:
    table(Path("t.csv"), "sku,image", f'A,"{LINK}/a.jpg')


BEHIND_QUOTE = 'text after a closing quote; write a quote inside a cell as ""'


def only_faulty_rows(_: Path) -> None:
    table(Path("t.csv"), "sku,image", f'"A" Mug,{LINK}/a.jpg', f'"B" Jar,{LINK}/b.jpg')


def only_faulty_rows_of_a_shop(_: Path) -> None:
    table(Path("t.csv"), "Handle,Title,Image Src", f'mug,"A" Mug,{LINK}/a.jpg')


def no_files(_: Path) -> None:
    table(Path("t.csv"), "sku,photo", "A,a.jpg")


def only_share_pages(_: Path) -> None:
    table(Path("t.csv"), "sku,image", f"A,{DRIVE}")


def empty_folder(_: Path) -> None:
    Path("t").mkdir()


def manifest(_: Path) -> None:
    table(Path("t.yaml"), "jobs: []")


def shop_without_pictures(_: Path) -> None:
    table(Path("t.csv"), "Handle,Title,Image Src", "mug,Mug,", "jar,Jar,")


def fifo(_: Path) -> None:
    os.mkfifo("t.csv")


def none(_: Path) -> None:
    table(Path("Table.xlsx"), "")


DIRECT = "https://drive.google.com/uc?export=download&id=1a2B3c"
PAGE = f"'{DRIVE}', a Google Drive page and no picture; its direct link is {DIRECT}"
NO_PICTURES = "2 rows: 2 products, 0 pictures, 2 rows without one (no image link: 2)"
NONE_THERE = "no column has links to pictures, or names of picture files"


@pytest.mark.parametrize(
    ("make", "source", "said"),
    [
        (no_pictures, "t.csv", [f"t.csv: {NONE_THERE}; the columns are 'sku', 'title'"]),
        (
            links_to_pages,
            "t.csv",
            [f"t.csv: {NONE_THERE}; url has links, but not to pictures; the columns are 'sku', 'title', 'url'"],
        ),
        (header_alone, "t.csv", ["t.csv: it has columns and no rows"]),
        (nothing, "t.csv", ["t.csv: is empty"]),
        (pdf, "t.csv", ["t.csv: is a PDF, not CSV; a table is needed: ask for it as XLSX or CSV"]),
        (picture_of_a_table, "t.pdf", ["t.pdf: is a PDF; a table is needed: ask for it as XLSX or CSV"]),
        (open_quote, "t.csv", ["t.csv:2: a quote is opened in this row and never closed"]),
        (only_faulty_rows, "t.csv", [f"t.csv:2: {BEHIND_QUOTE}"]),
        (only_faulty_rows_of_a_shop, "t.csv", [f"t.csv:2: {BEHIND_QUOTE}"]),
        (
            no_files,
            "t.csv",
            [
                "t.csv: no row can be sent:",
                "t.csv:2: job A: image_urls is 'a.jpg'; there is no such file (paths are relative to the manifest)",
            ],
        ),
        (
            only_share_pages,
            "t.csv",
            [
                "t.csv: no row can be sent:",
                f"t.csv:2: job A: image_urls is {PAGE}",
            ],
        ),
        (empty_folder, "t", ["t: no pictures there (.jpg, .png or .webp)"]),
        (manifest, "t.yaml", ["t.yaml: is a manifest already; plan it: batch-editor plan t.yaml"]),
        (
            shop_without_pictures,
            "t.csv",
            [
                f"t.csv: Shopify export, {NO_PICTURES}; there is nothing to edit",
            ],
        ),
        (fifo, "t.csv", ["t.csv: can't be read: a FIFO; expected a file"]),
        (none, "t.csv", ["t.csv: there is no such file or folder"]),
        (none, "table.csv", ["table.csv: there is no such file or folder (did you mean 'Table.xlsx'?)"]),
        (
            none,
            "https://e.example/t.csv",
            ["https://e.example/t.csv: is a link; download the table as CSV or XLSX first"],
        ),
        (none, "-", ["init looks at its source more than once, which standard input (-) does not allow: name a file"]),
    ],
)
def test_what_is_no_source_is_refused_in_words(
    make: Callable[[Path], None], source: str, said: list[str], here: Path, say: Callable[..., Said]
) -> None:
    make(here)
    refused = say("init", source)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.splitlines() == [f"error: {line}" for line in said]
    assert not list(here.glob("jobs/*"))


def test_a_name_that_is_no_manifest_s_is_refused(here: Path, say: Callable[..., Said]) -> None:
    simple(here)
    assert say("init", "products.csv", "--to", "products.csv", "--force").err == (
        "error: --to products.csv: expected a name that ends in .yaml\n"
    )


def test_each_row_that_is_left_out_is_said_and_why_no_column_gives_ids(here: Path, say: Callable[..., Said]) -> None:
    lines = [f"A,Mug,{LINK}/a.jpg", f"A,Jar,{DRIVE}", f"B,Cup,{LINK}/c.pdf?", "C,Jug,www/none"]
    table(Path("t.csv"), "sku,name,image", *lines)
    begun = say("init", "t.csv").out.splitlines()
    notes = [
        "No column names each row by something of its own (sku has 'A' twice), so that jobs are numbered.",
        "Left out by when: 2 rows with faults:",
        f"  t.csv:3: image_urls is {PAGE}",
        "  t.csv:5: image_urls is 'www/none'; there is no such file (paths are relative to the manifest)",
    ]
    assert begun[2 : 2 + len(notes)] == notes
    written = " ".join(Path("jobs/t.yaml").read_text(encoding="utf-8").replace("# ", " ").split())
    assert [note for note in notes if " ".join(note.split()) not in written] == []


def test_rows_that_no_condition_can_tell_are_left_out_by_the_commands(here: Path, say: Callable[..., Said]) -> None:
    table(
        Path("t.csv"), "sku,name,image", f"A,Mug,{LINK}/a.jpg", f"B,Jar,{LINK}/b.jpg,more,cells", f"C,Cup,{LINK}/c.jpg"
    )
    begun = say("init", "t.csv")
    assert begun.out.splitlines()[1:] == [
        "Wrote jobs/t.yaml: 2 jobs.",
        "Faulty, and left out by --skip-faulty: 1 row, such as",
        "  t.csv:3: has 5 cells where the header has 3; 'more' is one too many",
        "Next: change its prompt, see what it costs, buy a few, then the rest:",
        "  batch-editor plan jobs/t.yaml --skip-faulty",
        "  batch-editor run jobs/t.yaml --skip-faulty --limit 3 --max-cost 0.11",
    ]
    assert say("plan", "jobs/t.yaml").code == 2
    assert say("plan", "jobs/t.yaml", "--skip-faulty").code == 1


ENDPOINT = """\
name: studio
path: studio
parameters:
  text: {type: string, required: true, role: prompt}
  photo: {type: link, required: true, role: images}
  style: {type: string, choices: [plain, bright], required: true}
prices: {table: 0.05}
"""


def test_parameters_are_called_as_the_endpoint_calls_them(here: Path, say: Callable[..., Said]) -> None:
    several_in_a_cell(here)
    table(Path("studio.yaml"), ENDPOINT)
    assert say("init", "t.csv", "--endpoint", "studio.yaml").code == 0
    document = read_yaml(Path("jobs/t.yaml"))
    assert document == {
        "endpoint": "../studio.yaml",
        "defaults": {"style": "plain"},
        "jobs": [
            {
                "id": "{{ sku }}",
                "rows": "../t.csv",
                "text": f"Show {{{{ name }}}} {WHITE}",
                "photo": "{{ images.replace('|', ' ').split()[0] }}",
            }
        ],
    }
    assert say("plan", "jobs/t.yaml").code == 0


@pytest.mark.parametrize(
    ("name", "defaults"),
    [
        ("nano-banana", None),
        ("gpt-image-1.5-edit", {"quality": "low", "size": "1024x1024"}),
        ("gpt-image-2.5-flare", {"quality": "low", "size": "1024x1024"}),
    ],
)
def test_the_chosen_endpoint_is_named_and_has_its_own_defaults(
    name: str, defaults: dict[str, str] | None, here: Path, say: Callable[..., Said]
) -> None:
    simple(here)
    assert say("init", "products.csv", "--endpoint", name).code == 0
    document = read_yaml(Path("jobs/products.yaml"))
    assert isinstance(document, Block)
    assert (document["endpoint"], document.get("defaults")) == (name, defaults)
    assert say("plan", "jobs/products.yaml").code == 0


def test_the_config_s_endpoint_counts_and_its_file_is_in_the_commands(here: Path, say: Callable[..., Said]) -> None:
    simple(here)
    table(Path("my settings.yaml"), "endpoint: nano-banana")
    begun = say("init", "products.csv", "-c", "my settings.yaml")
    assert "  batch-editor plan jobs/products.yaml -c 'my settings.yaml'" in begun.out.splitlines()
    document = read_yaml(Path("jobs/products.yaml"))
    assert isinstance(document, Block)
    assert set(document) == {"jobs"}
    assert say("plan", "jobs/products.yaml", "-c", "my settings.yaml").code == 0


def test_the_documentation_shows_what_is_written(here: Path, say: Callable[..., Said]) -> None:
    shutil.copytree(ROOT / "jobs", "jobs")
    said = say("init", "jobs/products.csv").out
    page = PAGES["start-from-a-file"]
    assert f"```yaml\n{Path('jobs/products.yaml').read_text()}```\n" in page
    head, commands = said.splitlines()[:3], said.splitlines()[3:]
    assert "```text\n" + "\n".join(head) + "\n```" in page
    assert "```sh\n" + "\n".join(line.strip() for line in commands) + "\n```" in page


@pytest.mark.parametrize("make", [simple, shopify])
def test_it_plans_at_the_successor_once_the_default_is_retired(
    make: Callable[[Path], None], here: Path, say: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TODAY, "2026-12-02")
    make(here)
    assert say("init", next(here.iterdir()).name).code == 0
    (manifest,) = here.glob("jobs/*.yaml")
    planned = say("plan", str(manifest), "--json")
    assert planned.code == 0
    assert {group["endpoint"] for group in json.loads(planned.out)["groups"]} == {"gpt-image-2.5-sunburst"}


@pytest.mark.slow
def test_a_disk_is_no_folder_of_pictures(here: Path, say: Callable[..., Said]) -> None:
    for number in range(21):
        folder = here / "disk" / str(number)
        folder.mkdir(parents=True)
        for file in range(5_000):
            (folder / f"{file}.txt").touch()
    (here / "disk/0/cup.jpg").touch()
    said = say("init", "disk")
    assert said.code == 2
    assert said.err == (
        "error: disk: has more than 100,000 files below it, few of them pictures;"
        " name the folder that holds the pictures\n"
    )
