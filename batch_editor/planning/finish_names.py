"""Names of finished files, which are folders: of all jobs together, for one job's are seen to where it is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from batch_editor.finishing import FinishRules, rules_from_text
from batch_editor.ledger import Staging
from batch_editor.naming import collision_key


def mixed_finish_names(staging: Staging, of_config: Sequence[FinishRules]) -> Iterator[tuple[str, str]]:
    """Places and messages of names that some disks take for one which another job, or the config, has."""
    first: dict[str, tuple[str, str]] = {collision_key(each.name): (each.name, "the config") for each in of_config}
    place_of = "(SELECT place FROM staged WHERE finish = digest LIMIT 1)"
    for text, where in staging.query(f"SELECT rules, {place_of} FROM finishes ORDER BY rowid"):
        for rules in rules_from_text(text):
            name, place = first.setdefault(collision_key(rules.name), (rules.name, where))
            if name != rules.name:
                taken = f"would have the same folder as finish.{name} of {place} on some disks"
                yield where, f"finish.{rules.name} {taken}; write both alike, or give one another name"
