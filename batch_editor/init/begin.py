"""`init`: from a source to a manifest that plans as it stands, and the commands that come next."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from batch_editor.config import Settings
from batch_editor.endpoints import shipped_endpoints
from batch_editor.errors import ManifestError, StorageError, UsageError
from batch_editor.files import make_folder
from batch_editor.init.check import FIRST, Reading, conditions_without, read_first
from batch_editor.init.draft import SCHEMA_FILE, Draft, jinja_text, prompt_for
from batch_editor.init.parameters import first_defaults
from batch_editor.init.source import Source, find_source, relative
from batch_editor.init.subject import Subject, subject_of
from batch_editor.manifest import manifest_schema
from batch_editor.money import price_of
from batch_editor.planning import Catalog
from batch_editor.text import escape_bytes, many, shell_word

# Faulty rows are looked for until there are none; each turn leaves out what the one before has found.
_TURNS = 3


@dataclass(frozen=True, slots=True)
class Beginning:
    """What was written: the manifest, with so many jobs, and what to do next.

    said: what the source was read as. notes: what wasn't found there, or is left out. faulty: rows that are faulty
    still; messages: the first of their faults.
    """

    manifest: Path
    said: str
    jobs: int
    max_cost_usd: float
    faulty: int
    notes: tuple[str, ...]
    messages: tuple[str, ...]
    options: str

    def lines(self) -> Iterator[str]:
        """For people."""
        manifest = shell_word(str(self.manifest))
        yield f"{self.said}."
        yield f"Wrote {self.manifest}: {many(self.jobs, 'job')}."
        yield from self.notes
        if self.faulty:
            yield f"Faulty, and left out by --skip-faulty: {many(self.faulty, 'row')}, such as"
            yield from (f"  {message}" for message in self.messages)
        skip = " --skip-faulty" if self.faulty else ""
        yield "Next: change its prompt, see what it costs, buy a few, then the rest:"
        yield f"  batch-editor plan {manifest}{self.options}{skip}"
        yield f"  batch-editor run {manifest}{self.options}{skip} --limit {FIRST} --max-cost {self.max_cost_usd:.2f}"
        if self.jobs > FIRST:
            yield f"  batch-editor run {manifest}{self.options}{skip}"


def begin(
    source: str,
    settings: Settings,
    *,
    to: Path | None = None,
    force: bool = False,
    config: Path | None = None,
    endpoint: str | None = None,
) -> Beginning:
    """Write a first manifest of the source to `to` (default: `jobs/<its stem>.yaml`), and the schema beside it. Blocks.

    `endpoint` is one that was chosen for this manifest, which then names it; `config` the settings' file, for the
    commands.

    Raises:
        UsageError: the source can't be read or has no pictures, or the manifest is there and `force` isn't given.
        StorageError: it can't be written.
    """
    found = find_source(source)
    target = to if to is not None else Path("jobs") / f"{found.stem}.yaml"
    _check_target(target, force=force)
    catalog = Catalog(settings)
    options = "" if config is None else f" -c {shell_word(str(config))}"
    try:
        make_folder(target.parent)
        subject = subject_of(found, catalog.default, target.parent)
        draft = _draft(found, subject, catalog, target.parent, _named(settings, endpoint, target.parent))
        command = f"batch-editor plan {shell_word(str(target))}{options}"
        draft, reading = _sound(found, draft, subject, catalog, target, command)
        _write(target, draft.text(command=command), force=force)
        _write_schema(target.parent / SCHEMA_FILE)
    except OSError as error:
        raise StorageError(f"{error.filename or target}: can't be written ({error.strerror or error})") from error
    return Beginning(
        target,
        subject.said,
        reading.jobs,
        _most_of(reading, catalog),
        reading.faulty,
        draft.notes,
        tuple(_said_of_row(found, reading)[:FIRST]),
        options,
    )


def _check_target(target: Path, *, force: bool) -> None:
    if target.suffix.lower() not in (".yaml", ".yml"):
        raise UsageError(f"--to {target}: expected a name that ends in .yaml")
    if target.is_dir():
        raise UsageError(f"{target} is a folder; say where the manifest goes: --to FILE")
    if not force and os.path.lexists(target):
        raise UsageError(f"{target} is there already: --force overwrites it, --to FILE writes another one")


def _named(settings: Settings, chosen: str | None, folder: Path) -> str | None:
    """The endpoint that the manifest names: one that was chosen for it, or a file, whose parameters are its own."""
    if settings.endpoint in shipped_endpoints():
        return settings.endpoint if chosen is not None else None
    return relative(Path(settings.endpoint), folder)


def _draft(source: Source, subject: Subject, catalog: Catalog, folder: Path, named: str | None) -> Draft:
    """The first manifest of a subject. That some of its links are faulty isn't known yet."""
    endpoint = catalog.default
    if endpoint.images is None:
        raise UsageError(f"endpoint {endpoint.name} takes no pictures: write its manifest by hand")
    prompt = prompt_for(subject.title, is_sometimes_blank=subject.is_title_blank)
    if endpoint.prompt is not None and endpoint.prompt in subject.parameters:
        prompt = f"{{{{ {endpoint.prompt} or {jinja_text(prompt_for(None))} }}}}"
    parameters = {name: f"{{{{ {name} }}}}" for name in subject.parameters if name != endpoint.prompt}
    filled = frozenset((*subject.parameters, endpoint.images, *filter(None, [endpoint.prompt])))
    defaults = first_defaults(endpoint, catalog.prices(endpoint), filled=filled)
    is_several = len(subject.images) > 1
    return Draft(
        said=subject.said,
        rows=source.seen_from(folder),
        columns=subject.columns,
        link=subject.link,
        images=(endpoint.images, subject.item),
        takes_list=endpoint.parameters[endpoint.images].type == "links",
        prompt=None if endpoint.prompt is None else (endpoint.prompt, prompt),
        defaults=defaults,
        example=subject.example,
        endpoint=named,
        format=None if source.format is None else str(source.format),
        id=subject.id,
        output=subject.output,
        matrix=(subject.matrix, subject.images) if is_several else None,
        parameters=parameters,
        conditions=(subject.link,) if subject.has_blank_links else (),
        notes=tuple(subject.notes),
    )


