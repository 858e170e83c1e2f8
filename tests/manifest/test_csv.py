from __future__ import annotations

import csv
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from batch_editor.errors import ManifestError
from batch_editor.manifest import Expansion, Faults, read_manifests
from batch_editor.manifest import csv_table as csv_table_module
from batch_editor.manifest.file_types import AS_UTF8
from batch_editor.records import Job
from tests.support.manifest_reading import ENDPOINT, LINK, load_beside, read, write

HEADER = "id,prompt,image_urls\n"


def test_a_row_becomes_a_job_with_every_parameter_in_the_order_of_the_endpoint(tmp_path: Path) -> None:
    path = write(tmp_path / "spring.csv", f"image_urls,Vendor,id,prompt\n{LINK},Acme,mug,On white\n")
    job = read(path).job
    assert (job.id, job.output, job.where) == ("mug", None, f"{path}:2")
    assert job.request.params == {
        "prompt": "On white",
        "image_urls": [LINK],
        "mask": None,
        "size": "auto",
        "quality": "high",
        "background": "opaque",
        "output_compression": 95,
        "output_format": "png",
        "moderation": "auto",
    }
    assert list(job.request.params) == list(ENDPOINT.parameters)
    assert job.extras == {"Vendor": "Acme"}


def test_an_optional_parameter_without_a_default_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f"prompt,image_urls,response_modalities\nx,{LINK},\ny,{LINK},IMAGE\n")
    faults = Faults()
    expansion = Expansion(endpoint=load_beside("nano-banana", tmp_path), load_endpoint=load_beside)
    jobs = list(read_manifests([path], expansion, faults))
    assert [list(job.request.params) for job in jobs if isinstance(job, Job)] == [
        ["prompt", "image_urls", "aspect_ratio"],
        ["prompt", "image_urls", "aspect_ratio", "response_modalities"],
    ]


def test_a_missing_id_is_the_stem_and_the_number_of_the_row(tmp_path: Path) -> None:
    path = write(tmp_path / "spring.csv", f"{HEADER},a,{LINK}\n\nmug,b,{LINK}\n,c,{LINK}\n")
    assert read(path).ids == ["spring-1", "mug", "spring-3"]


def test_an_empty_cell_means_the_default_and_blank_around_a_choice_is_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f"prompt,image_urls,quality\na,{LINK},\nb,{LINK}, low \n")
    assert read(path).values("quality") == ["high", "low"]


@pytest.mark.parametrize(("column", "cell", "meant"), [("quality", "Low", "low"), ("size", "AUTO", "auto")])
def test_a_choice_may_be_written_in_other_capitals(tmp_path: Path, column: str, cell: str, meant: str) -> None:
    path = write(tmp_path / "m.csv", f"prompt,image_urls,{column}\nx,{LINK},{cell}\n")
    assert read(path).values(column) == [meant]


def test_a_wrong_cell_names_what_it_got_and_what_was_wanted(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f"id,prompt,image_urls,quality\nmug,a,{LINK},hgih\n")
    assert read(path).faults == [
        "m.csv:2: job mug: quality is 'hgih'; expected low, medium, high or auto (did you mean high?)"
    ]


def test_every_fault_of_a_row_is_listed_and_reading_goes_on(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.csv",
        f"id,prompt,image_urls,quality,output_compression\n\x07,,ftp://x,x,1e3\nok,a,{LINK},low,80\n",
    )
    reading = read(path)
    assert reading.faults == [
        r"m.csv:2: id is '\x07'; expected text without control characters",
        "m.csv:2: prompt is empty",
        "m.csv:2: image_urls is 'ftp://x'; expected an http(s) link or a local path",
        "m.csv:2: quality is 'x'; expected low, medium, high or auto",
        "m.csv:2: output_compression is '1e3'; expected a whole number from 0 to 100",
    ]
    assert reading.ids == ["ok"]


def test_only_twenty_faults_are_kept_and_all_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", HEADER + f"a,,{LINK}\n" * 30)
    faults = Faults()
    assert list(read_manifests([path], Expansion(endpoint=ENDPOINT, load_endpoint=load_beside), faults)) == []
    with pytest.raises(ManifestError, match="… and 10 more") as caught:
        faults.raise_if_any()
    assert (caught.value.total, len(caught.value.faults)) == (30, 20)


