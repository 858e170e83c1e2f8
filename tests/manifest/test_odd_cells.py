"""Blank cells, a spreadsheet's errors and what programs write for nothing, in what would be sent and paid for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batch_editor.manifest.odd_cells import oddity_of
from tests.support.manifest_reading import LINK, Reading, read, write

WAYS = (
    "--set 'carry=title' takes the value above, --set 'when={{ title }}' skips such rows, "
    '{{ title|default("…", true) }} puts something in its place'
)
MEND = 'a spreadsheet\'s error: mend it there, or write {{ title|default("…", true) }}'
MEANT = "some programs write that for an empty cell: is it meant?"


def shop(tmp_path: Path, prompt: str, *titles: str, vendor: str = "Acme", **overrides: Any) -> Reading:
    rows = "".join(f'"{title}",{vendor},7,{LINK}?{number}\n' for number, title in enumerate(titles))
    path = write(tmp_path / "shop.csv", f"Title,Vendor,Qty,Image Src\n{rows}")
    return read(path, prompt=prompt, image_urls="{{ image_src }}", id="{{ image_src }}", **overrides)


PUT_OUT = [
    "Show {{ title }} on white",
    "Show {{ title }} by {{ vendor }}",
    "Show {{ Title }}",
    "Show {{ row['Title'] }}",
    "Show {{ row.Title }}",
    "Show {{ title|upper }}",
    "Show {{ title|trim|title }}",
    "Show {{ title|replace('a', 'b') }}",
    "Show {{ 'it'|replace('it', title) }}",
    "Show {{ title|default('it') }}",
    "Show {{ title|truncate(9) }}",
    "Show {{ '%s'|format(title) }}",
    "Show {{ '%s!' % title }}",
    "Show {{ title.upper() }}",
    "Show {{ title.replace('a', 'b') }}",
    "Show {{ 'it'.replace('it', title) }}",
    "Show {{ title ~ '!' }}",
    "Show {{ 'the ' ~ title }}",
    "Show {{ ('the ' ~ title)|upper }}",
    "Show {{ 'the ' + title }}",
    "Show {{ title + title }}",
    "Show {{ [title, vendor]|join(', ') }}",
    "Show {{ [title, vendor]|first }}",
    "Show {{ title[:20] }}",
    "Show {{ title[0] }}",
    "Show {{ title.split(',')[0] }}",
    "Show {{ title.split()[0] }}",
    "Show {{ title.partition(',')[0] }}",
    "Show {{ title|first }}",
    "Show {{ title|int }}",
    "Show {{ title|int + 1 }}",
    "Show {{ -(title|float) }}",
    "Show {{ 1 / title|int }}",
    "Show {{ title|length }}",
    "{% set name = title %}Show {{ name }}",
    "{% set name = title|lower ~ '!' %}Show {{ name }}",
    "{% for name in [vendor, title] %}{{ name }}{% endfor %}",
    "Show {% for part in title.split(',') %}{{ part }}{% endfor %}",
    "Show {% for part in title.split() %}{{ part }}{% endfor %}",
    "Show {% for letter in title %}{{ letter }}{% endfor %}",
    "Show {% if vendor %}{{ title }}{% endif %}",
    "Show {{ title if vendor else 'it' }}",
    "Show {{ title or title }}",
    "Show {{ vendor and title }}",
    "{{ title }}",
    "{{ title|upper }}",
]


@pytest.mark.parametrize("blank", ["", "  ", "\t", "\u00a0", "\u200b"])
@pytest.mark.parametrize("prompt", PUT_OUT)
def test_a_blank_cell_that_a_prompt_puts_out_is_a_fault(tmp_path: Path, prompt: str, blank: str) -> None:
    reading = shop(tmp_path, prompt, "Mug", blank, "1,2", blank, blank)
    (fault,) = [fault for fault in reading.faults if "empty" in fault]
    name = "Title" if "Title" in prompt else "title"
    assert fault == f"shop.csv: {name} is empty in 3 rows, first at line 3; {WAYS.replace('title', name)}"


@pytest.mark.parametrize("prompt", [prompt for prompt in PUT_OUT if "length" not in prompt])
@pytest.mark.parametrize("error", ["#N/A", " #REF! ", "Err:502"])
def test_an_error_of_a_spreadsheet_that_a_prompt_puts_out_is_a_fault(tmp_path: Path, prompt: str, error: str) -> None:
    reading = shop(tmp_path, prompt, error, error)
    name = "Title" if "Title" in prompt else "title"
    wanted = f"shop.csv: {name} is '{error.strip()}' in 2 rows, first at line 2; {MEND.replace('title', name)}"
    assert reading.fault == wanted


ASKED = [
    ("{% if title %}Show {{ title }}{% else %}Show it{% endif %}", "Show it"),
    ("Show {% if title|trim %}{{ title }}{% endif %}it", "Show it"),
    ("Show {{ title or 'it' }}", "Show it"),
    ("Show {{ title or vendor }}", "Show Acme"),
    ("Show {{ title|default('it', true) }}", "Show it"),
    ("Show {{ title|d('it', true)|upper }}", "Show IT"),
    ("Show {{ title|trim|default('it', true) }}", "Show it"),
    ("Show {{ 'it' if not title else title }}", "Show it"),
    ("Show it{{ title and ' called ' ~ title }}", "Show it"),
    ("Show {{ (title and title ~ ', ') or 'it' }}", "Show it"),
    ("{% set name = title or 'it' %}Show {{ name }}", "Show it"),
    ("Show {% for part in title.split() %}{{ part }}{% else %}it{% endfor %}", "Show it"),
    ("{% if title is string %}Show it{% endif %}", "Show it"),
    ("{% if title|length > 100 %}Show {{ title }}{% else %}Show it{% endif %}", "Show it"),
    ("{% if title == 'Mug' %}Show {{ title }}{% else %}Show it{% endif %}", "Show it"),
    ("{% if vendor and title %}Show {{ title }}{% else %}Show it{% endif %}", "Show it"),
    ("{% for name in [title, vendor] %}{% if name %}Show {{ name }}{% endif %}{% endfor %}", "Show Acme"),
    ("Show {{ [vendor, title]|first }}", "Show Acme"),
    ("Show {{ [title, vendor]|max }}", "Show Acme"),
    ("Show {{ [title, vendor]|length }}", "Show 2"),
    ("Show {{ {'a': title}.get('b', 'it') }}", "Show it"),
]


@pytest.mark.parametrize("blank", ["", "  ", "\u200b", "#N/A"])
@pytest.mark.parametrize(("prompt", "text"), ASKED)
def test_asking_for_a_cell_is_not_using_it(tmp_path: Path, prompt: str, text: str, blank: str) -> None:
    if blank in ("\u200b", "#N/A") and ("split" in prompt or "max" in prompt):
        blank = ""  # to these a cell isn't blank that has characters
    reading = shop(tmp_path, prompt, blank)
    assert reading.values("prompt") == [text]
    assert reading.warnings == []


def test_cells_that_are_not_odd_make_no_fault_of_a_template_that_is_short(tmp_path: Path) -> None:
    prompt = "{{ '' ~ title[:0] }}Show it{{ vendor|replace('Acme', '') }}"
    assert shop(tmp_path, prompt, "Mug").values("prompt") == ["Show it"]


def test_what_goes_elsewhere_than_into_a_prompt_may_be_blank(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f"Sku,Position,Image,Q\nmug,,{LINK},\n")
    reading = read(
        path,
        prompt="Show it",
        id="{{ sku }}-{{ position }}",
        output="{{ sku }}/{{ position|trim }}x",
        image_urls="{{ image }}",
        quality="{{ q }}",
    )
    assert (reading.ids, reading.job.output) == (["mug-"], "mug/x")


def test_an_id_that_fails_over_a_blank_cell_cannot_be_told(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f"Title,prompt,image_urls\nMug,x,{LINK}\n,x,{LINK}\n")
    reading = read(path, id="{{ title.split()[0] }}", skip_faulty=True)
    assert [(row.id, row.message) for row in reading.faulty] == [("m-row-3", "title is empty")]


def test_a_prompt_that_is_blank_as_a_whole_leaves_it_to_the_next_one(tmp_path: Path) -> None:
    rows = "rows: [{note: In snow}, {note: ''}, {note: '#N/A'}]"
    path = write(
        tmp_path / "m.yaml",
        f"defaults: {{prompt: On white}}\njobs:\n  - {{{rows}, prompt: '{{{{ note }}}}', image_urls: [{LINK}]}}\n",
    )
    reading = read(path, skip_faulty=True)
    assert reading.values("prompt") == ["In snow", "On white"]
    assert [row.message for row in reading.faulty] == ["note is '#N/A'"]
    table = write(tmp_path / "m.csv", f"prompt,image_urls,Note\nOn white,{LINK},\n,{LINK},\n")
    assert read(table, prompt="{{ note }}").fault.startswith("m.csv: note is empty in 1 row, first at line 3; ")


def test_the_ways_out_are_told_as_the_manifest_would_have_them(tmp_path: Path) -> None:
    table = write(tmp_path / "p.csv", f"Product Name,Image\nMug,{LINK}\n,{LINK}\n")
    path = write(
        tmp_path / "m.yaml",
        "jobs:\n"
        "  - {rows: p.csv, prompt: 'Show {{ product_name }}', image_urls: ['{{ image }}']}\n"
        "  - {rows: p.csv, prompt: 'Show {{ row[\"Product Name\"] }}', image_urls: ['{{ image }}']}\n"
        f"  - {{rows: [{{a: x}}, {{a: ''}}], prompt: 'Show {{{{ a }}}}', image_urls: [{LINK}]}}\n",
    )

    def ways(name: str, used: str) -> str:
        return (
            f"carry: [{name}] takes the value above, when: '{{{{ {used} }}}}' skips such rows, "
            f'{{{{ {used}|default("…", true) }}}} puts something in its place'
        )

    row = 'row["Product Name"]'
    assert read(path).faults == [
        f"m.yaml:2, p.csv: product_name is empty in 1 row, first at line 3; {ways('product_name', 'product_name')}",
        f"m.yaml:3, p.csv: Product Name is empty in 1 row, first at line 3; {ways('Product Name', row)}",
        f"m.yaml: a is empty in 1 row, first at line 4; {ways('a', 'a')}",
    ]
    assert read(table, prompt="{{ row['Product Name'] }}!", image_urls="{{ image }}").fault == (
        "p.csv: Product Name is empty in 1 row, first at line 3; --set 'carry=Product Name' takes the value above, "
        "--set 'when={{ row[\"Product Name\"] }}' skips such rows, "
        '{{ row["Product Name"]|default("…", true) }} puts something in its place'
    )


def test_the_ways_out_lead_out(tmp_path: Path) -> None:
    titles = ("Mug", "", "Cup", "")
    prompt = "Show {{ title }}"
    assert shop(tmp_path, prompt, *titles, carry="title").values("prompt") == [
        *("Show Mug", "Show Mug", "Show Cup", "Show Cup")
    ]
    assert shop(tmp_path, prompt, *titles, when="{{ title }}").values("prompt") == ["Show Mug", "Show Cup"]
    reading = shop(tmp_path, 'Show {{ title|default("it", true) }}', *titles)
    assert reading.values("prompt") == ["Show Mug", "Show it", "Show Cup", "Show it"]


def test_of_a_row_with_combinations_and_variants_the_row_counts_once(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.yaml",
        "jobs:\n"
        "  - {rows: [{a: ''}, {a: x}, {a: ''}], matrix: {s: ['', y]}, variants: 2,\n"
        f"     prompt: 'Show {{{{ a }}}} {{{{ s }}}}', image_urls: [{LINK}]}}\n",
    )
    reading = read(path)
    assert reading.fault.startswith("m.yaml: a is empty in 2 rows, first at line 2; ")
    assert [job.request.params["prompt"] for job in reading.jobs[::2]] == ["Show x ", "Show x y"]


def test_skipped_rows_carry_their_own_message_and_the_count_becomes_a_warning(tmp_path: Path) -> None:
    reading = shop(tmp_path, "Show {{ title }} by {{ vendor }}", "", "Mug", "", vendor="", skip_faulty=True)
    assert reading.faults[0] == f"shop.csv: title is empty in 2 rows, first at line 2; {WAYS}"
    path = tmp_path / "shop.csv"
    path.write_text(path.read_text().replace("Mug,", "Mug,A").replace('"Mug",', '"Mug",A'))
    reading = read(path, prompt="Show {{ title }} by {{ vendor }}", image_urls="{{ image_src }}", skip_faulty=True)
    assert [(row.id, row.message) for row in reading.faulty] == [
        ("shop-1", "title is empty; vendor is empty"),
        ("shop-3", "title is empty; vendor is empty"),
    ]
    assert reading.warnings == [
        "2 faulty rows are skipped:",
        f"shop.csv: title is empty in 2 rows, first at line 2; {WAYS}",
        f"shop.csv: vendor is empty in 2 rows, first at line 2; {WAYS.replace('title', 'vendor')}",
    ]
    assert read(path, prompt="{{ title }}", image_urls="{{ image_src }}", only=["shop-2"]).faults == []


@pytest.mark.parametrize(
    "word", ["nan", "NaN", "NULL", "TBD", r"\N", "null", "None", "undefined", "N/A", "<NA>", "[object Object]"]
)
def test_what_programs_write_for_nothing_is_a_warning_with_a_count(tmp_path: Path, word: str) -> None:
    reading = shop(tmp_path, "Show {{ title|trim }}", "Mug", word, f" {word} ", "Nanna")
    assert reading.warnings == [f"shop.csv: title is {word!r} in 2 rows, first at line 3; {MEANT}"]
    assert len(reading.values("prompt")) == 4
    rows = f"id,prompt,image_urls\na,x,{LINK}\n{word},{word},{LINK}\nb,{word},{LINK}\n"
    assert read(write(tmp_path / "m.csv", rows)).warnings == [
        f"m.csv: id is {word!r} in 1 row, first at line 3; {MEANT}",
        f"m.csv: prompt is {word!r} in 2 rows, first at line 3; {MEANT}",
    ]


def test_a_placeholder_as_a_condition_is_text(tmp_path: Path) -> None:
    assert shop(tmp_path, "{{ 'Show ' ~ title if title else 'x' }}", "nan").values("prompt") == ["Show nan"]
    reading = shop(tmp_path, "{% if title != 'nan' %}Show {{ title }}{% else %}Show it{% endif %}", "nan")
    assert (reading.values("prompt"), reading.warnings) == (["Show it"], [])


ERROR = "a spreadsheet's error: mend it there"


@pytest.mark.parametrize("error", ["#N/A", "#REF!", "#value!", "#WERT!", "Err:508", "########"])
def test_an_error_of_a_spreadsheet_as_a_whole_value_is_a_fault(tmp_path: Path, error: str) -> None:
    header = "id,output,prompt,image_urls,mask\n"
    rows = (
        f"a,,{error},{LINK},\nb,,x, {error} ,\n{error},,x,{LINK},\n"
        f"d,{error},x,{LINK},\ne,,x,{LINK},{error}\nf,, {error},{LINK},\n"
    )
    path = write(tmp_path / "m.csv", header + rows)
    assert read(path).faults == [
        f"m.csv: prompt is '{error}' in 2 rows, first at line 2; {ERROR}",
        f"m.csv: image_urls is '{error}' in 1 row, first at line 3; {ERROR}",
        f"m.csv: id is '{error}' in 1 row, first at line 4; {ERROR}",
        f"m.csv: output is '{error}' in 1 row, first at line 5; {ERROR}",
        f"m.csv: mask is '{error}' in 1 row, first at line 6; {ERROR}",
    ]
    good = write(tmp_path / "m.csv", header + rows + f"g,,x,{LINK},\n")
    assert [row.id for row in read(good, skip_faulty=True).faulty] == ["a", "b", "m-row-4", "d", "e", "f"]


def test_an_error_that_comes_through_a_template_or_stands_in_the_manifest_is_a_fault(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.yaml",
        "jobs:\n"
        "  - {rows: [{a: '#N/A'}], id: '{{ a }}', identity: '{{ a }}', prompt: x, image_urls: ['{{ a }}']}\n"
        f"  - {{id: b, prompt: '#REF!', image_urls: [{LINK}]}}\n",
    )
    assert read(path).faults == [
        f"m.yaml: id is '#N/A' in 1 row, first at line 2; {ERROR}",
        f"m.yaml: image_urls is '#N/A' in 1 row, first at line 2; {ERROR}",
        f"m.yaml: identity is '#N/A' in 1 row, first at line 2; {ERROR}",
        f"m.yaml:3: job b: prompt is '#REF!'; {ERROR}",
    ]


@pytest.mark.parametrize(
    "text",
    ["#1 mug", "#ff0000", "#", "##", "#sale", "Nan's mug", "NA", "-", "0", "n", "None of these", "Error", "é", "ß"],
)
def test_words_that_are_meant_are_not_odd(text: str) -> None:
    assert oddity_of(text) is None


@pytest.mark.parametrize(
    ("links", "way"),
    [
        ("{{ image_src }}", "--set 'when={{ image_src }}' skips such rows"),
        ('{{ row["Image Src"] }}', "--set 'when={{ row[\"Image Src\"] }}' skips such rows"),
    ],
)
def test_rows_without_a_picture_are_one_fault_with_the_way_to_skip_them(tmp_path: Path, links: str, way: str) -> None:
    path = write(tmp_path / "m.csv", f"Title,Image Src\nCup,{LINK}\nMug,\nPot, \n")
    fault = f"m.csv: image_urls is empty in 2 rows, first at line 3; {way}"
    assert read(path, prompt="x", image_urls=links).fault == fault
    assert read(path, prompt="x", image_urls=links, when=way[12:].partition("'")[0]).skipped == {"when": 2}


def test_a_picture_made_of_two_cells_that_are_blank_is_a_fault_of_its_row(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", "id,a,b\nx,,\n")
    assert read(path, prompt="x", image_urls="{{ a }}{{ b }}").fault == "m.csv:2: job x: image_urls is empty"
