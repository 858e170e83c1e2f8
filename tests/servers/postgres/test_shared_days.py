"""What a database of spending has on record is what a file would have, and `spend` shows it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from batch_editor import UsageError, load_settings
from batch_editor.cli.main import main
from batch_editor.money import SharedDay, SpendingFile, shared_days
from tests.servers.postgres.conftest import Shared
from tests.servers.postgres.test_spending import DAY_S, MODELS, NOON, opened


def days_of(ledger: Path | str) -> Sequence[SharedDay]:
    return shared_days(load_settings(flags={"budget": {"ledger": ledger}}))


@pytest.mark.parametrize("seed", range(3))
def test_a_database_tells_of_days_and_endpoints_as_a_file_does(shared: Shared, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    with ExitStack() as stack:
        file = SpendingFile(tmp_path / "s", "o", per_day_usd=None, per_month_usd=None)
        stack.callback(file.close)
        both = (file, stack.enter_context(opened(shared.url)))
        for number in range(60):
            attempt, at, model = f"a{number}", NOON + rng.randrange(3) * DAY_S, rng.choice(MODELS)
            usd, step, in_vain = rng.randrange(1, 64) / 64, rng.randrange(4), rng.random() < 0.5  # sums are exact
            for each in both:
                assert each.reserve(attempt, usd, at, steady_usd=None, endpoint=model)
                if step == 0:
                    each.keep(attempt)
                elif step < 3:
                    each.charge(attempt, usd / 2, in_vain=in_vain)
        found = days_of(shared.url)
        assert len(found) == 6
        assert found == days_of(tmp_path / "s")


def test_spend_shows_what_all_machines_have_spent(
    shared: Shared, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(shared.url, "one:/out") as one, opened(shared.url, "two:/out") as two:
        for number, machine in enumerate((one, two)):
            assert machine.reserve("a", 0.3, NOON, steady_usd=None, endpoint=MODELS[number])
            machine.charge("a", 0.24 + number)
    monkeypatch.setenv("BATCH_EDITOR_BUDGET__LEDGER", shared.url)
    assert main(["spend", "--by", "month"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[1:4] == [
        "month    attempts  pictures  confirmed  possibly billed",
        "2026-11         2         2      $1.48            $0.00",
        "total           2         2      $1.48            $0.00",
    ]
    where = f"postgresql://postgres@127.0.0.1:{shared.server.port}/{shared.name}"
    assert shown[0] == f"{where}: money of all that share it, by month of UTC"


def test_a_database_without_tables_is_said(shared: Shared) -> None:
    with pytest.raises(UsageError) as refused:
        days_of(shared.url)
    assert str(refused.value) == (
        f"budget.ledger postgresql://postgres@127.0.0.1:{shared.server.port}/{shared.name}: has no tables of ours; the"
        " first run makes them"
    )
