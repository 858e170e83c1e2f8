"""The output manifest as CSV: what the csv module would write, defused, however the cells look."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from batch_editor.ledger import Ledger, readings
from batch_editor.output.output_manifest import export_rows

PIECES = st.sampled_from([*",\"'=+-@\t\r\n ＝＠", "\r\n", ",=", '""', "a", "é", "5", "-5", "1e5", "\u2028"])
CELL = st.lists(PIECES, max_size=6).map("".join)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """A ledger with one job, whose prompt, error and other column can be set."""
    with closing(Ledger(tmp_path_factory.mktemp("ledger") / "ledger.sqlite3")) as ledger:
        db = ledger.connection
        db.execute(
            "INSERT INTO requests (fingerprint, endpoint, params, files, job_id, state, expected_usd, high_usd)"
            " VALUES ('f', 'e', '{}', '{}', 'mug', 'failed', 0.2, 0.3)"
        )
        db.execute(
            "INSERT INTO jobs (job_id, position, active, selected, fingerprint, output, extras)"
            " VALUES ('mug', 0, 1, 1, 'f', 'mug', '{}')"
        )
        db.execute("INSERT INTO columns VALUES ('parameters', ?)", (json.dumps({"e": ["prompt", "strength"]}),))
        db.execute("INSERT INTO columns VALUES ('extras', ?)", (json.dumps(["note"]),))
        yield db


def exported(db: sqlite3.Connection, format: str) -> str:
    file = io.BytesIO()
    export_rows(db, file, "csv" if format == "csv" else "jsonl")
    return file.getvalue().decode()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(job_id=CELL, prompt=CELL, error=CELL, note=CELL, strength=st.one_of(st.none(), st.integers(), st.floats(0, 1)))
@example(job_id="=1", prompt="", error="", note="", strength=-1)
@example(job_id="a", prompt="white, soft", error="", note="", strength=1e-7)
@example(job_id="a", prompt="", error='say "hi"', note="", strength=None)
@example(job_id="a", prompt="", error="", note="=cmd", strength=None)
@example(job_id="a", prompt="one\ntwo", error="", note="", strength=None)
@example(job_id="a", prompt="one\rtwo", error="", note="", strength=None)
def test_a_line_is_what_the_csv_module_writes_of_defused_cells(
    db: sqlite3.Connection, job_id: str, prompt: str, error: str, note: str, strength: float | None
) -> None:
    db.execute("UPDATE jobs SET job_id = ?, extras = ?", (job_id, json.dumps({"note": note})))
    params = json.dumps({"prompt": prompt, "strength": strength})
    db.execute("UPDATE requests SET job_id = ?, params = ?, error = ?", (job_id, params, error))
    text = exported(db, "csv")
    header, cells = csv.reader(io.StringIO(text, newline=""), strict=True)
    again = io.StringIO(newline="")
    csv.writer(again, lineterminator="\n").writerows([header, cells])
    assert text == again.getvalue()

    row = dict(zip(header, cells, strict=True))
    values = json.loads(exported(db, "jsonl"))
    for name, value in values.items():
        told = ("" if value is None else str(value)).replace("\r\n", "\n").replace("\r", "\n")
        found = row[name].replace("\r\n", "\n")
        assert found in (told, f"'{told}"), name
        if told[:1] in tuple("=@\t\n＝＠"):
            assert found == f"'{told}"


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (1_700_000_000.0, "2023-11-14T22:13:20.000Z"),
        (1_700_000_000.123, "2023-11-14T22:13:20.123Z"),
        (1_700_000_000.9999999, "2023-11-14T22:13:21.000Z"),
        (1_700_000_000.9994, "2023-11-14T22:13:20.999Z"),
        (None, None),
    ],
)
def test_an_instant_is_told_to_the_millisecond(instant: float | None, text: str | None) -> None:
    assert readings.iso(instant) == text
