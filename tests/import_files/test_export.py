"""The shop's own file with the new pictures: what changes, what stays, and what is said of it."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest

from batch_editor.errors import ManifestError, StorageError, UsageError
from batch_editor.output import keep_table
from batch_editor.shops import Format
from tests.import_files.importers import Product, shopify, woocommerce
from tests.import_files.shop import AT, Shop, replaced
from tests.support.done_output import SET, done_output

HOST = "https://shop.example"
SHOPIFY = f"""Handle,Title,Variant SKU,Image Src,Image Position,Image Alt Text,Variant Image,Status
mug,"Mug, red",M-S,{HOST}/front.jpg,1,"Front, ""new"" one",{HOST}/side.jpg,active
mug,,M-L,{HOST}/side.jpg,2,,{HOST}/only-large.jpg,
mug,,,{HOST}/front.jpg,3,Again,,
cup,Cup,C,{HOST}/cup.jpg,1,,,draft
jug,Jug,J,,,,,active
"""
WOOCOMMERCE = f"""ID,Type,SKU,Name,Visibility in catalog,Images,Parent
41,variable,MUG,Mug,visible,"{HOST}/a.jpg, {HOST}/w_1\\,h_2/b.jpg, {HOST}/c.jpg",
42,variation,MUG-S,Mug - S,visible,{HOST}/a.jpg,id:41
43,variation,MUG-L,Mug - L,visible,{HOST}/l.jpg,MUG
44,simple,CUP,Cup,visible,{HOST}/a.jpg,
"""
GOOGLE = f"""id\ttitle\timage_link\tadditional_image_link\titem_group_id
A1\tMug S\t{HOST}/a.jpg\t{HOST}/b.jpg,{HOST}/c.jpg\tmug
A2\tMug L\t{HOST}/a.jpg\t\tmug
A3\tCup\t{HOST}/a.jpg\t\t
mug\tAny mug\t{HOST}/a.jpg\t\t
"""
FEED = f"""<rss xmlns:g="http://base.google.com/ns/1.0"><channel>
<item><g:id>A1</g:id><title>Mug</title><g:image_link>{HOST}/a.jpg</g:image_link>
<g:additional_image_link>{HOST}/w_1,h_2/b.jpg</g:additional_image_link>
<g:additional_image_link>{HOST}/c.jpg</g:additional_image_link></item>
<item><g:id>A2</g:id><title>Cup</title><g:image_link>{HOST}/cup.jpg</g:image_link></item>
</channel></rss>
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_every_place_of_a_shopify_picture_has_the_new_one_and_all_else_stays(shop: Shop) -> None:
    shop.run(SHOPIFY)
    said = shop.export(Format.SHOPIFY)
    at = shop.addresses()
    assert sorted(at) == ["cup-1", "mug-1", "mug-2", "mug-3"]
    new = {"front": at["mug-1"], "side": at["mug-2"], "only-large": at["mug-3"], "cup": at["cup-1"]}
    assert shop.target.read_text() == replaced(SHOPIFY, {f"{HOST}/{name}.jpg": link for name, link in new.items()})
    assert said == ["./import.csv: 4 of 4 pictures new (0 approved, 4 not reviewed)"]
    assert shop.rest() == []


def test_a_woocommerce_list_keeps_its_length_and_variations_show_their_product_s_new_picture(shop: Shop) -> None:
    shop.run(WOOCOMMERCE, fates={"MUG-3": "failed"}.get)
    shop.export(Format.WOOCOMMERCE)
    at = shop.addresses()
    a, b, cup = f"{HOST}/a.jpg", f"{HOST}/w_1\\,h_2/b.jpg", f"{HOST}/a.jpg,\n"
    expected = WOOCOMMERCE.replace(cup, f"{at['CUP-1']},\n")
    expected = replaced(expected, {a: at["MUG-1"], b: at["MUG-2"], f"{HOST}/l.jpg": at["MUG-L-1"]})
    assert shop.target.read_text() == expected
    assert shop.rest() == [
        ["2", "MUG", f"{HOST}/c.jpg", "MUG-3", "failed", "moderation", "failed (moderation): as MUG-3 met it"]
    ]


