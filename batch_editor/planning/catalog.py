"""From manifests to staged, priced jobs, with every fault listed before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from batch_editor.config import DEFAULT_ENDPOINT, Settings
from batch_editor.endpoints import Endpoint, Prices, load_endpoint, today
from batch_editor.errors import ConfigError, EndpointError, UsageError
from batch_editor.ledger import Choice, JobKind, Staging
from batch_editor.manifest import Expansion, Faults, Move, Problem, TableFormat, TableRead, plain_move, read_manifests
from batch_editor.money import Kind, price_of
from batch_editor.planning.calibration import Calibration
from batch_editor.planning.comparison import Comparison
from batch_editor.planning.finish_names import mixed_finish_names
from batch_editor.planning.moving import move_between, successor_of
from batch_editor.planning.sharding import Sharding, ShardJobs
from batch_editor.records import FaultyRow, Job, Shape
from batch_editor.shard import Shard

# Jobs of one price are alike but for the length of their prompts; kinds that are forgotten are priced anew.
_KINDS = 10_000


@dataclass(frozen=True, slots=True)
class Selection:
    """Which jobs of the manifest a run is about, and what is set for all of them.

    `endpoint`: where it is named, the settings' endpoint takes the place of those that the manifests name.
    `format`: how tables that are manifests are read. `over`: compare these values of `endpoint` or of parameters, by
    name, in all combinations; then `limit` is how many jobs are compared. `shard`: of the manifest's jobs that part,
    from which the others choose; its part of the limits is all that it may use.
    """

    only: Sequence[str] = ()
    limit: int | None = None
    endpoint: str | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    format: TableFormat = "auto"
    over: Mapping[str, Sequence[str]] = field(default_factory=dict)
    shard: Shard | None = None


@dataclass(frozen=True, slots=True)
class StagingReport:
    """What staging found: warnings, how many rows the manifests leave out on purpose, by reason, and tables that are a
    shop's export or resemble one. `comparison` is what the jobs are, where some are compared; `shard` how many are a
    shard's.
    """

    warnings: tuple[str, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    tables: Sequence[TableRead] = ()
    comparison: Comparison | None = None
    shard: ShardJobs | None = None


class Catalog:
    """The endpoints that the manifests name, by name, with the prices that the settings give them.

    `default` is for manifests that name none; `replaced` is the shipped default where that is retired and nobody chose
    another one, so that `default` is its successor. `moves` are from endpoints that jobs were written for to `default`,
    by the former's name. `today` is the day that retirements go by. `finish` is for jobs of which the manifest says
    nothing of finished files.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.today = today()
        self.skips_faulty_rows = settings.rows.faulty == "skip"
        self.finish = settings.finish or ()
        self.endpoints: dict[str, Endpoint] = {}
        self._others: dict[str, Endpoint] = {}
        self.default = self.load(settings.endpoint, None)
        self.moves: dict[str, Move] = {}
        self.replaced: Move | None = None
        if "endpoint" not in settings.model_fields_set and self.default.name != DEFAULT_ENDPOINT:
            self.replaced = self.move_from(DEFAULT_ENDPOINT, None)

    @property
    def shapes(self) -> dict[str, Shape]:
        """What requests to each of them are made of, by name."""
        return {name: endpoint.shape for name, endpoint in self.endpoints.items()}

    @property
    def sendable(self) -> dict[str, Endpoint]:
        """The endpoints that requests may go to: the manifests', and those that made images which are kept."""
        return {**self._others, **self.endpoints}

    @property
    def sendable_shapes(self) -> dict[str, Shape]:
        """What requests to each of these are made of, by name."""
        return {name: endpoint.shape for name, endpoint in self.sendable.items()}

    def load_others(self, names: Iterable[str]) -> None:
        """Load endpoints that requests of a ledger went to, as far as they are known."""
        for name in names:
            with suppress(EndpointError):  # a file of somebody's own
                self._others[name] = load_endpoint(name)

    def load(self, name: str, beside: Path | None) -> Endpoint:
        """The endpoint of that name, or of that file.

        Raises:
            EndpointError: there is none, another one of the same name has been loaded, or its provider is unknown.
        """
        endpoint = load_endpoint(name, beside=beside)
        try:
            self._settings.provider(endpoint.provider)
        except ConfigError as error:
            raise EndpointError(f"endpoint {endpoint.name}: {error}") from error
        known = self.endpoints.setdefault(endpoint.name, endpoint)
        if known != endpoint:
            raise EndpointError(f"two endpoints are named {endpoint.name!r}; give one another name in its file")
        return known

    @property
    def ignores_pricing(self) -> bool:
        """Whether the settings have prices that were made for the endpoint which `default` replaces."""
        pricing = self._settings.pricing
        return self.replaced is not None and (pricing.factor is not None or pricing.table is not None)

    def move_from(self, name: str, beside: Path | None) -> Move | None:
        """What becomes of the parameters of jobs for that endpoint at the default one; None if it's no successor."""
        try:
            old = load_endpoint(name, beside=beside)
        except EndpointError:  # what the jobs once went to may be gone
            return None
        if old.name not in self.moves and successor_of(old, beside=beside) == self.default:
            self.moves[old.name] = move_between(old, self.default)
        return self.moves.get(old.name)

    def move_given(self, name: str, beside: Path | None) -> Move | None:
        """As `move_from`, where the default endpoint was named in place of that one: from any other one."""
        try:
            old = load_endpoint(name, beside=beside)
        except EndpointError:
            return None
        return self.move_from(name, beside) or (plain_move(old, self.default) if old != self.default else None)

    def move_between(self, old: Endpoint, new: Endpoint, beside: Path | None) -> Move:
        """What becomes of the parameters of one endpoint at another: as its successor's, if it is that one."""
        try:
            is_successor = successor_of(old, beside=beside) == new
        except EndpointError:
            is_successor = False
        return move_between(old, new) if is_successor else plain_move(old, new)

    def prices(self, endpoint: Endpoint) -> Prices:
        """The endpoint's price list, with the settings' factor or table in place of its own.

        They were made for the endpoint that was the default then, and don't count for its successor.

        Raises:
            ConfigError: the settings' table doesn't have the endpoint's shape.
        """
        pricing = self._settings.pricing
        is_meant = endpoint.name == self.default.name and self.replaced is None
        if not is_meant or (pricing.factor is None and pricing.table is None):
            return endpoint.prices
        changed = endpoint.prices.model_dump()
        if pricing.factor is not None:
            changed["factor"] = pricing.factor
        if pricing.table is not None:
            changed |= {"table": pricing.table, "as_of": None, "source": "pricing.table of the config", "maker": None}
        try:
            return Prices.model_validate(changed)
        except ValueError as error:
            shape = " by ".join(endpoint.prices.by) or "one number"
            raise ConfigError(f"pricing.table does not have the shape of {endpoint.name}'s ({shape})") from error


