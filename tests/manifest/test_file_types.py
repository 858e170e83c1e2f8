from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import openpyxl
import pytest

from batch_editor.manifest.file_types import AS_UTF8
from tests.support.manifest_reading import LINK, read, write

TABLE = f"id,prompt,image_urls\na,x,{LINK}\n"
AS_TABLE = f"save it as XLSX or CSV: {AS_UTF8}"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000)


def archive(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, content in files.items():
            made.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return buffer.getvalue()


def workbook() -> bytes:
    buffer = io.BytesIO()
    openpyxl.Workbook().save(buffer)
    return buffer.getvalue()


FOREIGN = [
    (b"%PDF-1.7\n", "a PDF, not CSV; a table is needed: ask for it as XLSX or CSV"),
    (b"PAR1\x15\x04", "a Parquet file, not CSV; write it as CSV or JSON Lines, as by pandas:"),
    (gzip.compress(TABLE.encode()), "compressed by gzip, not CSV; unpack it by gunzip first"),
    (archive(products_dot_csv=TABLE.encode()), "a ZIP archive, not CSV; unpack it first; it holds products.csv"),
    (archive(xl__workbook_dot_bin=b""), f"a binary Excel workbook (XLSB), not CSV; {AS_TABLE}"),
    (archive(word__document_dot_xml=b""), "a Word document, not CSV; copy its table into a spreadsheet and save that"),
    (archive(Index__Document_dot_iwa=b""), "a Numbers spreadsheet, not CSV; export it: File, Export To, Excel or CSV"),
    (
        archive(mimetype=b"application/vnd.oasis.opendocument.spreadsheet"),
        f"an OpenDocument spreadsheet (ODS), not CSV; {AS_TABLE}",
    ),
    (b"PK\x03\x04 and no more", "a ZIP archive that is broken, or was cut short, not CSV; copy or download it again"),
    (OLE + "Workbook".encode("utf-16-le"), f"an old Excel workbook (XLS), not CSV; {AS_TABLE}"),
    (
        OLE + "EncryptedPackage".encode("utf-16-le"),
        "a workbook that is locked with a password, not CSV; save it without one: File, Info, Protect Workbook",
    ),
    (OLE, f"an old Microsoft Office document, not CSV; {AS_TABLE}"),
    (b"<!DOCTYPE html><html><body>Sign in", "a web page (HTML), not CSV; open it in a spreadsheet and save it"),
    (b"\n<table><tr><td>sku", "a web page (HTML), not CSV; open it in a spreadsheet and save it"),
    (
        b'\xef\xbb\xbf<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet">',
        "an Excel workbook of 2003 (XML), not CSV; save it as XLSX or CSV",
    ),
    (b'[{"sku": 1}, {"sku": 2}]', "a JSON array, not CSV; JSON Lines are read, one object a line: `jq -c '.[]' FILE"),
    (b'{"sku": 1}\n{"sku": 2}\n', "JSON, not CSV; if it has one object a line, name it .jsonl"),
    (b"# spring\njobs:\n  - id: a\n", "a YAML manifest, not CSV; name it .yaml"),
    (b"\xff\xd8\xff\xe0", "a picture (JPEG), not CSV; for a folder of pictures give the folder"),
    (workbook(), "an Excel workbook (XLSX), not CSV; name it .xlsx"),
]
FEED = '<?xml version="1.0"?><rss>'.encode("utf-16")


@pytest.mark.parametrize("name", ["m.csv", "m.txt", "m.tsv"])
@pytest.mark.parametrize(("content", "message"), FOREIGN, ids=[message[:30] for _, message in FOREIGN])
def test_a_file_that_is_no_csv_is_named_as_what_it_is(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    assert read(write(tmp_path / name, content)).fault.startswith(f"{name}: is {message}")


@pytest.mark.parametrize(("content", "message"), FOREIGN[:-1], ids=[message[:30] for _, message in FOREIGN[:-1]])
def test_a_file_that_is_no_workbook_is_named_as_what_it_is(tmp_path: Path, content: bytes, message: str) -> None:
    expected = message.replace(", not CSV;", ", not an Excel workbook (XLSX);")
    assert read(write(tmp_path / "m.xlsx", content)).fault.startswith(f"m.xlsx: is {expected}")


@pytest.mark.parametrize("name", ["m.xlsx", "m.jsonl"])
def test_xml_of_another_name_is_told_where_a_feed_is_read(tmp_path: Path, name: str) -> None:
    (fault,) = read(write(tmp_path / name, FEED)).faults
    assert fault.endswith("; if it is a product feed, name it .xml; else export the table as CSV")


@pytest.mark.parametrize("name", ["m.xml", "m.csv", "m.txt", "m.tsv"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (FEED, "m:1: the feed ends too early: download it again"),
        (b"<svg/>", "m: is no feed: it has no <item> and no <entry>, its outermost element is <svg>"),
        (
            b"<!DOCTYPE rss [<!ENTITY a 'b'>]><rss/>",
            "m:1: the feed has a DOCTYPE, which no feed needs and which can make a small file a huge one: remove it",
        ),
        (b"<rss>\n<item><id>1</id>\n</rss>", "m:3: the feed isn't well-formed XML: mismatched tag"),
    ],
)
def test_a_feed_that_is_broken_is_told_with_its_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    assert read(write(tmp_path / name, content)).fault.replace(name, "m") == message


def test_a_link_is_no_table(tmp_path: Path) -> None:
    link = "https://docs.google.com/spreadsheets/d/abc"
    assert read(Path(link)).fault.endswith("abc: is a link; download the table as CSV or XLSX first")
    rows = write(tmp_path / "m.yaml", f"jobs:\n  - {{rows: '{link}', prompt: x, image_urls: [{LINK}]}}\n")
    assert read(rows).fault.startswith(f"m.yaml:2: rows is '{link}', which is a link; download the table")


def test_an_empty_workbook_says_so(tmp_path: Path) -> None:
    assert read(write(tmp_path / "m.xlsx", "")).fault == "m.xlsx: is empty"


def test_a_csv_file_that_is_named_as_a_workbook_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "m.xlsx", TABLE)
    assert read(path).fault == "m.xlsx: is text, not an Excel workbook (XLSX); if it is CSV, name it .csv"


@pytest.mark.parametrize("name", ["m.json", "m.xls", "m.pdf", "m"])
def test_a_file_of_another_ending_is_named_as_what_it_is(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, b'[{"id": 1}]')
    assert read(path).fault.startswith(f"{name}: is a JSON array; JSON Lines are read, one object a line: ")
    rows = write(tmp_path / "m.yaml", f"jobs:\n  - {{rows: '{name}', prompt: x, image_urls: [{LINK}]}}\n")
    assert read(rows).fault.startswith(f"m.yaml:2: rows is '{name}', which is a JSON array; JSON Lines are read")


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "mac-roman"])
def test_another_encoding_says_line_and_byte_and_how_to_save_it(tmp_path: Path, encoding: str) -> None:
    content = f"id,prompt,image_urls\na,caf\xe9,{LINK}\n".encode(encoding)
    byte = content[content.index(b"caf") + 3]
    assert read(write(tmp_path / "m.csv", content)).faults[0] == (
        f'm.csv:2: not UTF-8: byte 0x{byte:02X} at offset 26; in Excel save it as "CSV UTF-8 (Comma delimited)",'
        " in LibreOffice as Text CSV with the character set Unicode (UTF-8)"
    )
