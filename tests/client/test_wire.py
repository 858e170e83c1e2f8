from __future__ import annotations

import base64
import json
import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_editor.client.pictures import Linked, image_in_json
from batch_editor.client.wire import billing_of, error_text, failure_of
from batch_editor.endpoints import load_endpoint
from batch_editor.records import Failure

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ENDPOINT = load_endpoint("gpt-image-1.5-edit")
RETRIED = frozenset({408, 429, 502, 503, 504})
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(200))
BASE64 = base64.b64encode(PICTURE).decode()


def failed(
    status: int,
    body: bytes | str = b"",
    headers: dict[str, str] | None = None,
    *,
    retried: frozenset[int] = RETRIED,
) -> Failure:
    data = json.dumps({"error": body}).encode() if isinstance(body, str) else body
    return failure_of(status, headers or {}, data, endpoint=ENDPOINT, retried=retried, now=NOW)


def harmless(text: str) -> bool:
    return not {unicodedata.category(each) for each in text} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


# Statuses -----------------------------------------------------------------------------------------------------------

FREE, MAYBE = False, True
RETIRED = "The model has been retired); the successor of gpt-image-1.5-edit is gpt-image-2.5-sunburst"
FINAL, AGAIN = False, True


@pytest.mark.parametrize(
    ("status", "kind", "scope", "billed", "transient", "meaning"),
    [
        pytest.param(*row, id=f"fault_{fault:03}-{row[0]}")
        for fault, *row in [
            (9, 201, "bad_response", "request", MAYBE, FINAL, "Not a status of this API"),
            (9, 202, "bad_response", "request", MAYBE, FINAL, "Not a status of this API"),
            (10, 204, "bad_response", "request", MAYBE, AGAIN, "Not a status of this API"),
            (11, 206, "bad_response", "request", MAYBE, AGAIN, "Not a status of this API"),
            (12, 302, "bad_response", "request", FREE, FINAL, "Redirected"),
            (13, 400, "invalid_parameter", "request", FREE, FINAL, "Invalid parameters or request format"),
            (14, 401, "auth", "run", FREE, FINAL, "Missing or invalid API key"),
            (16, 402, "credits", "run", FREE, FINAL, "Payment required"),
            (17, 403, "auth", "run", FREE, FINAL, "Insufficient permissions for this model"),
            (18, 404, "not_found", "run", FREE, FINAL, "Model or endpoint not found"),
            (19, 405, "not_found", "run", FREE, FINAL, "The endpoint does not take this request"),
            (21, 406, "credits", "run", FREE, FINAL, "Not enough credits to process the request"),
            (22, 408, "timeout", "request", MAYBE, AGAIN, "Request timed out on the way"),
            (22, 425, "timeout", "request", MAYBE, AGAIN, "Too early"),
            (23, 409, "invalid_parameter", "request", FREE, FINAL, "Request refused"),
            (23, 423, "invalid_parameter", "request", FREE, FINAL, "Request refused"),
            (24, 410, "retired", "run", FREE, FINAL, RETIRED),
            (25, 411, "invalid_parameter", "request", FREE, FINAL, "Request refused"),
            (25, 413, "invalid_parameter", "request", FREE, FINAL, "Request refused"),
            (25, 414, "invalid_parameter", "request", FREE, FINAL, "Request refused"),
            (25, 415, "invalid_parameter", "request", FREE, FINAL, "Request refused"),
            (25, 431, "invalid_parameter", "request", FREE, FINAL, "Request refused"),
            (26, 422, "invalid_parameter", "request", FREE, FINAL, "The request could not be processed"),
            (27, 429, "rate_limited", "rate", FREE, AGAIN, "Too many requests"),
            (34, 500, "server_error", "request", FREE, FINAL, "Internal server error"),
            (35, 501, "server_error", "request", FREE, FINAL, "Server error"),
            (35, 505, "server_error", "request", FREE, FINAL, "Server error"),
            (36, 502, "server_error", "request", MAYBE, AGAIN, "Service temporarily unavailable"),
            (37, 503, "server_error", "request", MAYBE, AGAIN, "Service unavailable"),
            (38, 504, "timeout", "request", MAYBE, AGAIN, "Request timed out"),
            (39, 520, "server_error", "request", MAYBE, AGAIN, "The provider's edge got no answer"),
            (39, 521, "server_error", "request", FREE, AGAIN, "The provider's server was not reached"),
            (39, 522, "server_error", "request", MAYBE, AGAIN, "The provider's edge got no answer"),
            (39, 523, "server_error", "request", FREE, AGAIN, "The provider's server was not reached"),
            (39, 524, "server_error", "request", MAYBE, AGAIN, "The provider's edge got no answer"),
            (39, 525, "server_error", "request", MAYBE, AGAIN, "The provider's edge got no answer"),
            (39, 526, "server_error", "request", MAYBE, AGAIN, "The provider's edge got no answer"),
            (39, 527, "server_error", "request", MAYBE, AGAIN, "The provider's edge got no answer"),
            (39, 529, "server_error", "request", MAYBE, AGAIN, "The provider's edge got no answer"),
            (39, 530, "server_error", "request", MAYBE, AGAIN, "The provider's edge got no answer"),
            (40, 507, "server_error", "request", MAYBE, FINAL, "Server error"),
            (40, 598, "server_error", "request", MAYBE, FINAL, "Server error"),
            (40, 100, "bad_response", "request", MAYBE, FINAL, "Not a status of this API"),
            (40, 600, "bad_response", "request", MAYBE, FINAL, "Not a status of this API"),
            (40, 999, "bad_response", "request", MAYBE, FINAL, "Not a status of this API"),
        ]
    ],
)
def test_a_status_says_how_far_it_reaches_whether_it_may_be_billed_and_whether_it_passes(
    status: int, kind: str, scope: str, billed: bool, transient: bool, meaning: str
) -> None:
    failure = failed(status)
    assert (failure.kind, failure.scope, failure.maybe_billed, failure.transient) == (kind, scope, billed, transient)
    assert failure.http_status == status
    assert failure.message == f"HTTP {status} ({meaning}{'' if ')' in meaning else ')'}"


