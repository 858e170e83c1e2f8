# ruff: noqa: E501  # tables of messages
from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from batch_editor.endpoints import shipped_endpoints
from batch_editor.manifest import Expansion, Faults, read_manifests
from tests.support.manifest_reading import ENDPOINT, LINK, load_beside, read, write

WHOLE = "expected a whole number from 0 to 100"
REST = f"prompt: x, image_urls: [{LINK}]"


def jobs(*entries: str, head: str = "") -> str:
    return head + "jobs:\n" + "".join(f"  - {entry}\n" for entry in entries)


def test_a_plain_entry_is_one_job(tmp_path: Path) -> None:
    path = write(
        tmp_path / "spring.yaml",
        "defaults: {quality: medium, mask: https://example.com/m.png}\n"
        "jobs:\n"
        "  - id: mug-white\n"
        "    prompt: Put the mug on 100% {white}\n"
        f"    image_urls: [{LINK}]\n"
        "    mask: null\n",
    )
    job = read(path).job
    assert (job.id, job.output, job.where, job.extras) == ("mug-white", None, f"{path}:3", {})
    assert list(job.request.params) == list(ENDPOINT.parameters)
    assert job.request.params["prompt"] == "Put the mug on 100% {white}"
    assert (job.request.params["quality"], job.request.params["mask"]) == ("medium", None)
    assert type(job.id) is type(job.request.params["prompt"]) is str


def test_rows_and_matrix_give_each_combination_with_the_last_name_fastest(tmp_path: Path) -> None:
    write(tmp_path / "products.csv", f"SKU,Title,Image Src\n001,Mug,{LINK}\n002,Cup,{LINK}\n")
    path = write(
        tmp_path / "m.yaml",
        jobs(
            '{id: "{{ sku }}-{{ scene }}-{{ light }}", rows: products.csv, output: "{{ sku }}/{{ scene }}",'
            ' matrix: {scene: [beach, studio], light: [1.10, 12:30:45]}, image_urls: ["{{ image_src }}"],'
            " prompt: \"{{ row['Title'] }} at {{ light }}\", variants: 1}"
        ),
    )
    reading = read(path)
    assert reading.faults == []
    assert reading.ids[:5] == [
        "001-beach-1.10",
        "001-beach-12:30:45",
        "001-studio-1.10",
        "001-studio-12:30:45",
        "002-beach-1.10",
    ]
    job = reading.jobs[3]
    assert (job.output, job.request.params["prompt"]) == ("001/studio", "Mug at 12:30:45")
    assert job.extras == {
        "SKU": "001",
        "Title": "Mug",
        "Image Src": LINK,
        "scene": "studio",
        "light": "12:30:45",
    }
    assert job.where == f"{path}:2, {tmp_path / 'products.csv'}:2"


def test_rows_in_the_manifest_keep_their_letters(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.yaml",
        jobs('{id: "{{ sku }}", rows: [{sku: 00123}, {sku: 1e5, note: null}], ' + REST + "}"),
    )
    reading = read(path)
    assert reading.ids == ["00123", "1e5"]
    assert [job.extras for job in reading.jobs] == [{"sku": "00123"}, {"sku": "1e5", "note": ""}]


def test_variants_are_the_same_request_again_with_endings(tmp_path: Path) -> None:
    path = write(tmp_path / "m.yaml", jobs("{id: mug, output: a/b, variants: 2, " + REST + "}"))
    first, second = read(path).jobs
    assert (first.id, first.output, first.request.variant) == ("mug-v1", "a/b-v1", 1)
    assert (second.id, second.output, second.request.variant) == ("mug-v2", "a/b-v2", 2)
    assert first.request.fingerprint != second.request.fingerprint


def test_a_missing_id_is_the_stem_and_a_running_number(tmp_path: Path) -> None:
    entry = "{matrix: {a: [x, y]}, " + REST + "}"
    path = write(tmp_path / "spring.yaml", jobs(entry, "{id: mug, " + REST + "}", "{variants: 2, " + REST + "}"))
    assert read(path).ids == ["spring-1", "spring-2", "mug", "spring-4-v1", "spring-4-v2"]


def test_overrides_win_over_the_job_and_the_job_over_defaults(tmp_path: Path) -> None:
    head = "defaults: {quality: low, size: 1024x1024, moderation: low}\n"
    path = write(tmp_path / "m.yaml", jobs("{id: a, quality: medium, size: auto, " + REST + "}", head=head))
    params = read(path, quality="high").job.request.params
    assert (params["quality"], params["size"], params["moderation"]) == ("high", "auto", "low")