def test_a_table_of_google_s_is_written_in_place(shop: Shop) -> None:
    shop.run(GOOGLE)
    shop.export(Format.GOOGLE)
    at = shop.addresses()
    # An item may be called as the group of others.
    alone = {f"{title}\t{HOST}/a.jpg": f"{title}\t{at[job]}" for title, job in (("Cup", "A3-1"), ("Any mug", "mug-1"))}
    new = {f"{HOST}/a.jpg": at["A1-1"], f"{HOST}/b.jpg": at["A1-2"], f"{HOST}/c.jpg": at["A1-3"]}
    assert shop.target.read_text() == replaced(replaced(GOOGLE, alone), new)


def test_of_a_feed_in_xml_comes_a_supplemental_one_of_the_items_that_change(shop: Shop) -> None:
    shop.run(FEED, "feed.xml", fates={"A1-2": "pending", "A2-1": "unknown"}.get)
    said = shop.export(Format.GOOGLE)
    at = shop.addresses()
    assert shop.target.read_text() == (
        f"id\timage_link\tadditional_image_link\nA1\t{at['A1-1']}\t{HOST}/w_1%2Ch_2/b.jpg,{at['A1-3']}\n"
    )
    assert said == [
        "./import.csv: 2 of 4 pictures new (0 approved, 2 not reviewed)",
        "2 stay as they are (pending: 1, unknown: 1); listed in ./import.csv.rest.csv",
    ]
    assert [row[6] for row in shop.rest()] == ["pending", "unknown (timeout): as A2-1 met it"]


QUOTED = '"Handle";"Title";"Image Src"\r\n"mug";"Red ""mug""";"https://shop.example/a.jpg"\r\n'


@pytest.mark.parametrize(
    "written",
    [
        SHOPIFY.encode(),
        codecs.BOM_UTF8 + SHOPIFY.encode(),
        SHOPIFY.encode("utf-16"),
        codecs.BOM_UTF16_BE + SHOPIFY.encode("utf-16-be"),
        SHOPIFY.encode("utf-16-le"),
        SHOPIFY.replace("\n", "\r\n").encode(),
        SHOPIFY.replace("\n", "\r").encode(),
        SHOPIFY.rstrip("\n").encode(),
        QUOTED.encode(),
        b"sep=;\r\n" + QUOTED.encode(),
        b'"sep=;"\r\n\r\n' + QUOTED.encode() + b"\r\n\r\n;;\r\n",
        QUOTED.replace(";", "\t").encode(),
        QUOTED.encode() + b"\x1a\r\nbehind the end,https://shop.example/a.jpg",
        b"# Required | what it is\nHandle,Title,Image Src\nmug,Mug,https://shop.example/a.jpg\n",
        b"Handle,,Title,Image Src,\nmug,no name,Mug,https://shop.example/a.jpg\ncup,,Cup,https://shop.example/c.jpg,,,\n",
        b"| Handle | Title | Image Src |\n|---|:--|---|\n| mug | Mug | https://shop.example/a.jpg |\n",
        b'Handle,Title,Image Src\n="mug",  Mug ,="https://shop.example/a.jpg"\n',
        b'Handle,Title,Image Src\nmug,"Two\nlines,\r\nand ""more""", https://shop.example/a.jpg \ncup,"Cup"  ,x.jpg\n',
        'Handle,Title,Image Src\nmug,"Größe | 北",https://shop.example/ü;1.jpg\n'.encode(),
    ],
    ids=range(19),
)
def test_every_byte_but_the_links_stays(shop: Shop, written: bytes) -> None:
    if b"x.jpg" in written:
        shop.table(PNG, "x.jpg")
    shop.run(written)
    shop.export(Format.SHOPIFY)
    made = shop.target.read_bytes()
    is_wide = b"\0" in written
    encoding = ("utf-16-le" if written[:1] in b"\xffH" else "utf-16-be") if is_wide else "utf-8"
    jobs = shop.jobs()
    assert jobs
    for link, address in jobs:
        assert address.encode(encoding) in made
        made = made.replace(address.encode(encoding), link.encode(encoding))
    assert made == written


