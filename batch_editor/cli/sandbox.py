"""`batch-editor sandbox`. What it needs is imported when it runs, see `main`."""

from __future__ import annotations

import click

from batch_editor.cli.interrupts import raise_interrupts
from batch_editor.cli.options import verbose


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 is any free port.")
@click.option("--latency", default="2-5", show_default=True, help="Seconds: 2, 1-3, or lognormal:57,0.3.")
@click.option("--rate-limit", metavar="N/min", help="Refuse more than this in any window.")
@click.option("--fault", "faults", multiple=True, metavar="SPEC", help="Inject a fault; repeatable.")
@click.option(
    "--keep-records",
    "record_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=3600,
    show_default=True,
    help="How long v2 knows a request that has ended.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the faults and latencies.")
@verbose()
def sandbox(
    port: int, latency: str, rate_limit: str | None, faults: tuple[str, ...], record_s: float, seed: int
) -> int:
    """A local stand-in for the provider, v1 and v2, which prints its URL.

    \b
    Example:
      batch-editor sandbox --rate-limit 60/min --fault 502:0.05
      SEGMIND_API_KEY=any batch-editor run jobs/demo.yaml --base-url http://127.0.0.1:8080/v1
    """
    import asyncio

    from batch_editor.sandbox import Sandbox, SandboxOptions

    try:
        options = SandboxOptions(
            port=port, latency=latency, rate_limit=rate_limit, faults=faults, record_s=record_s, seed=seed
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error

    async def serve() -> None:
        """Print the address, then serve until a signal."""
        async with Sandbox(options) as standing_in:
            click.echo(standing_in.base_url)
            await standing_in.serve_forever()

    raise_interrupts()
    try:
        asyncio.run(serve())
    except OSError as error:
        raise click.UsageError(f"--port {port}: can't be listened on ({error.strerror or error})") from error
    return 0
