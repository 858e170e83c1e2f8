"""What `budget.ledger` may say of a database, and that a password in it is never repeated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batch_editor import ConfigError, load_settings
from batch_editor.postgres import DatabaseAddress, read_database_address
from batch_editor.postgres.refusals import Refusal

HAS_PASSWORD = (
    "a password stands in it, where others can read it; write env:NAME in its place, as in"
    " postgresql://USER:env:NAME@HOST/DATABASE, or leave it to PGPASSFILE"
)
EXPECTED = "expected postgresql://USER@HOST/DATABASE"


@pytest.mark.parametrize(
    ("text", "url", "schema", "variable"),
    [
        ("postgresql://db/spending", "postgresql://db/spending", None, None),
        ("postgres://db/spending", "postgresql://db/spending", None, None),
        ("postgresql:///spending", "postgresql:///spending", None, None),
        ("postgresql://shop@db.internal:6432/x", "postgresql://shop@db.internal:6432/x", None, None),
        ("postgresql://shop:@db/x", "postgresql://shop@db/x", None, None),
        ("postgresql://shop:env:DB_PW@db/x", "postgresql://shop@db/x", None, "DB_PW"),
        ("postgresql://shop@[::1]:5432/x", "postgresql://shop@[::1]:5432/x", None, None),
        ("postgresql://a:1,b:2/x?target_session_attrs=read-write", "", None, None),
        ("postgresql://%2Fvar%2Frun/x", "postgresql://%2Fvar%2Frun/x", None, None),
        ("postgresql://db/x?schema=north", "postgresql://db/x", "north", None),
        ("postgresql://db/x?sslmode=require&schema=n_1&connect_timeout=3", "", "n_1", None),
    ],
)
def test_an_address_is_libpq_s_without_password_and_schema(
    text: str, url: str, schema: str | None, variable: str | None
) -> None:
    found = read_database_address(text)
    wanted = url or text.replace("schema=n_1&", "")
    assert found == DatabaseAddress(wanted, schema, variable)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("postgresql://shop:SECRET@db/x", HAS_PASSWORD),
        ("postgresql://shop:SEC@RET@db/x", HAS_PASSWORD),
        ("postgresql://shop:SECRET/w@db/x", HAS_PASSWORD),
        ("postgresql://shop:SECRET?w@db/x", HAS_PASSWORD),
        ("postgresql://shop:SECRET#w@db/x", HAS_PASSWORD),
        ("postgresql://shop:SECRET?w=1@db/x", EXPECTED),
        ("postgresql://:SECRET@db/x", HAS_PASSWORD),
        ("postgresql://shop:env:NO-NAME-SECRET@db/x", HAS_PASSWORD),
        ("postgresql://db/x?password=SECRET", HAS_PASSWORD),
        ("postgresql://db/x?sslmode=require&PASSWORD=SECRET", HAS_PASSWORD),
        ("postgresql://db/x?sslpassword=SECRET", HAS_PASSWORD),
        ("postgresql://db/x y SECRET", EXPECTED),
        ("postgresql:SECRET", EXPECTED),
        ("mysql://shop:SECRET@db/x", EXPECTED),
        ("postgresql://db/x?schema=SECRET", "expected one schema=NAME of small letters, digits and _"),
        ("postgresql://db/x?schema=a;secret", "expected one schema=NAME of small letters, digits and _"),
        ("postgresql://db/x?schema=a&schema=b", "expected one schema=NAME of small letters, digits and _"),
        ("env:SECRET", "expected a file, or postgresql://USER:env:NAME@HOST/DATABASE with the password in NAME"),
    ],
)
@pytest.mark.parametrize("place", ["file", "environment", "json", "command line"])
def test_what_is_refused_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str, place: str
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(json.dumps({"budget": {"ledger": text}} if place == "file" else {}))
    if place == "environment":
        monkeypatch.setenv("BATCH_EDITOR_BUDGET__LEDGER", text)
    if place == "json":
        monkeypatch.setenv("BATCH_EDITOR_BUDGET", json.dumps({"ledger": text}))
    with pytest.raises(ConfigError) as caught:
        load_settings(file, flags={"budget": {"ledger": text}} if place == "command line" else {})
    assert message in str(caught.value)
    assert "secret" not in str(caught.value).lower()


@pytest.mark.parametrize(
    ("ledger", "shared"), [("spending.sqlite3", False), ("postgresql://db/x", True), (None, False)]
)
def test_whether_other_machines_share_it_is_known_by_the_setting(ledger: str | None, shared: bool) -> None:
    settings = load_settings(flags={"budget": {"ledger": ledger}})
    assert settings.budget.shared_over_machines is shared
    assert isinstance(settings.budget.ledger, Path) is (ledger == "spending.sqlite3")


@pytest.mark.parametrize(
    ("state", "text", "code", "passes"),
    [
        (None, 'connection failed: connection to server at "h" failed: Connection refused\n\tIs it', "", True),
        (None, "connection timeout expired", "", True),
        (None, 'could not translate host name "h" to address: Name or service not known', "", True),
        (None, "FATAL:  the database system is starting up", "", True),
        (None, "FATAL:  sorry, too many clients already", "", True),
        (None, 'FATAL:  password authentication failed for user "u"', "28P01", False),
        (None, "FATAL:  SASL authentication failed", "28P01", False),
        (None, 'FATAL:  role "u" does not exist', "28000", False),
        (None, 'FATAL:  no pg_hba.conf entry for host "h", user "u", no encryption', "28000", False),
        (None, 'FATAL:  database "d" does not exist', "3D000", False),
        (None, 'FATAL:  permission denied for database "d"', "42501", False),
        (None, "server does not support SSL, but SSL was required", "TLS", False),
        (None, "SSL error: certificate verify failed", "TLS", False),
        (None, 'root certificate file "/x/root.crt" does not exist', "TLS", False),
        (None, 'connection to server at "h" failed: SSL SYSCALL error: Connection reset by peer', "", True),
        (None, 'connection to server at "h" failed: SSL error: unexpected eof while reading', "", True),
        (None, "SSL connection has been closed unexpectedly", "", True),
        (None, 'invalid sslmode value: "yes"', "URL", False),
        ("08006", "lost", "08006", True),
        ("57P01", "terminating connection due to administrator command", "57P01", True),
        ("53100", "could not extend file: No space left on device", "53100", True),
        ("25006", "cannot execute INSERT in a read-only transaction", "25006", True),
        ("55P03", "canceling statement due to lock timeout", "55P03", True),
        ("40P01", "deadlock detected", "40P01", True),
        ("42501", "permission denied for table batch_editor_days", "42501", False),
        ("42P01", 'relation "batch_editor_days" does not exist', "42P01", False),
        ("22P02", "invalid input syntax", "22P02", False),
    ],
)
def test_a_refusal_passes_or_is_the_settings_fault(state: str | None, text: str, code: str, passes: bool) -> None:
    refusal = Refusal.read(state, text)
    assert (refusal.code, refusal.is_passing) == (code, passes)
    assert "\n" not in refusal.words


@pytest.mark.parametrize(
    "text",
    [
        "consuming input failed: SSL error: unexpected eof while reading",
        "consuming input failed: SSL error: decryption failed or bad record mac",
        "could not receive data from server: Permission denied\n\tmore",
    ],
)
def test_what_ends_a_connection_without_a_code_passes_whatever_its_words(text: str) -> None:
    assert Refusal.read(None, text, is_connected=True) == ("", text.partition("\n")[0])


@pytest.mark.parametrize(
    ("of_hosts", "code", "words"),
    [
        (("Connection refused", "password authentication failed"), "", "Connection refused"),
        (("password authentication failed", "Connection refused"), "", "Connection refused"),
        (('role "u" does not exist', "no password supplied"), "28000", 'role "u" does not exist'),
    ],
)
def test_of_several_hosts_one_that_may_answer_in_a_moment_counts(
    of_hosts: tuple[str, ...], code: str, words: str
) -> None:
    lines = [f"connection failed: {of_hosts[-1]}", "Multiple connection attempts failed. All failures were:"]
    lines += [f"- host: 'h', port: '5432', hostaddr: '::1': connection failed: {said}\n\tmore" for said in of_hosts]
    assert Refusal.read(None, "\n".join(lines)) == (code, words)
