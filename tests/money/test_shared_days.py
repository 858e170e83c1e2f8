"""What is on record of spending that runs share: by day and endpoint, what is in doubt apart from what is not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from batch_editor import LedgerError, Settings, UsageError, load_settings
from batch_editor.money import SharedDay, SpendingFile, shared_days

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
DAY = int(NOON // 86_400)


def settings_of(ledger: Path) -> Settings:
    return load_settings(flags={"budget": {"ledger": ledger}})


def test_pictures_what_is_in_doubt_and_what_is_in_flight_are_told_apart_by_day_and_endpoint(tmp_path: Path) -> None:
    spending = SpendingFile(tmp_path / "s", "here", per_day_usd=None, per_month_usd=None)
    for attempt, at, endpoint in [
        *(("picture", NOON, "a"), ("in vain", NOON, "a"), ("died", NOON, "a"), ("open", NOON, "a")),
        *(("refused", NOON, "a"), ("other", NOON, "b"), ("tomorrow", NOON + 86_400, "a")),
    ]:
        assert spending.reserve(attempt, 0.5, at, steady_usd=None, endpoint=endpoint)
    spending.charge("picture", 0.3)
    spending.charge("in vain", 0.25, in_vain=True)
    spending.keep("died")
    spending.charge("refused", 0.0)
    spending.charge("other", 0.1)
    spending.charge("tomorrow", 0.2)
    # Also while a run has the file open.
    assert shared_days(settings_of(tmp_path / "s")) == [
        SharedDay(DAY, "a", 4, 0.3, 2, 0.75, 1, 0.5, 0),
        SharedDay(DAY, "b", 1, 0.1, 0, 0.0, 0, 0.0, 0),
        SharedDay(DAY + 1, "a", 1, 0.2, 0, 0.0, 0, 0.0, 0),
    ]
    spending.close()


def test_what_was_in_doubt_and_is_settled_since_is_no_longer(tmp_path: Path) -> None:
    spending = SpendingFile(tmp_path / "s", "here", per_day_usd=None, per_month_usd=None)
    spending.reserve("a", 0.5, NOON, steady_usd=None, endpoint="m")
    spending.charge("a", 0.5, in_vain=True)
    spending.charge("a", 0.4)
    spending.close()
    assert shared_days(settings_of(tmp_path / "s")) == [SharedDay(DAY, "m", 1, 0.4, 0, 0.0, 0, 0.0, 0)]


def test_a_file_of_an_earlier_version_is_read_as_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "s"
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE spending (owner TEXT, attempt TEXT, at REAL, usd REAL, open INTEGER)")
        db.execute("INSERT INTO spending VALUES ('o', 'a', ?, 0.3, 0), ('o', 'b', ?, 0.4, 1)", (NOON, NOON))
        db.commit()
    before = file.read_bytes()
    # Nobody recorded whether the attempt gave a picture: it may not have.
    assert shared_days(settings_of(file)) == [SharedDay(DAY, None, 2, 0.0, 1, 0.3, 1, 0.4, 1)]
    assert file.read_bytes() == before


def test_a_file_that_is_missing_or_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as missing:
        shared_days(settings_of(tmp_path / "s"))
    assert (
        str(missing.value) == f"{tmp_path / 's'}: there is no such file; budget.ledger names what the first run makes"
    )
    assert not (tmp_path / "s").exists()
    (tmp_path / "s").write_bytes(b"no database at all, " * 50)
    with pytest.raises(LedgerError) as damaged:
        shared_days(settings_of(tmp_path / "s"))
    assert str(damaged.value) == f"{tmp_path / 's'}: budget.ledger can't be read (file is not a database)"
    with pytest.raises(UsageError) as unset:
        shared_days(load_settings())
    assert str(unset.value) == (
        "which output directories? Name them: spend OUT…; or set budget.ledger, which knows what all runs that share it"
        " have spent"
    )