def test_overrides_are_templates_of_the_row_and_win_over_its_columns(tmp_path: Path) -> None:
    path = write(
        tmp_path / "shop.csv",
        f"Handle,Title,Image Src,Image Position,quality\nmug,Mug {{{{ 1/0 }}}},{LINK},1,low\nmug,Mug,{LINK},2,\n",
    )
    reading = read(
        path,
        prompt="Show {{ Title }} ({{ row['Image Position'] }}) on white",
        image_urls="{{ image_src }}",
        id="{{ handle }}-{{ image_position }}",
        output="{{ handle }}/{{ image_position }}",
        quality="medium",
    )
    assert reading.ids == ["mug-1", "mug-2"]
    assert [job.output for job in reading.jobs] == ["mug/1", "mug/2"]
    assert reading.values("prompt") == ["Show Mug {{ 1/0 }} (1) on white", "Show Mug (2) on white"]
    assert reading.values("quality") == ["medium", "medium"]
    assert list(reading.jobs[0].extras) == ["Handle", "Title", "Image Src", "Image Position", "quality"]


def test_an_override_that_is_blank_in_a_row_leaves_the_rows_own_cell(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f"prompt,image_urls,quality,Q\na,{LINK},low,\nb,{LINK},low,medium\n")
    assert read(path, quality="{{ q }}").values("quality") == ["low", "medium"]


def test_a_wrong_override_is_reported_once(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", HEADER + f"a,x,{LINK}\n" * 3)
    reading = read(path, qualty="low", size="big", prompt="{{ x")
    assert reading.faults == [
        "--set: 'qualty' is no parameter of gpt-image-1.5-edit (did you mean quality?)",
        "--set: size is 'big'; expected 1024x1024, 1536x1024, 1024x1536 or auto",
        "--set: template of prompt is not a template: unexpected end of template, expected 'end of print statement'.",
    ]
    assert reading.jobs == []


def test_a_cell_with_braces_is_data_and_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f"prompt,image_urls\nShow {{{{ title }}}},{LINK}\n")
    reading = read(path)
    assert reading.values("prompt") == ["Show {{ title }}"]
    assert reading.warnings == [
        "m.csv: prompt cells with {{ or {% are sent as they stand; templates come from --set 'prompt=Show {{ title }}'"
    ]


