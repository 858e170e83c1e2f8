"""`batch-editor reconcile`. What it needs is imported when it runs, see `main`."""

from __future__ import annotations

from pathlib import Path

import click

from batch_editor.cli.interrupts import raise_interrupts
from batch_editor.cli.options import config_option, json_option, verbose
from batch_editor.cli.output import show, tell


@click.command()
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path))
@config_option
@click.option("--base-url", metavar="URL", help="The API, up to and with its version.")
@json_option
@verbose()
def reconcile(output: Path, config: Path | None, base_url: str | None, *, as_json: bool) -> int:
    """Resolve attempts that may have been billed without a result, by the provider's history. Costs nothing.

    An image that was paid for is fetched; what was not billed is sent by the next run; else the real cost is noted.

    \b
    Example:
      batch-editor reconcile outputs/catalog
    """
    import asyncio

    from batch_editor.config import load_settings, read_keys
    from batch_editor.recovery.reconcile import reconcile as reconcile_attempts
    from batch_editor.text import guard

    settings = load_settings(config, flags={"api": {"base_url": base_url}})
    keys = read_keys(settings)
    for key in keys.found.values():
        guard(key.get_secret_value())
    raise_interrupts()
    found = asyncio.run(reconcile_attempts(output, settings, keys, say=tell))
    show(found, as_json=as_json)
    return found.exit_code