PNG = Path(__file__).parents[2].joinpath("jobs/photos/coffee.jpg").read_bytes()


def test_a_link_that_an_address_with_a_separator_replaces_gets_quotes(shop: Shop) -> None:
    shop.run("Handle;Title;Image Src\nmug;Mug;https://shop.example/a.jpg\n")
    shop.export(Format.SHOPIFY, at="https://cdn.example.com/a;b")
    _, row = shop.target.read_text().splitlines()
    assert row.startswith('mug;Mug;"https://cdn.example.com/a;b/images/mug-1.png?v=')
    assert row.endswith('"')


def test_several_new_pictures_for_one_are_a_fault_and_only_chooses(shop: Shop) -> None:
    shop.table(SHOPIFY)
    shop.table(
        'jobs: [{rows: table.csv, prompt: "{{ title }} at the {{ scene }}", matrix: {scene: [beach, desk]}}]',
        "jobs.yaml",
    )
    done_output(shop.out, [shop.folder / "jobs.yaml"], overrides={})
    shop.target.write_text("what was there")
    with pytest.raises(UsageError) as caught:
        shop.export(Format.SHOPIFY)
    [kept] = (shop.out / "inputs").iterdir()
    assert str(caught.value).splitlines() == [
        f"{kept}:{line}: 'https://shop.example/{name}.jpg' of {handle} has 2 new pictures, of the jobs"
        f" {handle}-{number}-beach, {handle}-{number}-desk; choose by --only GLOB"
        for line, handle, name, number in [
            (2, "mug", "front", 1),
            (2, "mug", "side", 2),
            (3, "mug", "only-large", 3),
            (5, "cup", "cup", 1),
        ]
    ]
    assert shop.target.read_text() == "what was there"
    assert sorted(path.name for path in shop.folder.iterdir()) == ["import.csv", "jobs.yaml", "out", "table.csv"]

    said = shop.export(Format.SHOPIFY, only=["*-desk"])
    at = shop.addresses()
    assert said == ["./import.csv: 4 of 4 pictures new (0 approved, 4 not reviewed)"]
    assert at["mug-1-desk"] in shop.target.read_text()
    said = shop.export(Format.SHOPIFY, only=["mug-[!1]-desk", "cup-1-beach"])
    assert said[1] == "1 stays as it is (not chosen: 1); listed in ./import.csv.rest.csv"
    assert [row[3:] for row in shop.rest()] == [
        [f"mug-1-{scene}", "succeeded", "", "not chosen by --only"] for scene in ("beach", "desk")
    ]
    with pytest.raises(UsageError, match=r"^--only 'jug-\*' matches no job of a Shopify export$"):
        shop.export(Format.SHOPIFY, only=["jug-*"])


def test_of_several_variants_the_one_that_is_approved_goes_out(shop: Shop) -> None:
    shop.table(SHOPIFY)
    shop.table('jobs: [{rows: table.csv, prompt: "{{ title }}", variants: 2}]', "jobs.yaml")
    done_output(shop.out, [shop.folder / "jobs.yaml"], overrides={})
    shop.judge({f"{name}-v2": "approved" for name in ("mug-1", "mug-2", "mug-3")})
    shop.judge({"cup-1-v1": "rejected", "mug-2-v1": "rejected"}, note="too dark")
    said = shop.export(Format.SHOPIFY, approved=True)
    assert said == [
        "./import.csv: 3 of 4 pictures new (3 approved, 0 not reviewed)",
        "1 stays as it is (rejected: 1); listed in ./import.csv.rest.csv",
    ]
    assert shop.addresses()["mug-1-v2"] in shop.target.read_text()
    assert [row[:4] + row[6:] for row in shop.rest()] == [
        ["5", "cup", f"{HOST}/cup.jpg", "cup-1-v1", "rejected: too dark"],
        ["5", "cup", f"{HOST}/cup.jpg", "cup-1-v2", "nobody has approved it yet"],
    ]


