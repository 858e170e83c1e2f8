"""One provider: where it is, which key it takes, and how much it may be asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch_editor.records import Rate

if TYPE_CHECKING:
    from batch_editor.config.settings import ApiSettings


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider, as the settings have it.

    api: where it is and how long to wait for it. rate: what it may be sent. concurrency: requests in flight at most.
    shared_rate: what all runs of its key on this machine may send together; more than `rate` for a shard alone.
    """

    name: str
    api: ApiSettings
    rate: Rate
    concurrency: int
    shared_rate: Rate