@pytest.mark.parametrize("text", ["The model gpt-image-1.5-edit does not exist", "no route gpt-image-1.5-edit"])
def test_a_404_that_names_the_model_says_what_a_410_does(text: str) -> None:
    failure = failed(404, json.dumps({"error": text}).encode())
    assert (failure.kind, failure.scope, failure.maybe_billed) == ("retired", "run", False)
    assert failure.message.endswith(f"{text}; the successor of gpt-image-1.5-edit is gpt-image-2.5-sunburst")


@pytest.mark.parametrize("text", ["not found", "The model gpt-image-1.5 does not exist", ""])
def test_a_404_that_does_not_name_it_is_of_the_address(text: str) -> None:
    assert failed(404, json.dumps({"error": text}).encode()).kind == "not_found"


@given(status=st.integers(100, 999), body=st.binary(max_size=200))
@settings(max_examples=200)
def test_every_status_with_every_body_is_a_failure_that_can_be_printed(status: int, body: bytes) -> None:
    failure = failed(status, body)
    assert harmless(failure.message)
    assert len(failure.message) < 700
    assert not (failure.transient and failure.scope == "run")


def test_what_is_tried_again_can_be_set() -> None:
    assert not failed(502, retried=frozenset({504})).transient
    assert not failed(520, retried=frozenset({504})).transient
    assert failed(500, retried=frozenset({500})).transient
    assert failed(418, retried=frozenset({418})).transient


def test_a_429_that_is_not_to_be_tried_again_fails_its_job_alone() -> None:
    failure = failed(429, retried=frozenset())
    assert (failure.scope, failure.transient) == ("request", False)


def test_a_status_that_stops_the_run_is_not_tried_again_even_if_set_so() -> None:
    failure = failed(401, retried=frozenset({401}))
    assert (failure.scope, failure.transient) == ("run", False)


@pytest.mark.parametrize("status", [400, 403, 406, 422])
@pytest.mark.parametrize(
    "text",
    ["Your request was rejected by our safety system", "flagged by moderation", "content_policy_violation", "NSFW"],
)
@pytest.mark.fault(17)
def test_a_refusal_of_the_content_is_the_job_s_alone_whatever_its_status(status: int, text: str) -> None:
    failure = failed(status, text)
    assert (failure.kind, failure.scope, failure.maybe_billed) == ("moderation", "request", False)
    assert failure.message.endswith(f": {text}")


@pytest.mark.parametrize(
    ("text", "kind", "scope"),
    [
        ("Insufficient credits", "credits", "run"),
        ("Team spend limit reached", "credits", "run"),
        ("Your balance is too low", "credits", "run"),
        ("something else", "credits", "run"),
        ("size must be one of 1024x1024", "invalid_parameter", "request"),
        ("Invalid value for quality", "invalid_parameter", "request"),
    ],
)
@pytest.mark.fault(21)
def test_a_406_is_read_for_credits_or_a_parameter(text: str, kind: str, scope: str) -> None:
    failure = failed(406, text)
    assert (failure.kind, failure.scope) == (kind, scope)


