from __future__ import annotations

import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.utils.datetime import CALENDAR_MAC_1904
from openpyxl.worksheet.worksheet import Worksheet

from tests.support.manifest_reading import LINK, read, write

HEADER = ["id", "prompt", "image_urls", "v"]


def workbook(path: Path, fill: Callable[[Worksheet], Any]) -> Path:
    book = openpyxl.Workbook()
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    sheet.append(HEADER)
    fill(sheet)
    book.save(path)
    return path


def raw_workbook(path: Path, sheet: str, *, strings: str = "", head: str = "") -> Path:
    """A workbook as small programs write them: no styles, no dimension, no shared strings."""
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/sharedStrings.xml" ContentType="{kind}.sharedStrings+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1"'
        f' Type="{relations}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{relations}"><sheets>'
        '<sheet name="Products" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1"'
        f' Type="{relations}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/sharedStrings.xml": f'<sst xmlns="{main}">{strings}</sst>',
        "xl/worksheets/sheet1.xml": f'{head}<worksheet xmlns="{main}"><sheetData>{sheet}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return path


def row(*cells: str) -> str:
    return f"<row>{''.join(cells)}</row>"


def inline(text: str) -> str:
    return f'<c t="inlineStr"><is><t>{text}</t></is></c>'


RAW_HEADER = row(*map(inline, HEADER))


@pytest.mark.parametrize(
    ("value", "number_format", "text"),
    [
        ("00123", None, "00123"),
        (123, "00000", "00123"),
        (1e12, None, "1000000000000"),
        (4006381333931, None, "4006381333931"),
        (19.99, None, "19.99"),
        (1234.5, '#,##0.00 "€"', "1,234.50 €"),
        (0.125, "0.0%", "12.5%"),
        (True, None, "TRUE"),
        (date(2026, 11, 27), None, "2026-11-27"),
        (date(2026, 11, 27), "dd.mm.yyyy", "27.11.2026"),
        (datetime(2026, 11, 27, 6, 5), "d/m/yy h:mm", "27/11/26 6:05"),  # sheets have no zones
        ("#N/A", None, "#N/A"),
        ("=HYPERLINK", "@", "=HYPERLINK"),
        ("two\nlines", None, "two\nlines"),
        (None, None, ""),
    ],
)
def test_a_cell_is_the_text_that_the_sheet_shows(
    tmp_path: Path, value: object, number_format: str | None, text: str
) -> None:
    def fill(sheet: Worksheet) -> None:
        sheet.append(["a", "x", LINK])
        cell: Any = sheet.cell(2, 4)
        cell.value = value
        if value == "=HYPERLINK":
            cell.data_type = "s"
        if number_format is not None:
            cell.number_format = number_format

    assert read(workbook(tmp_path / "m.xlsx", fill)).job.extras == {"v": text}


def test_the_years_of_1904_are_counted_from_there(tmp_path: Path) -> None:
    path = workbook(tmp_path / "m.xlsx", lambda sheet: sheet.append(["a", "x", LINK, 1]))
    book = openpyxl.load_workbook(path)
    book.epoch = CALENDAR_MAC_1904
    book.worksheets[0]["D2"].number_format = "yyyy-mm-dd"
    book.save(path)
    assert read(path).job.extras == {"v": "1904-01-02"}


