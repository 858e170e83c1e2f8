"""What requests of a kind were charged every time: lets a budget be used up to its end."""

from __future__ import annotations

from collections.abc import Mapping

from batch_editor.endpoints import Endpoint
from batch_editor.ledger import PendingRequest
from batch_editor.money.budget import TOLERANCE_USD
from batch_editor.money.pricing import is_fixed
from batch_editor.records import Answer, SavedImage

PriceKind = tuple[str, float, int]


class SteadyPrices:
    """Kinds of requests that were charged the same amount every time; requests of a kind have one list price.

    `known` maps endpoint, list price and number of input images to count, lowest and highest charge.
    """

    # Three equal charges are a price; fewer may be chance.
    ENOUGH = 3

    def __init__(self, known: Mapping[PriceKind, tuple[int, float, float]], endpoints: Mapping[str, Endpoint]) -> None:
        self._known = dict(known)
        self._endpoints = endpoints

    def steady_usd(self, request: PendingRequest) -> float | None:
        """What a request of that kind will cost, by what was charged so far; None if that doesn't tell.

        Its kind was always charged the same, often enough or exactly the list price; or nothing is known of it, but
        every charge of its endpoint was the list price. Never known where the model chooses each time.
        """
        endpoint = self._endpoints[request.endpoint]
        if not is_fixed(endpoint.prices, {**endpoint.unsent_defaults, **request.params}):
            return None
        kind = self._kind(request)
        if kind not in self._known:
            return request.expected_usd if self._list_holds(request.endpoint) else None
        count, low, high = self._known[kind]
        as_listed = abs(high - kind[1]) < TOLERANCE_USD
        return high if high - low < TOLERANCE_USD and (as_listed or count >= self.ENOUGH) else None

    def _list_holds(self, endpoint: str) -> bool:
        charges = [
            (count, low, high, kind[1]) for kind, (count, low, high) in self._known.items() if kind[0] == endpoint
        ]
        by_list = all(abs(low - listed) + abs(high - listed) < TOLERANCE_USD for _, low, high, listed in charges)
        return by_list and sum(count for count, *_ in charges) >= self.ENOUGH

    def max_usd(self, request: PendingRequest) -> float:
        """What it may cost at most: never less than was charged for one of its kind, whatever the price list says."""
        _, _, high = self._known.get(self._kind(request), (0, 0.0, 0.0))
        return max(request.max_usd, high)

    def both_usd(self, request: PendingRequest) -> tuple[float, float | None]:
        """The max and the steady price, as far as is known now."""
        return self.max_usd(request), self.steady_usd(request)

    def min_usd(self) -> float:
        """The lowest of all charges; infinity before the first."""
        return min((low for _, low, _ in self._known.values()), default=float("inf"))

    def learn(self, request: PendingRequest, answer: Answer) -> None:
        """Take a charge in, if the provider named one."""
        if answer.cost_usd is not None and isinstance(answer.outcome, SavedImage):
            kind, cost = self._kind(request), answer.cost_usd
            count, low, high = self._known.get(kind, (0, cost, cost))
            self._known[kind] = (count + 1, min(low, cost), max(high, cost))

    def _kind(self, request: PendingRequest) -> PriceKind:
        inputs = self._endpoints[request.endpoint].inputs_of(request.params)
        return request.endpoint, round(request.expected_usd, 9), inputs