@pytest.mark.fault(20)
def test_a_406_for_the_content_type_is_our_bug_and_says_so() -> None:
    failure = failed(406, "Invalid content type")
    assert (failure.kind, failure.scope) == ("bad_request", "run")
    assert failure.message == (
        "HTTP 406 (Content type refused: a bug in batch-editor, not in the account): Invalid content type"
    )


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.fault(12)
def test_a_redirect_names_the_host_alone(status: int) -> None:
    failure = failed(status, b"<html>moved</html>", {"location": "https://evil.example/path?token=1"})
    assert failure.message == (
        f"HTTP {status} (Redirected) to evil.example, which is not followed: the key would go there"
    )


@pytest.mark.parametrize("location", ["", "/elsewhere", "http://[", "https://\x00"])
@pytest.mark.fault(12)
def test_a_redirect_to_nowhere_is_a_failure_and_no_crash(location: str) -> None:
    assert failed(302, b"", {"location": location}).message.startswith("HTTP 302 (Redirected)")


def test_what_the_status_says_already_is_not_repeated() -> None:
    assert failed(401, "Missing or invalid API key.").message == "HTTP 401 (Missing or invalid API key)"


def test_a_key_in_an_error_is_not_repeated() -> None:
    assert failed(401, "no such key: SG_0123456789abcdef").message == (
        "HTTP 401 (Missing or invalid API key): no such key: [key]"
    )


# Bodies of errors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error": "no such model"}', "no such model"),
        (b'{"error": 42, "error_description": "no such model"}', "no such model"),
        (b'{"error": "code", "error_description": "in words"}', "in words"),
        (b'{"detail": "in words"}', "in words"),
        (b'{"message": "in words"}', "in words"),
        (b'{"msg": "in words"}', "in words"),
        (b'{"error": null, "message": "in words"}', "in words"),
        (b'{"error": {"code": 1, "message": "in words"}}', "in words"),
        (b'{"error": {"code": 1}}', '{"code":1}'),
        (b'{"detail": [{"loc": ["size"], "msg": "m"}]}', '[{"loc":["size"],"msg":"m"}]'),
        (b'{"odd": 1}', '{"odd":1}'),
        (b'"in words"', "in words"),
        (b"[1, 2]", "[1,2]"),
        (b"[]", ""),
        (b"{}", ""),
        (b"null", ""),
        (b"", ""),
        (b"in words", "in words"),
        (b"\x89PNG\0\0", ""),
        (b'{"error":' * 1000 + b"1" + b"}" * 1000, "JSON that is nested without end"),
        (b'{"error":' + b"[" * 900 + b"]" * 900 + b"}", "JSON that is nested without end"),
        (b"<html><style>p{}</style><script>x</script><h1>502 Bad Gateway</h1>\n</html>", "502 Bad Gateway"),
        (b"\xff\xfebroken", "\ufffd\ufffdbroken"),
        (b'{"error": "a\\u001b[31mb\\u202e\\nc"}', "a [31mb c"),
    ],
)
@pytest.mark.fault(41)
def test_an_error_s_body_is_one_printable_line_whatever_its_shape(body: bytes, text: str) -> None:
    assert error_text(body) == text


@pytest.mark.fault(41)
def test_a_body_of_megabytes_is_cut() -> None:
    assert len(error_text(b"x" * 10**7)) == 500
    assert len(error_text(json.dumps({"error": "x" * 10**7}).encode())) == 500


@pytest.mark.parametrize(("body", "text"), [(b"<" * 10**7, "<" * 499 + "…"), (b"<script " * 10**6, "")])
@pytest.mark.slow
def test_tags_without_end_are_read_once_and_not_once_from_each(body: bytes, text: str) -> None:
    assert error_text(body) == text  # it took hours while each `<` looked for its `>` up to the end


@given(body=st.binary(max_size=300))
@settings(max_examples=200)
@pytest.mark.fault(41)
def test_no_body_breaks_it(body: bytes) -> None:
    assert harmless(error_text(body))


def test_the_wait_is_part_of_the_failure() -> None:
    assert failed(429, headers={"retry-after": "7"}).retry_after_s == 7.0
    assert failed(503, headers={"retry-after": "9"}).retry_after_s == 9.0
    assert failed(429).retry_after_s is None


# Successes ----------------------------------------------------------------------------------------------------------


@pytest.mark.fault(1)
def test_a_success_says_what_it_cost() -> None:
    billing = billing_of({"x-cost": "0.24", "x-request-id": "req-1", "x-remaining-credits": "9.5"})
    assert (billing.cost_usd, billing.request_id, billing.remaining_credits) == (0.24, "req-1", 9.5)