def test_rejected_pictures_stay_and_unreviewed_ones_are_counted(shop: Shop) -> None:
    shop.run(SHOPIFY, fates={"mug-3": "pending"}.get)
    shop.judge({"mug-1": "approved", "mug-2": "rejected"})
    said = shop.export(Format.SHOPIFY)
    assert said == [
        "./import.csv: 2 of 4 pictures new (1 approved, 1 not reviewed)",
        "2 stay as they are (rejected: 1, pending: 1); listed in ./import.csv.rest.csv",
    ]
    at = shop.addresses()
    new = {f"{HOST}/front.jpg": at["mug-1"], f"{HOST}/cup.jpg": at["cup-1"]}
    assert shop.target.read_text() == replaced(SHOPIFY, new)
    shop.judge({"mug-2": "approved"})
    shop.export(Format.SHOPIFY, approved=True)
    assert [(row[3], row[6]) for row in shop.rest()] == [
        ("mug-3", "pending"),
        ("cup-1", "nobody has approved it yet"),
    ]


def test_a_list_of_what_stays_is_gone_when_nothing_does(shop: Shop) -> None:
    shop.run(SHOPIFY, fates={"mug-3": "failed"}.get)
    shop.export(Format.SHOPIFY)
    assert len(shop.rest()) == 1
    shop.run(SHOPIFY)
    shop.export(Format.SHOPIFY)
    assert not shop.target.with_name("import.csv.rest.csv").exists()


def test_a_cell_of_the_list_is_no_formula(shop: Shop) -> None:
    shop.run(f"Handle,Title,Image Src\n=1+1,Mug,{HOST}/a.jpg\n", fates=lambda _: "failed")
    shop.export(Format.SHOPIFY)
    assert shop.rest()[0][1] == "'=1+1"


def test_a_newer_export_finds_its_pictures_by_product_and_link(shop: Shop) -> None:
    shop.run(SHOPIFY, overrides={**SET, "id": "shot-{{ sku }}-{{ image_position }}-{{ position }}"})
    newer = (
        "Handle,Image Src,Image Position,Variant Image,Title\n"
        f"cup,{HOST}/cup.jpg,1,,Cup\n"
        f"mug,{HOST}/new.jpg,1,,Mug\n"
        f"mug,{HOST}/side.jpg,2,,\n"
        f"mug,{HOST}/front.jpg,3,,\n"
        f"jar,{HOST}/front.jpg,1,,Jar\n"
    )
    said = shop.export(Format.SHOPIFY, source=shop.table(newer, "newer.csv"))
    at = list(shop.addresses().values())
    expected = newer.replace(f"cup,{HOST}/cup.jpg", f"cup,{at[3]}").replace(f"{HOST}/side.jpg", at[1])
    assert shop.target.read_text() == expected.replace(f"mug,{HOST}/front.jpg", f"mug,{at[0]}")
    assert said == [
        "./import.csv: 3 of 5 pictures new (0 approved, 3 not reviewed)",
        "warning: 1 image has no place in ./newer.csv, such as job shot-M-L-2-3's",
        "2 stay as they are (no job: 2); listed in ./import.csv.rest.csv",
    ]
    assert shop.rest() == [
        ["3", "mug", f"{HOST}/new.jpg", "", "", "", "no job has this picture"],
        ["6", "jar", f"{HOST}/front.jpg", "", "", "", "no job has this picture"],
    ]


