from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.postgres_server import PASSWORD, Postgres, postgres


@dataclass(frozen=True)
class Shared:
    """A database of a test's own, and what `budget.ledger` calls it."""

    server: Postgres
    name: str
    url: str

    def sums(self) -> tuple[float, int]:
        """What all rows come to, in USD, and how many are open."""
        ((usd, is_open),) = self.server.ask(
            self.name, "SELECT coalesce(sum(usd), 0), count(*) FILTER (WHERE is_open) FROM batch_editor_spending"
        )
        return usd, is_open


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    with postgres() as server:
        yield server


@pytest.fixture
def shared(server: Postgres, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Shared:
    monkeypatch.setenv("SHOP_DB_PASSWORD", PASSWORD)
    for name in ("PGPASSWORD", "PGPASSFILE", "PGHOST", "PGUSER"):
        monkeypatch.delenv(name, raising=False)
    name = f"t{abs(hash(request.node.nodeid)) % 10**12}"
    server.ask("postgres", f"CREATE DATABASE {name}")
    return Shared(server, name, server.url(name))
