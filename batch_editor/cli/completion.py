"""`batch-editor completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from batch_editor.cli.output import written

# How the shell asks for what may follow; click answers before any command begins.
VARIABLE = "_BATCH_EDITOR_COMPLETE"


@click.command()
@click.argument("shell", metavar="bash|zsh|fish", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print what makes a shell complete commands, options and files.

    \b
    bash, in ~/.bashrc:   eval "$(batch-editor completion bash)"
    zsh, in ~/.zshrc:     eval "$(batch-editor completion zsh)"
    fish:                 batch-editor completion fish > ~/.config/fish/completions/batch-editor.fish

    \b
    Example:
      batch-editor completion bash
    """
    kind = get_completion_class(shell)
    assert kind is not None, "click knows all three"
    with written():
        click.echo(kind(context.find_root().command, {}, "batch-editor", VARIABLE).source())
    return 0
