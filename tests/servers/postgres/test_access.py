"""What is said of a database that can't be used, before anything is sent; and which ones can."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from batch_editor.postgres import SQL, table_names
from tests.servers.postgres.conftest import Shared
from tests.support.bench import LOW_USD, Bench, jobs, sandbox
from tests.support.command import Finished
from tests.support.postgres_server import PASSWORD, pooler


def configured(bench: Bench, url: str, **budget: object) -> None:
    lines = [f"  {name}: {value}" for name, value in {"ledger": f"'{url}'", "per_day_usd": 10, **budget}.items()]
    (bench.folder / "config.yaml").write_text("\n".join(["budget:", *lines, "outputs: {wait_s: 1}"]))


async def ended(bench: Bench, count: int = 2, **environment: str) -> tuple[Finished, int]:
    """What a run comes to, and how many requests it sent."""
    async with sandbox() as provider:
        arguments = bench.run_arguments(bench.write(jobs(count)), provider)
        finished = await bench.command(*arguments, environment=environment)
        assert PASSWORD not in finished.out + finished.err
        return finished, provider.books.requests


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.mark.fault(109)
@pytest.mark.parametrize(
    ("address", "code", "said"),
    [
        (
            "postgresql://postgres@127.0.0.1:{free}/shop",
            6,
            r"can't be reached \(connection to server at \"127.0.0.1\", port \d+ failed: Connection refused\)",
        ),
        ("postgresql://postgres@no-such-host.invalid/shop", 6, r"can't be reached \(.*no-such-host.invalid.*\)"),
        (
            "postgresql://postgres:env:WRONG@127.0.0.1:{port}/{name}",
            2,
            r"the password is refused, or missing \(.*authentication failed for user.*\); expected the user's by WRONG",
        ),
        (
            "postgresql://postgres@127.0.0.1:{port}/{name}",
            2,
            r"is refused, or missing \(.*no password supplied\); expected the user's by PGPASSFILE, or env:NAME in the",
        ),
        (
            "postgresql://postgres:env:NOT_SET@127.0.0.1:{port}/{name}",
            2,
            "NOT_SET isn't set; expected the user's password",
        ),
        (
            "postgresql://postgres:env:SHOP_DB_PASSWORD@127.0.0.1:{port}/elsewhere",
            2,
            r"there is no such database \(.*database \"elsewhere\" does not exist\); create it, or name another one",
        ),
        (
            "postgresql://postgres:env:SHOP_DB_PASSWORD@127.0.0.1:{port}/{name}?sslmode=verify-full&sslrootcert=/nowhere",
            2,
            r"no secure connection \(.*certificate file \"/nowhere\" does not exist\); see sslmode and sslrootcert",
        ),
        (
            "postgresql://postgres:env:SHOP_DB_PASSWORD@127.0.0.1:{port}/{name}?sslmod=require",
            2,
            r"an address that can't be used \(.*sslmod.*\); expected parameters as libpq has them",
        ),
        (
            "postgresql://postgres:pa55word@127.0.0.1:{port}/{name}",
            2,
            r"config.yaml:2: budget.ledger: a password stands in it",
        ),
    ],
    ids=[
        "refused",
        "unknown host",
        "wrong",
        "none",
        "not set",
        "no database",
        "no TLS",
        "unknown parameter",
        "in the URL",
    ],
)
async def test_a_database_that_cannot_be_used_is_told_of_before_anything_is_sent(
    bench: Bench, shared: Shared, address: str, code: int, said: str
) -> None:
    configured(bench, address.format(free=free_port(), port=shared.server.port, name=shared.name))
    finished, sent = await ended(bench, WRONG="wrong-wrong")
    assert (finished.code, sent) == (code, 0), finished.err
    assert re.search(said, finished.err), finished.err
    assert "wrong-wrong" not in finished.err
    assert "pa55word" not in finished.err


async def test_a_user_who_may_not_make_tables_is_told_what_to_run_and_uses_those_that_are_there(
    bench: Bench, shared: Shared
) -> None:
    shared.server.ask("postgres", f"DROP ROLE IF EXISTS worker; CREATE ROLE worker LOGIN PASSWORD '{PASSWORD}'")
    configured(bench, shared.server.url(shared.name, user="worker"))
    finished, sent = await ended(bench)
    assert (finished.code, sent) == (2, 0)
    assert "permission denied for schema public" in finished.err
    assert "GRANT USAGE, CREATE ON SCHEMA public TO" in finished.err
    names = table_names(None)
    shared.server.ask(shared.name, SQL.format(**names))
    rights = f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(names.values())} TO worker"
    shared.server.ask(shared.name, rights.replace(", DELETE", ""))
    finished, sent = await ended(bench)
    assert (finished.code, sent) == (2, 0)
    assert "permission denied for table batch_editor_" in finished.err
    shared.server.ask(shared.name, rights)
    finished, sent = await ended(bench)
    assert (finished.code, sent) == (0, 2), finished.err
    assert shared.sums() == pytest.approx((2 * LOW_USD, 0))


async def test_a_schema_keeps_the_tables_of_one_shop_apart(bench: Bench, shared: Shared) -> None:
    for schema in ("north", "south"):
        configured(bench, f"{shared.url}?schema={schema}")
        finished, _ = await ended(bench, count=1 + (schema == "south"))
        assert finished.code == 0, finished.err
    rows = [
        shared.server.ask(shared.name, f"SELECT count(*) FROM {s}.batch_editor_spending") for s in ("north", "south")
    ]
    # One job of the two was done in the same output directory.
    assert rows == [[(1,)], [(1,)]]


async def test_a_plan_s_report_says_what_is_left_and_makes_no_tables(bench: Bench, shared: Shared) -> None:
    configured(bench, shared.url)
    manifest = bench.write(jobs(2))

    async def said() -> str:
        planned = await bench.command("plan", manifest, "-o", bench.out, "--report", "plan.html")
        assert planned.code == 0, planned.err
        return (bench.folder / "plan.html").read_text()

    assert "$0.00 spent, $10.00 left" in await said()
    assert shared.server.ask(shared.name, "SELECT to_regclass('batch_editor_spending')") == [(None,)]
    finished, sent = await ended(bench)
    assert (finished.code, sent) == (0, 2), finished.err
    assert "$0.02 spent, $9.98 left" in await said()
    configured(bench, f"postgresql://127.0.0.1:{free_port()}/shop")
    assert re.search(
        "what is left is kept in postgresql://127.0.0.1:[0-9]+/shop, which couldn.{,6}t be asked", await said()
    )


async def test_libpq_finds_the_password_in_a_file(bench: Bench, shared: Shared) -> None:
    file = bench.folder / "pgpass"
    escaped = PASSWORD.replace(":", "\\:")
    file.write_text(f"127.0.0.1:*:*:postgres:{escaped}\n")
    file.chmod(0o600)
    configured(bench, f"postgresql://postgres@127.0.0.1:{shared.server.port}/{shared.name}")
    finished, sent = await ended(bench, PGPASSFILE=str(file))
    assert (finished.code, sent) == (0, 2), finished.err


async def test_a_pooler_that_gives_each_transaction_another_connection_is_fine(bench: Bench, shared: Shared) -> None:
    with pooler(shared.server) as port:
        configured(bench, f"postgresql://postgres:env:SHOP_DB_PASSWORD@127.0.0.1:{port}/{shared.name}")
        finished, sent = await ended(bench, count=40)
    assert (finished.code, sent) == (0, 40), finished.err
    assert shared.sums() == pytest.approx((40 * LOW_USD, 0))


async def test_without_the_extra_it_is_said_what_to_install(bench: Bench, shared: Shared, tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ImportError('no module of that name')")
    configured(bench, shared.url)
    finished, sent = await ended(bench, PYTHONPATH=str(tmp_path))
    assert (finished.code, sent) == (2, 0)
    assert "needs psycopg and libpq (no module of that name); run: pip install 'batch_editor[postgres]'" in finished.err


@pytest.mark.fault(109)
async def test_a_lock_that_lost_its_row_and_tables_of_another_version_are_named(bench: Bench, shared: Shared) -> None:
    configured(bench, shared.url)
    assert (await ended(bench))[0].code == 0
    shared.server.ask(shared.name, "DELETE FROM batch_editor_lock")
    finished, sent = await ended(bench, 3)
    assert (finished.code, sent) == (6, 0)
    said = "batch_editor_lock is empty; expected its one row. Run there: INSERT INTO batch_editor_lock VALUES (1)"
    assert said in finished.err
    shared.server.ask(shared.name, "INSERT INTO batch_editor_lock VALUES (1)")
    shared.server.ask(shared.name, "ALTER TABLE batch_editor_spending DROP COLUMN in_vain")
    finished, sent = await ended(bench, 3)
    assert (finished.code, sent) == (2, 0)
    column = 'column "in_vain" of relation "batch_editor_spending" does not exist'
    said = f"its tables are gone, or of another version ({column}); expected those of docs/share-a-key.md"
    assert said in finished.err
    shared.server.ask(shared.name, "ALTER TABLE batch_editor_spending ADD COLUMN in_vain boolean")
    assert (await ended(bench, 3))[0].code == 0
