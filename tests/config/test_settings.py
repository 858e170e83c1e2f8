from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from batch_editor.config import ApiSettings, Settings, load_settings, setting_names
from batch_editor.config.settings import DEFAULT_HISTORY_URL
from batch_editor.errors import ConfigError
from batch_editor.records import Rate

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No config.yaml and no variable of the developer's."""
    for name in os.environ:
        if name.startswith("BATCH_EDITOR_") or name == "SEGMIND_API_KEY":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def config(text: str, name: str = "c.yaml") -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def fault_of(text: str | None = None, *, flags: dict[str, Any] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(config(text) if text is not None else None, flags=flags)
    return str(caught.value)


# Where settings come from -------------------------------------------------------------------------------------------


def test_without_anything_given_the_defaults_hold() -> None:
    settings = load_settings()
    assert settings.api.base_url == "https://api.segmind.com/v1"
    assert settings.api.key_env == "SEGMIND_API_KEY"
    assert (settings.api.timeout_s, settings.api.connect_timeout_s) == (300.0, 10.0)
    assert settings.inputs.local_files == "upload"
    assert settings.endpoint == "gpt-image-1.5-edit"
    assert settings.concurrency == 64
    assert settings.rate == Rate(60, 60.0)
    assert settings.retry.max_attempts == 5
    assert settings.retry.statuses == {408, 429, 502, 503, 504}
    assert settings.retry.max_possibly_billed == 3
    assert settings.retry.give_up_s == 1800
    assert (settings.retry.backoff_s, settings.retry.backoff_max_s) == (1.0, 60.0)
    assert settings.budget.max_cost_usd is None
    assert settings.deadline is None
    assert settings.max_failures is None
    assert settings.outputs.directory == Path("outputs")
    assert settings.pricing.factor is None
    assert settings.pricing.table is None


def test_flags_win_over_the_environment_that_over_the_file_and_the_file_over_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = config("retry: {max_attempts: 2, backoff_s: 2, backoff_max_s: 22}\nconcurrency: 2\nrate_limit: 2/s")
    monkeypatch.setenv("BATCH_EDITOR_RETRY__MAX_ATTEMPTS", "3")
    monkeypatch.setenv("BATCH_EDITOR_RETRY__BACKOFF_S", "3")
    monkeypatch.setenv("BATCH_EDITOR_CONCURRENCY", "3")
    settings = load_settings(file, flags={"retry": {"max_attempts": 4}, "concurrency": None})
    assert settings.retry.max_attempts == 4
    assert settings.retry.backoff_s == 3
    assert settings.retry.backoff_max_s == 22
    assert settings.concurrency == 3
    assert settings.rate == Rate(2, 1.0)
    assert settings.retry.max_possibly_billed == 3


def test_config_yaml_of_the_working_directory_is_read_unless_another_file_is_named() -> None:
    config("concurrency: 7", "config.yaml")
    assert load_settings().concurrency == 7
    assert load_settings(config("rate_limit: 5/min", "other.yaml")).concurrency == 64


@pytest.mark.parametrize("text", ["", "# nothing", "concurrency: null", "retry: {max_attempts: null}", "retry:"])
def test_null_and_nothing_stand_for_the_default(text: str) -> None:
    assert load_settings(config(text)).model_dump() == load_settings().model_dump()


def test_text_stays_as_it_was_written() -> None:
    settings = load_settings(config("endpoint: 00123\noutputs: {directory: no}\nbudget: {max_cost_usd: 12.50}"))
    assert settings.endpoint == "00123"
    assert settings.outputs.directory == Path("no")
    assert settings.budget.max_cost_usd == 12.5


@pytest.mark.parametrize(
    ("text", "table"),
    [("0.05", 0.05), ("{low: 1, high: 2}", {"low": 1.0, "high": 2.0}), ("{low: {s: 1}}", {"low": {"s": 1.0}})],
)
def test_a_price_table_may_be_flat_or_nested(text: str, table: object) -> None:
    assert load_settings(config(f"pricing: {{table: {text}}}")).pricing.table == table


def test_a_price_table_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_EDITOR_PRICING__TABLE__LOW", "0.5")
    assert load_settings().pricing.table == {"low": 0.5}


def test_settings_can_not_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().__setattr__("concurrency", 1)


# What is wrong with them --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("concurency: 3", "c.yaml:1: concurency is no setting (did you mean concurrency?)"),
        ("api:\n  base_ur: x", "c.yaml:2: api.base_ur is no setting (did you mean base_url?)"),
        ("zebra: 3", "c.yaml:1: zebra is no setting"),
        ("api: 3", "c.yaml:1: api is '3'; expected settings of its own"),
        ("- a", "c.yaml: not a config; expected settings such as `concurrency: 64`"),
        ("concurrency: many", "c.yaml:1: concurrency is 'many'; expected a whole number"),
        ("concurrency: 1.5", "c.yaml:1: concurrency is '1.5'; expected a whole number"),
        ("concurrency: 0", "c.yaml:1: concurrency is '0'; expected at least 1"),
        ("concurrency: 20001", "c.yaml:1: concurrency is '20001'; expected at most 20000"),
        ("concurrency: [1]", "c.yaml:1: concurrency: expected a whole number"),
        (
            "\nrate_limit: 60",
            "c.yaml:2: rate_limit is '60'; expected a count and a period, such as 60/min, 10/s or 500/h",
        ),
        ("api:\n  base_url: ftp://x", "c.yaml:2: api.base_url is 'ftp://x'; expected an http(s) URL"),
        ("api:\n  base_url: 'http://[x'", "c.yaml:2: api.base_url is 'http://[x'; expected an http(s) URL"),
        ("api:\n  base_url: http://a:port", "c.yaml:2: api.base_url is 'http://a:port'; expected an http(s) URL"),
        (
            "api:\n  base_url: http://u:p@h",
            (
                "c.yaml:2: api.base_url is 'http://u:p@h'; "
                "expected a URL without a user name; the key goes into the environment"
            ),
        ),
        ("api: {timeout_s: 0}", "c.yaml:1: api.timeout_s is '0'; expected more than 0"),
        ("api: {timeout_s: soon}", "c.yaml:1: api.timeout_s is 'soon'; expected a number"),
        ("retry: {backoff_s: inf}", "c.yaml:1: retry.backoff_s is 'inf'; expected a finite number"),
        (
            "deadline: soon",
            (
                "c.yaml:1: deadline is 'soon'; expected a time of day (06:00), a date and time (2026-11-23T06:00) "
                "or a duration (2h, 1h30m)"
            ),
        ),
        ("max_failures: 0", "c.yaml:1: max_failures is '0'; expected a count above zero, or a share such as 20%"),
        ("max_failures: 101%", "c.yaml:1: max_failures is '101%'; expected a count above zero, or a share such as 20%"),
        ("max_failures: 0%", "c.yaml:1: max_failures is '0%'; expected a count above zero, or a share such as 20%"),
        ("retry:\n  statuses: [200]", "c.yaml:2: retry.statuses.0 is '200'; expected at least 400"),
        ("retry:\n  statuses: 502", "c.yaml:2: retry.statuses is '502'; expected a list, such as [502, 504]"),
        ("budget: {max_cost_usd: 0}", "c.yaml:1: budget.max_cost_usd is '0'; expected more than 0"),
        (
            "budget:\n  per_day_usd: 5",
            "c.yaml:2: budget: per_day_usd and per_month_usd need budget.ledger, which the runs share",
        ),
        ("inputs: {local_files: link}", "c.yaml:1: inputs.local_files is 'link'; expected 'upload' or 'inline'"),
        ("pricing: {factor: -1}", "c.yaml:1: pricing.factor is '-1'; expected at least 0"),
        (
            "pricing: {table: {low: x}}",
            "c.yaml:1: pricing.table: expected USD, nested by the endpoint's priced parameters",
        ),
        ("a: 1\na: 2", "c.yaml:2: key 'a' stands twice in one mapping"),
        ("a: [", "c.yaml:1:4: a [ that is never closed, or a comma is missing behind it"),
    ],
)
def test_a_fault_of_the_file_says_where_what_it_got_and_what_it_wanted(text: str, message: str) -> None:
    assert fault_of(text) == message