def test_links_that_are_signed_anew_are_the_same_pictures(shop: Shop) -> None:
    signed = "Handle,Title,Image Src\nmug,Mug,https://b.s3.amazonaws.com/a b.jpg?X-Amz-Date=1&X-Amz-Signature={}\n"
    shop.run(signed.format("aa"))
    shop.export(Format.SHOPIFY, source=shop.table(signed.format("bb"), "newer.csv"))
    assert shop.target.read_text() == f"Handle,Title,Image Src\nmug,Mug,{shop.addresses()['mug-1']}\n"


def test_a_picture_that_its_product_has_by_two_links_has_a_new_one_for_each(shop: Shop) -> None:
    links = [f"{HOST}/ü.jpg", f"{HOST}/%C3%BC.jpg"]
    table = f"Handle,Title,Image Src\nmug,Mug,{links[0]}\nmug,,{links[1]}\n"
    shop.run(table, overrides={**SET, "prompt": "Show {{ title }} from side {{ position }}"})
    shop.export(Format.SHOPIFY)
    at = shop.addresses()
    assert shop.target.read_text() == replaced(table, {links[0]: at["mug-1"], links[1]: at["mug-2"]})
    # By a third one, nothing says which of the two is meant.
    newer = shop.table(table.replace(links[1], links[0].replace("https", "HTTPS")), "newer.csv")
    with pytest.raises(UsageError, match=r"HTTPS.*/ü\.jpg' of mug has 2 new pictures, of the jobs mug-1, mug-2"):
        shop.export(Format.SHOPIFY, source=newer)


def test_jobs_that_were_written_for_the_table_as_it_stands_are_found_as_well(shop: Shop) -> None:
    table = shop.table(SHOPIFY)
    shop.table(
        'jobs: [{id: "{{ handle }}-{{ image_position }}", rows: table.csv, when: "{{ image_src }}",'
        ' prompt: on white, image_urls: ["{{ image_src }}"]},'
        # Of another picture than the row's main one.
        ' {id: "{{ variant_sku }}", rows: table.csv, when: "{{ variant_image }}", prompt: on white, image_urls:'
        ' ["{{ variant_image }}", "https://shop.example/scene.jpg"]}]',
        "jobs.yaml",
    )
    done_output(shop.out, [shop.folder / "jobs.yaml"], overrides={})
    with pytest.raises(UsageError) as caught:
        shop.export(Format.SHOPIFY)
    assert str(caught.value) == f"{shop.out}: no run has read a Shopify export here; give the shop's table: --from FILE"
    said = shop.export(Format.SHOPIFY, source=table)
    assert said[0] == "./import.csv: 3 of 4 pictures new (0 approved, 3 not reviewed)"
    at = shop.addresses()
    new = {f"{HOST}/front.jpg": at["mug-1"], f"{HOST}/side.jpg": at["mug-2"], f"{HOST}/cup.jpg": at["cup-1"]}
    assert shop.target.read_text() == replaced(SHOPIFY, new)


def test_rows_that_when_skips_keep_their_pictures(shop: Shop) -> None:
    shop.run(SHOPIFY, overrides={**SET, "when": "{{ status == 'active' }}"})
    shop.export(Format.SHOPIFY)
    assert [row[1:3] + row[6:] for row in shop.rest()] == [["cup", f"{HOST}/cup.jpg", "no job has this picture"]]


def test_two_products_that_share_a_request_have_a_file_each(shop: Shop) -> None:
    rows = f"a,Mug,{HOST}/mug.jpg\nb,Mug,{HOST}/mug.jpg\n"
    shop.run(f"Handle,Title,Image Src\n{rows}")
    shop.export(Format.SHOPIFY)
    at = shop.addresses()
    assert shop.target.read_text().splitlines()[1:] == [f"a,Mug,{at['a-1']}", f"b,Mug,{at['b-1']}"]