Watch = Callable[[Iterable[Job | FaultyRow]], Iterable[Job | FaultyRow]]


def stage_manifests(
    manifests: Sequence[Path],
    catalog: Catalog,
    selection: Selection,
    calibration: Calibration,
    staging: Staging,
    *,
    watch: Watch | None = None,
    all: bool = False,
) -> StagingReport:
    """Expand, check and price every job into the staging. Blocks.

    `watch` is given what is read, and hands it on. With `all` every job is selected; `only` tells whose faults count.

    Raises:
        ManifestError: with every fault of every manifest.
    """
    faults = Faults()
    expansion = Expansion(
        endpoint=catalog.default,
        load_endpoint=catalog.load,
        overrides=dict(selection.overrides),
        skip_faulty=catalog.skips_faulty_rows,
        only=selection.only,
        is_given=selection.endpoint is not None,
        move=catalog.move_given(DEFAULT_ENDPOINT, None) if selection.endpoint is not None else catalog.replaced,
        move_from=catalog.move_given,
        move_between=catalog.move_between,
        format=selection.format,
    )
    jobs: Iterable[Job | FaultyRow] = read_manifests(manifests, expansion, faults)
    sharding = None if selection.shard is None else Sharding(selection.shard, catalog.endpoints)
    if sharding is not None:
        jobs = sharding.watch(jobs)
    staging.add(with_kinds(jobs if watch is None else watch(jobs), catalog, calibration, staging))
    choice = Choice(selection.only)
    for repeat in staging.repeats(all_finished=bool(catalog.finish)):
        is_chosen = choice.has_any([repeat.job_id])
        if is_chosen and not catalog.skips_faulty_rows:
            faults.add(repeat.where, repeat.message)
            continue
        staging.leave_out(repeat, stem=Path(repeat.where.partition(":")[0]).stem)
        if is_chosen and not repeat.is_left_out:
            faults.leave_out([Problem(repeat.where, repeat.message)], repeat.where)
    for where, message in mixed_finish_names(staging, catalog.finish):
        faults.add(where, message)
    seen: dict[str, str] = {}
    for job_id, where in faults.faulty:
        first_where = seen.setdefault(job_id, staging.where_of(job_id) or where)
        if first_where != where:
            faults.add(where, f"duplicate id {job_id!r}, first used at {first_where}")
    faults.raise_if_any()
    if selection.only and not all and not staging.has_any(selection.only):
        raise UsageError(f"--only {' '.join(map(repr, selection.only))} matches no job's id")
    report = StagingReport(tuple(faults.warnings), dict(faults.skipped), faults.tables)
    if sharding is not None and selection.shard is not None:
        report = replace(report, shard=ShardJobs(selection.shard, *staging.keep_shard(sharding.is_own)))
    staging.finish(only=() if all else selection.only, limit=selection.limit)
    return report


