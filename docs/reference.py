"""Renews the tables and drawings of the pages from the code: `python -m docs.reference`. A test keeps them in step.

A table stands between `<!-- made by reference.py: NAME -->` and `<!-- end -->`; what is around it is written by hand.
The words for a column, an error kind or a key of `--json` stand here. One that the code no longer has, or has besides,
is an error.
"""

from __future__ import annotations

import ast
import inspect
import re
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from html import escape
from importlib import import_module
from pathlib import Path
from typing import get_args

import click
from prometheus_client import CollectorRegistry

from batch_editor import load_settings, make_plan
from batch_editor.cli.main import cli
from batch_editor.endpoints import load_endpoint, shipped_endpoints
from batch_editor.endpoints.wording import shared_error_words
from batch_editor.ledger import Counts
from batch_editor.ledger.readings import Money
from batch_editor.output.output_manifest import COLUMNS
from batch_editor.recovery.reconciliation import Finding, Reconciliation
from batch_editor.runs.metrics import Figures
from batch_editor.runs.plan_comparison import PlanComparison
from batch_editor.runs.stops import StopKind
from batch_editor.runs.summary import Summary
from docs.drawings import house
from docs.drawings import path as path_of_a_row
from docs.finishing import finish_checks, finish_keys, finish_presets