def test_a_table_of_other_pictures_is_refused(shop: Shop) -> None:
    shop.run(SHOPIFY)
    other = shop.table(f"Handle,Title,Image Src\nvase,Vase,{HOST}/vase.jpg\n", "other.csv")
    with pytest.raises(UsageError) as caught:
        shop.export(Format.SHOPIFY, source=other)
    assert str(caught.value) == (
        f"{other}: none of its 1 pictures belongs to a job here (line 2: {HOST}/vase.jpg: no job has this picture);"
        " expected the table that a run read, or a newer export of the same shop"
    )
    assert not shop.target.exists()


def test_the_newest_table_of_the_shop_is_the_one(shop: Shop) -> None:
    shop.run(SHOPIFY)
    shop.run(SHOPIFY.replace("Cup", "Blue cup"))
    shop.run(SHOPIFY)
    shop.table(GOOGLE, "google.tsv")
    keep_table(shop.out, lambda: (shop.folder / "google.tsv").open("rb"), ending=".tsv", read_at=4e9)
    older = shop.out / "inputs" / "older.csv.gz"
    older.write_bytes(b"damaged")
    os.utime(older, (1, 1))
    shop.export(Format.SHOPIFY)
    assert ",Cup," in shop.target.read_text()


def test_of_several_tables_of_the_last_run_one_is_to_be_chosen(shop: Shop) -> None:
    first = shop.table(SHOPIFY, "first.csv")
    second = shop.table(f"Handle,Title,Image Src\nvase,Vase,{HOST}/vase.jpg\n", "second.csv")
    done_output(shop.out, [first, second])
    kept = sorted((shop.out / "inputs").iterdir())
    with pytest.raises(UsageError) as caught:
        shop.export(Format.SHOPIFY)
    assert str(caught.value).splitlines() == [
        f"{shop.out}: the last run read 2 tables of this shop; choose by --from FILE:",
        *(f"  {path}" for path in kept),
    ]
    for path in kept:
        said = shop.export(Format.SHOPIFY, source=path)
        assert said[1].startswith("warning: ")
        assert shop.target.read_bytes().count(AT.encode()) == (
            1 if b"vase" in gzip.decompress(path.read_bytes()) else 6
        )


def test_a_workbook_or_json_lines_are_refused_with_what_to_do(shop: Shop) -> None:
    workbook = openpyxl.Workbook()
    assert workbook.active is not None
    workbook.active.append(["Handle", "Title", "Image Src"])
    workbook.active.append(["mug", "Mug", f"{HOST}/a.jpg"])
    data = io.BytesIO()
    workbook.save(data)
    shop.run(data.getvalue(), "table.xlsx")
    [kept] = (shop.out / "inputs").iterdir()
    todo = (
        "can't be written again with all else as it was; export the table from the shop as CSV, or save this one as CSV"
        " UTF-8, and give that: --from FILE"
    )
    with pytest.raises(UsageError) as caught:
        shop.export(Format.SHOPIFY)
    assert str(caught.value) == f"{kept}: an Excel workbook {todo}"
    lines = shop.table('{"Handle": "mug", "Image Src": "a.jpg"}\n', "table.jsonl")
    with pytest.raises(UsageError) as caught:
        shop.export(Format.SHOPIFY, source=lines)
    assert str(caught.value) == f"{lines}: JSON Lines {todo}"
    shop.export(Format.SHOPIFY, source=shop.table(f"Handle,Title,Image Src\nmug,Mug,{HOST}/a.jpg\n", "saved.csv"))
    assert AT in shop.target.read_text()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("gone.csv", None, "gone.csv: can't be read: No such file or directory"),
        ("table.png", PNG, "table.png: pictures; expected the table of a shop"),
        (
            "table.yaml",
            b"jobs: []\n",
            "table.yaml: isn't the table of a shop; expected a .csv, .tsv, .txt or .xml file",
        ),
        ("empty.csv", b"", "empty.csv: is empty; expected a Shopify export"),
        (
            "latin.csv",
            "Handle,Title,Image Src\nmug,Größe,a.jpg\n".encode("latin-1"),
            "latin.csv:2: not UTF-8: byte 0xF6 at offset 29; in Excel save it as",
        ),
        (
            "own.csv",
            b"name,picture\nmug,a.jpg\n",
            "own.csv:1: is no Shopify export: there is no column Handle (or URL handle) and Image Src",
        ),
        ("open.csv", b'Handle,Title,Image Src\nmug,"Mug,a.jpg\n', "open.csv:2: a quote is opened in this row"),
    ],
)
def test_a_given_table_that_is_none_is_told_and_nothing_is_written(
    shop: Shop, name: str, data: bytes | None, message: str
) -> None:
    shop.run(SHOPIFY)
    source = shop.folder / name
    if data is not None:
        source.write_bytes(data)
    with pytest.raises(UsageError) as caught:
        shop.export(Format.SHOPIFY, source=source)
    assert str(caught.value).startswith(f"{shop.folder}/{message}")
    assert not shop.target.exists()
    assert not shop.target.with_name(".import.csv.part").exists()