def test_a_missing_required_column_is_one_fault_that_names_the_similar_one(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", "\nid,Prompt,Image URLs\n" + f"a,x,{LINK}\n" * 100)
    reading = read(path)
    assert reading.faults == [
        f"m.csv:2: {name} is missing; column {column!r} is named almost so: "
        f"rename it, or pass --set '{name}={{{{ {name} }}}}'"
        for name, column in (("prompt", "Prompt"), ("image_urls", "Image URLs"))
    ]
    assert reading.warnings == []
    assert reading.jobs == []


def test_a_column_named_almost_like_an_optional_parameter_is_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f"ID,prompt,image_urls,Quality\na,x,{LINK},low\n")
    reading = read(path, id="{{ ID }}")
    assert reading.values("quality") == ["high"]
    assert reading.warnings == [
        "m.csv: column 'Quality' is carried along; the quality of a job comes from a column quality"
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.fault(94)
def test_byte_order_marks_are_understood(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "m.csv", f"{HEADER}é-1,Tasse weiß,{LINK}\n".encode(encoding))
    assert read(path).ids == ["é-1"]


@pytest.mark.fault(94)
def test_utf16_big_endian_is_understood(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", b"\xfe\xff" + f"{HEADER}é-1,x,{LINK}\n".encode("utf-16-be"))
    assert read(path).ids == ["é-1"]


@pytest.mark.fault(94)
def test_other_bytes_are_refused_with_their_offset(tmp_path: Path) -> None:
    good = (HEADER + f"ä,x,{LINK}\n" * 10_000).encode()
    reading = read(write(tmp_path / "m.csv", good + "caf\xe9".encode("latin-1")))
    assert reading.faults[-1] == f"m.csv:10002: not UTF-8: byte 0xE9 at offset {len(good) + 3}; {AS_UTF8}"


@pytest.mark.fault(94)
def test_a_character_cut_at_the_end_is_refused_with_its_offset(tmp_path: Path) -> None:
    assert read(write(tmp_path / "m.csv", b"id\na\n\xe2\x82")).faults[0] == (
        f"m.csv:3: not UTF-8: byte 0xE2 at offset 5; {AS_UTF8}"
    )


@pytest.mark.fault(94)
def test_broken_utf16_is_refused_with_its_offset(tmp_path: Path) -> None:
    content = b"\xff\xfe" + f"{HEADER}a,x,{LINK}\n".encode("utf-16-le") + b"\x00\xdc"
    assert read(write(tmp_path / "m.csv", content)).fault == (
        f"m.csv:3: not UTF-16-LE: byte 0x00 at offset {len(content) - 2}; {AS_UTF8}"
    )


@pytest.mark.parametrize(
    ("name", "delimiter"), [("m.csv", ","), ("m.csv", ";"), ("m.txt", "\t"), ("m.tsv", "\t"), ("M.CSV", ";")]
)
@pytest.mark.fault(95)
def test_the_header_tells_the_delimiter(tmp_path: Path, name: str, delimiter: str) -> None:
    header = delimiter.join(["id", '"a,;,;b"', "prompt", "image_urls"])
    row = delimiter.join(["mug", "", '"x, y; z"', LINK])
    job = read(write(tmp_path / name, f"{header}\n{row}\n")).job
    assert (job.id, job.request.params["prompt"]) == ("mug", "x, y; z")


@pytest.mark.fault(95)
def test_a_tsv_file_has_tabs_whatever_its_header_says(tmp_path: Path) -> None:
    path = write(tmp_path / "m.tsv", f"id\tprompt\timage_urls\ta,b,c,d,e\nmug\tx\t{LINK}\t1\n")
    assert read(path).job.extras == {"a,b,c,d,e": "1"}


@pytest.mark.fault(96)
def test_a_row_of_too_many_cells_names_its_line(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f'{HEADER}a,"x\ny",{LINK}\nb,x,y,{LINK}\nc,x,{LINK},more\nd,x,{LINK}\n')
    reading = read(path)
    assert reading.faults == [
        f"m.csv:4: has 4 cells where the header has 3; {LINK!r} is one too many",
        "m.csv:5: has 4 cells where the header has 3; 'more' is one too many",
    ]
    assert reading.ids == ["a", "d"]


@pytest.mark.fault(96)
def test_a_row_may_lack_its_last_cells_or_have_blank_ones_too_many(tmp_path: Path) -> None:
    rows = f"x,{LINK}\ny,{LINK},low,Acme,, ,\nz\n"
    reading = read(write(tmp_path / "m.csv", f"prompt,image_urls,quality,Vendor\n{rows}"))
    assert [(job.request.params["quality"], job.extras) for job in reading.jobs] == [
        ("high", {"Vendor": ""}),
        ("low", {"Vendor": "Acme"}),
    ]
    assert reading.fault == (
        "m.csv: image_urls is empty in 1 row, first at line 4; --set 'when={{ image_urls }}' skips such rows"
    )


@pytest.mark.fault(97)
def test_unclosed_quote_names_the_row_it_starts_in(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f'{HEADER}a,x,{LINK}\nb,"x,{LINK}\nc,x,{LINK}\n')
    assert read(path).fault == "m.csv:3: a quote is opened in this row and never closed"


@pytest.mark.fault(97)
def test_unclosed_quote_of_a_large_file_is_not_gathered_up(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f'{HEADER}b,"x,{LINK}\n' + "c,x,y\n" * 4_000_000)
    tracemalloc.start()
    assert read(path).fault == "m.csv:2: a cell of more than 131,072 characters, or a quote that is never closed"
    assert tracemalloc.get_traced_memory()[1] < 30 * 2**20
    tracemalloc.stop()


@pytest.fixture
def host_limit() -> Iterator[Callable[[int], None]]:
    """Sets the csv module's limit as a program around this package may; restored afterwards."""
    before = csv.field_size_limit()

    def limited(limit: int) -> None:
        csv.field_size_limit(limit)

    yield limited
    csv.field_size_limit(before)


@pytest.mark.parametrize("limit", [131_072, 2**27])
def test_a_cell_beyond_the_csv_modules_limit_is_a_fault_and_the_limit_stays(
    tmp_path: Path, limit: int, host_limit: Callable[[int], None]
) -> None:
    host_limit(limit)
    path = write(tmp_path / "m.csv", f"{HEADER}a,x,{LINK}\nb,{'x' * 131_073},{LINK}\n")
    reading = read(path)
    assert reading.fault == "m.csv:3: a cell of more than 131,072 characters, or a quote that is never closed"
    assert reading.ids == ["a"]
    assert csv.field_size_limit() == limit
    path = write(tmp_path / "m.csv", f"id,prompt,image_urls,Note\nb,x,{LINK},{'é' * 131_072}\n")
    assert len(read(path).job.extras["Note"]) == 131_072


def test_a_lower_limit_of_the_program_around_is_named(tmp_path: Path, host_limit: Callable[[int], None]) -> None:
    host_limit(100)
    path = write(tmp_path / "m.csv", f"{HEADER}a,{'x' * 101},{LINK}\n")
    assert read(path).fault == "m.csv:2: a cell of more than 100 characters, or a quote that is never closed"


@pytest.mark.fault(97)
def test_a_row_without_end_is_not_gathered_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_table_module, "MAX_ROW", 2**20)
    assert read(write(tmp_path / "m.csv", HEADER + "x," * 2**20)).fault == "m.csv:2: a row of more than 1 MiB"


@pytest.mark.fault(97)
def test_text_after_a_closing_quote_is_a_fault_of_its_row_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f'{HEADER}a,"12" mug,{LINK}\nb,12" mug,{LINK}\n')
    reading = read(path)
    assert reading.fault == 'm.csv:2: text after a closing quote; write a quote inside a cell as ""'
    assert reading.ids == ["b"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_line_that_explains_the_columns_as_meta_s_catalogs_have_is_passed_over(
    tmp_path: Path, separator: str, quote: str
) -> None:
    explained = ["# Required | An ID. | Values: a; b", "# Optional | A text | or none", "# Required | A link | of one"]
    lines = [
        separator.join(f"{quote}{each}{quote}" for each in explained),
        *(separator.join(cells) for cells in (["id", "prompt", "image_urls"], ["a", "Mug", LINK], ["b", "Cup", LINK])),
    ]
    assert read(write(tmp_path / "m.csv", "\n".join(lines))).ids == ["a", "b"]


@pytest.mark.fault(97)
@pytest.mark.parametrize(
    ("table", "prompts"),
    [
        (f'id ,prompt ,image_urls\na  ,"A ""red"" mug, big"   ,{LINK}\nb,Cup,{LINK}\n', ['A "red" mug, big', "Cup"]),
        (f'"id" ,"prompt" ,"image_urls" \n"a" ,"Mug" ,"{LINK}" \n', ["Mug"]),
        (f'id;prompt;image_urls\na;"Mug; 12"" high" ;{LINK}', ['Mug; 12" high']),
        (f'id\tprompt\timage_urls\r\na\t"Mug"  \t{LINK}\r\nb\t"Cup" \t{LINK}\r\n', ["Mug", "Cup"]),
        (f'id,prompt,image_urls\na,"Two\nlines" ,{LINK}\nb,Cup,{LINK}\n', ["Two\nlines", "Cup"]),
        (f'id|prompt|image_urls\na | "Mug | red" | {LINK}\n', ["Mug | red"]),
    ],
)
def test_blanks_behind_a_closing_quote_are_nothing(tmp_path: Path, table: str, prompts: list[str]) -> None:
    assert read(write(tmp_path / "m.csv", table)).values("prompt") == prompts


@pytest.mark.fault(98)
def test_words_that_mean_nothing_elsewhere_stay_text(tmp_path: Path) -> None:
    words = ["NaN", "NA", "null", "None", "TRUE", "-"]
    path = write(tmp_path / "m.csv", HEADER + "".join(f"{word},{word},{LINK}\n" for word in words))
    assert read(path).ids == words
    assert read(path).values("prompt") == words


@pytest.mark.fault(98)
def test_a_blank_prompt_is_empty(tmp_path: Path) -> None:
    assert read(write(tmp_path / "m.csv", f"{HEADER}a, \t ,{LINK}\n")).fault == "m.csv:2: job a: prompt is empty"


@pytest.mark.fault(99)
def test_numbers_stay_text(tmp_path: Path) -> None:
    numbers = ["00123", "1e5", "12345678901234567890123", "1.10"]
    path = write(tmp_path / "m.csv", HEADER + "".join(f"{number},x,{LINK}\n" for number in numbers))
    assert read(path).ids == numbers


@pytest.mark.fault(99)
@pytest.mark.parametrize("shortened", ["1.23E+11", "1,00E+12", "1E+12", "sku-1.23457E+12-a"])
def test_an_id_that_a_spreadsheet_shortened_is_one_warning(tmp_path: Path, shortened: str) -> None:
    path = write(tmp_path / "m.tsv", f"id\tprompt\timage_urls\n{shortened}\tx\t{LINK}\n1.24E+11\tx\t{LINK}\n")
    reading = read(path)
    assert reading.ids == [shortened, "1.24E+11"]
    assert reading.warnings == [
        (
            f"m.tsv: id '{shortened}' looks shortened by a spreadsheet;"
            " format the column as a number without decimals and export it again"
        )
    ]


@pytest.mark.parametrize("meant", ["MODEL1E+10", "1E+1", "E+12"])
def test_an_id_that_only_has_such_letters_is_none(tmp_path: Path, meant: str) -> None:
    assert read(write(tmp_path / "m.csv", f"{HEADER}{meant},x,{LINK}\n")).warnings == []


@pytest.mark.parametrize("name", ["m.csv", "m.txt", "m.tsv"])
@pytest.mark.parametrize("first", ["sep=|", '"sep=|"', "SEP=|", "sep=||||"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_first_line_may_say_what_stands_between_the_cells(
    tmp_path: Path, name: str, first: str, encoding: str
) -> None:
    table = f"{first}\r\nid|a,b;c|prompt|image_urls\r\nmug|1|x, y; z|{LINK}\r\n"
    reading = read(write(tmp_path / name, table.encode(encoding)))
    assert reading.job.where.endswith(f"{name}:3")
    assert (reading.job.request.params["prompt"], reading.job.extras) == ("x, y; z", {"a,b;c": "1"})


@pytest.mark.parametrize(
    "table",
    [
        f"| id | prompt | image_urls |\n|:---|---:|-----|\n| a  | x y    | {LINK} |\n",
        f" id | prompt | image_urls\n----+--------+-----\n a  | x y    | {LINK}\n",
        f'id|prompt|image_urls\na|"x y"|{LINK}\n',
    ],
)
def test_tables_of_pipes_are_read_as_markdown_and_databases_draw_them(tmp_path: Path, table: str) -> None:
    reading = read(write(tmp_path / "m.txt", table))
    assert (reading.job.id, reading.job.request.params["prompt"]) == ("a", "x y")


def test_lines_that_are_quoted_whole_are_told(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f'"id,prompt,image_urls"\n"a,x,{LINK}"\n')
    assert read(path).fault == (
        "m.csv:1: the only column is 'id,prompt,image_urls': whole lines are in quotes; remove those, or export the"
        " table again"
    )


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", "^"])
def test_any_separator_can_be_said(tmp_path: Path, separator: str) -> None:
    row = separator.join(["mug", "x", LINK])
    header = separator.join(["id", "prompt", "image_urls"])
    assert read(write(tmp_path / "m.csv", f"sep={separator}\n{header}\n{row}\n")).ids == ["mug"]


def test_pipes_in_cells_do_not_make_a_pipe_table(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f"id,prompt,image_urls\na,x|y|z|w,{LINK}|{LINK}?2\n")
    assert read(path).values("image_urls") == [[LINK, f"{LINK}?2"]]
    path = write(tmp_path / "m.txt", f'id|prompt|image_urls\na|x, y|"{LINK}|{LINK}?2"\n')
    assert read(path).values("image_urls") == [[LINK, f"{LINK}?2"]]


@pytest.mark.parametrize(
    "above",
    ["Product list 2026\n", "Product list 2026,,,,\n", "Acme Ltd\n\nProducts of spring\n", '"Products, all"\n'],
)
def test_a_title_above_the_header_is_one_fault_that_shows_both(tmp_path: Path, above: str) -> None:
    table = f"{above}sku,prompt,image_urls,price\n" + f"a,x,{LINK},5\n" * 3
    path = write(tmp_path / "m.csv", table)
    line = above.count("\n") + 1
    title = above.splitlines()[0].strip(",").strip('"')
    assert read(path).fault == (
        f"m.csv:1: the only column is {title!r}, which looks like a title; line {line} looks like the header"
        " (sku, prompt, image_urls, price): delete what stands above it"
    )


def test_a_row_of_texts_beside_a_column_without_a_name_is_no_header(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", "prompt,image_urls,\nOn white,mug.jpg,checked\n")
    assert "looks like" not in read(path).fault


@pytest.mark.fault(103)
@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("# exported by the shop\nsku;title\n1;Cup\n2;Mug\n", "the only column is '# exported by the shop'"),
        ("article^name\n1^Cup\n2^Mug\n3^Pot\n", "the only column is 'article^name'"),
        ("1,Cup\n2,Mug\n3,Pot\n4,Pan\n", "the columns are '1', 'Cup'"),
    ],
    ids=["comment above the header", "other separator", "no header"],
)
def test_a_template_of_a_column_that_is_none_is_one_fault_with_the_columns(
    tmp_path: Path, content: str, columns: str
) -> None:
    rows = content.count("\n") - 1
    path = write(tmp_path / "m.csv", content)
    assert read(path, prompt="Show {{ title }}", image_urls=LINK).fault == (
        f"m.csv: template of prompt uses 'title', which is no column in {rows} rows, first at line 2; {columns}"
    )


def test_a_cell_like_an_api_key_is_refused_and_not_shown(tmp_path: Path) -> None:
    key = "SG_0123456789abcdef"
    path = write(tmp_path / "m.csv", f"id,prompt,image_urls,Note\na,x,{LINK},{key}\nb,y,{LINK},\n")
    reading = read(path, output=key)
    assert reading.faults == [
        "--set: output looks like an API key; keys come from the environment, never from a manifest",
        "m.csv:2: a cell looks like an API key; keys come from the environment, never from a manifest",
    ]


def test_blank_lines_empty_rows_and_nameless_columns_are_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f"\n \n id , prompt,image_urls,\n\na,x,{LINK},?\n,,,\n\r\nb,x,{LINK},\n")
    reading = read(path)
    assert reading.ids == ["a", "b"]
    assert reading.jobs[0].extras == {}
    assert reading.jobs[1].where.endswith("m.csv:8")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "m.csv: has no jobs"),
        (HEADER, "m.csv: has no jobs"),
        (",,\n", "m.csv: has no jobs"),
        ("id,prompt,image_urls\na,b\0,c\n", f"m.csv:2: a NUL character; {AS_UTF8}"),
    ],
)
def test_a_file_that_holds_no_table_says_why(tmp_path: Path, content: str, fault: str) -> None:
    assert read(write(tmp_path / "m.csv", content)).fault == fault


