"""Jobs of one manifest that go to several endpoints: by a key of their own, by their rows, or by a matrix."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.manifest_reading import LINK, Reading, read, write

OLD, SUNBURST, NANO = "gpt-image-1.5-edit", "gpt-image-2.5-sunburst", "nano-banana"
OWN = """\
name: studio
path: studio
parameters:
  prompt: {type: string, required: true, role: prompt}
  photo: {type: link, required: true, role: images}
  quality: {type: string, choices: [draft, high], default: draft}
  picture_format: {type: string, choices: [jpg, png], default: jpg, role: format}
prices: {table: 0.01}
"""


def manifest(folder: Path, *entries: str, head: str = "") -> Reading:
    (folder / "studio.yaml").write_text(OWN, encoding="utf-8")
    jobs = "".join(f"  - {entry}\n" for entry in entries)
    return read(write(folder / "m.yaml", f"{head}jobs:\n{jobs}"))


def goes_to(reading: Reading) -> list[str]:
    assert reading.faults == []
    return [job.request.endpoint for job in reading.jobs]


def entry(**keys: str) -> str:
    keys = {"id": "a", "prompt": "x", "image_urls": f"[{LINK}]"} | keys
    return "{" + ", ".join(f"{name}: {value}" for name, value in keys.items() if value) + "}"


def test_a_job_goes_to_the_endpoint_that_it_names_and_others_to_the_manifests(tmp_path: Path) -> None:
    found = manifest(
        tmp_path,
        entry(id="a", endpoint=NANO, aspect_ratio='"4:3"'),
        entry(id="b", quality="low"),
        entry(id="c", endpoint="studio.yaml", image_urls="", photo=LINK),
        head=f"endpoint: {SUNBURST}\n",
    )
    assert goes_to(found) == [NANO, SUNBURST, "studio"]
    assert found.warnings == []
    params = [job.request.params for job in found.jobs]
    assert params[0] == {"prompt": "x", "image_urls": [LINK], "aspect_ratio": "4:3"}
    assert params[1]["quality"] == "low"
    assert params[2] == {"prompt": "x", "photo": LINK, "quality": "draft", "picture_format": "jpg"}


@pytest.mark.parametrize("rows", ["rows.csv", "[{sku: m1, model: nano-banana}, {sku: m2, model: ''}]"])
def test_rows_name_their_endpoint_through_a_template_and_a_blank_is_the_manifests(tmp_path: Path, rows: str) -> None:
    (tmp_path / "rows.csv").write_text("sku,model\nm1,nano-banana\nm2,\n", encoding="utf-8")
    found = manifest(tmp_path, entry(id='"{{ sku }}"', rows=rows, endpoint='"{{ model }}"'))
    assert goes_to(found) == [NANO, OLD]
    assert found.ids == ["m1", "m2"]


@pytest.mark.parametrize("said", ["", '"{{ endpoint }}"'])
def test_an_endpoint_is_an_axis_of_a_matrix(tmp_path: Path, said: str) -> None:
    found = manifest(
        tmp_path,
        entry(
            id='"{{ sku }}-{{ endpoint }}-{{ quality }}"',
            rows="[{sku: m1}, {sku: m2}]",
            matrix=f"{{endpoint: [{OLD}, {SUNBURST}], quality: [low, high]}}",
            quality='"{{ quality }}"',
            endpoint=said,
        ),
    )
    assert goes_to(found) == [OLD, OLD, SUNBURST, SUNBURST] * 2
    assert found.ids[:3] == [f"m1-{OLD}-low", f"m1-{OLD}-high", f"m1-{SUNBURST}-low"]
    assert found.values("quality") == ["low", "high"] * 4
    assert [job.axes["endpoint"] for job in found.jobs] == goes_to(found)


def test_in_a_matrix_of_endpoints_what_one_of_them_lacks_is_left_out_and_said_once(tmp_path: Path) -> None:
    found = manifest(
        tmp_path,
        entry(
            id='"{{ sku }}-{{ endpoint }}"',
            rows="[{sku: m1}, {sku: m2}]",
            matrix=f"{{endpoint: [{SUNBURST}, {NANO}, studio.yaml]}}",
            quality="xhigh",
            output_format="jpeg",
            aspect_ratio='"4:3"',
        ),
    )
    assert goes_to(found) == [SUNBURST, NANO, "studio"] * 2
    params = [job.request.params for job in found.jobs[:3]]
    assert (params[0]["quality"], params[0]["output_format"]) == ("xhigh", "jpeg")
    assert params[1] == {"prompt": "x", "image_urls": [LINK], "aspect_ratio": "4:3"}
    # The one link goes where the endpoint takes its picture, a format by its other spelling.
    assert params[2] == {"prompt": "x", "photo": LINK, "quality": "draft", "picture_format": "jpg"}
    assert found.warnings == [
        f"m.yaml: aspect_ratio of {NANO} has no place in {SUNBURST} and is left out",
        f"m.yaml: quality of {OLD} has no place in {NANO} and is left out",
        f"m.yaml: output_format of {OLD} has no place in {NANO} and is left out",
        "m.yaml: quality 'xhigh' has no place in studio; its default counts instead",
        f"m.yaml: aspect_ratio of {NANO} has no place in studio and is left out",
    ]


def test_what_is_said_for_all_jobs_holds_for_those_that_have_it(tmp_path: Path) -> None:
    found = manifest(
        tmp_path,
        entry(id="a"),
        entry(id="b", endpoint=NANO),
        head='defaults: {quality: low, aspect_ratio: "4:3"}\n',
    )
    assert goes_to(found) == [OLD, NANO]
    assert [job.request.params.get("quality") for job in found.jobs] == ["low", None]
    assert [job.request.params.get("aspect_ratio") for job in found.jobs] == [None, "4:3"]
    assert found.warnings == [
        f"m.yaml: aspect_ratio of {NANO} has no place in {OLD} and is left out",
        f"m.yaml: quality of {OLD} has no place in {NANO} and is left out",
    ]


@pytest.mark.parametrize(
    ("entries", "faults"),
    [
        (
            [entry(endpoint=NANO, quality="low"), entry(id="b", endpoint="nano-bananna")],
            [
                "m.yaml:2: job a on nano-banana: 'quality' is no key here; expected id, output, rows, format, when, ",
                "m.yaml:3: job b: endpoint 'nano-bananna' is unknown (did you mean nano-banana?); expected ",
            ],
        ),
        (
            [entry(endpoint=SUNBURST, quality="draft")],
            [f"m.yaml:2: job a on {SUNBURST}: quality is 'draft'; expected low, medium, high, xhigh, max or auto"],
        ),
        # What is wrong for all of a matrix is told once, the rest for its endpoint.
        (
            [entry(prompt="", matrix=f"{{endpoint: [{NANO}, {SUNBURST}]}}", hue="3")],
            [
                "m.yaml:2: job a: 'hue' is no key here; expected id, output, ",
                "m.yaml:2: job a: prompt is missing",
            ],
        ),
        ([entry(endpoint="[a]")], ["m.yaml:2: job a: endpoint is a list; expected text"]),
        ([entry(endpoint='"{{ a"')], ["m.yaml:2: job a: template of endpoint "]),
        (
            [entry(endpoint=NANO, matrix=f"{{endpoint: [{NANO}]}}")],
            ["m.yaml:2: job a: endpoint is a key of the job and a name of its matrix; expected one of them"],
        ),
        (
            [entry(matrix="{endpoint: [studio, nano-banana]}")],
            ["m.yaml:2: job a: endpoint 'studio' is unknown; expected "],
        ),
        (
            [entry(id='"{{ sku }}"', rows="[{sku: a, m: x}, {sku: b, m: x}]", endpoint='"{{ m }}"')],
            ["m.yaml: endpoint 'x' is unknown in 2 rows, first at line 2; expected "],
        ),
        (
            [entry(id='"{{ sku }}"', rows="[{sku: a}, {sku: b}]", endpoint='"{{ m }}"')],
            ["m.yaml: template of endpoint uses 'm', which is no column in 2 rows, first at line 2; the only column "],
        ),
    ],
)
def test_faults_name_the_job_and_its_endpoint(tmp_path: Path, entries: list[str], faults: list[str]) -> None:
    found = manifest(tmp_path, *entries)
    assert len(found.faults) == len(faults), found.faults
    for line, wanted in zip(found.faults, faults, strict=True):
        assert line.startswith(wanted)


def test_two_links_are_too_many_for_an_endpoint_that_takes_one(tmp_path: Path) -> None:
    other = LINK.replace("mug", "cup")
    found = manifest(
        tmp_path,
        entry(id='"{{ endpoint }}"', image_urls=f"[{LINK}, {other}]", matrix=f"{{endpoint: [{NANO}, studio.yaml]}}"),
    )
    assert found.fault == "m.yaml:2: on studio: image_urls has 2 links; expected one"


def test_an_endpoint_may_be_set_for_every_job(tmp_path: Path) -> None:
    path = write(tmp_path / "m.yaml", f"jobs:\n  - {entry(endpoint=SUNBURST)}\n  - {entry(id='b', quality='low')}\n")
    found = read(path, endpoint=NANO)
    assert goes_to(found) == [NANO, NANO]
    assert found.warnings == [f"m.yaml: quality of {OLD} has no place in {NANO} and is left out"]
    assert read(path, endpoint="nano-bananna").fault.startswith("--set: endpoint 'nano-bananna' is unknown")


def test_a_table_takes_its_endpoints_from_a_template_that_is_set(tmp_path: Path) -> None:
    (tmp_path / "studio.yaml").write_text(OWN, encoding="utf-8")
    path = write(
        tmp_path / "m.csv",
        f"id,prompt,image_urls,model,quality\na,x,{LINK},{NANO},low\nb,x,{LINK},,low\nc,x,{LINK},studio.yaml,high\n",
    )
    found = read(path, endpoint="{{ model }}")
    assert goes_to(found) == [NANO, OLD, "studio"]
    assert [job.request.params.get("quality") for job in found.jobs] == [None, "low", "high"]
    assert found.jobs[2].request.params["photo"] == LINK
    # A column of that name is carried along, as any other is.
    carried = read(write(tmp_path / "m.csv", f"id,prompt,image_urls,endpoint\na,x,{LINK},{NANO}\n"))
    assert (goes_to(carried), carried.job.extras) == ([OLD], {"endpoint": NANO})
    assert carried.warnings == [
        "m.csv: column 'endpoint' is carried along; --set 'endpoint={{ endpoint }}' sends the jobs there"
    ]


def test_rows_that_when_skips_are_not_asked_for_their_endpoint_and_are_counted_once(tmp_path: Path) -> None:
    found = manifest(
        tmp_path,
        entry(
            id='"{{ sku }}"',
            rows="[{sku: a, m: ''}, {sku: b, m: x}]",
            when="\"{{ sku == 'a' }}\"",
            endpoint='"{{ m }}"',
        ),
        entry(
            id='"{{ sku }}-{{ endpoint }}"',
            rows="[{sku: c}, {sku: d}]",
            when="\"{{ sku == 'c' }}\"",
            matrix=f"{{endpoint: [{OLD}, {NANO}]}}",
        ),
    )
    assert found.ids == ["a", f"c-{OLD}", f"c-{NANO}"]
    assert found.skipped == {"when": 2}


def test_a_row_with_an_unknown_endpoint_may_be_left_out_as_faulty(tmp_path: Path) -> None:
    rows = "[{sku: a, m: x}, {sku: b, m: nano-banana}]"
    path = write(
        tmp_path / "m.yaml", f"jobs:\n  - {entry(id=repr('{{ sku }}'), rows=rows, endpoint=repr('{{ m }}'))}\n"
    )
    found = read(path, skip_faulty=True)
    assert (found.ids, [row.id for row in found.faulty]) == (["b"], ["a"])


def test_jobs_that_have_no_id_are_numbered_over_all_endpoints(tmp_path: Path) -> None:
    found = manifest(
        tmp_path, entry(id="", matrix=f"{{endpoint: [{OLD}, {NANO}]}}"), entry(id="", endpoint=NANO), entry(id="")
    )
    assert found.ids == ["m-1", "m-2", "m-3", "m-4"]


def test_defaults_have_no_endpoint_for_it_stands_at_the_top(tmp_path: Path) -> None:
    found = manifest(tmp_path, entry(), head=f"defaults: {{endpoint: {NANO}}}\n")
    assert (
        found.fault == "m.yaml:1: defaults: 'endpoint' is no key here; expected at the top of the manifest, or in a job"
    )


SHOPIFY = """\
Handle,Title,Variant SKU,Image Src,Image Position
mug,Mug,M1,https://cdn.shopify.com/mug.jpg,1
mug,,,https://cdn.shopify.com/mug-2.jpg,2
"""


def test_a_shops_pictures_go_to_each_endpoint_by_the_name_it_has_for_them(tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_text(SHOPIFY, encoding="utf-8")
    matrix = "{endpoint: [gpt-image-2, seedream-4.5]}"
    for images in ("", "['{{ image }}']"):
        found = manifest(
            tmp_path,
            entry(
                id="", prompt=repr("Put the {{ title }} on white"), rows="shop.csv", matrix=matrix, image_urls=images
            ),
        )
        assert found.ids[:3] == ["mug-1-gpt-image-2", "mug-1-seedream-4.5", "mug-2-gpt-image-2"]
        links = [job.request.params.get("image") or job.request.params["image_input"] for job in found.jobs]
        one, two = "https://cdn.shopify.com/mug.jpg", "https://cdn.shopify.com/mug-2.jpg"
        assert links == [one, [one], two, [two]]


def test_the_picture_of_an_endpoint_that_can_do_without_has_to_be_said(tmp_path: Path) -> None:
    head = "endpoint: gpt-image-2\n"
    assert manifest(tmp_path, entry(image_urls=""), head=head).fault == "m.yaml:3: job a: image is missing"
    assert manifest(tmp_path, entry(image_urls="", image="null"), head=head).job.request.params["image"] is None
    assert manifest(tmp_path, entry(image_urls="", image=f"[{LINK}]"), head=head).job.request.params["image"] == LINK
    path = write(tmp_path / "m.csv", f"id,prompt,image\na,x,{LINK}\nb,x,\n")
    empty = "m.csv: image is empty in 1 row, first at line 3; --set 'when={{ image }}' skips such rows"
    assert read(path, endpoint="gpt-image-2").fault == empty


def test_defaults_that_rows_take_elsewhere_are_read_for_where_they_go(tmp_path: Path) -> None:
    rows = "[{sku: a, m: gpt-image-2}, {sku: b, m: ''}]"
    found = manifest(
        tmp_path,
        entry(id='"{{ sku }}"', rows=rows, endpoint='"{{ m }}"'),
        head=f"endpoint: {SUNBURST}\ndefaults: {{quality: xhigh}}\n",
    )
    assert found.values("quality") == ["high", "xhigh"]
    assert found.warnings == ["m.yaml: quality 'xhigh' has no place in gpt-image-2; its default counts instead"]
