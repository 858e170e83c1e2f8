"""Local files that several requests need at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from batch_editor.endpoints import load_endpoint
from batch_editor.errors import LedgerError
from batch_editor.ledger import LedgerWriter, PendingRequest
from batch_editor.records import LOCAL
from batch_editor.runs.uploads import Uploads
from tests.support.attempts_desk import desk
from tests.support.bench import Bench
from tests.support.scripted_client import ScriptedClient


class FullDisk(LedgerWriter):
    """A writer that has no room, and takes its time to say so."""

    async def do(self, operation: Callable[..., Any], *values: Any) -> Any:
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


async def test_who_waits_for_another_s_upload_hears_why_there_is_none(bench: Bench) -> None:
    """Not a cancellation: that would end a worker without a word."""
    async with desk(bench, ScriptedClient()) as at:
        full = FullDisk(at.run.ledger)
        uploads = Uploads(replace(at.run, writer=full), at.client)
        endpoint = load_endpoint("gpt-image-1.5-edit")
        both = (uploads.body(request(name), endpoint) for name in ("a", "b"))
        outcomes = await asyncio.gather(*both, return_exceptions=True)
        assert [str(outcome) for outcome in outcomes] == ["no room", "no room"]
        full.close()