@pytest.mark.parametrize("above", [",,\n", "\n , ,\n\n"])
def test_blank_rows_above_the_header_are_left_out(tmp_path: Path, above: str) -> None:
    assert read(write(tmp_path / "m.csv", f"{above}{HEADER}a,x,{LINK}\n")).ids == ["a"]


def test_columns_of_one_name_are_carried_along_and_told_apart(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f"id,note,image_urls,note \na,first,{LINK},second\n")
    assert read(path, prompt="x").job.extras == {"note (1)": "first", "note (2)": "second"}
    assert read(path, prompt="{{ note }}").fault == (
        "m.csv: template of prompt uses 'note', which is no column (did you mean note_2?) in 1 row, first at line 2;"
        " the columns are 'id', 'note (1)', 'image_urls', 'note (2)'"
    )


def test_two_columns_that_would_be_one_parameter_are_a_fault(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f"id,prompt,image_urls,size,size\na,x,{LINK},auto,1024x1024\n")
    assert read(path).faults[0] == (
        "m.csv:1: column 'size' stands twice in the header; rename the one that isn't meant"
    )


@pytest.mark.parametrize(
    ("cell", "meant"),
    [
        ('="00123"', "00123"),
        ('"=""00123"""', "00123"),
        ('"=""5"""" pot"""', '5" pot'),
        ('=""', ""),
        ('"=""00123""&A2"', '="00123"&A2'),
        ("'00123", "'00123"),
    ],
)
def test_a_formula_of_one_text_is_the_text(tmp_path: Path, cell: str, meant: str) -> None:
    path = write(tmp_path / "m.csv", f"sku,prompt,image_urls\n{cell},x,{LINK}\n")
    assert read(path).job.extras == {"sku": meant}


