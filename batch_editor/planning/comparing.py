"""From a few jobs and some values to a comparison's jobs, each made in every way; and what all jobs would cost so."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from batch_editor.endpoints import Endpoint, load_endpoint
from batch_editor.errors import EndpointError, ManifestError, UsageError
from batch_editor.files import YAML
from batch_editor.ledger import Staging, staging_readings
from batch_editor.manifest import STANDARD_INPUT
from batch_editor.manifest.yaml_destination import named_by
from batch_editor.money import Price
from batch_editor.planning.calibration import Calibration
from batch_editor.planning.catalog import (
    Catalog,
    Selection,
    StagingReport,
    stage_manifests,
    with_kinds,
)
from batch_editor.planning.compared_values import (
    ENDPOINT,
    check_values,
    default_of,
    names_of,
    said_of,
    takes,
    with_sent,
)
from batch_editor.planning.comparison import ComparedJob, Comparison, Way
from batch_editor.planning.picked_jobs import PickedJobs
from batch_editor.records import FaultyRow, Job
from batch_editor.strict_yaml import Block, YamlFault, read_yaml
from batch_editor.text import quoted

JOBS = 5  # that are compared, unless --limit says otherwise
MOST_WAYS = 100


def stage_jobs(
    manifests: Sequence[Path],
    catalog: Catalog,
    selection: Selection,
    calibration: Calibration,
    staging: Staging,
) -> StagingReport:
    """Stage the jobs of the manifests, or a comparison of some of them where the selection says over what. Blocks.

    Raises:
        ManifestError: with every fault of every manifest.
        UsageError: what is to be compared is no parameter, or no value of it.
    """
    if not selection.over:
        return stage_manifests(manifests, catalog, selection, calibration, staging)
    return _Comparing(manifests, catalog, selection, calibration).stage(staging)


Combination = Mapping[str, str]


class _Overridden(NamedTuple):
    """What a run is given for a combination; what of that has no place there, by parameter and endpoint."""

    overrides: Mapping[str, str]
    losses: Mapping[tuple[str, str], str] = MappingProxyType({})


@dataclass
class _Found:
    """What reading the manifests for some combinations, which are alike, has given."""

    combinations: list[Combination]
    overrides: Mapping[str, str]
    jobs: Mapping[str, Job]
    all: staging_readings.Totals
    by_endpoint: Sequence[tuple[str, int]]


class _Comparing:
    """Reads the manifests once for each combination: so its jobs are those of the run that does all of them so."""

    def __init__(
        self,
        manifests: Sequence[Path],
        catalog: Catalog,
        selection: Selection,
        calibration: Calibration,
    ) -> None:
        if pipe := next((path for path in manifests if path != STANDARD_INPUT and path.is_fifo()), None):
            raise UsageError(f"{pipe}: a pipe can be read once, and a comparison reads its manifests several times")
        self._manifests = manifests
        self._catalog = catalog
        self._selection = selection
        self._calibration = calibration
        self._beside = manifests[0].parent
        over = {name: list(dict.fromkeys(values)) for name, values in selection.over.items()}
        compared = [catalog.load(name, self._beside) for name in over.get(ENDPOINT, ())]
        self._endpoints = {each.name: each for each in [*compared, catalog.default, *_named(manifests)]}
        check_values(over, compared or list(self._endpoints.values()))
        self._over = over
        self._picked = PickedJobs(selection.only, selection.limit or JOBS)

    def stage(self, staging: Staging) -> StagingReport:
        """Stage every chosen job in every way."""
        found: dict[tuple[str, ...], _Found] = {}
        losses: dict[tuple[str, str], str] = {}
        warnings: dict[str, None] = {}
        first: StagingReport | None = None
        for overridden, combinations in self._overridden():
            losses.update(overridden.losses)
            report, each = self._read(overridden, combinations)
            first = first or report
            warnings.update(dict.fromkeys(report.warnings))
            key = tuple(job.request.fingerprint for job in each.jobs.values())
            if key in found:
                found[key].combinations += each.combinations
            else:
                found[key] = each
        assert first is not None, "there is at least one combination"
        ways = self._staged(staging, list(found.values()))
        jobs = [self._compared(job) for job in next(iter(found.values())).jobs.values()]
        comparison = Comparison(list(self._over), jobs, ways[0].all_jobs, ways)
        said = [loss for place, loss in losses.items() if not any(_says(warning, *place) for warning in warnings)]
        return replace(first, warnings=(*said, *warnings), comparison=comparison)

    def _compared(self, job: Job) -> ComparedJob:
        endpoint = self._catalog.endpoints[job.request.endpoint]
        links = job.request.params.get(endpoint.images or "") or ()
        listed = links if isinstance(links, list) else [str(links)]
        local = {file.link: Path(file.path) for file in job.files.values()}
        # A prompt that is compared is said above each column.
        prompt = "" if endpoint.prompt in self._over else job.request.params.get(endpoint.prompt or "")
        return ComparedJob(job.id, str(prompt or ""), [local.get(link, link) for link in listed])

    def _overridden(self) -> Iterator[tuple[_Overridden, list[Combination]]]:
        """What a run is given, once for all combinations for which that is the same."""
        by_overrides: dict[tuple[tuple[str, str], ...], tuple[_Overridden, list[Combination]]] = {}
        for values in product(*self._over.values()):
            combination = dict(zip(self._over, values, strict=True))
            overridden = self._placed(combination)
            known, combinations = by_overrides.setdefault(tuple(overridden.overrides.items()), (overridden, []))
            combinations.append(combination)
            by_overrides[tuple(overridden.overrides.items())] = (
                known._replace(losses={**known.losses, **overridden.losses}),
                combinations,
            )
        if len(by_overrides) > MOST_WAYS:
            raise UsageError(f"--over gives {len(by_overrides):,} combinations; expected at most {MOST_WAYS}")
        yield from by_overrides.values()

    def _placed(self, combination: Combination) -> _Overridden:
        """What a run is given. What the endpoint lacks goes by `successor`, else by the default."""
        if ENDPOINT not in combination:
            return _Overridden(combination)
        new = self._catalog.load(combination[ENDPOINT], self._beside)
        overrides, losses = {ENDPOINT: combination[ENDPOINT]}, {}
        for name, value in combination.items():
            if name == ENDPOINT:
                continue
            there, moved, loss = self._placed_value(new, name, value, taken=combination)
            if there is not None and moved is not None:
                overrides[there] = moved
            if loss:
                losses[name, new.name] = loss
        return _Overridden(overrides, losses)

    def _placed_value(
        self, new: Endpoint, name: str, value: str, *, taken: Combination
    ) -> tuple[str | None, str | None, str]:
        """The parameter's name and value there, None where it has no place; and what is said of that."""
        others = [each for each in self._endpoints.values() if each.name != new.name and name in each.parameters]
        moves = [self._catalog.move_between(old, new, self._beside) for old in others]
        if name in new.parameters and takes(new.parameters[name], value):
            return name, value, ""
        for move in moves:
            there, moved = move.names.get(name), move.values.get(name, {}).get(value, value)
            if there is not None and (there == name or there not in taken) and takes(new.parameters[there], moved):
                return there, moved, ""
        if name not in new.parameters:
            return None, None, f"--over {name} has no place in {new.name} and is left out"
        default = default_of(new.parameters[name])
        return name, default, f"--over {name} {quoted(value)} has no place in {new.name}; its default counts instead"

    def _read(self, overridden: _Overridden, combinations: list[Combination]) -> tuple[StagingReport, _Found]:
        """The manifests as a run of all their jobs would read them."""
        selection = replace(
            self._selection, over={}, limit=None, overrides={**self._selection.overrides, **overridden.overrides}
        )
        with Staging() as whole, whole.translated():
            try:
                report = stage_manifests(
                    self._manifests,
                    self._catalog,
                    selection,
                    self._calibration,
                    whole,
                    watch=self._picked.watch,
                    all=True,
                )
            except ManifestError as error:
                # What is fine with one endpoint may be a fault with another, such as a second link.
                named = overridden.overrides.get(ENDPOINT)
                place = "" if named is None else f"with endpoint {named}: "
                faults = [f"{place}{self._as_typed(fault)}" for fault in error.faults]
                raise ManifestError(faults, total=error.total) from error
            return report, _Found(
                combinations,
                overridden.overrides,
                self._picked.jobs(),
                staging_readings.totals(whole),
                staging_readings.requests_by_endpoint(whole),
            )

    def _as_typed(self, fault: str) -> str:
        """A fault of a value that is compared names the option that it was given with."""
        is_compared = any(re.search(rf"\b{re.escape(name)}\b", fault) for name in self._over)
        return fault.replace("--set: ", "--over: ", 1) if is_compared and fault.startswith("--set: ") else fault

    def _staged(self, staging: Staging, found: Sequence[_Found]) -> list[Way]:
        """Stage the comparison's jobs, those of one input one after the other; return the ways."""
        values = [
            {name: said_of([each[name] for each in way.combinations], self._over[name]) for name in self._over}
            for way in found
        ]
        words = names_of(values)
        made: list[dict[str, str]] = [{} for _ in found]
        kinds: dict[str, int] = {}

        def jobs() -> Iterator[Job]:
            """Each job in every way."""
            for job_id in self._picked.ids:
                for way, word, each, ids in zip(found, words, values, made, strict=True):
                    axes = {name: with_sent(value, way.overrides.get(name)) for name, value in each.items()}
                    if (job := way.jobs.get(job_id)) is not None:
                        ids[job_id] = f"{job_id}@{word}"
                        output = None if job.output is None else f"{job.output}@{word}"
                        yield job._replace(id=ids[job_id], output=output, axes={**job.axes, **axes})

        def noted() -> Iterator[tuple[Job, int] | FaultyRow]:
            """The same with their kinds."""
            for entry in with_kinds(jobs(), self._catalog, self._calibration, staging):
                if not isinstance(entry, FaultyRow):
                    kinds[entry[0].request.fingerprint] = entry[1]
                yield entry

        staging.add(noted())
        if repeat := next(staging.repeats(), None):
            raise UsageError(f"{repeat.where}: {repeat.message}; a comparison calls its jobs <id>@<values>")
        staging.finish()
        prices = staging_readings.prices_of_kinds(staging)
        return [
            Way(
                values=axes,
                overrides=way.overrides,
                job_ids=ids,
                requests=len(set(fingerprints)),
                cost=_sum([prices[kinds[each]] for each in dict.fromkeys(fingerprints)]),
                all_jobs=way.all.jobs,
                all_requests=way.all.requests,
                all_cost=Price(way.all.min_usd, way.all.expected_usd, way.all.max_usd),
                by_endpoint=way.by_endpoint,
            )
            for way, axes, ids in zip(found, values, made, strict=True)
            for fingerprints in [[job.request.fingerprint for job in way.jobs.values()]]
        ]


def _named(manifests: Sequence[Path]) -> Iterator[Endpoint]:
    """The endpoints that YAML manifests and their jobs name, as far as they are found."""
    for path in manifests:
        with suppress(OSError, YamlFault):
            document = read_yaml(path) if path.suffix.lower() in YAML else None
            if not isinstance(document, Block):
                continue
            jobs = document.get("jobs")
            heads = [str(head)] if (head := document.get("endpoint")) is not None else []
            for name in (*heads, *named_by(jobs if isinstance(jobs, list) else ())):
                with suppress(EndpointError):
                    yield load_endpoint(name, beside=path.parent)


def _says(warning: str, name: str, endpoint: str) -> bool:
    """Whether reading a manifest has said already that a parameter has no place at an endpoint."""
    return f": {name} of " in warning and warning.endswith(f" has no place in {endpoint} and is left out")


def _sum(prices: Sequence[tuple[float, float, float]]) -> Price:
    return Price(*map(sum, zip(*prices, strict=True))) if prices else Price(0.0, 0.0, 0.0)