def test_a_fault_far_below_the_header_leaves_no_half_of_a_file(shop: Shop) -> None:
    rows = "".join(f"mug-{number},Mug,{HOST}/{number}.jpg\n" for number in range(2000))
    table = shop.run(f"Handle,Title,Image Src\n{rows}")
    broken = table.read_bytes() + b"cup,\xff,a.jpg\n"
    shop.target.write_text("what was there")
    with pytest.raises(ManifestError, match=r"broken\.csv:2002: not UTF-8: byte 0xFF"):
        shop.export(Format.SHOPIFY, source=shop.table(broken, "broken.csv"))
    assert shop.target.read_text() == "what was there"
    assert not shop.target.with_name(".import.csv.part").exists()


def test_rows_that_cannot_be_read_stay_as_they_are(shop: Shop) -> None:
    table = f'Handle,Title,Image Src\nmug,Mug,{HOST}/a.jpg\ncup,"C"up,{HOST}/c.jpg\njug,Jug,{HOST}/j.jpg,what\n'
    shop.run(f"Handle,Title,Image Src\nmug,Mug,{HOST}/a.jpg\n")
    said = shop.export(Format.SHOPIFY, source=shop.table(table, "odd.csv"))
    assert shop.target.read_text() == table.replace(f"{HOST}/a.jpg", shop.addresses()["mug-1"])
    assert said[1] == "warning: 2 rows of ./odd.csv can't be read and stay as in it, first at line 3"


def test_what_is_kept_and_damaged_is_told(shop: Shop) -> None:
    shop.run(SHOPIFY)
    [kept] = (shop.out / "inputs").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-20])
    with pytest.raises(StorageError) as caught:
        shop.export(Format.SHOPIFY)
    assert str(caught.value).startswith(f"{kept}: can't be unpacked (")
    kept.write_bytes(gzip.compress(b"Handle,Image Src\n"))
    with pytest.raises(StorageError) as caught:
        shop.export(Format.SHOPIFY)
    assert str(caught.value) == f"{kept}: isn't what its name says any more; give the shop's table: --from FILE"


@pytest.mark.parametrize("given", ["table.csv", "Table.CSV", None])
def test_the_table_itself_is_not_written_over(shop: Shop, given: str | None) -> None:
    """Given, or as a run read it. The next run would take the new pictures for other ones, and have them edited."""
    table = shop.run(SHOPIFY)
    shop.target.symlink_to(table)
    with pytest.raises(UsageError) as caught:
        shop.export(Format.SHOPIFY, source=given and shop.folder / given)
    assert str(caught.value) == (
        f"{shop.target}: is the shop's table itself, which has the old pictures; choose another --to FILE"
    )
    assert table.read_text() == SHOPIFY


def test_an_import_file_that_holds_what_the_table_does_is_written_over(shop: Shop) -> None:
    shop.run(SHOPIFY)
    shop.export(Format.SHOPIFY, approved=True)
    assert shop.target.read_text() == SHOPIFY
    shop.export(Format.SHOPIFY)
    assert shop.target.read_text().count(AT) == 6


