"""What a job says besides its parameters: which rows it skips, which cells it carries, what stands for its links."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.manifest_reading import LINK, read, write

SHOP = (
    "Handle,Title,Image Src,Position\n"
    f"mug,Red mug,{LINK}?1,1\n"
    f"mug,,{LINK}?2,2\n"
    "mug,,,\n"
    f"cup,,{LINK}?3,1\n"
    f"cup, ,{LINK}?4,2\n"
    f"pot,Pot,{LINK}?5,1\n"
    f"mug,,{LINK}?6,3\n"
)
SET: dict[str, Any] = {
    "prompt": "Show {{ title|trim or 'it' }}",
    "image_urls": "{{ image_src }}",
    "id": "{{ handle }}-{{ position }}",
    "when": "{{ image_src }}",
}
TEMPLATE = (
    'prompt: "Show {{ title|trim or \'it\' }}", image_urls: ["{{ image_src }}"], id: "{{ handle }}-{{ position }}"'
)


def shop(tmp_path: Path, keys: str) -> Path:
    write(tmp_path / "shop.csv", SHOP)
    return write(tmp_path / "m.yaml", f"jobs:\n  - {{rows: shop.csv, {keys}, {TEMPLATE}}}\n")


WHEN = "when: '{{ image_src }}'"
ALWAYS = ["Red mug", "Red mug", "Red mug", "Red mug", "Pot", "Pot"]
SAME = ["Red mug", "Red mug", "it", "it", "Pot", "it"]


@pytest.mark.parametrize(
    ("carry", "titles"),
    [
        ("[title]", ALWAYS),
        ("[Title, Position]", ALWAYS),
        ("title", ALWAYS),
        ("'Title, position'", ALWAYS),
        ("{handle: [title]}", SAME),
        ("{Handle: [Title], Image Src: [position]}", SAME),
        ("{handle: title}", SAME),
        ("null", ["Red mug", "it", "it", "it", "Pot", "it"]),
    ],
)
def test_a_blank_cell_takes_the_value_above(tmp_path: Path, carry: str, titles: list[str]) -> None:
    reading = read(shop(tmp_path, f"carry: {carry}, {WHEN}"))
    assert reading.values("prompt") == [f"Show {title}" for title in titles]
    assert reading.jobs[1].extras["Title"] == ("" if carry == "null" else "Red mug")


@pytest.mark.parametrize(
    ("carry", "titles"),
    [
        ("title", ALWAYS),
        ("Title, position", ALWAYS),
        ("[title]", ALWAYS),
        ("{handle: [title]}", SAME),
        ('{"Handle": ["Title"]}', SAME),
    ],
)
def test_carry_and_when_may_be_set_for_every_job(tmp_path: Path, carry: str, titles: list[str]) -> None:
    path = write(tmp_path / "shop.csv", SHOP)
    reading = read(path, **SET, carry=carry)
    assert reading.values("prompt") == [f"Show {title}" for title in titles]
    yaml = shop(tmp_path, "carry: [position], when: nothing")
    assert read(yaml, carry=carry, when="{{ image_src }}").values("prompt") == [f"Show {title}" for title in titles]


def test_rows_in_the_manifest_are_carried_as_well_though_they_lack_the_column(tmp_path: Path) -> None:
    rows = "[{sku: a, title: Mug}, {sku: b}, {sku: c, title: null}, {title: Cup, sku: d}]"
    keys = f"rows: {rows}, carry: [title], id: '{{{{ sku }}}}', prompt: '{{{{ title }}}}', image_urls: [{LINK}]"
    path = write(tmp_path / "m.yaml", f"jobs:\n  - {{{keys}}}\n")
    assert read(path).values("prompt") == ["Mug", "Mug", "Mug", "Cup"]


NAMES = "expected names of columns, such as [title, vendor], or {handle: [title]}: only while handle stays the same"


@pytest.mark.parametrize(
    ("carry", "message"),
    [
        ("[titel]", "carry has 'titel', which is no column (did you mean title?)"),
        ("{handel: [title]}", "carry has 'handel', which is no column (did you mean handle?)"),
        ("{handle: [vendor]}", "carry has 'vendor', which is no column"),
        ("[[title]]", f"carry is no list of names; {NAMES}"),
        ("{handle: {title: x}}", f"carry is no list of names; {NAMES}"),
        ("{}", f"carry is an empty mapping; {NAMES}"),
        ("[]", f"carry is ''; {NAMES}"),
        ("['', title]", f"carry is ', title'; {NAMES}"),
    ],
)
def test_what_cannot_be_carried_is_a_fault(tmp_path: Path, carry: str, message: str) -> None:
    assert read(shop(tmp_path, f"carry: {carry}, {WHEN}"), skip_faulty=True).fault == f"m.yaml:2: {message}"


def test_what_cannot_be_carried_is_a_fault_on_the_command_line_as_well(tmp_path: Path) -> None:
    path = write(tmp_path / "shop.csv", SHOP)
    assert read(path, **SET, carry="titel").fault == (
        "shop.csv:1: carry has 'titel', which is no column (did you mean title?)"
    )
    assert read(path, **SET, carry="{a: [b").fault == f"--set: carry is '{{a: [b'; {NAMES}"
    assert read(path, **SET, carry="").fault == f"--set: carry is ''; {NAMES}"
    assert read(path, **SET, carri="x").fault == (
        "--set: 'carri' is no parameter of gpt-image-1.5-edit (did you mean carry?)"
    )


def test_carry_without_rows_is_a_fault_but_may_be_set_for_all_jobs(tmp_path: Path) -> None:
    path = write(tmp_path / "m.yaml", f"jobs:\n  - {{id: a, carry: [title], prompt: x, image_urls: [{LINK}]}}\n")
    assert read(path).fault == "m.yaml:2: job a: carry needs rows, whose blank cells it fills"
    path = write(tmp_path / "m.yaml", f"jobs:\n  - {{id: a, prompt: x, image_urls: [{LINK}]}}\n")
    assert read(path, carry="title").ids == ["a"]


@pytest.mark.parametrize("said", ["", " ", "false", "FALSE", "no", "No\n", " none ", "0"])
def test_a_row_that_is_not_wanted_is_skipped_and_counted_and_nothing_else_of_it_is_looked_at(
    tmp_path: Path, said: str
) -> None:
    path = write(tmp_path / "m.csv", f'id,prompt,image_urls,Sell\n\x07,,gone.png,"{said}"\nb,x,{LINK},1\n')
    reading = read(path, when="{{ sell }}")
    assert (reading.ids, reading.faults, reading.skipped) == (["b"], [], {"when": 1})


@pytest.mark.parametrize("said", ["yes", "true", "-", "00", "n", "null", "off", "nope"])
def test_anything_else_is_wanted(tmp_path: Path, said: str) -> None:
    path = write(tmp_path / "m.csv", f"id,prompt,image_urls,Sell\nb,x,{LINK},{said}\n")
    assert read(path, when="{{ sell }}").ids == ["b"]


def test_when_may_be_any_template_or_none(tmp_path: Path) -> None:
    keys = f"prompt: x, image_urls: [{LINK}]"
    path = write(
        tmp_path / "m.yaml",
        "jobs:\n"
        f"  - {{id: a, when: false, quality: hgih, {keys}}}\n"
        f"  - {{id: b, when: null, {keys}}}\n"
        f"  - {{id: c, when: 'yes', {keys}}}\n"
        f"  - {{id: '{{{{ n }}}}', rows: [{{n: 1}}, {{n: 2}}, {{n: 3}}], when: '{{{{ n|int > 1 }}}}', {keys}}}\n"
        f"  - {{id: '{{{{ n }}}}{{{{ s }}}}', rows: [{{n: 4}}, {{n: 5}}], matrix: {{s: [a, b]}}, {keys},\n"
        "     when: \"{{ n == '5' and s == 'a' }}\"}\n"
        f"  - {{id: '{{{{ s }}}}', matrix: {{s: [k, l, m]}}, when: \"{{{{ s == 'm' }}}}\", {keys}}}\n",
    )
    reading = read(path)
    assert reading.ids == ["b", "c", "2", "3", "5a", "m"]
    # Of the matrix with rows each row counts once, of the one without each value.
    assert reading.skipped == {"when": 1 + 1 + 2 + 2}


def test_rows_that_are_skipped_keep_their_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f"prompt,image_urls,Sell\nx,{LINK},\nx,{LINK},1\n")
    assert read(path, when="{{ sell }}").ids == ["m-2"]


def test_a_manifest_that_skips_all_its_rows_has_no_jobs(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f"prompt,image_urls\nx,{LINK}\nx,{LINK}\n")
    assert read(path, when="").fault == "m.csv: has no jobs: when skips all 2 rows"
    one = write(tmp_path / "m.csv", f"prompt,image_urls\nx,{LINK}\n")
    assert read(one, when="{{ 0 }}").fault == "m.csv: has no jobs: when skips its only row"


def test_a_when_that_fails_is_a_fault_of_its_row(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f"id,prompt,image_urls,N\na,x,{LINK},0\nb,x,{LINK},1\n")
    assert read(path, when="{{ promt }}").fault == (
        "m.csv: template of when uses 'promt', which is no column (did you mean prompt?) in 2 rows, first at line 2;"
        " the columns are 'id', 'prompt', 'image_urls', 'N'"
    )
    reading = read(path, when="{{ 1 / n|int }}", skip_faulty=True)
    assert [(row.id, row.message) for row in reading.faulty] == [
        ("a", "template of when fails: division by zero"),
    ]
    assert reading.ids == ["b"]


def test_an_identity_stands_for_the_links_of_a_request(tmp_path: Path) -> None:
    header = "sku,prompt,image_urls,mask\n"
    path = write(tmp_path / "m.csv", f"{header}a1,x,{LINK}?t=1,{LINK}?m=1\n a1 ,x,{LINK}?t=2,{LINK}?m=2\n")
    first, second = read(path, identity="{{ sku }}").jobs
    assert (first.request.identity, first.request.inputs) == ("a1", ("image_urls", "mask"))
    assert first.request.fingerprint == second.request.fingerprint
    assert first.request.params["image_urls"] != second.request.params["image_urls"]
    assert "identity" not in first.extras
    plain, _ = read(path).jobs
    assert (plain.request.identity, plain.request.inputs) == (None, ())
    assert plain.request.fingerprint != first.request.fingerprint


def test_an_identity_is_a_key_of_a_job(tmp_path: Path) -> None:
    rows = f"prompt: x, image_urls: [{LINK}], rows: [{{n: 1}}, {{n: ' '}}]"
    path = write(tmp_path / "m.yaml", f"jobs:\n  - {{id: '{{{{ n }}}}-', identity: '{{{{ n }}}}', {rows}}}\n")
    assert read(path).faults == ["m.yaml:2: job -: identity is empty"]
    assert [job.request.identity for job in read(path, identity="set").jobs] == ["set", "set"]
    blank = write(tmp_path / "m.yaml", f"jobs:\n  - {{id: a, identity: '', prompt: x, image_urls: [{LINK}]}}\n")
    assert read(blank).fault == "m.yaml:2: job a: identity is empty"


def test_columns_with_the_names_of_these_keys_are_carried_along(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", f"id,prompt,image_urls,when,carry,identity\na,x,{LINK},0,y,z\n")
    job = read(path).job
    assert job.extras == {"when": "0", "carry": "y", "identity": "z"}
    assert job.request.identity is None


@pytest.mark.parametrize("key", ["rows", "matrix", "variants"])
def test_keys_that_cannot_be_set_for_every_job_are_none(tmp_path: Path, key: str) -> None:
    path = write(tmp_path / "m.csv", f"id,prompt,image_urls\na,x,{LINK}\n")
    overrides: dict[str, Any] = {key: "x"}
    assert read(path, **overrides).fault.startswith(f"--set: {key!r} is no parameter of gpt-image-1.5-edit")


@pytest.mark.parametrize("key", ["when", "carry", "identity", "id"])
def test_defaults_are_parameters_alone(tmp_path: Path, key: str) -> None:
    path = write(tmp_path / "m.yaml", f"defaults: {{{key}: x}}\njobs: [{{prompt: x, image_urls: [{LINK}]}}]\n")
    assert read(path).fault.startswith(f"m.yaml:1: defaults: '{key}' is no key here")


def test_top_level_keys_that_begin_with_x_are_free(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.yaml",
        f"x-mug: &mug\n  prompt: Show it\n  note: yes\nx-links: &links [{LINK}]\nxlinks: 1\n"
        "jobs:\n  - {prompt: *p, image_urls: *links}\n".replace("*p", "x"),
    )
    assert read(path).fault == "m.yaml:5: 'xlinks' is no key of a manifest; expected endpoint, defaults or jobs"
    sound = write(tmp_path / "m.yaml", path.read_text().replace("xlinks: 1\n", ""))
    assert read(sound).values("image_urls") == [[LINK]]
