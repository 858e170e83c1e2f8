"""Local files that several requests need at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from batch_editor.client import Client
from batch_editor.endpoints import load_endpoint
from batch_editor.errors import LedgerError
from batch_editor.ledger import Ledger, LedgerWriter, PendingRequest
from batch_editor.output import Store
from batch_editor.records import LOCAL
from batch_editor.runs.uploads import Uploads


class FullDisk:
    """A writer that has no room, and takes its time to say so."""

    async def do(self, operation: Callable[[], Any]) -> Any:
        await asyncio.sleep(0)
        raise LedgerError("no room")


def request(fingerprint: str) -> PendingRequest:
    return PendingRequest(
        fingerprint=fingerprint,
        position=0,
        endpoint="gpt-image-1.5-edit",
        params={"image_urls": [f"{LOCAL}mug"]},
        files={"mug": ("mug.png", "png")},
        job_id=fingerprint,
        expected_usd=0.0,
        max_usd=0.0,
        attempts=0,
        billed=0,
        jobs=1,
    )


async def test_who_waits_for_another_s_upload_hears_why_there_is_none() -> None:
    """Not a cancellation: that would end a worker without a word."""
    nothing = cast("Any", None)
    uploads = Uploads(
        inline=False,
        sandbox=False,
        client=cast("Client", nothing),
        ledger=cast("Ledger", nothing),
        writer=cast("LedgerWriter", FullDisk()),
        store=cast("Store", nothing),
    )
    endpoint = load_endpoint("gpt-image-1.5-edit")
    both = (uploads.body(request(name), endpoint) for name in ("a", "b"))
    outcomes = await asyncio.gather(*both, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["no room", "no room"]