def test_a_blank_template_falls_back_to_the_defaults_not_to_the_most_expensive(tmp_path: Path) -> None:
    head = 'defaults: {quality: "{{ q2 }}"}\n'
    rows = "rows: [{q: low, q2: auto}, {q: '', q2: medium}, {q: '', q2: ''}]"
    path = write(tmp_path / "m.yaml", jobs("{" + rows + ', quality: "{{ q }}", ' + REST + "}", head=head))
    assert read(path).values("quality") == ["low", "medium", "high"]


def test_a_manifest_names_its_endpoint_by_name_or_by_a_file_beside_it(tmp_path: Path) -> None:
    named = write(tmp_path / "a.yaml", jobs("{id: a, " + REST + "}", head="endpoint: nano-banana\n"))
    assert read(named).job.request.endpoint == "nano-banana"
    unknown = write(tmp_path / "b.yaml", jobs("{id: a, " + REST + "}", head="endpoint: nano-bananna\n"))
    assert read(unknown).fault == (
        "b.yaml:1: endpoint 'nano-bananna' is unknown (did you mean nano-banana?); "
        f"expected {', '.join(shipped_endpoints()[:-1])} or {shipped_endpoints()[-1]},"
        " or the path of a YAML file"
    )


def test_parameters_are_those_of_the_endpoint_that_the_manifest_names(tmp_path: Path) -> None:
    head = "endpoint: nano-banana\n"
    path = write(tmp_path / "m.yaml", jobs("{id: a, quality: low, " + REST + "}", head=head))
    assert read(path).fault == (
        "m.yaml:3: job a: 'quality' is no key here; "
        "expected id, output, rows, format, when, carry, endpoint, matrix, variants, identity, redo_prompt, finish,"
        " prompt, image_urls,"
        " aspect_ratio, response_modalities"
    )


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{id: mug, quality: hgih, %s}", "quality is 'hgih'; expected low, medium, high or auto (did you mean high?)"),
        ("{id: mug, output_compression: yes, %s}", "output_compression is 'yes'; " + WHOLE),
        ("{id: mug, promt: x, %s}", "'promt' is no key here (did you mean prompt?)"),
        ("{id: mug, size: [a], %s}", "size is a list; expected text"),
        ("{id: mug, size: {a: b}, %s}", "size is a mapping; expected text"),
        ("{id: mug, mask: [a.png], %s}", "mask is a list; expected text"),
        ("{id: mug, output: off, %s}", "output is off, which YAML reads as a truth value; put it in quotes"),
        ("{id: mug, variants: 0, %s}", "variants is '0'; expected a whole number from 1 to 100"),
        ("{id: mug, variants: 101, %s}", "variants is '101'; expected a whole number from 1 to 100"),
        ("{id: mug, variants: [2], %s}", "variants is a list; expected text"),
        (
                "{id: mug, rows: p.ods, %s}",
                ("rows is 'p.ods', which isn't there; expected a .csv, .tsv, .txt, .xlsx, .jsonl or .xml file,"
                " a folder or glob of pictures, or a list of mappings"),
            ),
        ("{id: mug, rows: no, %s}", "rows is no, which YAML reads as a truth value; put it in quotes"),
        ("{id: mug, rows: [a], %s}", "rows has 'a'; expected mappings of columns and cells"),
        ("{id: mug, rows: [], %s}", "rows has no rows"),
        ("{id: mug, rows: [{a: no}], %s}", "rows a is no, which YAML reads as a truth value; put it in quotes"),
        ("{id: mug, rows: [{a: [x]}], %s}", "rows a is a list; expected text"),
        ("{id: mug, matrix: [a], %s}", "matrix is a list; expected names, each with a list of values"),
        ("{id: mug, matrix: {}, %s}", "matrix is an empty mapping; expected names, each with a list of values"),
        ("{id: mug, matrix: {a: x}, %s}", "matrix a is 'x'; expected a list of values"),
        ("{id: mug, matrix: {a: []}, %s}", "matrix a is an empty list; expected a list of values"),
        ("{id: mug, matrix: {a: [on]}, %s}", "matrix a is on, which YAML reads as a truth value; put it in quotes"),
        ("{id: mug, matrix: {a: [null]}, %s}", "matrix a is null; expected text"),
        ("{id: mug, matrix: {row: [x]}, %s}", "matrix has the name row, which stands for the row itself"),
        ("{id: mug, rows: [{a: x}], matrix: {a: [y]}, %s}", "matrix has 'a', which is a column of rows as well"),
        ('{id: mug, output: "a\\tb", %s}', r"output is 'a\tb'; expected text without control characters"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_a_fault_with_its_line(tmp_path: Path, entry: str, message: str) -> None:
    reading = read(write(tmp_path / "m.yaml", jobs(entry % REST)))
    assert reading.fault == f"m.yaml:2: job mug: {message}"
    assert reading.jobs == []


LOST = "ends before '#ff0000 and shiny', which YAML takes for a comment; put all of it in quotes"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("jobs:\n  - id: mug\n    prompt: Make it #ff0000 and shiny\n", f"m.yaml:3: job mug: prompt {LOST}"),
        ("jobs:\n  - id: mug\n    prompt: Make\n      it #ff0000 and shiny\n", f"m.yaml:4: job mug: prompt {LOST}"),
        ("jobs:\n  - id: mug\n    prompt: Make\n      #ff0000 and shiny\n", f"m.yaml:4: job mug: prompt {LOST}"),
        ("jobs:\n  - image_urls: https://a/b.jpg #ff0000 and shiny\n", f"m.yaml:2: image_urls {LOST}"),
        ("jobs:\n  - image_urls:\n    - a.png\n    - a.png #ff0000 and shiny\n", f"m.yaml:4: image_urls {LOST}"),
        ("jobs:\n  - mask: a.png #ff0000 and shiny\n", f"m.yaml:2: mask {LOST}"),
        ("defaults:\n  prompt: Make it #ff0000 and shiny\njobs:\n  -\n", f"m.yaml:2: defaults: prompt {LOST}"),
        (
            "jobs:\n- prompt: Show {{ tint }}\n  matrix:\n    tint: [red,\n      blue #ff0000 and shiny\n    ]\n",
            f"m.yaml:5: matrix tint {LOST}",
        ),
        (
            "jobs:\n  - prompt: Show {{ row['The Tint']|upper }}\n    rows:\n      - The Tint: a #ff0000 and shiny\n",
            f"m.yaml:4: rows The Tint {LOST}",
        ),
        (
            "jobs:\n  - image_urls: ['{{ the_link }}']\n    rows:\n      - The Link: a #ff0000 and shiny\n",
            f"m.yaml:4: rows The Link {LOST}",
        ),
    ],
)  # fmt: skip
def test_a_prompt_or_link_that_loses_its_end_to_a_comment_is_a_fault(tmp_path: Path, text: str, fault: str) -> None:
    assert fault in read(write(tmp_path / "m.yaml", text)).faults