def test_absent_headers_are_normal() -> None:
    billing = billing_of({})
    assert (billing.cost_usd, billing.request_id, billing.remaining_credits) == (None, None, None)


@pytest.mark.parametrize("text", ["", "free", "nan", "inf", "-0.24", "$0.24", "0,24", "1_0", "٢", "1e9"])
def test_a_cost_that_is_no_amount_is_unknown(text: str) -> None:
    assert billing_of({"x-cost": text}).cost_usd is None


@pytest.mark.parametrize(("text", "usd"), [("0", 0.0), (".24", 0.24), ("1.", 1.0), ("1e-05", 0.00001), (" 2 ", 2.0)])
def test_a_cost_may_be_nothing_and_written_in_any_way(text: str, usd: float) -> None:
    assert billing_of({"x-cost": text}).cost_usd == usd


def test_a_request_id_is_printable_and_bounded() -> None:
    assert billing_of({"x-request-id": "a\x1b[31m" + "b" * 999}).request_id == "a [31m" + "b" * 193 + "…"


@pytest.mark.parametrize(
    "document",
    [
        {"image": BASE64},
        {"b64_json": BASE64},
        {"image_base64": BASE64},
        {"images": [BASE64]},
        {"images": [{"b64_json": BASE64}, {"b64_json": "other"}]},
        {"data": [{"b64_json": BASE64}]},
        {"result": {"output": {"image": BASE64}}},
        {"image": f"data:image/png;base64,{BASE64}"},
        {"status": "COMPLETED", "image": "\n".join([BASE64[:80], BASE64[80:]])},
        BASE64,
        [BASE64],
    ],
)
@pytest.mark.fault(2)
def test_json_may_hold_the_image_itself(document: object) -> None:
    assert image_in_json(json.dumps(document).encode()) == PICTURE


@pytest.mark.parametrize(
    "document",
    [
        {"output": "https://cdn/x.png"},
        {"output": ["https://cdn/x.png", "https://cdn/y.png"]},
        {"images": [{"url": "https://cdn/x.png", "content_type": "image/png"}]},
        {"image_url": "https://cdn/x.png"},
        {"data": [{"url": "https://cdn/x.png"}]},
        {"status": "COMPLETED", "output": "https://cdn/x.png", "metrics": {"cost": 0.2}},
        "https://cdn/x.png",
    ],
)
@pytest.mark.fault(3)
def test_json_may_hold_a_link_to_the_image(document: object) -> None:
    assert image_in_json(json.dumps(document).encode()) == Linked("https://cdn/x.png")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": "no image today"}', "HTTP 200 without an image: no image today"),
        (b"{}", "HTTP 200 without an image:"),
        (b"[]", "HTTP 200 without an image:"),
        (b'{"image": ""}', 'HTTP 200 without an image: {"image":""}'),
        (b'{"image": "c2hvcnQ="}', 'HTTP 200 without an image: {"image":"c2hvcnQ="}'),
        (b'{"image": 7}', 'HTTP 200 without an image: {"image":7}'),
        (b'{"image": "ftp://cdn/x.png"}', 'HTTP 200 without an image: {"image":"ftp://cdn/x.png"}'),
    ],
)
@pytest.mark.fault(6)
def test_a_200_without_an_image_may_have_been_billed_and_is_not_tried_again(body: bytes, message: str) -> None:
    failure = image_in_json(body)
    assert isinstance(failure, Failure)
    assert failure == Failure("bad_response", message, maybe_billed=True, transient=False, http_status=200)


@pytest.mark.fault(44)
def test_broken_json_may_be_whole_the_next_time() -> None:
    failure = image_in_json(b'{"image": "iVBOR')
    assert isinstance(failure, Failure)
    assert (failure.message, failure.maybe_billed, failure.transient) == ("HTTP 200 with broken JSON", True, True)


def test_json_nested_without_end_is_no_image() -> None:
    nested: object = BASE64
    for _ in range(50):
        nested = {"data": nested}
    assert isinstance(image_in_json(json.dumps(nested).encode()), Failure)


documents = st.recursive(
    st.text() | st.integers(),
    lambda inner: st.dictionaries(st.sampled_from(["image", "data", "x"]), inner) | st.lists(inner),
)


@given(body=st.binary(max_size=200) | documents.map(lambda document: json.dumps(document).encode()))
@settings(max_examples=200)
@pytest.mark.slow
def test_no_json_breaks_it(body: bytes) -> None:
    assert isinstance(image_in_json(body), (bytes, Linked, Failure))
