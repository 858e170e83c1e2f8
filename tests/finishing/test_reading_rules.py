"""What `finish` means in a manifest, and all that is wrong with it at once."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from batch_editor.finishing import FinishFaults, FinishRules, finish_schema, load_preset, read_finish, shipped_presets
from batch_editor.strict_yaml import parse_yaml

SIZE = "WIDTHxHEIGHT in pixels, such as 2000x2000, of at most 10,000 a side"
COLOUR = "white, transparent, or a colour such as '#f4f4f4'"
PRESETS = "amazon-main, google, shopify-square, or a path such as ./own.yaml"


def faults_of(text: str, folder: Path = Path()) -> list[str]:
    with pytest.raises(FinishFaults) as raised:
        read_finish(parse_yaml(text.encode()), beside=folder)
    assert str(raised.value) == "\n".join(raised.value.faults)
    return list(raised.value.faults)


def read(text: str, folder: Path = Path()) -> tuple[FinishRules, ...]:
    return read_finish(parse_yaml(text.encode()), beside=folder)


@pytest.mark.parametrize(
    ("written", "key", "value"),
    [
        ("size: 2000x1500", "size", (2000, 1500)),
        ("size: 2000 × 1500", "size", (2000, 1500)),
        ("size: 2000", "size", (2000, 2000)),
        ("{size: 9, fit: cover}", "fit", "cover"),
        ("{size: 9, enlarge: false}", "enlarge", False),
        ("{size: 9, pad: white}", "pad", "#ffffff"),
        ("{size: 9, pad: '#F4F4f4'}", "pad", "#f4f4f4"),
        ("{size: 9, pad: transparent}", "pad", "transparent"),
        ("format: JPG", "format", "jpeg"),
        ("format: webp", "format", "webp"),
        ("quality: 75", "quality", 75),
        ("max_bytes: 500000", "max_bytes", 500_000),
        ("background: white", "background", "white"),
        ("provenance: none", "provenance", "none"),
    ],
)
def test_each_key_is_read(written: str, key: str, value: object) -> None:
    (rules,) = read(f"web: {written}" if written.startswith("{") else f"web:\n  {written}")
    assert getattr(rules, key) == value


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("size: big", f"finish.web.size is 'big'; expected {SIZE}"),
        ("size: 0x9", f"finish.web.size is '0x9'; expected {SIZE}"),
        ("size: 10001", f"finish.web.size is '10001'; expected {SIZE}"),
        ("size: [9, 9]", f"finish.web.size is a list; expected {SIZE}"),
        ("size:", f"finish.web.size is empty; expected {SIZE}"),
        ("size: 9000x9000", "finish.web.size is 9000x9000; a file has at most 50,000,000 pixels: give a smaller one"),
        ("{size: 9, fit: contian}", "finish.web.fit is 'contian'; expected contain or cover (did you mean contain?)"),
        ("{size: 9, pad: blue}", f"finish.web.pad is 'blue'; expected {COLOUR}"),
        ("{size: 9, pad: whiet}", f"finish.web.pad is 'whiet'; expected {COLOUR} (did you mean white?)"),
        (
            "size: 9\n  pad: #f4f4f4",
            f"finish.web.pad is empty; expected {COLOUR} (a colour stands in quotes: '#f4f4f4')",
        ),
        ("format: gif", "finish.web.format is 'gif'; expected jpeg, png or webp"),
        ("format: jepg", "finish.web.format is 'jepg'; expected jpeg, png or webp (did you mean jpeg?)"),
        ("quality: 101", "finish.web.quality is '101'; expected a whole number from 1 to 100"),
        ("quality: 0.9", "finish.web.quality is '0.9'; expected a whole number from 1 to 100"),
        ("max_bytes: 2 MB", "finish.web.max_bytes is '2 MB'; expected a whole number of bytes"),
        ("background: black", "finish.web.background is 'black'; expected keep or white"),
        (
            "provenance: composit",
            (
                "finish.web.provenance is 'composit'; expected keep, composite, generated or none"
                " (did you mean composite?)"
            ),
        ),
        ("{size: 9, enlarge: no}", "finish.web.enlarge is 'no'; expected true or false"),
        ("sise: 9", "finish.web.sise is unknown (did you mean size?)"),
        ("preset: amazon", f"finish.web.preset is 'amazon'; expected {PRESETS} (did you mean amazon-main?)"),
        ("preset:", "finish.web.preset is empty; expected amazon-main, google, shopify-square, or a path"),
        ("preset: ./gone.yaml", "finish.web.preset: ./gone.yaml can't be read: No such file or directory"),
        ("fit: cover", "finish.web.fit does nothing without a size; add one, such as size: 2000x2000"),
        ("pad: white", "finish.web.pad does nothing without a size; add one, such as size: 2000x2000"),
        (
            "{size: 9, fit: cover, pad: white}",
            "finish.web.pad does nothing with fit: cover, which leaves nothing to pad; leave one of them out",
        ),
        (
            "{size: 9, format: jpeg, pad: transparent}",
            "finish.web.pad is transparent, which JPEG can't be; expected format: png or webp, or another pad",
        ),
        (
            "{format: png, quality: 80}",
            "finish.web.quality does nothing with format: png, which loses nothing; leave one of them out",
        ),
        ("{}", "finish.web is empty; expected rules, such as {size: 2000x2000, format: jpeg}"),
    ],
)
def test_a_fault_says_what_was_expected(tmp_path: Path, written: str, fault: str) -> None:
    text = f"web: {written}" if written.startswith("{") else f"web:\n  {written}"
    assert faults_of(text, tmp_path) == [fault]


def test_a_name_alone_may_be_meant_as_a_preset() -> None:
    assert faults_of("google:") == [
        (
            "finish.google is empty; expected rules, such as {size: 2000x2000, format: jpeg}"
            " (did you mean {preset: google}?)"
        )
    ]


@pytest.mark.parametrize("name", ["we/b", "..", ".web", "a" * 65, "con", "web ", "a:b"])
def test_a_name_becomes_a_folder_s(name: str) -> None:
    with pytest.raises(FinishFaults) as raised:
        read_finish({name: {"size": "9"}}, beside=Path())
    assert raised.value.faults == (
        f"finish.{name} can't be a folder's name; expected letters, digits, - and _, such as web-2000",
    )


def test_names_that_some_file_systems_take_for_one_are_a_fault() -> None:
    assert faults_of("{Web: {size: 9}, web: {size: 10}}") == [
        "finish.web would have the same folder as finish.Web; give one another name"
    ]


def test_all_faults_are_told_at_once() -> None:
    faults = faults_of("{a: {size: x, qualiti: 3}, b: {preset: gogle}, c: []}")
    assert [fault.split(" ")[0] for fault in faults] == [
        "finish.a.size",
        "finish.a.qualiti",
        "finish.b.preset",
        "finish.c",
    ]


def test_presets_can_be_a_list() -> None:
    assert [(rules.name, rules.preset) for rules in read("[google, amazon-main]")] == [
        ("google", "google"),
        ("amazon-main", "amazon-main"),
    ]
    assert read("[]") == ()
    assert faults_of("[google, {size: 9}, ]") == [
        "finish[2] is a mapping; expected a preset: amazon-main, google, shopify-square"
    ]
    assert faults_of("[google, google]") == [
        "finish.google would have the same folder as finish.google; give one another name"
    ]


@pytest.mark.parametrize("value", [None, "google", 7])
def test_another_value_is_no_finish(value: object) -> None:
    with pytest.raises(
        FinishFaults, match=r"^finish is (empty|'google'|'7'); expected a mapping of names, or a list of"
    ):
        read_finish(value, beside=Path())


def test_what_is_given_overrides_the_preset() -> None:
    (rules,) = read("shop: {preset: shopify-square, size: 1600, fit: cover, format: webp}")
    assert (rules.size, rules.fit, rules.format, rules.enlarge) == ((1600, 1600), "cover", "webp", False)
    assert rules.checks.square is True


OWN = """\
about: Our own shop
makes:
  size: 1600x1200
  pad: {value: '#f4f4f4', says: our house colour}
  format: {value: webp, source: https://example.com/house-rules, as_of: 2026-10-01}
checks:
  product_at_least: 0.8
  name: '[a-z]+\\.webp'
"""


def test_a_preset_of_ones_own_lies_beside_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(OWN)
    (rules,) = read("[./own.yaml]", tmp_path)
    assert (rules.name, rules.preset, rules.size, rules.pad) == ("own", "./own.yaml", (1600, 1200), "#f4f4f4")
    assert (rules.format, rules.checks.product_at_least, rules.checks.name) == ("webp", 0.8, r"[a-z]+\.webp")
    assert load_preset("own.yaml", beside=tmp_path).makes["pad"].says == "our house colour"


def test_all_faults_of_a_preset_are_told_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "abuot: x\nmakes:\n  sise: 9\n  fit: stretch\n  format: {value: png, sorce: x, basis: guessed}\n"
        "checks:\n  name: '['\n  square: perhaps\n  provenance: [human]\n"
    )
    marks = "compositeWithTrainedAlgorithmicMedia or trainedAlgorithmicMedia"
    assert faults_of("[own.yaml]", tmp_path) == [
        "finish.own.preset: own.yaml: 'abuot' is unknown (did you mean about?)",
        "finish.own.preset: own.yaml: makes.sise is unknown (did you mean size?)",
        "finish.own.preset: own.yaml:4: makes.fit is 'stretch'; expected contain or cover",
        "finish.own.preset: own.yaml:5: makes.format.sorce is unknown (did you mean source?)",
        "finish.own.preset: own.yaml:5: makes.format.basis is 'guessed'; expected documented or inferred",
        (
            "finish.own.preset: own.yaml:7: checks.name is '['; expected a regular expression"
            " (unterminated character set at position 0)"
        ),
        "finish.own.preset: own.yaml:8: checks.square is 'perhaps'; expected true or false",
        f"finish.own.preset: own.yaml: checks.provenance is a list; expected a list of {marks}",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("- size: 9", "own.yaml is a list; expected a mapping with the keys about, makes, checks"),
        ("about: nothing", "own.yaml has no rule; expected some below makes or checks"),
        ("makes: [size]", "own.yaml: makes is a list; expected a mapping of rules"),
        ("makes: {size: 9, size: 10}", "own.yaml:1: key 'size' stands twice in one mapping"),
    ],
)
def test_a_file_that_is_no_preset_is_said(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "own.yaml").write_text(text)
    assert faults_of("[own.yaml]", tmp_path) == [f"finish.own.preset: {fault}"]


def test_rules_and_faults_travel_to_other_processes() -> None:
    (rules,) = read("[amazon-main]")
    assert pickle.loads(pickle.dumps(rules)) == rules
    faults = FinishFaults("one", "two")
    assert pickle.loads(pickle.dumps(faults)).faults == ("one", "two")


CHANGES: list[dict[str, Any]] = [
    {"size": "10"},
    {"size": "9", "pad": "white"},
    {"size": "9", "fit": "cover"},
    {"size": "9", "enlarge": False},
    {"size": "9", "format": "webp"},
    {"size": "9", "quality": 80},
    {"size": "9", "max_bytes": 10_000},
    {"size": "9", "background": "white"},
    {"size": "9", "provenance": "none"},
    {"size": "9", "preset": "google"},
]


def test_the_digest_changes_with_every_rule_and_with_no_name() -> None:
    digests = [read_finish({"web": given}, beside=Path())[0].digest for given in [{"size": "9"}, *CHANGES]]
    assert len(set(digests)) == len(digests)
    assert read("a: {size: 9}")[0].digest == read("b: {size: 9x9, fit: contain, quality: 90}")[0].digest
    (preset,) = read("[google]")
    assert preset.model_copy(update={"name": "x", "preset": "./copy.yaml"}).digest == preset.digest


@pytest.mark.parametrize(
    ("format", "source", "ending"),
    [
        (None, "PNG", ".png"),
        (None, "jpeg", ".jpg"),
        (None, "MPO", ".jpg"),
        (None, "webp", ".webp"),
        (None, "gif", ".png"),
        ("jpeg", "png", ".jpg"),
        ("webp", "png", ".webp"),
    ],
)
def test_the_ending_is_the_format_s(format: Any, source: str, ending: str) -> None:
    assert FinishRules(name="web", format=format).ending(source) == ending


@pytest.mark.parametrize("name", shipped_presets())
def test_every_rule_of_a_shipped_preset_says_who_says_so(name: str) -> None:
    preset = load_preset(name)
    assert preset.about
    for rule in [*preset.makes.values(), *preset.checks.values()]:
        assert rule.source is not None
        assert rule.source.startswith("https://")
        assert rule.as_of is not None
        assert rule.as_of >= "2026-11-27"
        assert rule.says.endswith((".", '".'))


def test_the_schema_names_every_key_and_preset() -> None:
    mapping, several = finish_schema()["anyOf"]
    (rules,) = read("web: {size: 9}")
    written = set(mapping["additionalProperties"]["properties"])
    assert written == set(rules.model_dump()) - {"name", "checks"}
    assert several["items"]["anyOf"][0]["enum"] == shipped_presets()
