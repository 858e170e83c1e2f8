"""From an entry and a row to jobs: parameters in the endpoint's order, its rules, ids and variants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from batch_editor.manifest.entry import Entry, Manifest
from batch_editor.manifest.faults import Problem, Refused, shown
from batch_editor.manifest.finish_key import KEY as FINISH
from batch_editor.manifest.job_warnings import ending_warnings, shortened_warning
from batch_editor.manifest.odd_cells import (
    IS_IT_MEANT,
    MEND_IT,
    OddText,
    SpreadsheetError,
    check_is_no_error,
    oddity_of,
    placeholder_warnings,
    problems_of,
    way_to_skip,
)
from batch_editor.manifest.redo_prompt import KEY as REDO_PROMPT
from batch_editor.manifest.rows import Row
from batch_editor.manifest.rules import as_text, broken_rules, listed, mask_faults, matches
from batch_editor.manifest.table import columns_said
from batch_editor.manifest.templates import OddCellFault, UnknownColumn
from batch_editor.manifest.values import Files, Fixed, Rendered, Slot, fallback_of, is_wanted
from batch_editor.records import EditRequest, FaultyRow, Job, ParamValue
from batch_editor.text import escape_bytes, printable

_LONGEST = 1000  # characters of what is wrong with a row


class _Empty(Refused):
    """A row says nothing of what every request needs."""


class Expander:
    """Makes the jobs of an entry's rows. What no row can change is decided, and reported, once.

    `input_names` are the names that templates of prompts and links use. `problems` are what is wrong with the entry,
    for the caller to report; it then gives no jobs.
    """

    def __init__(self, manifest: Manifest, entry: Entry) -> None:
        self._manifest = manifest
        self._endpoint = manifest.endpoint
        self._entry = entry
        self._layers = (manifest.overrides, entry.own, entry.defaults)
        self._when = self._first_said("when")
        self._last_skipped: object = None
        redo_prompt = self._first_said(REDO_PROMPT)
        self._redo_prompt = str(redo_prompt.value) if isinstance(redo_prompt, Fixed) else None
        finish = self._first_said(FINISH)
        self._finish = str(finish.value) if isinstance(finish, Fixed) else None
        self._id = self._slot("id", None)
        self._identity = self._slot("identity", None)
        self._has_identity = self._identity.varies or self._identity.end is not None
        self._inputs = tuple(name for name in (self._endpoint.images, self._endpoint.mask) if name is not None)
        self._output = self._slot("output", None)
        self._has_outputs = self._output.varies or self._output.end is not None
        self._params: dict[str, ParamValue] = {}
        self._files: Files = {}
        self._given: set[str] = set()
        self._left_out: set[str] = set()  # where a row says nothing
        self._unsent = self._endpoint.unsent_defaults  # what the provider takes for those: rules go by it
        self._varying: list[Slot] = []
        self._has_warned = False
        self._stem = escape_bytes(manifest.stem)
        self._variants = range(1, entry.variants + 1)
        self._problems = list(entry.problems)
        self.problems: list[Problem] = []
        self._found: list[Problem] = []
        self._row_warnings: list[Problem] = []
        self.input_names: frozenset[str] = frozenset()
        for name, parameter in self._endpoint.parameters.items():
            slot = self._slot(name, fallback_of(parameter))
            self._note_fixed(slot)
            if manifest.is_input(name):
                self.input_names |= slot.names
        self._is_sound = manifest.is_sound and entry.is_sound
        if self._problems and not entry.is_one_job:
            self.problems, self._problems = self._problems, []
            self._is_sound = False
        # Each row asks for all of them.
        self._reading = [(slot, slot.name, slot.read, manifest.is_text(slot.name)) for slot in self._varying]
        # Rules and warnings that the rows have a say in: all others are decided here, once for all rows.
        varying = {slot.name for slot in self._varying}
        self._unused = [unused for unused in self._endpoint.unused if unused.parameter in varying | self._given]
        ruling = dict.fromkeys(name for rule in self._endpoint.rules for name in (*rule.when, *rule.need))
        self._ruling = tuple(ruling) if varying & ruling.keys() else ()
        known = {**self._unsent, **self._params}
        self._broken = broken_rules(self._endpoint, {name: as_text(known.get(name)) for name in ruling})

    def jobs(self, row: Row) -> Sequence[Job | FaultyRow]:
        """The row's job, or its variants; if something is wrong with it none, but faults, or what stands for them."""
        problems = self._found = self._problems.copy()
        if self._row_warnings:
            self._row_warnings.clear()
        # A row without its cells can't be asked whether it is wanted.
        if not self.wants(row):
            return []
        if row.problem is not None:
            return self._refused_whole(row, row.problem)
        job_id = self._name(self._id, row, self._entry.label) or f"{self._stem}-{row.number}"
        has_own_id = not problems or not any(problem.about == "id" for problem in problems)
        label = f"job {job_id}{self._entry.on}: " if has_own_id else self._entry.label
        output = self._name(self._output, row, label) if self._has_outputs else None
        files: Files = {}
        params, is_filled = self._filled(row, label, files)
        identity = self._name(self._identity, row, label) if self._has_identity else None
        request = EditRequest(self._endpoint.name, params)
        if identity is not None:
            request = request._replace(identity=identity, inputs=self._inputs)
        if not is_filled or problems or not self._is_sound:
            return self._refused(row, job_id if has_own_id else None, request)
        if self._row_warnings:
            self._manifest.faults.warn_of_row(self._row_warnings, row.key)
        if "E+" in job_id:
            self._warn_of_shortened(job_id)
        for name in self._inputs:
            if warnings := ending_warnings(row.where, name, params.get(name)):
                self._manifest.faults.warn_of_row(warnings, row.key)
        extras = row.columns.extras(row.cells)
        job = Job(
            *(job_id, output or None, request, row.where, extras, files, self._entry.where, row.axes),
            redo_prompt=self._redo_prompt,
            finish=self._finish,
        )
        return [job] if self._entry.variants == 1 else [self._variant(job, number) for number in self._variants]

    def _variant(self, job: Job, number: int) -> Job:
        return job._replace(
            id=self._variant_name(job.id, number),
            output=None if job.output is None else self._variant_name(job.output, number),
            request=job.request._replace(variant=number),
        )

    def _variant_name(self, name: str, number: int) -> str:
        return f"{name}-v{number}" if self._entry.variants > 1 else name

    def _first_said(self, key: str) -> Fixed | Rendered | None:
        """The first layer's word on a key: what it says is not passed over where it is blank."""
        for source in (layer.get(key) for layer in self._layers):
            if isinstance(source, Rendered) or (isinstance(source, Fixed) and source.value is not None):
                return source
        return None

    def wants(self, row: Row) -> bool:
        """Whether `when` lets the row pass; if not, that is counted. One that fails lets it pass, to be reported."""
        if self._when is None or (row.problem is not None and not row.cells):
            return True
        try:
            text = self._when.value if isinstance(self._when, Fixed) else self._when.read(row)
        except Refused as error:
            self._note(row, "when", error, self._entry.label)
            return True
        if is_wanted(str(text)):
            return True
        place = row.key if self._entry.has_rows else row.number
        if place != self._last_skipped:
            self._manifest.faults.skipped["when"] += 1
            self._last_skipped = place
        return False

    def _slot(self, name: str, fallback: Fixed | None) -> Slot:
        names = self._manifest.names_of(name)
        sources = [layer[each] for layer in self._layers for each in names if each in layer]
        return Slot(name, sources, self._manifest.converters[name], fallback=fallback)

    def _note_fixed(self, slot: Slot) -> None:
        """Note what is the same in every row, in the endpoint's order; rows overwrite it."""
        end = slot.end
        if end is not None and end.value is None and self._endpoint.parameters[slot.name].only_when_set:
            self._left_out.add(slot.name)
            end = None
        if end is not None:
            self._params[slot.name] = end.value
        if slot.varies:
            self._params.setdefault(slot.name, None)
            self._varying.append(slot)
        elif end is not None:
            self._files |= end.files
            if slot.end_is_given:
                self._given.add(slot.name)
        elif self._endpoint.parameters[slot.name].must_be_said:
            fault = (
                "empty"
                if any(layer.keys() & set(self._manifest.names_of(slot.name)) for layer in self._layers)
                else "missing"
            )
            message = f"{slot.name} is {fault}{self._entry.hints.get(slot.name, '')}"
            self._problems.append(Problem(self._entry.where, message, self._entry.label, about=slot.name))

    def _name(self, slot: Slot, row: Row, label: str) -> str | None:
        try:
            value = slot.read(row, {}) if slot.varies else None
            if value is not None:
                value = self._meant(row, slot, value)
        except Refused as error:
            self._note(row, slot.name, error, label)
            return None
        if value is None and slot.end is not None:
            value = slot.end.value
        return value if isinstance(value, str) else None

    def _filled(self, row: Row, label: str, files: Files) -> tuple[dict[str, ParamValue], bool]:
        """Every parameter, in the endpoint's order, and the local files they name; and whether there are no faults."""
        params = self._params.copy()
        if self._files:
            files |= self._files
        silent: list[Slot] = []
        is_sound = True
        for slot, name, read, is_text in self._reading:
            try:
                value = read(row, files)
                if is_text and value is not None:
                    value = self._meant(row, slot, value)
                if value is None and slot.end is None and self._endpoint.parameters[name].must_be_said:
                    raise _Empty("is empty")
            except Refused as error:
                advice = self._way_to_skip(row, slot) if isinstance(error, _Empty) else ""
                self._note(row, name, error, label, advice)
                params[name] = None
                is_sound = False
                continue
            if value is not None:
                params[name] = value
                continue
            silent.append(slot)
            if slot.end is None or name in self._left_out:
                del params[name]
            else:
                files |= slot.end.files
        if self._ruling or self._broken or files:
            is_sound &= self._keeps_rules(row, label, params, files)
        if self._unused and is_sound and self._is_sound:
            self._warn_of_unused(params, silent)
        return params, is_sound

    def _meant(self, row: Row, slot: Slot, text: ParamValue) -> ParamValue:
        """A free text or a name that looks odd, if it may be sent; None if it says nothing.

        Raises:
            OddCellFault: a blank cell, or a spreadsheet's error, comes out in it.
            SpreadsheetError: it is one.
        """
        if not isinstance(text, OddText):
            assert isinstance(text, str)
            oddity = oddity_of(text)
            if oddity == "error":
                check_is_no_error(text)
            if oddity == "placeholder":
                self._row_warnings.append(
                    Problem(row.where, f"{slot.name} is {shown(text.strip())}", advice=IS_IT_MEANT)
                )
            return text
        is_blank = not text.strip()
        if is_blank and slot.end is not None:
            return None
        if any(cell.oddity != "placeholder" for cell in text.cells):
            raise OddCellFault("has odd cells", text.cells)
        self._row_warnings += placeholder_warnings(text.cells, row.where)
        return None if is_blank else str(text)

    def _way_to_skip(self, row: Row, slot: Slot) -> str:
        """How rows are skipped whose cell is blank that a value is made of; nothing where it isn't one blank cell."""
        names = (slot.names or {slot.name}) - {"row"}
        if not self._entry.has_rows or self._manifest.is_text(slot.name) or len(names) != 1:
            return ""
        return way_to_skip(row.names, *names, is_table=self._manifest.is_table)

    def _note(self, row: Row, name: str, error: Refused, label: str, advice: str = "") -> None:
        """A problem of the row: with a cell, if it lies there, else with the value of that name."""
        cells = error.cells if isinstance(error, OddCellFault) else ()
        if found := problems_of(cells, row.where, name, is_table=self._manifest.is_table):
            self._found += found
            return
        if isinstance(error, SpreadsheetError):
            advice = MEND_IT
        if isinstance(error, UnknownColumn) and self._entry.has_rows and row.columns.names:
            advice = columns_said(row.columns.names)
        self._found.append(Problem(row.where, str(error.with_subject(name)), label, advice, about=name))

    def _keeps_rules(self, row: Row, label: str, params: Mapping[str, ParamValue], files: Files) -> bool:
        broken = self._broken
        if self._ruling:
            known = {**self._unsent, **params}
            broken = broken_rules(self._endpoint, {name: as_text(known.get(name)) for name in self._ruling})
        if files:
            broken = [*broken, *mask_faults(self._endpoint, params, files)]
        self._found += [Problem(row.where, message, label) for message in broken]
        return not broken

    def _refused_whole(self, row: Row, problem: Problem) -> list[FaultyRow]:
        """What stands for a row that isn't one of the table's, or must not be looked at further."""
        self._found.append(problem)
        if not row.cells:
            return self._refused(row, None)
        job_id = self._name(self._id, row, self._entry.label) or f"{self._stem}-{row.number}"
        return self._refused(row, None if any(each.about == "id" for each in self._found) else job_id)

    def _refused(self, row: Row, job_id: str | None, request: EditRequest | None = None) -> list[FaultyRow]:
        """What stands for a row with problems; none where they are faults of the manifest. `request`, as far as it is
        known, says which shard it belongs to.
        """
        manifest, problems = self._manifest, self._found
        is_whole = row.problem is None
        name = job_id or manifest.faults.substitute_id(self._stem, row.where)
        message = printable("; ".join(problem.message for problem in problems), limit=_LONGEST)
        extras = row.columns.extras(row.cells) if is_whole else {}
        names = [self._variant_name(name, number) for number in self._variants]
        rows = [FaultyRow(each, row.where, message, extras, request) for each in names]
        if self._is_sound:
            if not manifest.choice.has_any(names):
                return rows
            if manifest.skip_faulty:
                manifest.faults.leave_out(problems, row.key)
                return rows
        manifest.faults.refuse(problems, row.key)
        if job_id is not None:
            manifest.faults.note(job_id, row.where)
        return []

    def _warn_of_unused(self, params: Mapping[str, ParamValue], silent: Sequence[Slot]) -> None:
        """Warn of what the manifest says in vain; `silent` are slots of which the row says nothing."""
        default = {slot.name for slot in silent if slot.end is None or not slot.end_is_given}
        for unused in self._unused:
            if unused.parameter not in default and matches(unused.when, {**self._unsent, **params}):
                message = f"{unused.parameter} has no effect with {listed(unused.when, ' ')} ({unused.why})"
                self._manifest.faults.warn(str(self._manifest.path), message)

    def _warn_of_shortened(self, job_id: str) -> None:
        if not self._has_warned and (warning := shortened_warning(job_id)):
            self._has_warned = True
            self._manifest.faults.warn(str(self._manifest.path), warning)
