"""The commands together, and what becomes of their errors: a message and an exit code.

Little but click is imported here and in the commands' modules; each command imports what it needs when it runs, for
`--help` and `--version` must not wait half a second for aiohttp and pydantic.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress

import click

from batch_editor.cli.compare import compare
from batch_editor.cli.completion import completion
from batch_editor.cli.explain import explain
from batch_editor.cli.export import export
from batch_editor.cli.finish import finish
from batch_editor.cli.history import history
from batch_editor.cli.init import init
from batch_editor.cli.interrupts import Terminated
from batch_editor.cli.notifying import BUG
from batch_editor.cli.output import quieten, tell
from batch_editor.cli.plan import plan
from batch_editor.cli.prune import prune
from batch_editor.cli.reconcile import reconcile
from batch_editor.cli.report import report
from batch_editor.cli.review import review
from batch_editor.cli.run import run
from batch_editor.cli.sandbox import sandbox
from batch_editor.cli.schedule import schedule
from batch_editor.cli.schema import schema
from batch_editor.cli.spend import spend
from batch_editor.cli.status import status
from batch_editor.errors import BatchEditorError
from batch_editor.files import require_posix
from batch_editor.text import redact

EXIT_CODES = """\b
Exit codes:
  0  every job has succeeded        4  stopped: budget, deadline, failures
  1  some jobs failed or unknown    5  another process is at work there
  2  wrong command or manifest      6  local I/O error (disk, ledger)
  3  the provider refused           130, 143  interrupted; run again to resume"""


def _tell_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """What a report of a fault begins with."""
    if not wanted or context.resilient_parsing:
        return
    import platform  # here: no other command needs it
    from importlib.metadata import version  # the same

    machine = f"{platform.system()} {platform.release()} {platform.machine()}"
    click.echo(f"batch-editor {version('batch_editor')} (Python {platform.python_version()}, {machine})")
    context.exit()


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    *("--version", "version"),
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_tell_version,
    help="Show the version, with Python's and the platform.",
)
def cli() -> None:
    """Edit images in batches through a paid API: predicted, rate-limited, resumable, nothing paid twice.

    \b
    Example:
      batch-editor plan jobs/catalog.csv
      batch-editor run jobs/catalog.csv
    """


for command in (
    *(run, plan, compare, init, status, history, explain, spend, review, report, finish, export),
    *(reconcile, prune, schedule, schema, completion, sandbox),
):
    cli.add_command(command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    said = {"verbose": False}
    try:
        require_posix()
        outcome = cli.main(args=arguments, prog_name="batch-editor", standalone_mode=False, obj=said)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 2
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        return 2
    except (click.Abort, KeyboardInterrupt) as error:
        tell("Interrupted; nothing is lost, running again resumes.")
        # click makes one of the other.
        return 143 if isinstance(error, Terminated) or isinstance(error.__cause__, Terminated) else 130
    except BatchEditorError as error:
        for line in str(error).splitlines():
            tell(f"error: {_redacted(line)}")
        return error.exit_code
    except (BrokenPipeError, SystemExit):
        # `… | head` has what it wanted; click makes a SystemExit(1) of it, and nothing else here raises one.
        quieten()
        return 0
    except Exception as error:
        tell(f"error: a bug in batch-editor: {_redacted(f'{type(error).__name__}: {error}')}")
        if said["verbose"]:
            tell(_redacted(traceback.format_exc()))
        else:
            tell("Running it again with -v shows where.")
        return BUG
    return outcome if isinstance(outcome, int) else 0


def _redacted(text: str) -> str:
    return redact(text)
