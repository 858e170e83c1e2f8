"""Rules as text, for who keeps them: a ledger, or a record of a job."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import orjson

from batch_editor.finishing.rules import FinishRules


def rules_to_text(rules: Sequence[FinishRules]) -> str:
    """Rules of one job's finished files as JSON; the same rules, the same text."""
    return orjson.dumps([each.model_dump(mode="json") for each in rules], option=orjson.OPT_SORT_KEYS).decode()


@lru_cache(maxsize=256)
def rules_from_text(text: str) -> tuple[FinishRules, ...]:
    """Rules that `rules_to_text` has made a text of, by this or an earlier version.

    >>> rules_from_text(rules_to_text([FinishRules(name="web", size=(800, 800))]))[0].size
    (800, 800)

    Raises:
        ValueError: a newer version has.
    """
    return tuple(FinishRules.model_validate(each) for each in orjson.loads(text))
