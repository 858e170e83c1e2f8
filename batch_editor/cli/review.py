"""`batch-editor review`. What it needs is imported when it runs, see `main`."""

from __future__ import annotations

from pathlib import Path

import click

from batch_editor.cli.interrupts import raise_interrupts
from batch_editor.cli.options import verbose


@click.command()
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0 is any free port.")
@click.option("--no-open", is_flag=True, help="Print the address, and open no browser.")
@click.option("--as", "name", metavar="NAME", help="Whose verdicts they are; default: the system's user.")
@verbose()
def review(output: Path, port: int, name: str | None, *, no_open: bool) -> int:
    """Pages on this machine: pictures before and after, and a verdict of each by one key. Also while a run is at work.

    \b
    Example:
      batch-editor review outputs/products
    """
    import asyncio
    import getpass

    from batch_editor.review.server import Review, ReviewOptions

    raise_interrupts()

    async def serve() -> None:
        options = ReviewOptions(output, name or getpass.getuser(), port)
        async with Review(options) as server:
            click.echo(f"Review: {server.url}")
            await asyncio.Event().wait()

    try:
        asyncio.run(serve())
    except OSError as error:
        raise click.UsageError(f"--port {port}: can't be listened on ({error.strerror or error})") from error
    return 0