def test_what_is_meant_as_a_comment_stays_one(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.yaml",
        "defaults:\n"
        "  quality: low #cheap\n"
        "  #size: auto\n"
        "jobs:\n"
        "  - id: mug #1\n"
        "    prompt: Put {{ title }} on white # a comment\n"
        "    #mask: mask.png\n"
        f"    image_urls: [{LINK}] #one\n"
        "    rows:\n"
        "      - sku: MUG-01 #old\n"
        "        title: The mug #\n",
    )
    job = read(path).job
    assert (job.id, job.request.params["prompt"]) == ("mug", "Put The mug on white")
    quoted = write(tmp_path / "q.yaml", jobs(f"{{prompt: 'Make it #ff0000', image_urls: ['{LINK} ']}}"))
    assert read(quoted).values("prompt") == ["Make it #ff0000"]


def test_the_line_is_the_values_own(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.yaml", f"jobs:\n  - id: mug\n    {REST.replace(', ', chr(10) + '    ')}\n    size:\n      big\n"
    )
    assert read(path).fault == ("m.yaml:6: job mug: size is 'big'; expected 1024x1024, 1536x1024, 1024x1536 or auto")


@pytest.mark.parametrize("word", ["no", "Yes", "ON", "off", "true", "False"])
@pytest.mark.fault(100)
def test_a_truth_value_where_text_belongs_wants_quotes(tmp_path: Path, word: str) -> None:
    entry = f"{{id: {word}, prompt: {word}, image_urls: [{word}]}}"
    assert read(write(tmp_path / "m.yaml", jobs(entry))).faults == [
        f"m.yaml:2: job {word}: {name} is {word}, which YAML reads as a truth value; put it in quotes"
        for name in ("id", "prompt", "image_urls")
    ]
    quoted = f"{{id: '{word}', prompt: '{word}', image_urls: [{LINK}]}}"
    assert read(write(tmp_path / "m.yaml", jobs(quoted))).job.id == word


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("jobs: [{id: a, id: b}]", "m.yaml:1: key 'id' stands twice in one mapping"),
        ("jobs: !!set {x}", "m.yaml:1: a tag (tag:yaml.org,2002:set); values are plain text here"),
        ("jobs: " + "[" * 5000, "m.yaml:1: nested deeper than 32"),
        ("jobs: [", "m.yaml:1:7: a [ that is never closed, or a comma is missing behind it"),
        ("a: &a [x]\njobs: *b", "m.yaml:2: alias *b has no anchor before it"),
        ("", "m.yaml: has no jobs"),
        ("jobs:", "m.yaml: has no jobs"),
        ("jobs: []", "m.yaml: has no jobs"),
        ("jobs: {id: a}", "m.yaml:1: jobs is a mapping; expected a list of jobs, each beginning with -"),
        ("jobs: [a]", "m.yaml:1: a job is 'a'; expected keys and values"),
        ("- id: a", "m.yaml:1: the manifest is a list; expected the keys endpoint, defaults and jobs; write jobs: in a line above it"),
        ("jobs:\n\u00a0 - id: a", r"m.yaml:2: '\xa0 - id' is no key of a manifest; it begins with white space that is no indentation to YAML: indent by plain spaces"),
        ("defaults: [a]\njobs: [{" + REST + "}]", "m.yaml:1: defaults is a list; expected parameters and their values"),
        ("endpoint: [a]\njobs: [{}]", "m.yaml:1: endpoint is a list; expected text"),
    ],
)  # fmt: skip
@pytest.mark.fault(100)
def test_a_document_of_another_shape_says_what_is_wrong(tmp_path: Path, text: str, fault: str) -> None:
    assert read(write(tmp_path / "m.yaml", text)).fault == fault