def _sound(
    source: Source, draft: Draft, subject: Subject, catalog: Catalog, target: Path, command: str
) -> tuple[Draft, Reading]:
    """The draft with conditions that leave its faulty rows out, as far as their links show which they are.

    It is read as a file of its place, for paths in it go from there.
    """
    reading = _read(source, draft, subject, catalog, target, command)
    if reading.has_repeated_ids and draft.id is not None:
        draft = replace(draft, id=None, notes=(*draft.notes, "Jobs are numbered, for two rows have the same id."))
    all_faulty = reading
    for _ in range(_TURNS):
        more = [each for each in conditions_without(reading, draft.link) if each not in draft.conditions]
        if not more:
            break
        stricter = replace(draft, conditions=(*draft.conditions, *more))
        try:
            left = _read(source, stricter, subject, catalog, target, command)
        except ManifestError:  # none is left
            break
        if left.jobs < reading.jobs:  # they would cost sound rows as well
            break
        draft, reading = stricter, left
    if gone := all_faulty.faulty - reading.faulty:
        still = _said_of_row(source, reading)
        said = [f"  {message}" for message in _said_of_row(source, all_faulty) if message not in still]
        more = [f"  and {gone - len(said):,} more"] if gone > len(said) else []
        draft = replace(
            draft, notes=(*draft.notes, f"Left out by when: {many(gone, 'row')} with faults:", *said, *more)
        )
    return draft, reading


def _said_of_row(source: Source, reading: Reading) -> list[str]:
    """What is wrong with the first faulty rows, each with its place."""
    if source.has_pictures:
        return [message for _, message in reading.messages]
    return [f"{escape_bytes(source.path)}:{line}: {message}" for line, message in reading.messages]


def _read(source: Source, draft: Draft, subject: Subject, catalog: Catalog, target: Path, command: str) -> Reading:
    """The draft read as a manifest, under a name beside its own."""
    trial = target.parent / f".init-{os.getpid()}.yaml"
    try:
        trial.write_text(draft.text(command=command), encoding="utf-8")
        return read_first(trial, catalog, subject.images, subject.matrix if draft.matrix else None)
    except ManifestError as error:
        # There is no such manifest: what is wrong lies in the source.
        of_trial = re.compile(rf"{re.escape(escape_bytes(str(trial)))}:\d+, ")
        place, own = str(target.parent / draft.rows), escape_bytes(source.path)
        lines = [of_trial.sub("", line).replace(place, own).replace(trial.stem, target.stem) for line in error.faults]
        raise ManifestError([f"{own}: no row can be sent:", *lines], total=error.total + 1) from error
    finally:
        trial.unlink(missing_ok=True)


def _write(target: Path, text: str, *, force: bool) -> None:
    """Write the manifest; without `force` only if there is nothing."""
    if not force:
        try:
            with target.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            _check_target(target, force=False)
        return
    new = target.parent / f".init-{os.getpid()}.yaml"
    new.write_text(text, encoding="utf-8")
    new.replace(target)


def _write_schema(path: Path) -> None:
    """Write the manifests' schema, if it isn't there or is of another version."""
    text = json.dumps(manifest_schema(), indent=2, ensure_ascii=False) + "\n"
    with suppress(OSError, UnicodeDecodeError):
        if path.read_text(encoding="utf-8") == text:
            return
    path.write_text(text, encoding="utf-8")


def _most_of(reading: Reading, catalog: Catalog) -> float:
    """What the first three jobs cost at most by the price list, in whole cents."""
    endpoint = catalog.default
    prices = catalog.prices(endpoint)
    usd = 0.0
    for job in reading.first:
        params = {**endpoint.unsent_defaults, **job.request.params}
        prompt = params.get(endpoint.prompt or "")
        length = len(prompt) if isinstance(prompt, str) else 0
        usd += price_of(prices, params, inputs=endpoint.inputs_of(params), prompt_length=length).max_usd
    return math.ceil(100 * usd - 1e-9) / 100