def _shown(endpoint: Endpoint) -> tuple[str, str]:
    """What plans show of a request, whether or not it is priced: its quality, and the parameter that says the size."""
    return "quality", endpoint.parameter_of("size") or "size"


def with_kinds(
    jobs: Iterable[Job | FaultyRow], catalog: Catalog, calibration: Calibration, staging: Staging
) -> Iterator[tuple[Job, int] | FaultyRow]:
    """Jobs, each with the number of its kind in the staging: what its price depends on, and what plans show."""
    endpoints: dict[str, Endpoint] = {}
    prices: dict[str, Prices] = {}
    telling: dict[str, tuple[str, ...]] = {}

    @lru_cache(maxsize=_KINDS)
    def kind_of(template: str, name: str, values: tuple[str | None, ...], inputs: int, prompt_length: int) -> int:
        """The number of a kind in the staging, which is added when it is first met."""
        known = dict(zip(telling[name], values, strict=True))
        by_list = price_of(prices[name], known, inputs=inputs, prompt_length=prompt_length)
        quote = calibration.charges.quote(Kind(name, tuple(map(known.get, prices[name].by)), inputs), by_list)
        quality, size = map(known.get, _shown(endpoints[name]))
        price = quote.price
        return staging.add_kind(
            JobKind(
                *(template, name, quality, size, inputs, price.min_usd, price.expected_usd, price.max_usd),
                list_usd=by_list.expected_usd,
                source=quote.source,
                charges=quote.charges,
            )
        )

    for job in jobs:
        if isinstance(job, FaultyRow):
            yield job
            continue
        name, params = job.request.endpoint, job.request.params
        if name not in prices:
            endpoints[name] = catalog.sendable[name]
            prices[name] = catalog.prices(endpoints[name])
            telling[name] = tuple(dict.fromkeys((*prices[name].by, *_shown(endpoints[name]))))
            calibration.read(endpoints[name], prices[name])
        endpoint = endpoints[name]
        if endpoint.unsent_defaults:
            params = {**endpoint.unsent_defaults, **params}
        values = tuple([None if (value := params.get(each)) is None else str(value) for each in telling[name]])
        prompt = params.get(endpoint.prompt or "")
        length = len(prompt) if isinstance(prompt, str) else 0
        yield job, kind_of(job.template, name, values, endpoint.inputs_of(params), length)
