"""Shops' exports as rows of a manifest, and as manifests: one row, one picture."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import openpyxl
import pytest

from batch_editor.manifest import Expansion, Faults, read_manifests
from batch_editor.records import Job
from tests.support.manifest_reading import ENDPOINT, Reading, draw, load_beside, read, write

CDN = "https://cdn.example.com"
PROMPT = "Show {{ title }}"
SHOPIFY = f"""\
Handle,Title,Body (HTML),Vendor,Variant SKU,Image Src,Image Position,Image Alt Text,Variant Image,Status
mug,Red mug,<p>Stoneware</p>,Acme,MUG-S,{CDN}/mug-1.jpg,1,Front,{CDN}/mug-1.jpg,active
mug,,,,MUG-L,{CDN}/mug-2.jpg,2,,{CDN}/mug-large.jpg,
mug,,,,MUG-H,,,,,
cup,Blue cup,,Orbit,CUP,{CDN}/cup.jpg,1,,,draft
pot,A pot,,,POT,,,,,active
"""
NEW_SHOPIFY = f"""\
Title,URL handle,Description,Vendor,SKU,Product image URL,Image position,Image alt text,Variant image URL,Status
Red mug,mug,<p>Stoneware</p>,Acme,MUG-S,{CDN}/mug-1.jpg,1,Front,{CDN}/mug-1.jpg,Active
,mug,,,MUG-L,{CDN}/mug-2.jpg,2,,{CDN}/mug-large.jpg,
,mug,,,MUG-H,,,,,
Blue cup,cup,,Orbit,CUP,{CDN}/cup.jpg,1,,,Draft
A pot,pot,,,POT,,,,,Active
"""
WOOCOMMERCE = f"""\
ID,Type,SKU,Name,Published,"Visibility in catalog",Description,Images,Parent
7,variable,MUG,Red mug,1,visible,<p>Stoneware</p>,"{CDN}/mug-1.jpg, {CDN}/mug-2.jpg",
8,variation,MUG-L,Red mug - Large,1,visible,,"{CDN}/mug-1.jpg",MUG
9,variation,MUG-H,Red mug - Huge,1,visible,,{CDN}/mug-large.jpg,MUG
10,simple,CUP,Blue cup,-1,visible,,{CDN}/cup.jpg,
11,simple,POT,A pot,1,visible,,,
"""
GERMAN = WOOCOMMERCE.replace(
    'ID,Type,SKU,Name,Published,"Visibility in catalog",Description,Images,Parent',
    'ID,Typ,Artikelnummer,Name,Veröffentlicht,"Sichtbarkeit im Katalog",Beschreibung,Bilder,"Übergeordnetes Produkt"',
)
GOOGLE = f"""\
id,title,description,link,image_link,additional_image_link,item_group_id,price
MUG-S,Red mug,<p>Stoneware</p>,https://example.com/1,{CDN}/mug-1.jpg,"{CDN}/mug-2.jpg,{CDN}/mug-large.jpg",mug,12 EUR
MUG-L,Red mug,,https://example.com/2,{CDN}/mug-1.jpg,,mug,14 EUR
CUP,Blue cup,,https://example.com/3,{CDN}/cup.jpg,,,9 EUR
POT,A pot,,https://example.com/4,,,,20 EUR
"""


FEED = f"""\
<?xml version="1.0"?>
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>
<item><g:id>MUG-S</g:id><g:title>Red mug</g:title><g:description>{escape("<p>Stoneware</p>")}</g:description>
<g:image_link>{CDN}/mug-1.jpg</g:image_link><g:additional_image_link>{CDN}/mug-2.jpg</g:additional_image_link>
<g:additional_image_link>{CDN}/mug-large.jpg</g:additional_image_link><g:item_group_id>mug</g:item_group_id></item>
<item><g:id>MUG-L</g:id><g:title>Red mug</g:title><g:image_link>{CDN}/mug-1.jpg</g:image_link>
<g:item_group_id>mug</g:item_group_id></item>
<item><g:id>CUP</g:id><g:title>Blue cup</g:title><g:image_link>{CDN}/cup.jpg</g:image_link></item>
<item><g:id>POT</g:id><g:title>A pot</g:title></item>
</channel></rss>
"""
LINKS = [f"{CDN}/mug-1.jpg", f"{CDN}/mug-2.jpg", f"{CDN}/mug-large.jpg", f"{CDN}/cup.jpg"]
TITLES = ["Red mug", "Red mug", "Red mug", "Blue cup"]
BY_HANDLE = ["mug-1", "mug-2", "mug-3", "cup-1"]
BY_SKU = ["MUG-S-1", "MUG-S-2", "MUG-S-3", "CUP-1"]
WOO_IDS, WOO_TITLES = ["MUG-1", "MUG-2", "MUG-H-1", "CUP-1"], ["Red mug", "Red mug", "Red mug - Huge", "Blue cup"]

VARIANT, NO_LINK = "variant without a picture of its own", "no image link"
REPEATED = "only pictures that its product has already"
OF_SHOPIFY = {VARIANT: 1, NO_LINK: 1}
OF_OTHERS = {REPEATED: 1, NO_LINK: 1}

EXPORTS: list[Any] = [
    ("m.csv", SHOPIFY, BY_HANDLE, TITLES, OF_SHOPIFY),
    ("m.csv", NEW_SHOPIFY, BY_HANDLE, TITLES, OF_SHOPIFY),
    ("m.csv", WOOCOMMERCE, WOO_IDS, WOO_TITLES, OF_OTHERS),
    ("m.csv", GERMAN, WOO_IDS, WOO_TITLES, OF_OTHERS),
    ("m.csv", GOOGLE, BY_SKU, TITLES, OF_OTHERS),
    ("m.xml", FEED, BY_SKU, TITLES, OF_OTHERS),
    ("m.txt", FEED, BY_SKU, TITLES, OF_OTHERS),
    ("m.csv", FEED, BY_SKU, TITLES, OF_OTHERS),
]
NAMES = ["Shopify", "Shopify, new", "WooCommerce", "WooCommerce, German", "Google", "XML", "XML as .txt", "XML as .csv"]
every_export = pytest.mark.parametrize(("name", "text", "ids", "titles", "skipped"), EXPORTS, ids=NAMES)


def yaml(table: str, keys: str = f'prompt: "{PROMPT}"') -> str:
    return f"jobs:\n  - {{rows: {table}, {keys}}}\n"


def is_read(reading: Reading, ids: list[str], titles: list[str], skipped: dict[str, int]) -> bool:
    assert reading.faults == []
    assert reading.ids == ids
    assert reading.values("image_urls") == [[link] for link in LINKS]
    assert reading.values("prompt") == [f"Show {title}" for title in titles]
    assert reading.skipped == skipped
    return True


@every_export
def test_an_export_is_a_manifest_that_needs_but_a_prompt(
    tmp_path: Path, name: str, text: str, ids: list[str], titles: list[str], skipped: dict[str, int]
) -> None:
    reading = read(write(tmp_path / name, text), prompt=PROMPT)
    assert is_read(reading, ids, titles, skipped)
    assert [job.output for job in reading.jobs] == [None] * 4
    first = reading.jobs[0].extras
    added = ("image", "position", "alt", "body", "title")
    assert [first[each] for each in added] == [
        LINKS[0], "1", "Front" if "mug-1.jpg,1,Front" in text else "", "Stoneware", "Red mug",
    ]  # fmt: skip


@every_export
@pytest.mark.parametrize("images", ["", ', image_urls: ["{{ image }}"]', ", image_urls: '{{ row[\"image\"] }}'"])
def test_an_export_is_rows_of_a_template(
    tmp_path: Path, name: str, text: str, ids: list[str], titles: list[str], skipped: dict[str, int], images: str
) -> None:
    write(tmp_path / name, text)
    manifest = write(tmp_path / "jobs.yaml", yaml(name, f'prompt: "{PROMPT}"{images}'))
    assert is_read(read(manifest), ids, titles, skipped)


@pytest.mark.parametrize("name", ["m.tsv", "m.xlsx", "m.jsonl", "m.txt"])
@pytest.mark.parametrize(("table", "ids", "skipped"), [(SHOPIFY, BY_HANDLE, OF_SHOPIFY), (GOOGLE, BY_SKU, OF_OTHERS)])
def test_an_export_is_known_in_every_kind_of_table(
    tmp_path: Path, name: str, table: str, ids: list[str], skipped: dict[str, int]
) -> None:
    lines = list(csv.reader(table.splitlines()))
    path = tmp_path / name
    if name == "m.xlsx":
        book = openpyxl.Workbook()
        sheet = book.worksheets[0]
        for line in lines:
            sheet.append(line)
        book.save(path)
    elif name == "m.jsonl":
        write(path, "".join(json.dumps(dict(zip(lines[0], line, strict=True))) + "\n" for line in lines[1:]))
    else:
        write(path, "".join("\t".join(line) + "\n" for line in lines))
    assert is_read(read(path, prompt=PROMPT), ids, TITLES, skipped)


def test_a_plan_can_say_what_was_read_and_how_to_have_it_otherwise(tmp_path: Path) -> None:
    write(tmp_path / "m.csv", SHOPIFY)
    counts = (
        "m.csv: Shopify export, 5 rows: 3 products, 4 pictures, 2 rows without one"
        " (variant without a picture of its own: 1, no image link: 1), 1 repeated link taken once"
    )
    assert read(tmp_path / "m.csv", prompt=PROMPT).tables == [f"{counts}; --format plain takes it as it stands"]
    twice = yaml("m.csv") + yaml("m.csv", "prompt: x, id: 'x-{{ row.image }}'").removeprefix("jobs:\n")
    reading = read(write(tmp_path / "jobs.yaml", twice))
    assert len(reading.jobs) == 8
    assert reading.tables == [f"{counts}; format: plain takes it as it stands"]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (
            "Handle,Title,Image Src,prompt,image_urls",
            "it is a Shopify export but for its columns prompt and image_urls",
        ),
        (
            "Handle,Title,Location,prompt,image_urls",
            "it is Shopify's export of the inventory, which has no pictures: export the products instead",
        ),
        ("image_link,title,prompt,image_urls", "it resembles a Google Merchant feed, but has no column id"),
        ("sku,title,prompt,image_urls", None),
    ],
)
def test_a_table_that_merely_resembles_an_export_is_read_as_it_stands(
    tmp_path: Path, header: str, said: str | None
) -> None:
    cells = {"prompt": "x", "image_urls": LINKS[0]}
    path = write(tmp_path / "m.csv", f"{header}\n{','.join(cells.get(name, 'y') for name in header.split(','))}\n")
    reading = read(path)
    assert reading.ids == ["m-1"]
    assert reading.tables == ([] if said is None else [f"m.csv: read as it stands; {said}"])


OWN = 'prompt: "Show it", image_urls: ["{{ image_src }}"], when: "{{ image_src }}"'


@pytest.mark.parametrize("keys", [OWN, f"{OWN}, format: auto", f"{OWN}, format: plain"])
def test_jobs_that_find_the_picture_in_the_shops_own_columns_have_the_rows_as_they_stand(
    tmp_path: Path, keys: str
) -> None:
    write(tmp_path / "m.csv", SHOPIFY)
    reading = read(write(tmp_path / "jobs.yaml", yaml("m.csv", keys)))
    assert reading.ids == ["jobs-1", "jobs-2", "jobs-4"]
    assert list(reading.jobs[0].extras) == SHOPIFY.splitlines()[0].split(",")
    plain = read(tmp_path / "m.csv", prompt="Show it", image_urls="{{ image_src }}", when="{{ image_src }}")
    assert [job.request for job in plain.jobs] == [job.request for job in reading.jobs]


@pytest.mark.parametrize("word", ["shopify", "Shopify"])
def test_a_format_that_is_named_holds_whatever_the_job_uses(tmp_path: Path, word: str) -> None:
    write(tmp_path / "m.csv", SHOPIFY)
    keys = f'{OWN}, id: "{{{{ sku }}}}-{{{{ position }}}}", format: {word}'
    reading = read(write(tmp_path / "jobs.yaml", yaml("m.csv", keys)))
    # The variant's picture stands in a row that has another picture of the gallery.
    assert reading.ids == ["MUG-S-1", "MUG-L-2", "MUG-L-3", "CUP-1"]
    assert read(tmp_path / "m.csv", prompt="x", format=word).ids == BY_HANDLE


def test_plain_is_the_table_as_it_stands(tmp_path: Path) -> None:
    write(tmp_path / "m.csv", SHOPIFY)
    images = "image_urls: ['{{ image_src or variant_image or \"https://cdn.example.com/none.jpg\" }}']"
    reading = read(write(tmp_path / "jobs.yaml", yaml("m.csv", f"prompt: x, {images}, format: plain")))
    assert (len(reading.jobs), reading.tables, reading.skipped) == (5, [], {})
    assert read(tmp_path / "m.csv", prompt="x", format="plain").fault.startswith("m.csv:1: image_urls is missing;")


def test_a_column_of_an_export_is_no_parameter_id_or_output(tmp_path: Path) -> None:
    lines = [
        "Handle,Title,Image Src,id,output,size,quality,background,mask",
        f"mug,Red mug,{LINKS[0]},a,b,XL,good,wood,none",
    ]
    reading = read(write(tmp_path / "m.csv", "\n".join(lines)), prompt=PROMPT)
    assert reading.job.id == "mug-1"
    assert reading.job.output is None
    assert reading.values("size") == ["auto"]
    assert {"id": "a", "output": "b", "size": "XL", "mask": "none"}.items() <= reading.job.extras.items()
    assert reading.warnings == []


def test_a_prompt_among_an_exports_columns_is_no_parameter_and_it_is_said_how_to_use_it(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f"Handle,Title,Image Src,prompt\nmug,Red mug,{LINKS[0]},On white\n")
    assert read(path, format="shopify").fault == (
        "m.csv:1: prompt is missing; no column of an export is one by itself: pass --set 'prompt={{ prompt }}'"
    )
    assert read(path, format="shopify", prompt="{{ prompt }}").values("prompt") == ["On white"]


@pytest.mark.parametrize(
    ("header", "matrix"),
    [("Handle,Title,Image Src,Image", ""), ("Handle,Title,Image Src", f", matrix: {{image: [{LINKS[1]}]}}")],
)
def test_an_image_of_ones_own_is_no_sign_that_pictures_are_wanted(tmp_path: Path, header: str, matrix: str) -> None:
    write(
        tmp_path / "m.csv", f"{header}\n" + ",".join(["mug", "Mug", LINKS[0], LINKS[1]][: header.count(",") + 1]) + "\n"
    )
    keys = f'prompt: x, image_urls: ["{{{{ image }}}}"]{matrix}'
    reading = read(write(tmp_path / "jobs.yaml", yaml("m.csv", keys)))
    assert (reading.ids, reading.values("image_urls")) == (["jobs-1"], [[LINKS[1]]])


def test_own_columns_keep_their_names_beside_the_added_ones(tmp_path: Path) -> None:
    write(tmp_path / "m.csv", SHOPIFY)
    prompt = "{{ title }}/{{ Title }}/{{ row['Title'] }}/{{ vendor }}/{{ row['Image Position'] }}/{{ image_position }}"
    reading = read(tmp_path / "m.csv", prompt=prompt + "/{{ alt or '-' }}/{{ body or '-' }}")
    assert reading.values("prompt")[:2] == [
        "Red mug/Red mug/Red mug/Acme/1/1/Front/Stoneware",
        "Red mug/Red mug/Red mug/Acme/2/2/-/Stoneware",
    ]


@pytest.mark.parametrize(
    ("keys", "ids"),
    [
        ('id: "{{ sku }}"', ["MUG-S", "MUG-L", "MUG-L", "CUP"]),
        ("matrix: {scene: [beach, studio]}", [f"{id}-{scene}" for id in BY_HANDLE for scene in ("beach", "studio")]),
        ("variants: 2", [f"{id}-v{number}" for id in BY_HANDLE for number in (1, 2)]),
        ("when: \"{{ status == 'draft' }}\"", ["cup-1"]),
        ("when: '{{ position }}'", BY_HANDLE),
        ("carry: {handle: [alt]}, when: \"{{ alt == 'Front' }}\"", ["mug-1", "mug-2", "mug-3"]),
        ("carry: [row]", []),
    ],
)
def test_the_other_keys_of_a_job_go_by_the_pictures(tmp_path: Path, keys: str, ids: list[str]) -> None:
    write(tmp_path / "m.csv", SHOPIFY)
    reading = read(write(tmp_path / "jobs.yaml", yaml("m.csv", f'prompt: "{PROMPT}", {keys}')))
    assert reading.ids == ids
    assert reading.faults == ([] if ids else ["jobs.yaml:2: carry has 'row', which is no column"])


def test_rows_that_when_skips_are_counted_beside_those_without_a_picture(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", SHOPIFY)
    reading = read(path, prompt=PROMPT, when="{{ handle == 'cup' }}", carry="{handle: [alt]}")
    assert (reading.ids, reading.skipped) == (["cup-1"], {"when": 3, **OF_SHOPIFY})


@pytest.mark.parametrize(
    ("rows", "ids"),
    [
        ([("X", 1), ("X", 2), ("X", 3)], ["X-1", "X-1-2", "X-1-3"]),
        ([("X", 1), ("X", 2), ("X-1", 3), ("X", 4)], ["X-1", "X-1-2", "X-1-1", "X-1-3"]),
        ([("", 1)], ["line-1-1"]),
        ([("a\tb", 1)], ["a b-1"]),
        ([("é" * 300, 1)], [f"{'é' * 176}-c4946a47"]),
    ],
)
def test_ids_are_unique_and_can_be_ids(tmp_path: Path, rows: list[tuple[str, int]], ids: list[str]) -> None:
    lines = [json.dumps({"id": sku, "title": "x", "image_link": f"{CDN}/{number}.jpg"}) for sku, number in rows]
    assert read(write(tmp_path / "m.jsonl", "\n".join(lines)), prompt=PROMPT).ids == ids


def test_ids_of_several_templates_over_one_export_are_unique(tmp_path: Path) -> None:
    write(tmp_path / "m.csv", SHOPIFY)
    text = yaml("m.csv") + yaml("m.csv", "prompt: again").removeprefix("jobs:\n")
    reading = read(write(tmp_path / "jobs.yaml", text))
    assert reading.ids == [*BY_HANDLE, *(f"{id}-2" for id in BY_HANDLE)]


@pytest.mark.slow
def test_one_id_in_a_hundred_thousand_rows_takes_no_time(tmp_path: Path) -> None:
    lines = ["id,title,image_link", *(f"X,x,{CDN}/{number}.jpg" for number in range(20_000))]
    ids = read(write(tmp_path / "m.csv", "\n".join(lines)), prompt="x").ids
    assert (len(set(ids)), ids[-1]) == (20_000, "X-1-20000")


FAULTY = SHOPIFY.replace("Blue cup,,Orbit", "Blue cup,,Orbit,and,one,too,many").replace(
    "MUG-H,,,,,", "SG_0123456789abcdef,,,,,"
)


def test_faulty_rows_are_told_and_can_be_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", FAULTY)
    reading = read(path, prompt=PROMPT)
    assert [fault.partition(";")[0] for fault in reading.faults] == [
        "m.csv:4: a cell looks like an API key",
        "m.csv:5: has 14 cells where the header has 10",
    ]
    reading = read(path, prompt=PROMPT, skip_faulty=True)
    assert (reading.ids, reading.left_out) == (BY_HANDLE[:3], 2)
    assert [row.id for row in reading.faulty] == ["m-row-4", "m-row-5"]


def test_a_faulty_picture_is_one_job(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", SHOPIFY.replace(f"{CDN}/cup.jpg", "photos/gone.jpg"))
    reading = read(path, prompt=PROMPT)
    assert reading.fault.startswith("m.csv:5: job cup-1: image_urls is 'photos/gone.jpg'")
    reading = read(path, prompt=PROMPT, skip_faulty=True)
    assert (reading.ids, [row.id for row in reading.faulty]) == (BY_HANDLE[:3], ["cup-1"])
    assert read(path, prompt=PROMPT, only=["mug-*"]).ids == BY_HANDLE[:3]


def test_a_blank_that_a_prompt_uses_is_told_for_all_pictures_of_its_kind(tmp_path: Path) -> None:
    reading = read(write(tmp_path / "m.csv", SHOPIFY), prompt="{{ title }}: {{ alt }}")
    assert reading.fault.startswith("m.csv: alt is empty in 3 rows, first at line 3;")


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        (
            "rows: m.csv, format: shoppify",
            "format is 'shoppify'; expected auto, plain, shopify, woocommerce or google (did you mean shopify?)",
        ),
        ("rows: m.csv, format: csv", "format is 'csv'; expected auto, plain, shopify, woocommerce or google"),
        ("rows: [{a: x}], format: shopify", "format needs rows that are a table, which it says how to read"),
        ("format: plain", "format needs rows that are a table, which it says how to read"),
        ("rows: m.csv, format: [shopify]", "format is a list; expected text"),
    ],
)
def test_a_format_that_cannot_be_is_a_fault_with_its_line(tmp_path: Path, keys: str, fault: str) -> None:
    write(tmp_path / "m.csv", SHOPIFY)
    text = f"jobs:\n  - {{{keys}, id: x, prompt: x, image_urls: ['{LINKS[0]}']}}\n"
    assert read(write(tmp_path / "jobs.yaml", text)).faults[0] == f"jobs.yaml:2: job x: {fault}"


def test_a_format_that_is_set_for_all_jobs_is_one_of_the_words(tmp_path: Path) -> None:
    fault = read(write(tmp_path / "m.csv", SHOPIFY), prompt="x", format="xml").fault
    assert fault == "--set: format is 'xml'; expected auto, plain, shopify, woocommerce or google"


@pytest.mark.parametrize(
    ("format", "fault"),
    [
        (
            "woocommerce",
            (
                "is no WooCommerce export: there is no column Images (or its name in another language) and SKU, ID or"
                " Name;"
            ),
        ),
        ("google", "is no Google Merchant feed: there is no column image_link and id;"),
    ],
)
def test_a_table_that_is_not_what_it_is_called_says_what_it_lacks(tmp_path: Path, format: str, fault: str) -> None:
    write(tmp_path / "m.csv", SHOPIFY)
    whole = (
        f"m.csv:1: {fault} it has Handle, Title, Body (HTML), Vendor, Variant SKU, Image Src, Image Position,"
        " Image Alt Text, … (10 columns)"
    )
    assert read(tmp_path / "m.csv", prompt="x", format=format).fault == whole
    manifest = write(tmp_path / "jobs.yaml", yaml("m.csv", f"prompt: x, format: {format}"))
    assert read(manifest).faults[0] == whole


@pytest.mark.parametrize("is_yaml", [False, True])
def test_an_export_without_any_picture_has_no_jobs_and_says_why(tmp_path: Path, is_yaml: bool) -> None:
    write(tmp_path / "m.csv", "Handle,Title,Image Src\nmug,Red mug,\nmug,,\ncup,Cup,\n")
    if is_yaml:
        fault = read(write(tmp_path / "jobs.yaml", yaml("m.csv"))).fault
        assert fault == "jobs.yaml:2: rows has no row with a picture"
    else:
        fault = read(tmp_path / "m.csv", prompt="x").fault
        assert fault == "m.csv: has no jobs: all rows are skipped (no image link: 3)"


def test_a_feed_may_be_read_as_it_stands(tmp_path: Path) -> None:
    write(tmp_path / "m.xml", FEED)
    keys = "prompt: '{{ title }}', image_urls: ['{{ image_link }}'], when: '{{ image_link }}', format: plain"
    reading = read(write(tmp_path / "jobs.yaml", yaml("m.xml", keys)))
    assert reading.ids == ["jobs-1", "jobs-2", "jobs-3"]
    assert reading.jobs[2].where.endswith("m.xml:8")


def test_local_pictures_of_an_export_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "shop/photos").mkdir(parents=True)
    draw(tmp_path / "shop/photos/red mug, large.png")
    write(tmp_path / "shop/m.csv", 'Handle,Title,Image Src\nmug,Red mug,"photos/red mug, large.png"\n')
    job = read(tmp_path / "shop/m.csv", prompt=PROMPT).job
    assert len(job.files) == 1


def test_the_request_is_the_same_however_the_picture_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", SHOPIFY.replace("mug-1.jpg", "my mug|1, large.jpg"))
    by_default = read(path, prompt=PROMPT)
    manifest = write(tmp_path / "jobs.yaml", yaml("m.csv", f'prompt: "{PROMPT}", image_urls: ["{{{{ image }}}}"]'))
    by_template = read(manifest)
    assert [job.request for job in by_default.jobs] == [job.request for job in by_template.jobs]


def test_jobs_come_before_the_export_is_read_to_its_end(tmp_path: Path) -> None:
    rows = "".join(f"p{number},P,{CDN}/{number}.jpg\n" for number in range(100_000))
    path = write(tmp_path / "m.csv", f"Handle,Title,Image Src\n{rows}p,one,too,many\n")
    faults = Faults()
    expansion = Expansion(endpoint=ENDPOINT, load_endpoint=load_beside, overrides={"prompt": "x"})
    job = next(read_manifests([path], expansion, faults))
    assert isinstance(job, Job)
    assert (job.id, faults.total) == ("p0-1", 0)