def test_a_table_may_begin_anywhere_and_faults_name_the_rows_of_the_sheet(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet: Any = book.active
    rows: list[list[str | None]] = [[*HEADER], ["a", "x", LINK], [None] * 4, ["b", None, LINK]]
    for number, cells in enumerate(rows, 4):
        for column, value in enumerate(cells, 3):
            sheet.cell(number, column, value)
    for number in range(8, 500):
        sheet.cell(number, 30).number_format = "0.00"
    book.save(tmp_path / "m.xlsx")
    reading = read(tmp_path / "m.xlsx")
    assert reading.fault == "m.xlsx:7: job b: prompt is empty"
    assert [(job.id, job.where.rpartition(":")[2]) for job in reading.jobs] == [("a", "5")]


def test_merged_cells_have_their_value_in_the_first_one(tmp_path: Path) -> None:
    def fill(sheet: Worksheet) -> None:
        for number in (2, 3):
            sheet.append([number, "x", LINK])
        sheet.merge_cells("B2:B3")

    assert read(workbook(tmp_path / "m.xlsx", fill)).fault == "m.xlsx:3: job 3: prompt is empty"
    assert len(read(tmp_path / "m.xlsx", carry="prompt").jobs) == 2


def test_a_title_above_the_header_is_named(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet: Any = book.active
    for cells in (["Products of spring"], [], HEADER, ["a", "x", LINK, 1]):
        sheet.append(cells)
    sheet.merge_cells("A1:D1")
    book.save(tmp_path / "m.xlsx")
    assert read(tmp_path / "m.xlsx").fault == (
        "m.xlsx:1: the only column is 'Products of spring', which looks like a title; line 3 looks like the header"
        " (id, prompt, image_urls, v): delete what stands above it"
    )


def test_a_sheet_is_chosen_by_its_name_and_hidden_ones_are_passed_over(tmp_path: Path) -> None:
    path = workbook(tmp_path / "m.xlsx", lambda sheet: sheet.append(["hidden", "x", LINK]))
    book = openpyxl.load_workbook(path)
    for name in ("Spring 2026", "Autumn"):
        sheet = book.create_sheet(name)
        sheet.append(HEADER)
        sheet.append([name, "x", LINK])
    book.worksheets[0].sheet_state = "hidden"
    book.active = 1
    book.save(path)
    reading = read(path)
    assert reading.ids == ["Spring 2026"]
    assert reading.warnings == [
        "m.xlsx: sheet 'Sheet' is hidden; 'Spring 2026' is read (FILE.xlsx#SHEET names another)"
    ]
    assert read(tmp_path / "m.xlsx#Autumn").ids == ["Autumn"]
    assert read(tmp_path / "m.xlsx#Sheet").ids == ["hidden"]
    assert read(tmp_path / "m.xlsx#autumn ").ids == ["Autumn"]
    assert read(tmp_path / "m.xlsx#summer").fault == (
        "m.xlsx#summer: has no sheet 'summer'; its sheets are 'Sheet', 'Spring 2026', 'Autumn'"
    )
    rows = "jobs:\n  - {rows: 'm.xlsx#Autumn', id: '{{ id }}', prompt: x, image_urls: ['{{ image_urls }}']}\n"
    assert read(write(tmp_path / "m.yaml", rows)).ids == ["Autumn"]


def test_an_empty_first_sheet_says_what_the_others_are(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.create_sheet("Products").append(HEADER)
    book.save(tmp_path / "m.xlsx")
    assert read(tmp_path / "m.xlsx").fault == (
        "m.xlsx: sheet 'Sheet' is empty; FILE.xlsx#SHEET names another: 'Products'"
    )
    assert read(tmp_path / "m.xlsx#Products").fault == "m.xlsx#Products: has no jobs"


def test_hidden_rows_are_read_and_told(tmp_path: Path) -> None:
    def fill(sheet: Worksheet) -> None:
        for number in range(2, 6):
            sheet.append([number, "x", LINK])
        for number in (3, 4):
            sheet.row_dimensions[number].hidden = True

    reading = read(workbook(tmp_path / "m.xlsx", fill))
    assert reading.ids == ["2", "3", "4", "5"]
    assert reading.warnings == ["m.xlsx: 2 hidden rows are read as well, first at line 3; delete what isn't meant"]


def test_a_number_that_a_spreadsheet_has_cut_is_told(tmp_path: Path) -> None:
    path = workbook(tmp_path / "m.xlsx", lambda sheet: sheet.append([40063813339312345, "x", LINK]))
    reading = read(path)
    assert reading.warnings == [
        (
            f"m.xlsx: {reading.jobs[0].id} has more than the 15 digits that a spreadsheet keeps of a number;"
            " format the column as text and enter it again"
        )
    ]


def test_a_formula_without_its_result_is_a_fault_that_says_what_to_do(tmp_path: Path) -> None:
    path = workbook(tmp_path / "m.xlsx", lambda sheet: sheet.append(["a", "x", LINK, "=1+1"]))
    assert read(path).faults == [
        "m.xlsx:2: a formula whose result isn't saved in the file; open it in a spreadsheet and save it there",
    ]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('<c t="str"><f>UPPER("a")</f><v>A</v></c>', "A"),
        ('<c t="str"><f>""</f><v></v></c>', ""),
        ("<c><f>1+1</f><v>2</v></c>", "2"),
        ('<c t="e"><f>1/0</f><v>#DIV/0!</v></c>', "#DIV/0!"),
        ('<c t="b"><v>0</v></c>', "FALSE"),
        ('<c t="d"><v>2026-11-27T00:00:00</v></c>', "2026-11-27"),
        ('<c t="inlineStr"><is><r><t>Red </t></r><r><t>mug</t></r><rPh><t>x</t></rPh></is></c>', "Red mug"),
        ('<c t="s"><v>0</v></c>', "Red mug"),
        ('<c t="n"><v>7</v></c>', "7"),
        (inline("a_x000D_\nb"), "a\nb"),
        ("<c/>", ""),
    ],
)
@pytest.mark.parametrize("dimension", ["", '<dimension ref="A1"/>'])
def test_what_other_programs_write_is_read(tmp_path: Path, cell: str, text: str, dimension: str) -> None:
    sheet = RAW_HEADER + row(inline("a"), inline("x"), inline(LINK), cell)
    path = raw_workbook(tmp_path / "m.xlsx", sheet, strings="<si><r><t>Red </t></r><r><t>mug</t></r></si>")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = "xl/worksheets/sheet1.xml"
    parts[name] = parts[name].replace(b"<sheetData>", f"{dimension}<sheetData>".encode())
    with zipfile.ZipFile(path, "w") as archive:
        for each, content in parts.items():
            archive.writestr(each, content)
    assert read(path).job.extras == {"v": text}


@pytest.mark.parametrize(
    ("sheet", "head", "fault"),
    [
        (RAW_HEADER + row('<c r="ZZZZ2"><v>1</v></c>'), "", "m.xlsx:2: a cell beyond column 16,384"),
        (RAW_HEADER + "<row><c>", "", "m.xlsx: is a broken workbook, or one that openpyxl can't read (mismatched tag"),
        (
            RAW_HEADER + row('<c t="s"><v>9</v></c>'),
            "",
            "m.xlsx: is a broken workbook, or one that openpyxl can't read",
        ),
        (RAW_HEADER, "<!DOCTYPE x>", "m.xlsx: a sheet with a document type, which no spreadsheet writes"),
        ("", "", "m.xlsx: sheet 'Products' is empty"),
    ],
)
def test_a_broken_sheet_is_a_fault(tmp_path: Path, sheet: str, head: str, fault: str) -> None:
    assert read(raw_workbook(tmp_path / "m.xlsx", sheet, head=head)).faults[0].startswith(fault)


@pytest.mark.slow
def test_a_few_kilobytes_that_unpack_to_gigabytes_are_not_unpacked(tmp_path: Path) -> None:
    path = raw_workbook(tmp_path / "m.xlsx", RAW_HEADER, strings=" " * (257 * 2**20))
    assert path.stat().st_size < 2**20
    tracemalloc.start()
    assert read(path).fault == ("m.xlsx: unpacks to more than 256 MiB of texts, or 4 GiB of cells; save it as CSV")
    assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    tracemalloc.stop()


@pytest.mark.slow
def test_a_million_blank_rows_below_are_looked_through_and_not_parsed(tmp_path: Path) -> None:
    blank = "<row><c/><c/><c/><c/></row>"
    job = row(inline("a"), inline("x"), inline(LINK))
    path = raw_workbook(tmp_path / "m.xlsx", RAW_HEADER + job + blank * 1_000_000)
    began = datetime.now()
    assert read(path).ids == ["a"]
    assert (datetime.now() - began).total_seconds() < 10  # parsed they take more
    below = raw_workbook(tmp_path / "n.xlsx", RAW_HEADER + job + blank * 30_000 + job.replace("<t>a<", "<t>b<"))
    assert read(below).ids == ["a", "b"]


def test_a_long_sheet_is_streamed(tmp_path: Path) -> None:
    columns = [f"more-{number}" for number in range(100)]
    lines = "".join(row(*map(inline, [f"{number}", "x", LINK, *columns])) for number in range(200))
    path = raw_workbook(tmp_path / "m.xlsx", row(*map(inline, [*HEADER, *columns])) + lines)
    tracemalloc.start()
    assert len(read(path, only=["nothing"]).ids) == 200
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4 * 2**20  # 20,000 cells that are kept take more than twice as much


@pytest.mark.slow
def test_without_openpyxl_it_says_what_to_install(tmp_path: Path) -> None:
    path = workbook(tmp_path / "m.xlsx", lambda sheet: sheet.append(["a", "x", LINK]))
    code = (
        "import sys; sys.modules['openpyxl'] = None\n"
        f"from batch_editor.cli.main import main; sys.exit(main(['plan', {str(path)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == (
        f"error: {path}: XLSX is read by openpyxl: pip install openpyxl, or save it as CSV"
    )


def test_a_row_that_explains_the_columns_is_passed_over(tmp_path: Path) -> None:
    def fill(sheet: Worksheet) -> None:
        sheet.insert_rows(1)
        sheet["A1"], sheet["B1"] = "# Required | An ID of the item", "# Optional | A text"
        sheet.append(["a", "Mug", LINK])
        sheet.append(["b", "Cup", "nowhere"])

    reading = read(workbook(tmp_path / "m.xlsx", fill))
    assert reading.ids == ["a"]
    assert reading.fault.startswith("m.xlsx:4: job b: ")
