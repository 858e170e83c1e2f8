"""`python -m batch_editor` and the console script `batch-editor`, which are the same."""

import sys

try:
    # Before anything that takes time to be imported.
    from batch_editor.cli.interrupts import leave_at_once

    leave_at_once()
    from batch_editor.cli.main import main
    from batch_editor.cli.output import provide_streams
except KeyboardInterrupt:
    sys.exit(130)


def entry() -> None:
    """The console script."""
    provide_streams()
    code = main()
    leave_at_once()
    sys.exit(code)


if __name__ == "__main__":
    entry()
