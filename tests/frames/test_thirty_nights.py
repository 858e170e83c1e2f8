"""Thirty nights with faults and kills: what `spend` says, by whatever it is asked, beside the provider's own books."""

from __future__ import annotations

import asyncio
import csv
import json
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from batch_editor import results
from tests.support.bench import HIGH_USD, INPUT, LOW_USD, MEDIUM_USD, RETRY_FAILED, Bench, arrived, sandbox, sha256_of

NIGHTS = 30
PRICES_USD = {"low": LOW_USD, "medium": MEDIUM_USD, "high": HIGH_USD}
# Statuses are charged only where they say so, all else is.
FAULTS = (
    *("502:0.15:billed=1", "502:0.15", "503:0.1:billed=1", "504:0.15:billed=1", "429:0.2", "500:0.1", "400:0.1"),
    *("reset:0.15", "truncate:0.15", "truncate:0.15:close=1", "empty:0.1", "html:0.1"),
)
RETRY = {"backoff_s": 0.01, "backoff_max_s": 0.05, "max_attempts": 3, "max_possibly_billed": 9}
FLAGS: dict[str, Any] = {
    **{f"retry__{name}": value for name, value in RETRY.items()},
    "budget__ledger": "spending",
    "concurrency": 3,
}


@dataclass
class Catalog:
    """A catalog that changes from night to night."""

    rng: random.Random
    rows: dict[str, dict[str, str]] = field(default_factory=dict)

    def change(self, night: int) -> None:
        """Some products are new, some are gone, some have another prompt, and some another brand alone."""
        for number in range(3):
            self.rows[f"{night}-{number}"] = {
                "prompt": f"edit {night}-{number}",
                "quality": self.rng.choice(["low", "low", "medium", "high"]),
                "brand": self.rng.choice(["Acme", "=Beta", "", "Ünïcode"]),
            }
        for job_id in self.rng.sample(sorted(self.rows), min(len(self.rows), 4)):
            match self.rng.randrange(4):
                case 0 if len(self.rows) > 6:
                    del self.rows[job_id]
                case 1:
                    self.rows[job_id] = {**self.rows[job_id], "prompt": f"edit {job_id} of night {night}"}
                case _:
                    self.rows[job_id] = {**self.rows[job_id], "brand": f"Brand of {night}"}

    def write(self, path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "image_urls", "prompt", "quality", "brand", "size"])
            for job_id, row in self.rows.items():
                writer.writerow([job_id, INPUT, *row.values(), "1024x1024"])

    def bodies(self) -> dict[str, dict[str, str]]:
        """The catalog's rows by the bodies that they ask for."""
        return {
            sha256_of({"prompt": row["prompt"], "image_urls": [INPUT], "quality": row["quality"]}): row
            for row in self.rows.values()
        }


@dataclass
class Bill:
    """What the provider's books say: how often each body was charged, and for which brand its row was meant then."""

    usd: float = 0.0
    by_night: list[float] = field(default_factory=list)
    by_brand: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    times: Counter[str] = field(default_factory=Counter)
    quality: dict[str, str] = field(default_factory=dict)


async def live(bench: Bench, catalog: Catalog, bill: Bill) -> None:
    manifest = bench.folder / "catalog.csv"
    rng = catalog.rng
    for night in range(NIGHTS):
        catalog.change(night)
        catalog.write(manifest)
        faults = () if night == NIGHTS - 1 else tuple(rng.sample(FAULTS, rng.choice([1, 2, 3])))
        async with sandbox(faults=faults, seed=night, latency="0.005-0.03") as provider:
            if night % 4 == 3:
                arguments = bench.run_arguments(manifest, provider, "--concurrency", "3", "--yes", "--retry-failed")
                async with bench.started(*arguments) as process:
                    ended = asyncio.create_task(process.ended())
                    waiting = asyncio.create_task(arrived(provider.books, rng.randint(1, 4)))
                    await asyncio.wait([waiting, ended], return_when=asyncio.FIRST_COMPLETED)
                    waiting.cancel()
                    await asyncio.sleep(rng.uniform(0, 0.04))
                    process.kill()
                    await ended
                    await process.finished()
            else:
                await bench.run(manifest, provider, options=RETRY_FAILED, **FLAGS)
            await provider.books.idle()
            books = provider.books
        rows = catalog.bodies()
        for body, times in books.billed_by_body.items():
            row = rows[body]
            bill.times[body] += times
            bill.quality[body] = row["quality"]
            bill.by_brand[row["brand"]] += times * PRICES_USD[row["quality"]]
        bill.usd += books.billed_usd
        bill.by_night.append(books.billed_usd)


