"""What a file is by its first bytes, where it is no table that can be read, and what to do with it."""

from __future__ import annotations

import re
import zipfile
from typing import BinaryIO

AS_UTF8 = (
    'in Excel save it as "CSV UTF-8 (Comma delimited)", in LibreOffice as Text CSV with the character set'
    " Unicode (UTF-8)"
)
XLSX = "an Excel workbook (XLSX)"
XML = "XML"
JSON = "JSON"
_AS_TABLE = f"save it as XLSX or CSV: {AS_UTF8}"
_HEAD = 4096
# The directory of an OLE file, which names what is in it, may stand anywhere.
_OLE_LOOKED_AT = 16 * 2**20

_MAGIC = (
    (b"%PDF-", "a PDF", "a table is needed: ask for it as XLSX or CSV"),
    (
        b"PAR1",
        "a Parquet file",
        "write it as CSV or JSON Lines, as by pandas: to_json(…, orient='records', lines=True)",
    ),
    (b"\x1f\x8b", "compressed by gzip", "unpack it by gunzip first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
    (b"Rar!", "a RAR archive", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "unpack it by unzstd first"),
    (b"SQLite format 3\0", "an SQLite database", "export the table as CSV"),
    (b"{\\rtf", "a rich text document (RTF)", _AS_TABLE),
    (b"bplist00", "a property list", "export the table as CSV"),
    (b"\x89PNG", "a picture (PNG)", "for a folder of pictures give the folder"),
    (b"\xff\xd8\xff", "a picture (JPEG)", "for a folder of pictures give the folder"),
    (b"GIF8", "a picture (GIF)", "for a folder of pictures give the folder"),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_XML = re.compile(r"\s*<(\?xml|!doctype|!--|[a-z][\w:.-]*[\s>/])", re.IGNORECASE)
_JSON_ARRAY = re.compile(r"\s*\[\s*[{\[\"]")
_JSON_OBJECT = re.compile(r"\s*\{\s*(\"|\}|$)")
_YAML = re.compile(r"(?:#.*\n|\s*\n|---\n)*(?:jobs|endpoint|defaults):(?:[ \n\r]|$)")
_EXCEL_XML = "urn:schemas-microsoft-com:office:spreadsheet"


def foreign_type(file: BinaryIO) -> tuple[str, str] | None:
    """What a file is that was named as a table of text, and what to do; None where it may be such a table.

    Reads a little from the file's beginning, and leaves it there.
    """
    head = file.read(_HEAD)
    try:
        if head.startswith(_OLE):
            return _ole(head + file.read(_OLE_LOOKED_AT))
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            return _zip(file)
        for magic, name, advice in _MAGIC:
            if head.startswith(magic):
                return name, advice
        return _text(head)
    finally:
        file.seek(0)


def _ole(data: bytes) -> tuple[str, str]:
    if "EncryptedPackage".encode("utf-16-le") in data:
        return "a workbook that is locked with a password", "save it without one: File, Info, Protect Workbook"
    if "Workbook".encode("utf-16-le") in data or "Book".encode("utf-16-le") in data:
        return "an old Excel workbook (XLS)", _AS_TABLE
    return "an old Microsoft Office document", _AS_TABLE


def _zip(file: BinaryIO) -> tuple[str, str]:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            kind = archive.read("mimetype")[:100] if "mimetype" in names[:1] else b""
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return "a ZIP archive that is broken, or was cut short", "copy or download it again"
    if "xl/workbook.bin" in names:
        return "a binary Excel workbook (XLSB)", _AS_TABLE
    if any(name.startswith("xl/") for name in names):
        return XLSX, ""
    if b"opendocument.spreadsheet" in kind:
        return "an OpenDocument spreadsheet (ODS)", _AS_TABLE
    if any(name.endswith(".iwa") for name in names) or "Index.zip" in names:
        return "a Numbers spreadsheet", "export it: File, Export To, Excel or CSV with the encoding Unicode (UTF-8)"
    if any(name.startswith("word/") for name in names):
        return "a Word document", "copy its table into a spreadsheet and save that as XLSX or CSV"
    listed = ", ".join(names[:3]) + ", …" * (len(names) > 3)
    return "a ZIP archive", f"unpack it first; it holds {listed}" if names else "it is empty"


def _text(head: bytes) -> tuple[str, str] | None:
    encoding = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    text = head.decode(encoding, errors="replace")
    if _XML.match(text):
        if _EXCEL_XML in text:
            return "an Excel workbook of 2003 (XML)", _AS_TABLE
        if "<html" in text.lower() or "<table" in text.lower() or "<!doctype html" in text.lower():
            return (
                "a web page (HTML)",
                "open it in a spreadsheet and save it as XLSX or CSV, or download the table again",
            )
        return XML, "if it is a product feed, name it .xml; else export the table as CSV"
    if _YAML.match(text):
        return "a YAML manifest", "name it .yaml"
    if _JSON_ARRAY.match(text):
        return (
            "a JSON array",
            "JSON Lines are read, one object a line: `jq -c '.[]' FILE > FILE.jsonl` makes them of it",
        )
    if _JSON_OBJECT.match(text):
        return JSON, "if it has one object a line, name it .jsonl"
    return None
