"""A shard's part of the limits: those of all shards add up to what is set for all of them together."""

from __future__ import annotations

from batch_editor.errors import ConfigError
from batch_editor.records import Rate
from batch_editor.shard import Shard


def part_of_rate(shard: Shard, rate_limit: str, setting: str) -> Rate:
    """Its part of a rate, for the same window.

    Raises:
        ConfigError: there is none for each shard.
    """
    whole, (_, _, unit) = Rate.parse(rate_limit), rate_limit.partition("/")
    wanted = f"at least {shard.count}/{unit}, or budget.ledger: postgresql://…, by which they take turns"
    return Rate(_part(shard, whole.count, f"{setting} {rate_limit}", wanted), whole.period_s)


def part_of_failures(shard: Shard, max_failures: str | None) -> str | None:
    """Its part of a count; a share stays one.

    Raises:
        ConfigError: there is none for each shard.
    """
    if max_failures is None or max_failures.endswith("%"):
        return max_failures
    wanted = f"at least {shard.count}, or a share such as 20%"
    return str(_part(shard, int(max_failures), f"max_failures {max_failures}", wanted))


def part_of_usd(shard: Shard, usd: float | None) -> float | None:
    """Its part of an amount; none of none."""
    return None if usd is None else usd / shard.count


def _part(shard: Shard, total: int, limit: str, wanted: str) -> int:
    if total < shard.count:
        raise ConfigError(f"{limit} can't be divided among {shard.count} shards; expected {wanted}")
    return shard.part_of(total)