async def spent(bench: Bench, *arguments: str) -> dict[str, Any]:
    done = await bench.command("spend", *arguments, "--format", "json")
    assert (done.code, done.err) == (0, "")
    return done.json


def totals(answer: dict[str, Any]) -> dict[str, int]:
    """In millionths of a dollar, which have to add up."""
    total = {name: round(usd * 1e6) for name, usd in answer["total"]["cost_usd"].items()}
    for name, usd in total.items():
        assert sum(round(row["cost_usd"][name] * 1e6) for row in answer["rows"]) == usd
    return total


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_what_is_said_to_be_spent_is_what_the_provider_billed_after_thirty_nights_with_faults(
    bench: Bench,
) -> None:
    (bench.folder / "config.yaml").write_text(
        json.dumps({"budget": {"ledger": "spending"}, "retry": RETRY}), encoding="utf-8"
    )
    catalog, bill = Catalog(random.Random(20261127)), Bill()
    await live(bench, catalog, bill)
    by_run = await spent(bench, str(bench.out), "--by", "run")
    total = totals(by_run)
    # Each night the bill is between what is confirmed and what at most was possibly billed besides.
    assert len(by_run["rows"]) == NIGHTS
    for billed_usd, row in zip(bill.by_night, by_run["rows"], strict=True):
        usd = row["cost_usd"]
        assert usd["confirmed"] - 1e-9 <= billed_usd <= sum(usd.values()) + 1e-9
    assert total["confirmed"] <= round(bill.usd * 1e6) <= sum(total.values())
    assert total["reserved"] == 0
    # What is confirmed are the pictures: one a body, at the price of its kind, as long as none was made again.
    confirmed_usd = by_run["total"]["cost_usd"]["confirmed"]
    assert confirmed_usd > 0.5 * bill.usd
    assert total["possibly_billed"] > 0
    for by in ("day", "month", "endpoint", "template", "column:brand", "column:quality"):
        assert totals(await spent(bench, str(bench.out), "--by", by)) == total
    by_quality = await spent(bench, str(bench.out), "--by", "column:quality")
    for row in by_quality["rows"]:
        price_usd = PRICES_USD[row["column:quality"]]
        assert row["cost_usd"]["confirmed"] == pytest.approx(row["pictures"] * price_usd, abs=1e-9)
        billed = sum(times for body, times in bill.times.items() if bill.quality[body] == row["column:quality"])
        assert row["pictures"] <= billed <= row["pictures"] + row["possibly_billed"]
    # Whose brand changed since, or who left the catalog, keeps what was spent then.
    by_brand = {
        row["column:brand"]: row for row in (await spent(bench, str(bench.out), "--by", "column:brand"))["rows"]
    }
    for brand, billed_usd in bill.by_brand.items():
        usd = by_brand[brand or "(blank)"]["cost_usd"]
        assert usd["confirmed"] - 1e-9 <= billed_usd <= sum(usd.values()) + 1e-9
    # And each job of the last catalog, in a notebook.
    table = results(bench.out).set_index("job_id")
    for body, row in catalog.bodies().items():
        (job_id,) = (each for each, known in catalog.rows.items() if known == row)
        billed_usd = bill.times[body] * PRICES_USD[row["quality"]]
        found = table.loc[job_id]
        assert found["confirmed_usd"] - 1e-9 <= billed_usd
        assert billed_usd <= found["confirmed_usd"] + found["possibly_billed_usd"] + 1e-9
    # The file that runs share counts what the provider didn't say at the max price.
    shared = totals(await spent(bench, "--by", "endpoint"))
    assert shared["confirmed"] >= total["confirmed"]
    assert sum(shared.values()) >= round(bill.usd * 1e6)