def test_unknown_keys_of_the_manifest_and_of_defaults_are_faults(tmp_path: Path) -> None:
    head = "default: {quality: low}\ndefaults: {qualty: low, id: a}\nzebra: 1\n"
    assert read(write(tmp_path / "m.yaml", jobs("{" + REST + "}", head=head))).faults == [
        "m.yaml:1: 'default' is no key of a manifest (did you mean defaults?)",
        "m.yaml:3: 'zebra' is no key of a manifest; expected endpoint, defaults or jobs",
        "m.yaml:2: defaults: 'qualty' is no key here (did you mean quality?)",
        f"m.yaml:2: defaults: 'id' is no key here; expected {', '.join(ENDPOINT.parameters)}, redo_prompt, finish",
    ]


def test_a_wrong_default_is_one_fault_however_many_jobs(tmp_path: Path) -> None:
    head = "defaults: {quality: hgih, mask: no}\n"
    reading = read(write(tmp_path / "m.yaml", jobs(*["{" + REST + "}"] * 5, head=head)))
    assert reading.faults == [
        "m.yaml:1: defaults: quality is 'hgih'; expected low, medium, high or auto (did you mean high?)",
        "m.yaml:1: defaults: mask is no, which YAML reads as a truth value; put it in quotes",
    ]
    assert reading.jobs == []


def test_missing_parameters_are_named_once_for_an_entry(tmp_path: Path) -> None:
    path = write(tmp_path / "m.yaml", jobs('{id: "{{ a }}", rows: [{a: x}, {a: y}], prompt: ""}', "{id: b}"))
    assert read(path).faults == [
        "m.yaml:2: prompt is empty",
        "m.yaml:2: image_urls is missing",
        "m.yaml:3: job b: prompt is missing",
        "m.yaml:3: job b: image_urls is missing",
    ]


def test_an_id_that_comes_out_empty_is_a_fault(tmp_path: Path) -> None:
    path = write(tmp_path / "m.yaml", jobs('{id: " ", ' + REST + "}", '{id: "{{ a }}", rows: [{a: ""}], ' + REST + "}"))
    assert read(path).faults == ["m.yaml:2: id is empty", "m.yaml:3: id is empty"]


def test_null_means_absent_where_it_is_no_value(tmp_path: Path) -> None:
    path = write(tmp_path / "m.yaml", jobs("{id: null, output: ~, quality: null, matrix: null, rows: ~, " + REST + "}"))
    job = read(path).job
    assert (job.id, job.output, job.request.params["quality"]) == ("m-1", None, "high")