def test_every_fault_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_EDITOR_CONCURENCY", "3")
    monkeypatch.setenv("BATCH_EDITOR_RETRY__BACKOFF_S", "-1")
    message = fault_of("max_failures: none\nfoo: 1", flags={"concurrency": "x"})
    assert message.splitlines() == [
        "environment: BATCH_EDITOR_CONCURENCY is no setting (did you mean concurrency?)",
        "command line: concurrency is 'x'; expected a whole number",
        "environment: BATCH_EDITOR_RETRY__BACKOFF_S: expected more than 0",
        "c.yaml:1: max_failures is 'none'; expected a count above zero, or a share such as 20%",
        "c.yaml:2: foo is no setting",
    ]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("CONCURRENCY", "0", "BATCH_EDITOR_CONCURRENCY: expected at least 1"),
        ("RETRY__MAX_ATTEMPT", "3", "BATCH_EDITOR_RETRY__MAX_ATTEMPT is no setting (did you mean retry.max_attempts?)"),
        ("FOO", "1", "BATCH_EDITOR_FOO is no setting"),
        ("RETRY", "many", "BATCH_EDITOR_RETRY: expected JSON"),
        ("RETRY__STATUSES", "502", "BATCH_EDITOR_RETRY__STATUSES: expected a list, such as [502, 504]"),
    ],
)
def test_a_fault_of_the_environment_names_the_variable(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"BATCH_EDITOR_{name}", value)
    assert fault_of() == f"environment: {message}"


