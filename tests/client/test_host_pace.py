from __future__ import annotations

import asyncio

import pytest

from batch_editor.client import host_pace
from batch_editor.client.host_pace import HostPace
from tests.support.virtual_time import run


def test_a_host_that_refuses_every_request_is_given_up_after_a_minute() -> None:
    async def ask() -> tuple[str | None, float]:
        pace = HostPace("h.example")
        began = asyncio.get_running_loop().time()
        while pace.given_up is None:
            pace.refused(503, asked_s=None, sent_at=await pace.turn())
        return pace.given_up, asyncio.get_running_loop().time() - began

    said, took_s = run(ask())
    assert said == "was not looked at: h.example refused every request for 1m 1s (HTTP 503); check again later"
    assert took_s == pytest.approx(host_pace.REFUSED_FOR_S, abs=5)


def test_a_host_that_answers_now_and_then_is_not_given_up() -> None:
    async def ask() -> str | None:
        pace = HostPace("h.example")
        for _ in range(20):
            for _ in range(3):
                pace.refused(429, asked_s=None, sent_at=await pace.turn())
            await pace.turn()
            pace.answered()
        return pace.given_up

    assert run(ask()) is None