def test_faults_of_a_table_name_the_table(tmp_path: Path) -> None:
    write(tmp_path / "p.csv", "a,b\nx,1,2\ny,1\n")
    path = write(
        tmp_path / "m.yaml",
        jobs('{id: "{{ a }}", rows: p.csv, quality: "{{ b }}", ' + REST + "}", "{rows: gone.csv, " + REST + "}"),
    )
    assert read(path).faults == [
        "p.csv:2: has 3 cells where the header has 2; '2' is one too many",
        "m.yaml:2, p.csv:3: job y: quality is '1'; expected low, medium, high or auto",
        "gone.csv: can't be read: No such file or directory",
    ]


def test_expansion_is_lazy(tmp_path: Path) -> None:
    """All of them would be a thousand million."""
    write(tmp_path / "p.csv", "title\n" + "mug\n" * 10_000)
    names = ", ".join(
        f"{name}: [{', '.join(map(str, range(count)))}]" for name, count in (("a", 100), ("b", 100), ("c", 10))
    )
    path = write(tmp_path / "m.yaml", jobs("{rows: p.csv, matrix: {" + names + "}, " + REST + "}"))
    expansion = Expansion(endpoint=ENDPOINT, load_endpoint=load_beside)
    assert [job.id for job in islice(read_manifests([path], expansion, Faults()), 3)] == ["m-1", "m-2", "m-3"]


@pytest.mark.fault(103)
def test_what_looks_like_a_key_is_refused_and_not_shown(tmp_path: Path) -> None:
    key = "SG_0123456789abcdef"
    entry = f"{{id: a, output: '{key}', prompt: 'x {key}', image_urls: ['https://x.y/?k={key}'], size: {key}}}"
    rows = f"{{id: b, rows: [{{a: {key}}}], matrix: {{b: [{key}]}}, {REST}}}"
    secret = "looks like an API key; keys come from the environment, never from a manifest"
    assert read(write(tmp_path / "m.yaml", jobs(entry, rows))).faults == [
        f"m.yaml:2: job a: output {secret}",
        f"m.yaml:2: job a: prompt {secret}",
        f"m.yaml:2: job a: image_urls {secret}",
        f"m.yaml:2: job a: size {secret}",
        f"m.yaml:3: job b: matrix b {secret}",
    ]


def test_text_that_cannot_be_sent_is_refused(tmp_path: Path) -> None:
    entry = f'{{id: a, prompt: "a\\0b", image_urls: [{LINK}]}}'
    assert read(write(tmp_path / "m.yaml", jobs(entry))).fault == (
        r"m.yaml:2: job a: prompt is 'a\x00b'; expected text without NUL characters"
    )
    path = write(tmp_path / "ok.yaml", jobs("{" + REST + "}"))
    assert read(path, prompt="caf\udce9").fault == (
        r"--set: prompt is 'caf\xe9'; expected text that UTF-8 can carry, without lone surrogates"
    )


def test_messages_are_one_short_line_whatever_the_value(tmp_path: Path) -> None:
    entry = f'{{id: a, quality: "\\e[31m{"x" * 10_000}\\n", {REST}}}'
    fault = read(write(tmp_path / "m.yaml", jobs(entry))).fault
    assert fault == (r"m.yaml:2: job a: quality is '\x1b[31m" + "x" * 54 + "…'; expected low, medium, high or auto")


def test_manifests_follow_each_other_in_the_order_given(tmp_path: Path) -> None:
    first = write(tmp_path / "b.yml", jobs("{id: x, " + REST + "}"))
    second = write(tmp_path / "a.csv", f"id,prompt,image_urls\ny,x,{LINK}\n")
    assert read(first, second, first).ids == ["x", "y", "x"]


def test_typographic_quotes_around_a_value_are_warned_of(tmp_path: Path) -> None:
    entry = f"id: “a”\n    prompt: „Show it“\n    image_urls: [“{LINK}”]\n"
    reading = read(write(tmp_path / "m.yaml", f"jobs:\n  - {entry}"))
    assert reading.values("image_urls") == [[LINK]]
    assert reading.warnings == [
        "m.yaml:2: id is in typographic quotes, which are part of it; write straight ones or none",
        "m.yaml:3: prompt is in typographic quotes, which are part of it; write straight ones or none",
    ]