def test_a_value_of_the_environment_is_not_repeated_for_it_may_be_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_EDITOR_API__TIMEOUT_S", "hunter2")
    assert "hunter2" not in fault_of()


def test_a_file_that_is_not_there_is_a_fault() -> None:
    with pytest.raises(ConfigError, match=r"^none\.yaml: can't be read \(No such file or directory\)$"):
        load_settings(Path("none.yaml"))


def test_the_example_has_every_setting_and_says_its_default() -> None:
    example = load_settings(REPOSITORY / "config.example.yaml")
    assert example.model_dump() == load_settings().model_dump()
    text = (REPOSITORY / "config.example.yaml").read_text(encoding="utf-8")
    for name in setting_names():
        assert f"{name.rpartition('.')[2]}:" in text


@pytest.mark.parametrize(
    ("base_url", "v2", "history"),
    [
        ("https://api.segmind.com/v1", "https://api.segmind.com/v2", DEFAULT_HISTORY_URL),
        (
            "http://127.0.0.1:8080/v1",
            "http://127.0.0.1:8080/v2",
            "http://127.0.0.1:8080/inference-request/request-history",
        ),
        ("http://host/segmind/v1/", "http://host/segmind/v2", "http://host/inference-request/request-history"),
        ("http://host", "http://host/v2", "http://host/inference-request/request-history"),
    ],
)
def test_v2_is_beside_v1_and_the_key_stays_on_its_host(base_url: str, v2: str, history: str) -> None:
    api = load_settings(flags={"api": {"base_url": base_url, "version": "v2"}}).api
    assert (api.edits_at, api.v2_url, api.history_at) == (v2, v2, history)


def test_setting_names_are_dotted_and_in_order() -> None:
    names = list(setting_names())
    assert names[:2] == ["api.base_url", "api.version"]
    assert names[-1] == "run.on"
    assert len(names) == len(set(names))


# URLs ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("api", "url"),
    [
        ({}, "https://workflows-api.segmind.com/upload-asset"),
        ({"base_url": "http://localhost:8080/v1"}, "http://localhost:8080/upload-asset"),
        ({"base_url": "http://localhost:8080/v1", "upload_url": "https://up.example/x"}, "https://up.example/x"),
    ],
)
def test_uploads_go_to_the_host_of_the_api_so_that_no_other_one_gets_the_key(api: dict[str, str], url: str) -> None:
    assert ApiSettings(**api).uploads_to == url


def test_a_slash_at_the_end_of_a_url_is_dropped() -> None:
    assert ApiSettings(base_url="https://api.example/v1/").base_url == "https://api.example/v1"


def test_settings_have_no_place_for_a_key() -> None:
    assert [name for name in setting_names(Settings) if "key" in name] == [
        *("api.key_env", "api.key_file"),
        *("providers.NAME.key_env", "providers.NAME.key_file"),
    ]
