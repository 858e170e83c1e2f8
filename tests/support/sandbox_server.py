"""A sandbox in a process of its own, whose books outlive every client.

`-m tests.support.sandbox_server '{"latency": "0.01"}'` prints its base URL, and serves until standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import sys

from batch_editor.sandbox import Sandbox, SandboxOptions


async def serve(options: SandboxOptions) -> None:
    async with Sandbox(options) as sandbox:
        print(sandbox.base_url, flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(SandboxOptions(**json.loads(sys.argv[1]))))
