"""Ids of jobs that a manifest gives none: unique within it, and fit to be ids."""

from __future__ import annotations

import hashlib
import re

from batch_editor.manifest.values import MAX_ID
from batch_editor.shops import Seen

_NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\s]+")
# A number, or a hash in place of the end of a longer one.
_ROOM = 12


class DefaultIds:
    """Gives each name once; one that was given before gets a number behind it."""

    def __init__(self) -> None:
        self._given = Seen()

    def unique(self, name: str) -> str:
        """The name, or `<name>-2` and so on; what is too long for an id ends in a hash.

        >>> ids = DefaultIds()
        >>> ids.unique("mug-1"), ids.unique("mug-1"), ids.unique("mug-1")
        ('mug-1', 'mug-1-2', 'mug-1-3')
        """
        name = _NO_TEXT.sub(" ", name).strip()
        if len(name) > MAX_ID - _ROOM:
            digest = hashlib.sha256(name.encode(errors="replace")).hexdigest()[:8]
            name = f"{name[: MAX_ID - 2 * _ROOM]}-{digest}"
        if self._given.add(name):
            return name
        # In few steps, for a table may have one name in a million rows.
        taken, free = 1, 2
        while f"{name}-{free}" in self._given:
            taken, free = free, 2 * free
        while free - taken > 1:
            middle = (taken + free) // 2
            if f"{name}-{middle}" in self._given:
                taken = middle
            else:
                free = middle
        self._given.add(f"{name}-{free}")
        return f"{name}-{free}"