DOCS = Path(__file__).parent
ROOT = DOCS.parent
TABLE = re.compile(r"(<!-- made by reference\.py: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

COLUMN_WORDS = {
    "job_id": "the job's id",
    "status": "`succeeded`; `failed`; `pending` (the next run sends it); `unknown` (its last attempt may have been"
    " billed, and it isn't sent again by itself)",
    "output_path": "the image, relative to OUT, with `/`",
    "http_status": "of the attempt that decided",
    "attempts": "requests sent for this job over all runs, redos included",
    "latency_s": "seconds from sending to the last byte, of the attempt that decided",
    "estimated_cost_usd": "by the price list; 0 where it cost nothing, empty while that is open; with the rejected"
    " images that were made again",
    "actual_cost_usd": "what the provider said, where it did; of all these images",
    "possibly_billed": "attempts that may have been charged without giving a result",
    "error_kind": "why it has no image, in [one word](errors.md)",
    "error": "the same in a sentence",
    "reused_from": "the job whose image it shares: identical requests are sent, and paid, once; `<directory>/<job id>`"
    " where it was taken from another output directory",
    "started_at": "when the attempt that decided began; UTC, ISO 8601",
    "finished_at": "when it ended; UTC, ISO 8601",
    "width": "of the image, in pixels",
    "height": "of the image, in pixels",
    "format": "of the image, by its bytes",
    "bytes": "of the image",
    "sha256": "of the image",
    "request_id": "the provider's id of the attempt that decided",
    "fingerprint": "a hash of what was sent: which request it is",
    "endpoint": "which model made the image",
    "verdict": "what people said of the image: `approved`, `rejected` or empty",
    "verdict_note": "the note that they left with it",
    "finished": "the paths of its finished files, relative to OUT, joined by `|`",
    "fidelity": "empty; for how near an image is to its input",
}

KIND_WORDS = {
    "moderation": "the provider's content filter refused the prompt or the image",
    "invalid_parameter": "the provider refused a parameter",
    "bad_request": "the provider refused the request",
    "auth": "the key is missing, wrong, or not allowed this model",
    "credits": "the account is empty",
    "not_found": "the provider doesn't know the model, or doesn't take this request there",
    "retired": "the provider has retired the model",
    "rate_limited": "too many requests, and the run ended before its turn came",
    "server_error": "the provider failed (5xx)",
    "inference_failed": "v2: the job ran and failed, unbilled",
    "timeout": "no answer in time",
    "connection": "no connection, or one that broke",
    "bad_response": "an answer without a usable image, or with another one than was asked for",
    "unchecked": "paid, and kept in `images/.rejected/`, but the check itself broke over it",
    "result_lost": "paid, but its link, its record or its file is gone",
    "input_unreachable": "a local file, a checked link, or an input that the provider could not fetch",
    "interrupted": "the run ended while the request was in flight",
    "invalid_row": "the row has a fault and was left out (`--skip-faulty`)",
    "budget": "left pending: it doesn't fit the budget",
    "deadline": "left pending: it would end after the deadline",
}
# Those that no `Failure` and no endpoint's file names: they are written by a query or from a constant.
ELSEWHERE = {"unchecked", "invalid_row", "budget", "deadline"}

EVENT_WORDS = {
    "sent": "a request left",
    "fetching result": "the result of a request is asked for that an earlier run submitted (v2)",
    "succeeded": "an image is saved",
    "other than asked": "and has another format or size than was asked for",
    "failed": "an attempt gave no image; `status` says what follows",
    "unsaved": "a paid answer is lost: nothing could keep it",
    "outage": "the provider is down; the run holds",
    "outage over": "it answers again",
    "rate_lowered": "429s came: fewer requests are sent",
    "rate_raised": "more are sent again",
    "concurrency_lowered": "the provider dropped requests: fewer are in flight",
    "slow": "the run is slower than its settings allow",
    "not slow any more": "it isn't any more",
    "clock jumped": "the clock was set, or the machine slept",
    "stopping": "the run starts nothing more",
    "not told": "somebody whom `notify` names wasn't told how the run ended",
}

LOG_WORDS = {
    "ts": "when; UTC, ISO 8601",
    "level": "`debug`, `info`, `warning` or `error`",
    "event": "what happened",
    "job_id": "the job, the first of those that share a request",
    "redo": "true where a rejected image is made again",
    "attempt_id": "the attempt's number in the ledger",
    "in_flight": "requests in flight, with this one",
    "latency_s": "seconds from sending to the last byte",
    "cost_usd": "what the provider said it charged; null if it said nothing",
    "request_id": "the provider's id of the attempt",
    "difference": "what is other than asked",
    "status": "`pending` (it is sent again), `failed`, `unknown`",
    "error_kind": "why, in [one word](errors.md)",
    "http_status": "the provider's; null where it gave none",
    "error": "the same in a sentence",
    "possibly_billed": "whether the attempt may have been charged",
    "again_in_s": "seconds until it is sent again; null where it isn't",
    "next_try_s": "seconds until the provider is tried again",
    "requests": "`edits`, or `polls` (v2); of several providers `edits at openai`",
    "provider": "the provider; of `stopping`: where it is one alone that is sent nothing more",
    "limit": "the configured rate",
    "old": "before; requests a period, or in flight (null: no limit)",
    "new": "from now on",
    "why": "the reason, in a sentence",
    "cause": "`outage`, `pause`, `rate`, `dropped` or `concurrency`",
    "jump_s": "seconds; negative: back",
    "kind": "as `stopped_by` of [`--json`](json.md)",
    "reason": "the same in a sentence",
}

RUN_WORDS = {
    "run_id": "the run's id in the ledger",
    "output": "the output directory",
    "exit_code": "[how it ended](commands.md#exit-codes)",
    "jobs": "`total`, `succeeded`, `failed`, `pending`, `unknown`; `reused`: those that share another's image,"
    " or took it from another output directory",
    "requests": "of this run: `sent`, `retried` (those of them that were sent again), `possibly_billed`",
    "cost_usd": "over all runs: `estimated` by the price list, `actual` by the provider (null if it said nothing),"
    " `possibly_billed` (an upper bound)",
    "latency_s": "`p50`, `p95`; null without a result",
    "elapsed_s": "seconds that the run took",
    "causes": "the same with one example each: `kind`, `count`, `job_id`, `error`; `command`: what sends just these"
    " again, of `status`, where it is known",
    "errors": "jobs without an image, by [error kind](errors.md)",
    "manifest": "the path of manifest.csv",
    "plan": "null, or the plan beside what came: `requests`, `cost_usd`, `duration_s` (each `expected` and `actual`),"
    " `why` they differ",
    "stopped_by": "null, or why the run stopped early: " + ", ".join(f"`{kind}`" for kind in get_args(StopKind)),
    "sandbox": "whether it was a rehearsal",
    "changes": "null, or the jobs that the run was about, beside what the output directory had: `new`, `changed`,"
    " `links_alone` (those of the changed that differ in their links alone), `unchanged`, `gone`, `behind_links` (those"
    " of the changed that have another picture behind a link, with `inputs.track`)",
    "approval": "null, or the plan that somebody approved and that the run was made by: `plan_id`, `approved_by`,"
    " `amount_usd`, for all runs with it",
    "redo": "rejected images: `made` again by this run; and those that still stand after a redo, which was refused"
    " (`failed`), may have been billed (`unknown`), or is sent by the next `--redo rejected` (`pending`)",
    "providers": "for each provider of the jobs, by its name: `jobs`, `requests` and `cost_usd` as above, and what"
    " stopped it before its jobs were done: `stopped_by`, `why` (null: nothing)",
    "verdicts": "succeeded jobs by what people said of their images: `approved`, `rejected`, `none`",
    "finished": "finished files by name: `made`, `failed` (could not be made), `left`, `failing_checks` (files that"
    " fail any), `checks` (by rule, how many `failed`, one `example`), and an `example` of those that failed",
    "shard": "null, or of a [shard](shards.md) its `number` and their `count`",
}

PLAN_WORDS = {
    "jobs": "jobs chosen",
    "requests": "requests to send",
    "reused": "jobs that share another's request, or take their image from another output directory",
    "taken": "of these, the images of other output directories, by the directory's name",
    "done": "jobs that are done",
    "uploads": "local files to upload",
    "skipped": "rows that the manifest leaves out on purpose, by reason",
    "faulty": "rows that are left out for their faults",
    "remade": "done jobs that would be made again",
    "pruned": "requests to send that were done, and whose image was [pruned](nightly.md#remove-what-is-old)",
    "providers": "for each provider of the jobs, by its name: `requests`, `duration_s`, `limited_by` and `advice`",
    "redone": "rejected images that are made again, with `--redo rejected`",
    "identified": "done jobs that keep their image under an `identity` that is new",
    "kept": "done jobs that keep their image of another endpoint, by that endpoint",
    "kept_differs": "in how many of those `size`, `quality` or `format` is another now",
    "gone": "jobs of the output directory that the manifest no longer has",
    "changes": "chosen jobs beside what the output directory has: `new`, `changed`, `links_alone` (those of the changed"
    " that differ in their links alone), `unchanged`, `gone`, `behind_links` (those of the changed that have another"
    " picture behind a link; known where links were asked)",
    "asks": "what a run would ask before it sends anything; without anybody to ask it ends with exit code 2",
    "cost_usd": "`low`, `expected`, `high`",
    "duration_s": "`p10`, `p50`, `p90`, in seconds",
    "limited_by": "`rate limit`, `concurrency`, `latency` or `nothing`; of several providers with the name"
    " of the slowest, as in `rate limit of openai`",
    "advice": "the same in a sentence, with the next step",
    "groups": "`endpoint`, `quality`, `size`, `inputs`, `requests`, `unit_usd`, `cost_usd`, `price_from`, `charges`,"
    " `list_usd` (one by the price list), `low_usd`, `high_usd` (all of them)",
    "retires": "endpoints whose last day or successor is known: `endpoint`, `date`, `days_left`, `successor`",
    "known": "jobs by what the output directory has of them: `new`, `changed`, `unchanged`, `failed`, `unknown`",
    "duration_from": "what the time was simulated from",
    "budget": "null, or `limit`, `fits`, and how many `requests` do",
    "deadline": "null, or `limit`, `fits`, and how many `requests` do",
    "inputs": "null, or `looked_at` and `faulty` (`job_id`, `fault`)",
    "tracked": "null, or with `inputs.track` of the links of jobs made before: `by` (`etag` or `content`), how many"
    " `links`, how many were `asked` (null: nobody; with `--check-inputs` those that were seen before), how many gave"
    " no picture to compare (`unseen`) with an `example`, and the `jobs` that changed so",
    "compare": "null, or with `--compare`: `over`, `jobs`, `all_jobs`, and of each of the `ways` its `values`, what a"
    " run is given by `--set`, `requests`, `cost_usd`, and of `all` jobs `jobs`, `requests`, `cost_usd`, `duration_s`",
    "tables": "shops' exports and tables that resemble one: `table`, `format`, `said` in words; of an export `rows`,"
    " `products`, `pictures`, `without_picture`, `repeated_links`",
    "moved": "jobs of the output directory that have other inputs now, and are in another [shard](shards.md) by these",
    "shard": "null, or with `--shard`: its `number` and their `count`, and how many `jobs` it has `of_jobs` of the"
    " manifest",
}

RECONCILE_WORDS = {
    "output": "the output directory",
    "exit_code": "0 if nothing remains, 1 if attempts are open or jobs unknown",
    "settled": "attempts: `image` (its image was fetched), `charged` (paid in vain), `not_billed`",
    "open": "attempts that nothing is known of yet",
    "cost_usd": "`settled`; `open` (an upper bound)",
    "unknown_jobs": "jobs that stay `unknown`",
    "attempts": "`job_id`, `attempt`, `outcome`, `cost_usd`, `request_id`, `message`",
}


def renewed(page: str) -> str:
    """A page with its tables made anew."""
    return TABLE.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n\n{found[3]}", page)


def pages() -> Iterator[Path]:
    """The pages that have such tables."""
    return (path for path in sorted(DOCS.glob("*.md")) if TABLE.search(path.read_text(encoding="utf-8")))


def commands() -> str:
    """Every command: what it does, an example, its options."""
    return "\n\n".join(_command(name, command) for name, command in sorted(cli.commands.items()))


def _command(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=f"batch-editor {name}")
    about, _, example = inspect.cleandoc(command.help or "").partition("\b\nExample:\n")
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    shown = "\n".join(line.strip() for line in example.strip().splitlines())
    options = _table(("option", "", "default"), _options(command, context))
    parts = [f"## {name}", about.strip(), _code(usage), "Example:", _code(shown, "sh"), options]
    return "\n\n".join(parts)


def _code(text: str, language: str = "text") -> str:
    return f"```{language}\n{text}\n```"


def _options(command: click.Command, context: click.Context) -> Iterator[tuple[str, str, str]]:
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            flags = ", ".join(f"`{flag}`" for flag in option.opts)
            kind = "" if option.is_flag else f" `{option.make_metavar(context).strip('[]')}`".replace("|", "` / `")
            default = f"`{option.default}`" if option.show_default else ""
            yield flags + kind, escape(option.help or "", quote=False), default
    # Not by get_params: of each command click keeps the help option with the names that were asked for first.
    names = ", ".join(f"`{name}`" for name in cli.context_settings["help_option_names"])
    yield names, "Show this message and exit.", ""


def settings() -> str:
    """Every setting, from config.example.yaml: its default, the variable that overrides it, its comment."""
    rows: list[list[str]] = []
    above: list[str] = []
    for line in (ROOT / "config.example.yaml").read_text(encoding="utf-8").splitlines():
        if found := re.match(r"^( *)(\w+):(?: +([^#\s][^#]*?))? *(?:# (.*))?$", line):
            indent, key, value, comment = found.groups()
            above = above[: len(indent) // 2]
            if value is None:
                above.append(key)
                continue
            rows.append([f"`{'.'.join([*above, key])}`", f"`{value}`", escape(comment or "", quote=False)])
        elif further := re.match(r"^ +# (.*)$", line):
            rows[-1][2] += f" {escape(further[1], quote=False)}"
    return _table(("setting", "default", ""), rows)


def columns() -> str:
    """The fixed columns of manifest.csv."""
    return _worded("column", COLUMNS, COLUMN_WORDS)


def error_kinds() -> str:
    """Every error kind, with the statuses by which the shipped endpoints mean it."""
    statuses: dict[str, set[int]] = {}
    for name in shipped_endpoints():
        for status, error in load_endpoint(name).errors.items():
            statuses.setdefault(error.kind, set()).add(status)
    _same("error kind", _kinds_of_the_code() | statuses.keys() | ELSEWHERE, KIND_WORDS)
    rows = [
        (f"`{kind}`", words, ", ".join(map(str, sorted(statuses.get(kind, ()))))) for kind, words in KIND_WORDS.items()
    ]
    return _table(("`error_kind`", "means", "statuses"), rows)


def _kinds_of_the_code() -> set[str]:
    source = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("batch_editor/**/*.py"))
    named = re.findall(r'Failure\(\s*"(\w+)"|error_kind = \'(\w+)\'', source)
    return {name for pair in named for name in pair if name} | {words.kind for words in shared_error_words()}


def json_run() -> str:
    """The keys of `run --json` and `status --json`."""
    money, counts = Money(estimated=0, actual=None, possibly_billed=0), Counts(*[0] * 6)
    compared = PlanComparison(0, 0, 0, 0, 0, ())
    made = Summary("", Path("OUT"), 0, counts, 0, 0, 0, money, None, None, 0, (), comparison=compared).as_json()
    return _worded("key", made, RUN_WORDS)


def json_plan() -> str:
    """The keys of `plan --json`."""
    with tempfile.TemporaryDirectory() as folder:
        plan = make_plan([ROOT / "jobs/minimal.yaml"], load_settings(), output=Path(folder) / "out")
    return _worded("key", plan.as_json(), PLAN_WORDS)


def json_reconcile() -> str:
    """The keys of `reconcile --json`."""
    finding = Finding(job_id="", attempt=1, outcome="open", usd=None, request_id=None, message="")
    return _worded("key", Reconciliation(Path("OUT"), (finding,), 0, 0).as_json(), RECONCILE_WORDS)


def figures() -> str:
    """What a run tells Prometheus."""
    registered = Figures.registered(CollectorRegistry())
    rows = []
    for each in fields(registered):
        figure = getattr(registered, each.name)
        (described,) = figure.describe()
        kind = described.type
        name = described.name.removeprefix("batch_editor_") + ("_total" if kind == "counter" else "")
        labels = ", ".join(f"`{label}`" for label in figure._labelnames if label != "output")
        rows.append((f"`{name}`", kind, labels, described.documentation))
    return _table(("figure", "type", "label", ""), rows)


def log_events() -> str:
    """Every event of the log, and its keys."""
    found = events()
    _same("event of the log", set(found), EVENT_WORDS)
    rows = [
        (f"`{event}`", words, ", ".join(f"`{key}`" for key in sorted(found[event])))
        for event, words in EVENT_WORDS.items()
    ]
    return _table(("`event`", "", "besides `ts` and `level`"), rows)


def log_keys() -> str:
    """Every key of the log."""
    keys = {key for each in events().values() for key in each}
    return _worded("key", [key for key in LOG_WORDS if key in keys | {"ts", "level", "event"}], LOG_WORDS)


def events() -> dict[str, set[str]]:
    """What the code logs: each event's keys."""
    found: dict[str, set[str]] = {}
    for path in sorted(ROOT.glob("batch_editor/**/*.py")):
        if path.parent.name == "sandbox":  # it has a log of its own
            continue
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func) in _LOGGING:
                carried = next((each.value for each in call.keywords if each.arg == "extra"), ast.Dict([], []))
                for event in _texts(call.args[-1]):
                    found.setdefault(event, set()).update(_keys(carried))
    return found