def test_a_file_ends_where_programs_of_dos_end_it(tmp_path: Path) -> None:
    assert read(write(tmp_path / "m.csv", f"{HEADER}a,x,{LINK}\r\n\x1a")).ids == ["a"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.fault(94)
def test_utf16_without_a_byte_order_mark_is_understood(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "m.csv", f"{HEADER}é-1,Tasse weiß,{LINK}\n".encode(encoding))
    assert read(path).ids == ["é-1"]


def test_a_manifest_that_is_not_there_or_of_another_kind_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    paths = [tmp_path / name for name in ("gone.csv", "folder.csv", "gone.yaml", "jobs.xlsx", "jobs.ods")]
    assert read(*paths).faults == [
        "gone.csv: can't be read: No such file or directory",
        "folder.csv: can't be read: a folder; expected a file",
        "gone.yaml: can't be read: No such file or directory",
        "jobs.xlsx: can't be read: No such file or directory",
        "jobs.ods: isn't there",
    ]


def test_ids_and_outputs_have_bounds(tmp_path: Path) -> None:
    rows = f"{'a' * 201},x,{LINK},\n{'a' * 200},x,{LINK},{'b' * 401}\n c ,x,{LINK}, a/b \n"
    reading = read(write(tmp_path / "m.csv", "id,prompt,image_urls,output\n" + rows))
    assert reading.faults == [
        "m.csv:2: id has 201 characters; expected at most 200",
        f"m.csv:3: job {'a' * 200}: output has 401 characters; expected at most 400",
    ]
    assert [(job.id, job.output) for job in reading.jobs] == [("c", "a/b")]


def test_a_prompt_has_a_bound(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f"{HEADER}a,{'x' * 32_001},{LINK}\n")
    assert read(path).fault == "m.csv:2: job a: prompt has 32,001 characters; expected at most 32,000"


def test_rules_of_the_endpoint_are_kept(tmp_path: Path) -> None:
    header = "id,prompt,image_urls,background,output_format,output_compression\n"
    rows = f"a,x,{LINK},transparent,jpeg,\nb,x,{LINK},transparent,webp,80\nc,x,{LINK},,,80\nd,x,{LINK},,,\n"
    reading = read(write(tmp_path / "m.csv", header + rows))
    assert reading.fault == (
        "m.csv:2: job a: background is transparent, which needs output_format png or webp "
        "(jpeg has no transparency); got jpeg"
    )
    assert reading.warnings == ["m.csv: output_compression has no effect with output_format png (png is lossless)"]
    assert reading.ids == ["b", "c", "d"]


@pytest.mark.fault(86)
@pytest.mark.slow
def test_a_long_manifest_is_streamed(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", HEADER + "".join(f"{n},Put item {n} on white,{LINK}\n" for n in range(20_000)))
    expansion = Expansion(endpoint=ENDPOINT, load_endpoint=load_beside)
    tracemalloc.start()
    assert sum(1 for _ in read_manifests([path], expansion, Faults())) == 20_000
    assert tracemalloc.get_traced_memory()[1] < 2 * 2**20
    tracemalloc.stop()


def test_nothing_is_read_beyond_the_job_that_was_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f"{HEADER}a,x,{LINK}\nb\n")
    faults = Faults()
    jobs = read_manifests([path], Expansion(endpoint=ENDPOINT, load_endpoint=load_beside), faults)
    assert next(jobs).id == "a"
    assert faults.total == 0