@pytest.mark.parametrize(
    ("place", "why"),
    [("fifo", "a FIFO; expected a file"), ("folder", "a folder; expected a file"), ("no", "No such file or directory")],
)
def test_a_place_that_takes_no_file_is_told(shop: Shop, place: str, why: str) -> None:
    shop.run(SHOPIFY)
    if place == "fifo":
        os.mkfifo(shop.target)
    elif place == "folder":
        shop.target.mkdir()
    else:
        shop.target = shop.folder / "no" / "import.csv"
    with pytest.raises(StorageError) as caught:
        shop.export(Format.SHOPIFY)
    assert str(caught.value) == f"{shop.target}: can't be written ({why})"


def test_a_list_that_cannot_be_written_keeps_the_file_from_its_place(shop: Shop) -> None:
    shop.run(SHOPIFY, fates={"mug-1": "failed"}.get)
    shop.target.with_name("import.csv.rest.csv").mkdir()
    with pytest.raises(StorageError):
        shop.export(Format.SHOPIFY)
    assert not shop.target.exists()


REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("sample", "format", "importer"),
    [
        ("jobs/shopify.csv", Format.SHOPIFY, shopify),
        ("tests/upgrade/before-formats/shopify.csv", Format.SHOPIFY, shopify),
        ("jobs/woocommerce.csv", Format.WOOCOMMERCE, woocommerce),
    ],
)
def test_whole_exports_with_all_their_columns_go_back(
    shop: Shop, sample: str, format: Format, importer: Callable[[bytes], dict[str, Product]]
) -> None:
    shutil.copytree(REPOSITORY / "jobs/photos", shop.folder / "photos")
    data = (REPOSITORY / sample).read_bytes()
    shop.run(data)
    shop.export(format)
    made = shop.target.read_bytes()
    before, after = importer(data), importer(made)
    assert [product.rest for product in after.values()] == [product.rest for product in before.values()]
    addresses = dict(shop.jobs())
    for old, new in zip(before.values(), after.values(), strict=True):
        assert [(link.partition("?")[0], alt) for link, alt in new.images] == [
            (addresses[link].partition("?")[0], alt) for link, alt in old.images
        ]
    for link, address in addresses.items():
        made = made.replace(address.encode(), link.encode())
    assert made == data


@pytest.mark.parametrize(
    "header",
    [
        "ID,Typ,Artikelnummer,Name,Sichtbarkeit im Katalog,Bilder,Übergeordnetes Produkt",
        "ID,Type,UGS,Nom,Visibilité dans le catalogue,Images,Parent",
        "ID,Tipo,COD,Nome,Visibilità nel catalogo,Immagine,Genitore",
        "ID,Typ,SKU,Nazwa,Widoczność w katalogu,Obrazki,Element nadrzędny",
    ],
)
def test_woocommerce_in_other_languages_goes_back_too(shop: Shop, header: str) -> None:
    table = "\n".join([header, *WOOCOMMERCE.splitlines()[1:]])
    shop.run(table)
    said = shop.export(Format.WOOCOMMERCE)
    assert said == ["./import.csv: 5 of 5 pictures new (0 approved, 5 not reviewed)"]
    assert shop.target.read_text().count(AT) == 6


def test_shopify_s_new_columns_go_back_too(shop: Shop) -> None:
    table = (
        "Title,URL handle,SKU,Product image URL,Image position,Image alt text,Variant image URL\n"
        f'Mug,mug,M-S,{HOST}/a.jpg,1,"Front, new",{HOST}/b.jpg\n,mug,M-L,{HOST}/b.jpg,2,,{HOST}/b.jpg\n'
    )
    shop.run(table)
    shop.export(Format.SHOPIFY)
    assert shop.target.read_text() == replaced(table, dict(shop.jobs()))
    assert shop.target.read_text().count(AT) == 4
