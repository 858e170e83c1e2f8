"""From an entry and a row to jobs: parameters in the endpoint's order, its rules, ids and variants."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from batch_editor.endpoints import Endpoint
from batch_editor.manifest.entry import Entry, Manifest
from batch_editor.manifest.faults import Problem, Refused, shown
from batch_editor.manifest.rows import Row
from batch_editor.manifest.values import Files, Fixed, Rendered, Slot, fallback_of, is_wanted
from batch_editor.records import LOCAL, EditRequest, FaultyRow, Job, LocalFile, ParamValue
from batch_editor.redaction import printable

# 123456789012 after a spreadsheet: every id of the column has become the same few.
_SHORTENED = re.compile(r"\d\.\d+E\+\d\d")
_LONGEST = 1000  # characters of what is wrong with a row
_NULL = "null"  # as an endpoint's file writes it


class Expander:
    """Makes the jobs of an entry's rows. What no row can change is settled, and reported, once.

    `input_names` are the names that templates of prompts and links use.
    """

    def __init__(self, manifest: Manifest, entry: Entry) -> None:
        self._manifest = manifest
        self._endpoint = manifest.endpoint
        self._entry = entry
        self._layers = (manifest.overrides, entry.own, entry.defaults)
        self._when = self._first_said("when")
        self._last_skipped: object = None
        self._id = self._slot("id", None)
        self._identity = self._slot("identity", None)
        self._has_identity = self._identity.varies or self._identity.end is not None
        self._inputs = tuple(name for name in (self._endpoint.images, self._endpoint.mask) if name is not None)
        self._output = self._slot("output", None)
        self._has_outputs = self._output.varies or self._output.end is not None
        self._params: dict[str, ParamValue] = {}
        self._files: Files = {}
        self._given: set[str] = set()
        self._varying: list[Slot] = []
        self._has_warned = False
        self._stem = manifest.path.stem
        count = entry.variants
        self._variants = [(number, f"-v{number}" if count > 1 else "") for number in range(1, count + 1)]
        self._problems = list(entry.problems)
        self.input_names: frozenset[str] = frozenset()
        for name, parameter in self._endpoint.parameters.items():
            slot = self._slot(name, fallback_of(parameter))
            self._settle(slot)
            if manifest.is_input(name):
                self.input_names |= slot.names
        self._is_sound = manifest.is_sound and entry.is_sound
        if self._problems and not entry.is_one_job:
            manifest.faults.refuse(self._problems)
            self._problems.clear()
            self._is_sound = False
        self._reading = [(slot, slot.name, slot.read) for slot in self._varying]  # each row asks for all of them
        # Rules and warnings that the rows have a say in: all others are settled here, for their sake.
        varying = {slot.name for slot in self._varying}
        self._unused = [unused for unused in self._endpoint.unused if unused.parameter in varying | self._given]
        ruling = dict.fromkeys(name for rule in self._endpoint.rules for name in (*rule.when, *rule.need))
        self._ruling = tuple(ruling) if varying & ruling.keys() else ()
        self._broken = _broken_rules(self._endpoint, {name: _as_text(self._params.get(name)) for name in ruling})

    def jobs(self, row: Row) -> Sequence[Job | FaultyRow]:
        """The row's job, or its variants; if something is wrong with it none, but faults, or what stands for them."""
        problems = self._found = [*self._problems]
        if row.problem is not None and not row.cells:
            problems.append(row.problem)
            return self._refused(row, None)
        if self._when is not None and not self._is_wanted(row):
            return []
        if row.problem is not None:
            problems.append(row.problem)
        job_id = self._name(self._id, row, self._entry.label) or f"{self._stem}-{row.number}"
        is_told = not problems or not any(problem.about == "id" for problem in problems)
        if row.problem is not None:
            return self._refused(row, job_id if is_told else None)
        label = f"job {job_id}: " if is_told else self._entry.label
        output = self._name(self._output, row, label) if self._has_outputs else None
        files: Files = {}
        params = self._filled(row, label, files)
        identity = self._name(self._identity, row, label) if self._has_identity else None
        if params is None or problems or not self._is_sound:
            return self._refused(row, job_id if is_told else None)
        if "E+" in job_id:
            self._warn_of_shortened(job_id)
        extras = row.columns.extras(row.cells)
        jobs: list[Job | FaultyRow] = []
        for variant, suffix in self._variants:
            request = EditRequest(self._endpoint.name, params, variant)
            if identity is not None:
                request = request._replace(identity=identity, inputs=self._inputs)
            named = output + suffix if output else None
            jobs.append(Job(job_id + suffix, named, request, row.where, extras, files, self._entry.where))
        return jobs

    def _first_said(self, key: str) -> Fixed | Rendered | None:
        """The first layer's word on a key: what it says is not passed over where it is blank."""
        for source in (layer.get(key) for layer in self._layers):
            if isinstance(source, Rendered) or (isinstance(source, Fixed) and source.value is not None):
                return source
        return None

    def _is_wanted(self, row: Row) -> bool:
        """Whether `when` lets the row pass. One that fails is a problem, and lets it pass to be told."""
        assert self._when is not None
        try:
            text = self._when.value if isinstance(self._when, Fixed) else self._when.read(row)
        except Refused as error:
            self._found.append(Problem(row.where, str(error.of("when")), self._entry.label, about="when"))
            return True
        if is_wanted(str(text)):
            return True
        place = (row.where, row.base) if self._entry.has_rows else row.number
        if place != self._last_skipped:
            self._manifest.faults.skipped["when"] += 1
            self._last_skipped = place
        return False

    def _slot(self, name: str, fallback: Fixed | None) -> Slot:
        sources = [layer[name] for layer in self._layers if name in layer]
        return Slot(name, sources, self._manifest.converters[name], fallback=fallback)

    def _settle(self, slot: Slot) -> None:
        """Note what is the same in every row, in the endpoint's order; rows overwrite it."""
        if slot.end is not None:
            self._params[slot.name] = slot.end.value
        if slot.varies:
            self._params.setdefault(slot.name, None)
            self._varying.append(slot)
        elif slot.end is not None:
            self._files |= slot.end.files
            if slot.end_is_given:
                self._given.add(slot.name)
        elif self._endpoint.parameters[slot.name].required:
            fault = "empty" if any(slot.name in layer for layer in self._layers) else "missing"
            message = f"{slot.name} is {fault}{self._entry.hints.get(slot.name, '')}"
            self._problems.append(Problem(self._entry.where, message, self._entry.label, about=slot.name))

    def _name(self, slot: Slot, row: Row, label: str) -> str | None:
        try:
            value = slot.read(row, {}) if slot.varies else None
        except Refused as error:
            self._found.append(Problem(row.where, str(error.of(slot.name)), label, about=slot.name))
            return None
        if value is None and slot.end is not None:
            value = slot.end.value
        return value if isinstance(value, str) else None

    def _filled(self, row: Row, label: str, files: Files) -> dict[str, ParamValue] | None:
        """Every parameter, in the endpoint's order, and the local files they name; None if there are faults."""
        params = self._params.copy()
        if self._files:
            files |= self._files
        silent: list[Slot] = []
        is_sound = True
        for slot, name, read in self._reading:
            try:
                value = read(row, files)
                if value is None and slot.end is None and self._endpoint.parameters[name].required:
                    raise Refused("is empty")
            except Refused as error:
                self._found.append(Problem(row.where, str(error.of(name)), label, about=name))
                params[name] = None
                is_sound = False
                continue
            if value is not None:
                params[name] = value
                continue
            silent.append(slot)
            if slot.end is None:
                del params[name]
            else:
                files |= slot.end.files
        if self._ruling or self._broken or files:
            is_sound &= self._keeps_rules(row, label, params, files)
        if self._unused and is_sound and self._is_sound:
            self._warn_of_unused(params, silent)
        return params if is_sound else None

    def _keeps_rules(self, row: Row, label: str, params: Mapping[str, ParamValue], files: Files) -> bool:
        broken = self._broken
        if self._ruling:
            broken = _broken_rules(self._endpoint, {name: _as_text(params.get(name)) for name in self._ruling})
        if files:
            broken = [*broken, *_mask_faults(self._endpoint, params, files)]
        self._found += [Problem(row.where, message, label) for message in broken]
        return not broken

    def _refused(self, row: Row, job_id: str | None) -> list[FaultyRow]:
        """What stands for a row with problems; none where they are faults of the manifest. The id, where it's told."""
        manifest, problems = self._manifest, self._found
        is_whole = row.problem is None
        name = job_id or manifest.faults.substitute_id(self._stem, row.where)
        message = printable("; ".join(problem.message for problem in problems), limit=_LONGEST)
        extras = row.columns.extras(row.cells) if is_whole else {}
        rows = [FaultyRow(name + suffix, row.where, message, extras) for _, suffix in self._variants]
        if self._is_sound:
            if not manifest.choice.has_any(faulty.id for faulty in rows):
                return rows
            if manifest.skip_faulty:
                manifest.faults.leave_out(problems, (row.where, row.base))
                return rows
        manifest.faults.refuse(problems, (row.where, row.base))
        if job_id is not None:
            manifest.faults.note(job_id, row.where)
        return []

    def _warn_of_unused(self, params: Mapping[str, ParamValue], silent: Sequence[Slot]) -> None:
        """Warn of what the manifest says in vain; `silent` are slots of which the row says nothing."""
        default = {slot.name for slot in silent if slot.end is None or not slot.end_is_given}
        for unused in self._unused:
            if unused.parameter not in default and _matches(unused.when, params):
                message = f"{unused.parameter} has no effect with {_listed(unused.when, ' ')} ({unused.why})"
                self._manifest.faults.warn(str(self._manifest.path), message)

    def _warn_of_shortened(self, job_id: str) -> None:
        if not self._has_warned and _SHORTENED.search(job_id):
            self._has_warned = True
            message = f"id {shown(job_id)} looks shortened by a spreadsheet; format the column as text"
            self._manifest.faults.warn(str(self._manifest.path), message)


