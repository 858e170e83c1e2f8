from __future__ import annotations

import pickle
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_editor.links.signed import unsigned
from batch_editor.records import EditRequest, Failure, ParamValue, Rate

values = st.one_of(st.text(max_size=20), st.integers(0, 100), st.booleans(), st.none(), st.lists(st.text(), max_size=3))
params = st.dictionaries(st.text(min_size=1, max_size=10), values, min_size=1, max_size=6)


# Rates --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rate"),
    [("60/min", Rate(60, 60.0)), ("10/s", Rate(10, 1.0)), (" 500/h ", Rate(500, 3600.0)), ("1/min", Rate(1, 60.0))],
)
def test_a_rate_is_a_count_and_a_period(text: str, rate: Rate) -> None:
    assert Rate.parse(text) == rate
    assert str(rate) == text.strip()


@pytest.mark.parametrize(
    "text", ["", "60", "60/", "/min", "0/min", "-1/min", "1.5/s", "60/m", "60/MIN", "60 /min", "1_0/s", "١٢/s", "+1/s"]
)
def test_a_rate_that_is_written_otherwise_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"; expected a count and a period, such as 60/min, 10/s or 500/h$") as caught:
        Rate.parse(text)
    assert str(caught.value).startswith(f"rate is {text!r}; ")


@given(count=st.integers(1, 10**9), unit=st.sampled_from(["s", "min", "h"]))
def test_a_rate_is_written_as_it_is_read(count: int, unit: str) -> None:
    assert str(Rate.parse(f"{count}/{unit}")) == f"{count}/{unit}"


def test_a_rate_over_another_period_is_written_in_seconds() -> None:
    assert str(Rate(5, 2.5)) == "5/2.5s"


# Fingerprints -------------------------------------------------------------------------------------------------------


@given(params=params, seed=st.integers())
def test_the_order_of_parameters_is_irrelevant_to_a_fingerprint(params: dict[str, ParamValue], seed: int) -> None:
    shuffled = list(params.items())
    random.Random(seed).shuffle(shuffled)
    assert EditRequest("e", dict(shuffled)).fingerprint == EditRequest("e", params).fingerprint


@given(params=params, name=st.text(min_size=1, max_size=10), value=st.integers(101, 200))
def test_any_other_value_makes_another_fingerprint(params: dict[str, ParamValue], name: str, value: int) -> None:
    assert EditRequest("e", {**params, name: value}).fingerprint != EditRequest("e", params).fingerprint


def test_a_fingerprint_is_32_hex_digits_and_stays_the_same_between_versions() -> None:
    request = EditRequest("gpt-image-1.5-edit", {"prompt": "white", "image_urls": ["https://a/b.jpg"], "mask": None})
    assert request.fingerprint == "391b941df391b124e59e7edcfda042f3"


def test_variant_one_is_no_variant_and_each_other_one_is_its_own() -> None:
    of = [EditRequest("e", {"prompt": "x"}, variant=variant).fingerprint for variant in (1, 2, 3)]
    assert of[0] == EditRequest("e", {"prompt": "x"}).fingerprint
    assert len(set(of)) == 3


def test_a_parameter_named_variant_is_no_variant() -> None:
    assert EditRequest("e", {"variant": 2}).fingerprint != EditRequest("e", {}, variant=2).fingerprint


def test_another_endpoint_makes_another_fingerprint() -> None:
    assert EditRequest("a", {"prompt": "x"}).fingerprint != EditRequest("b", {"prompt": "x"}).fingerprint


def test_types_are_told_apart() -> None:
    assert len({EditRequest("e", {"a": value}).fingerprint for value in (1, "1", True, None, ["1"], "null")}) == 6


# Signed links -------------------------------------------------------------------------------------------------------

S3 = "https://b.s3.amazonaws.com/mug.jpg"
AMZ = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={c}&X-Amz-Date={d}&X-Amz-Expires=60&X-Amz-SignedHeaders=host"
GOOG = "X-Goog-Algorithm=A&X-Goog-Credential={c}&X-Goog-Date={d}&X-Goog-Expires=60&X-Goog-SignedHeaders=host"


@pytest.mark.parametrize(
    "template",
    [
        S3 + "?" + AMZ + "&X-Amz-Signature={s}",
        S3 + "?" + AMZ + "&X-Amz-Security-Token={c}&X-Amz-Signature={s}",
        "https://storage.googleapis.com/b/mug.jpg?" + GOOG + "&X-Goog-Signature={s}",
        "https://storage.googleapis.com/b/mug.jpg?GoogleAccessId={c}&Expires={d}&Signature={s}",
        "https://d1.cloudfront.net/mug.jpg?Expires={d}&Signature={s}&Key-Pair-Id={c}",
        S3 + "?AWSAccessKeyId={c}&Expires={d}&Signature={s}",
        "https://a.blob.core.windows.net/c/mug.jpg?sv={d}&st={d}&se={d}&sr=b&sp=r&sig={s}",
    ],
)
def test_a_link_that_is_signed_anew_is_the_same_picture(template: str) -> None:
    monday = template.format(c="AKIA1", d="20261122T000000Z", s="ab12")
    tuesday = template.format(c="AKIA2", d="20261123T000000Z", s="cd34")
    assert unsigned(monday) == unsigned(tuesday)
    assert "?" not in unsigned(monday)

    def request(link: str) -> EditRequest:
        return EditRequest("e", {"image_urls": [link], "mask": link})

    assert request(monday).fingerprint == request(tuesday).fingerprint
    other = monday.replace("mug.jpg", "cup.jpg")
    assert request(other).fingerprint != request(monday).fingerprint


@pytest.mark.parametrize(
    "link",
    [
        "https://cdn.shopify.com/mug.jpg?v=1700000000",
        "https://a/b.jpg?se=1&sp=2",
        "https://a/b.jpg?expires=20261122",
        "https://a/b.jpg?design=sig",
        "https://a/b.jpg?q=a+b%20c&sigma=1",
        "sha256:abcdef",
        "Add a signature? Signature=x",
        "data:image/png;base64,Signature?sig=1",
        "http://[a prompt?sig=1",
    ],
)
def test_what_is_not_signed_stays_letter_by_letter(link: str) -> None:
    assert unsigned(link) == link


def test_parameters_beside_the_signature_stay() -> None:
    assert unsigned(f"{S3}?v=2&X-Amz-Date=1&X-Amz-Signature=ab&size=") == f"{S3}?v=2&size="


@given(text=st.text())
def test_unsigning_twice_is_unsigning_once_and_no_text_breaks_it(text: str) -> None:
    for link in (text, f"https://a/b?{text}&sig=1"):
        assert unsigned(unsigned(link)) == unsigned(link)


def test_records_survive_pickling() -> None:
    for record in (Rate(60, 60.0), EditRequest("e", {"a": 1}), Failure("auth", "no", scope="run")):
        assert pickle.loads(pickle.dumps(record)) == record
