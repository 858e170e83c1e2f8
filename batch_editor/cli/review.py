"""`batch-editor review`. What it needs is imported when it runs, see `main`."""

from __future__ import annotations

from pathlib import Path

import click

from batch_editor.cli.interrupts import raise_interrupts
from batch_editor.cli.options import config_option, verbose
from batch_editor.cli.output import quieten, tell, written
from batch_editor.text import escape_bytes


@click.command()
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0 is any free port.")
@click.option("--no-open", is_flag=True, help="Print the address, and open no browser.")
@click.option("--as", "name", metavar="NAME", help="Whose verdicts they are; default: the system's user.")
@config_option
@click.option("--end-when-idle", "idle_s", metavar="SECONDS", type=click.FloatRange(min=1), hidden=True)
@verbose()
def review(
    output: Path, port: int, name: str | None, config: Path | None, idle_s: float | None, *, no_open: bool
) -> int:
    """Pages on this machine: pictures before and after, and a verdict of each by one key. Also while a run is at work.

    The address is good for one browser; for another one there is a new one below it. Ctrl-C ends it.

    \b
    Example:
      batch-editor review outputs/catalog
    """
    import asyncio

    from batch_editor.config import load_settings
    from batch_editor.review.judging import system_user
    from batch_editor.review.server import ReviewOptions
    from batch_editor.review.serving import serve

    raise_interrupts()
    settings = load_settings(config)
    options = ReviewOptions(
        output,
        by=system_user() if name is None else name,
        port=port,
        said=lambda url: tell(f"For another browser: {url}"),
        allow_private=settings.inputs.allow_private_links,
    )

    def began(url: str) -> None:
        """Print the address of the page."""
        try:
            with written():
                click.echo(f"Review: {url}")
        except BrokenPipeError:
            # Beside a run that has ended meanwhile, the browser is open all the same.
            if idle_s is None:
                raise
            quieten()

    last = asyncio.run(serve(options, began=began, browse=not no_open, idle_s=idle_s))
    if last is not None:
        tell(escape_bytes(last))
    return 0
