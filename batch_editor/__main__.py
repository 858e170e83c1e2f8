"""`python -m batch_editor` is the console script `batch-editor`."""

from batch_editor.cli import entry

if __name__ == "__main__":
    entry()