def _broken_rules(endpoint: Endpoint, texts: Mapping[str, str]) -> list[str]:
    """Combinations that the provider refuses; what isn't known, for it is faulty itself, breaks no rule."""
    broken = []
    for rule in endpoint.rules:
        if not all(texts[name] == value for name, value in rule.when.items()):
            continue
        for name, allowed in rule.need.items():
            if texts[name] not in (_NULL, *allowed):
                needed = f"{name} {' or '.join(allowed)}"
                broken.append(f"{_listed(rule.when, ' is ')}, which needs {needed} ({rule.why}); got {texts[name]}")
    return broken


def _mask_faults(endpoint: Endpoint, params: Mapping[str, ParamValue], files: Files) -> Iterator[str]:
    """What is wrong with a local mask; one behind a link is the provider's to look at."""
    name = endpoint.mask
    mask = _local(params.get(name or ""), files)
    if mask is None:
        return
    if not mask.has_alpha:
        yield f"{name} is {shown(Path(mask.path).name)}, which has no alpha; expected transparency where to edit"
    images = params.get(endpoint.images or "")
    first = _local(images[0], files) if isinstance(images, list) else None
    if first and (mask.width, mask.height) != (first.width, first.height):
        wanted = f"expected the size of the first image, {first.width}x{first.height}"
        yield f"{name} is {mask.width}x{mask.height}; {wanted}"


def _local(link: ParamValue, files: Files) -> LocalFile | None:
    return files.get(link.removeprefix(LOCAL)) if isinstance(link, str) else None


def _matches(when: Mapping[str, str], params: Mapping[str, ParamValue]) -> bool:
    return all(_as_text(params.get(name)) == value for name, value in when.items())


def _as_text(value: ParamValue) -> str:
    """A value as an endpoint's file writes it."""
    if value is None:
        return _NULL
    return str(value).lower() if isinstance(value, bool) else str(value)


def _listed(when: Mapping[str, str], between: str) -> str:
    return " and ".join(f"{name}{between}{value}" for name, value in when.items())
