"""`batch-editor schema`. What it needs is imported when it runs, see `main`."""

from __future__ import annotations

import json

import click


@click.command()
@click.argument("what", metavar="manifest|config", type=click.Choice(["manifest", "config"]))
def schema(what: str) -> int:
    """Print a JSON Schema (draft-07), by which an editor completes and checks manifests or the config.

    A manifest names it in its first line: # yaml-language-server: $schema=.batch-editor.schema.json

    \b
    Example:
      batch-editor schema manifest > jobs/.batch-editor.schema.json
    """
    from batch_editor.config import config_schema
    from batch_editor.manifest import manifest_schema

    click.echo(json.dumps(manifest_schema() if what == "manifest" else config_schema(), indent=2, ensure_ascii=False))
    return 0
