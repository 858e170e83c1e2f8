from __future__ import annotations

from pathlib import Path

import pytest

from batch_editor.endpoints import Parameter, load_endpoint, shipped_endpoints
from batch_editor.errors import EndpointError

OWN = """\
name: mine
path: mine-v2
parameters:
  prompt: {type: string, required: true}
  size: {type: string, choices: [s, l], default: l}
prices: {by: [size], table: {s: 1, l: 2}}
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(OWN)
    return path


# Loading ------------------------------------------------------------------------------------------------------------


OF_THE_PROVIDER = {
    "gpt-image-1.5-edit": "image_urls",
    "gpt-image-2": "image",
    "gpt-image-2.5-flare": "image_urls",
    "gpt-image-2.5-sunburst": "image_urls",
    "nano-banana": "image_urls",
    "nano-banana-2": "image_urls",
    "nano-banana-pro": "image_urls",
    "seedream-4.5": "image_input",
}


def test_the_shipped_endpoints_load_and_are_named_like_their_files() -> None:
    assert [name for name in shipped_endpoints() if not name.startswith("openai-")] == list(OF_THE_PROVIDER)
    for name, images in OF_THE_PROVIDER.items():
        endpoint = load_endpoint(name)
        assert (endpoint.name, endpoint.path) == (name, name)
        assert (endpoint.prompt, endpoint.images) == ("prompt", images)
        assert {400, 401, 402, 403, 404, 405, 406, 408, 410, 422, 429, 500, 502, 503, 504} == set(endpoint.errors)


def test_the_parameters_of_the_api_page_are_sent_in_its_order_with_its_defaults() -> None:
    parameters = load_endpoint("gpt-image-1.5-edit").parameters
    assert {name: parameter.default_value for name, parameter in parameters.items()} == {
        "prompt": None,
        "image_urls": None,
        "mask": None,
        "size": "auto",
        "quality": "high",
        "background": "opaque",
        "output_compression": 95,
        "output_format": "png",
        "moderation": "auto",
    }
    assert list(parameters)[:3] == ["prompt", "image_urls", "mask"]
    assert [name for name, parameter in parameters.items() if parameter.required] == ["prompt", "image_urls", "mask"]


def test_a_file_of_one_s_own_is_named_by_its_path(own: Path) -> None:
    endpoint = load_endpoint(str(own))
    assert (endpoint.name, endpoint.path, endpoint.latency_s) == ("mine", "mine-v2", 60.0)
    assert (endpoint.prompt, endpoint.images, endpoint.mask) == (None, None, None)


def test_a_relative_path_is_looked_for_beside_the_manifest_first(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "mine.yaml").write_text(OWN.replace("mine-v2", "here"))
    monkeypatch.chdir(here)
    assert load_endpoint("mine.yaml").path == "here"
    assert load_endpoint("mine.yaml", beside=own.parent).path == "mine-v2"
    assert load_endpoint("mine.yaml", beside=Path("/nowhere")).path == "here"


KNOWN = f"{', '.join(shipped_endpoints()[:-1])} or {shipped_endpoints()[-1]}"
EXPECTED = f"expected {KNOWN}, or the path of a YAML file"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "gpt-image-1.5-edt",
            f"endpoint 'gpt-image-1.5-edt' is unknown (did you mean gpt-image-1.5-edit?); {EXPECTED}",
        ),
        ("zebra", f"endpoint 'zebra' is unknown; {EXPECTED}"),
        ("nowhere.yaml", f"endpoint 'nowhere.yaml' is unknown; {EXPECTED}"),
        ("", f"endpoint '' is unknown; {EXPECTED}"),
        (__file__, f"endpoint {__file__!r} is unknown; {EXPECTED}"),
    ],
)
def test_an_unknown_endpoint_is_told_with_the_known_ones(name: str, message: str) -> None:
    with pytest.raises(EndpointError) as caught:
        load_endpoint(name)
    assert str(caught.value) == message


def price(text: str) -> tuple[str, str]:
    return "{by: [size], table: {s: 1, l: 2}}", text


def prompt(text: str) -> tuple[str, str]:
    return "{type: string, required: true}", text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (price("{by: [size], table: 1}"), "prices: table has fewer levels than `by`"),
        (price("{by: [size], table: {}}"), "prices: table has fewer levels than `by`"),
        (price("{by: [size, prompt], table: {s: 1}}"), "prices: table.s has fewer levels than `by`"),
        (price("{table: {s: 1}}"), "prices: table has more levels than `by`"),
        (price("{by: [size], table: {s: {l: 1}}}"), "prices: table.s has more levels than `by`"),
        (price("{by: [size], table: {s: -2}}"), "prices: table.s is -2; expected USD, zero or more"),
        (price("{table: nan}"), "prices: table is nan; expected USD, zero or more"),
        (price("{table: inf}"), "prices: table is inf; expected USD, zero or more"),
        (price("{by: [sise], table: {s: 1}}"), "endpoint: 'sise' is used but is no parameter"),
        (price("{table: 1, expected: {sise: s}}"), "endpoint: 'sise' is used but is no parameter"),
        (price("{table: 1, factor: -1}"), "prices.factor: Input should be greater than or equal to 0"),
        (price("{}"), "prices.table: Field required"),
        (
            price("{by: [size], by_pixels: prompt, table: {s: 1}}"),
            "prices: by_pixels is 'prompt'; expected the last of `by`",
        ),
        (
            price("{by: [size], by_pixels: size, table: {8x8: 1, s: 1}}"),
            "prices: table has the key 's'; with by_pixels expected sizes such as 1024x1024",
        ),
        (price("{table: 1, text_token: -1}"), "prices.text_token: Input should be greater than or equal to 0"),
        (
            prompt("{type: string, required: true, only_when_set: true}"),
            "parameters.prompt: is only_when_set and required; expected one of them",
        ),
        (
            prompt("{type: string, nullable: true, only_when_set: true}"),
            "parameters.prompt: is only_when_set and nullable; expected one of them",
        ),
        (
            prompt("{type: link, sizes: {multiple_of: 16}}"),
            "parameters.prompt: has sizes and the type link; expected type string",
        ),
        (
            prompt("{type: string, sizes: {multiple: 16}}"),
            "parameters.prompt.sizes.multiple: Extra inputs are not permitted",
        ),
        (
            ("{type: string, choices: [s, l], default: l}", "{type: string, sizes: {multiple_of: 16}, default: 8x8}"),
            "endpoint: default of size is '8x8'; expected WIDTHxHEIGHT with sides divisible by 16, such as 16x16",
        ),
        (
            prompt("{type: colour}"),
            "parameters.prompt.type: Input should be 'string', 'integer', 'number', 'boolean', 'link' or 'links'",
        ),
        (prompt("{type: string, rolle: mask}"), "parameters.prompt.rolle: Extra inputs are not permitted"),
        (("default: l", "default: x"), "endpoint: default of size is 'x'; expected s or l"),
        (
            prompt("{type: integer, minimum: 0, maximum: 9, default: 10}"),
            "endpoint: default of prompt is '10'; expected a whole number from 0 to 9",
        ),
        (
            ("name: mine", "rules: [{when: {nope: x}, need: {size: [s]}, why: z}]\nname: mine"),
            "endpoint: 'nope' is used but is no parameter",
        ),
        (
            ("name: mine", "unused: [{when: {size: s}, parameter: nope, why: z}]\nname: mine"),
            "endpoint: 'nope' is used but is no parameter",
        ),
        (
            ("name: mine", "errors: {400: {kind: a, reach: all, billed: true, meaning: b}}\nname: mine"),
            "errors.400.reach: Input should be 'job', 'run' or 'pace'",
        ),
        (("name: mine", "latency_s: 0\nname: mine"), "latency_s: Input should be greater than 0"),
    ],
)
def test_a_fault_of_an_endpoint_s_file_says_where_it_is(own: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in OWN
    own.write_text(OWN.replace(*change))
    with pytest.raises(EndpointError) as caught:
        load_endpoint(str(own))
    assert str(caught.value) == f"{own}: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", ": not an endpoint file; expected keys such as name, path and parameters"),
        ("", ": not an endpoint file; expected keys such as name, path and parameters"),
        ("name: a\nname: b", ":2: key 'name' stands twice in one mapping"),
    ],
)
def test_a_file_that_is_no_endpoint_is_refused(own: Path, text: str, message: str) -> None:
    own.write_text(text)
    with pytest.raises(EndpointError) as caught:
        load_endpoint(str(own))
    assert str(caught.value) == f"{own}{message}"


# Parameters ---------------------------------------------------------------------------------------------------------

COUNT = Parameter(type="integer", minimum=0, maximum=100)
SHARE = Parameter(type="number")
YES = Parameter(type="boolean")
SIZE = Parameter(type="string", choices=("low", "medium", "high"))
SHORT = Parameter(type="string", max_length=3)


@pytest.mark.parametrize(
    ("parameter", "text", "value"),
    [
        (COUNT, "0", 0),
        (COUNT, "100", 100),
        (COUNT, "007", 7),
        (SHARE, "1e-3", 0.001),
        (SHARE, "-2", -2.0),
        (YES, "True", True),
        (YES, "false", False),
        (SIZE, "low", "low"),
        (SHORT, "äöü", "äöü"),
        (Parameter(type="links"), "https://a/b", ["https://a/b"]),
        (Parameter(type="link"), "https://a/b", "https://a/b"),
    ],
)
def test_a_parameter_knows_what_a_text_stands_for(parameter: Parameter, text: str, value: object) -> None:
    assert parameter.parse(text) == value
    assert type(parameter.parse(text)) is type(value)


@pytest.mark.parametrize(
    ("parameter", "text", "message"),
    [
        (COUNT, "101", "expected a whole number from 0 to 100"),
        (COUNT, "-1", "expected a whole number from 0 to 100"),
        (COUNT, "1.5", "expected a whole number from 0 to 100"),
        (COUNT, "1_0", "expected a whole number from 0 to 100"),
        (COUNT, "١٢", "expected a whole number from 0 to 100"),
        (COUNT, "", "expected a whole number from 0 to 100"),
        (SHARE, "inf", "expected a number"),
        (SHARE, "nan", "expected a number"),
        (YES, "yes", "expected true or false"),
        (SIZE, "hgih", "expected low, medium or high (did you mean high?)"),
        (SIZE, "HIHG", "expected low, medium or high (did you mean high?)"),
        (SIZE, "zebra", "expected low, medium or high"),
        (SHORT, "abcd", "has 4 characters; expected at most 3"),
        (Parameter(type="string", max_length=32_000), "x" * 32_001, "has 32,001 characters; expected at most 32,000"),
    ],
)
def test_a_parameter_says_what_it_wanted(parameter: Parameter, text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- the whole message is compared below
        parameter.parse(text)
    assert str(caught.value) == message


JOB_KEYS = "id output rows format when carry endpoint matrix variants identity redo_prompt finish"


@pytest.mark.parametrize("name", JOB_KEYS.split())
def test_a_parameter_is_not_named_like_a_key_of_a_job(own: Path, name: str) -> None:
    own.write_text(OWN.replace("  size: {", f"  {name}: {{type: string}}\n  size: {{"))
    with pytest.raises(EndpointError) as caught:
        load_endpoint(str(own))
    wanted = f"endpoint: parameter {name!r} is named like a key of a manifest's jobs; it needs another name"
    assert str(caught.value) == f"{own}: {wanted}"
