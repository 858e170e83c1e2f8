"""`batch-editor export`. What it needs is imported when it runs, see `main`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, TypeAlias

import click

from batch_editor.cli.interrupts import raise_interrupts
from batch_editor.cli.options import config_option, verbose
from batch_editor.cli.output import tell, written
from batch_editor.errors import StorageError

Manifest: TypeAlias = Literal["csv", "jsonl", "parquet"]
_SHOPS = ("shopify", "woocommerce", "google")


@click.command()
@click.argument("outputs", metavar="OUT…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "jsonl", "parquet", *_SHOPS]),
    default="csv",
    show_default=True,
    help="csv (formulas defused), jsonl and parquet are the output manifest. shopify, woocommerce and google are the"
    " shop's own table with the new pictures, for its import; they need outputs.public_url.",
)
@click.option("--to", "target", metavar="FILE", default="-", show_default=True, help="Where to; - is standard output.")
@click.option("--approved", is_flag=True, help="For a shop: approved pictures alone. Rejected ones never go out.")
@click.option(
    "--from",
    "source",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="For a shop: its table, if not the one that the last run read.",
)
@click.option(
    "--finished",
    metavar="NAME",
    help="For a shop: the finished files of that name, in place of the pictures themselves.",
)
@click.option("--only", metavar="GLOB", multiple=True, help="For a shop: of jobs whose id matches only; repeatable.")
@config_option
@verbose()
def export(outputs: tuple[Path, ...], form: str, target: str, **options: Any) -> int:
    """Write the output manifest again, from the ledger; or a shop's table with the new pictures.

    Several OUT, such as the shards of a manifest, come into one table, in which the column output says which a row is
    of; for a shop outputs.public_url then has {output} in it, which stands for the name of each.

    \b
    Example:
      batch-editor export outputs/catalog --format jsonl --to catalog.jsonl
      batch-editor export outputs/shopify --format shopify --to import.csv
    """
    if form in _SHOPS:
        return _export_for_shop(list(dict.fromkeys(outputs)), form, target, **options)
    if any(options[name] for name in ("approved", "only", "source", "finished")):
        raise click.UsageError(
            f"--approved, --finished, --from and --only are of --format {', '.join(_SHOPS[:-1])} or {_SHOPS[-1]}"
        )
    return _export_manifest(list(dict.fromkeys(outputs)), form, target)  # type: ignore[arg-type]  # as click has checked


def _export_for_shop(
    outputs: Sequence[Path],
    form: str,
    target: str,
    *,
    approved: bool,
    source: Path | None,
    only: tuple[str, ...],
    finished: str | None,
    config: Path | None,
) -> int:
    from batch_editor.config import load_settings
    from batch_editor.config.values import OF_OUTPUT
    from batch_editor.errors import UsageError
    from batch_editor.import_files import ImportFile, export_for_shop
    from batch_editor.output import recorded
    from batch_editor.shops import Format
    from batch_editor.text import escape_bytes

    public_url = load_settings(config).outputs.public_url
    output = outputs[0]
    if public_url is None:
        bucket = recorded(output)
        what = "lies in the output directory" if bucket is None else f"is in {bucket}"
        example = f"https://cdn.example.com/{output.name if bucket is None else bucket.prefix}"
        raise UsageError(
            f"outputs.public_url is not set, the address at which the shop finds what {what}: outputs: {{public_url:"
            f" {example}}} in config.yaml, or BATCH_EDITOR_OUTPUTS__PUBLIC_URL={example}"
        )
    if len(outputs) > 1 and OF_OUTPUT not in public_url:
        raise UsageError(
            f"outputs.public_url is {public_url}, one address for {len(outputs)} output directories; expected"
            f" {OF_OUTPUT} in it, which stands for the name of each, such as https://cdn.example.com/{OF_OUTPUT}"
        )
    wanted = ImportFile(Format(form), public_url, approved, [escape_bytes(each) for each in only], source, finished)
    raise_interrupts()
    if target == "-":
        with written():
            said = export_for_shop(outputs, wanted, sys.stdout.buffer)
            sys.stdout.buffer.flush()
    else:
        said = export_for_shop(outputs, wanted, Path(target))
    for line in said:
        tell(line)
    return 0


def _export_manifest(outputs: Sequence[Path], form: Manifest, target: str) -> int:
    from batch_editor.ledger import readings
    from batch_editor.output import ExportedOutput, export_tables, verdicts_of
    from batch_editor.text import escape_bytes

    raise_interrupts()
    with ExitStack() as stack:
        opened = [(output, stack.enter_context(readings.reading(output))) for output in outputs]
        exported = [ExportedOutput(escape_bytes(str(output)), db, verdicts_of(db, output)) for output, db in opened]
        if target == "-":
            with written():
                export_tables(exported, sys.stdout.buffer, form)
                sys.stdout.buffer.flush()
            return 0
        try:
            with Path(target).open("wb") as file:
                export_tables(exported, file, form)
        except OSError as error:
            raise StorageError(f"{target}: can't be written ({error.strerror})") from error
    return 0