_LOGGING = {f"log.{name}" for name in ("debug", "info", "warning", "error", "log")}


def _texts(node: ast.expr) -> set[str]:
    return {each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)}


def _keys(carried: ast.expr) -> Iterator[str]:
    assert isinstance(carried, ast.Dict), "the log's keys are read from the code"
    for key in carried.keys:
        if key is None:  # `**_job(task)` of runs/attempt_log.py
            yield from ("job_id", "redo")
        else:
            yield ast.literal_eval(key)


def rooms() -> str:
    """The package's rooms from the command line down, each with its first sentence."""
    rows = [(number, f"`{name}/`", _purpose(name)) for number, names in floors() for name in names]
    return _table(("floor", "room", "what it is for"), rows)


def floors() -> list[tuple[str, list[str]]]:
    """Every floor but the lowest, whose modules are no rooms: its number and its rooms, the top one first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers: list[str] = project["tool"]["importlinter"]["contracts"][0]["layers"]
    upper = layers[:-1]
    return [
        (str(len(layers) - place), [name.strip() for name in layer.split("|")]) for place, layer in enumerate(upper)
    ]


def _purpose(room: str) -> str:
    about = import_module(f"batch_editor.{room}").__doc__ or ""
    return about.strip().split("\n\n")[0].replace("\n", " ")


def _worded(title: str, found: Iterable[str], words: Mapping[str, str]) -> str:
    names = list(found)
    _same(title, set(names), words)
    return _table((title, ""), [(f"`{name}`", words[name]) for name in names])


def _same(title: str, found: set[str], words: Mapping[str, str]) -> None:
    if found != words.keys():
        lacking, over = sorted(found - words.keys()), sorted(words.keys() - found)
        raise SystemExit(f"docs.reference: {title}: without words {lacking}, not in the code {over}")


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *(list(row) for row in rows)]
    shown = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([shown[0], "|" + "---|" * len(lines[0]), *shown[1:]])


PARTS: dict[str, Callable[[], str]] = {
    made.__name__: made
    for made in (
        *(commands, settings, columns, error_kinds, figures, json_run, json_plan, json_reconcile),
        *(log_events, log_keys, rooms, finish_checks, finish_keys, finish_presets),
    )
}


def drawings() -> dict[Path, str]:
    """The drawings, by the file that each is kept in."""
    lowest = "records · errors · naming · images · signed links · text · strict yaml · …"
    return {
        DOCS / "images/house.svg": house(floors(), apart="sandbox", lowest=lowest),
        DOCS / "images/path.svg": path_of_a_row(),
    }


if __name__ == "__main__":
    for drawing, text in drawings().items():
        drawing.write_text(text, encoding="utf-8")
    for path in pages():
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
