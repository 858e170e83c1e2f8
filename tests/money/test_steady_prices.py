"""What a charge tells of the next one."""

import pytest

from batch_editor.endpoints import Endpoint, load_endpoint
from batch_editor.ledger import PendingRequest
from batch_editor.money.steady_prices import SteadyPrices
from batch_editor.records import Answer, ParamValue, SavedImage

ENDPOINT = load_endpoint("gpt-image-1.5-edit")
LOW_USD, MEDIUM_USD = 0.0108, 0.0408
IMAGE = SavedImage("a.png", "0" * 64, 1, "png", 1, 1)


def request_for(quality: str = "low", size: str = "1024x1024", listed_usd: float = LOW_USD) -> PendingRequest:
    params: dict[str, ParamValue] = {"quality": quality, "size": size, "image_urls": ["https://example.com/a.png"]}
    return PendingRequest("f", 0, ENDPOINT.name, params, {}, "a", listed_usd, 1.0, 0, 0, 1)


def charged(*usd: float, of: PendingRequest | None = None) -> SteadyPrices:
    prices = SteadyPrices({}, {ENDPOINT.name: ENDPOINT})
    for cost in usd:
        prices.learn(of or request_for(), Answer(IMAGE, cost_usd=cost))
    return prices


def test_before_the_first_charge_nothing_is_known() -> None:
    assert charged().steady_usd(request_for()) is None


def test_one_charge_at_the_list_price_is_a_price() -> None:
    assert charged(LOW_USD).steady_usd(request_for()) == LOW_USD


@pytest.mark.parametrize(("charges", "price"), [((0.02, 0.02), None), ((0.02, 0.02, 0.02), 0.02)])
def test_off_the_list_it_takes_three_equal_charges(charges: tuple[float, ...], price: float | None) -> None:
    assert charged(*charges).steady_usd(request_for()) == price


def test_charges_that_differ_are_no_price() -> None:
    assert charged(LOW_USD, LOW_USD, LOW_USD, 0.02).steady_usd(request_for()) is None


def test_a_list_that_held_three_times_holds_for_kinds_not_seen_yet() -> None:
    medium = request_for("medium", listed_usd=MEDIUM_USD)
    assert charged(LOW_USD, LOW_USD).steady_usd(medium) is None
    assert charged(LOW_USD, LOW_USD, LOW_USD).steady_usd(medium) == MEDIUM_USD
    assert charged(0.02, 0.02, 0.02).steady_usd(medium) is None


def test_what_the_model_chooses_has_no_steady_price() -> None:
    chosen = request_for(size="auto")
    assert charged(LOW_USD, LOW_USD, LOW_USD, of=chosen).steady_usd(chosen) is None


def test_the_dearest_price_is_never_less_than_what_was_charged() -> None:
    assert charged(LOW_USD).max_usd(request_for()) == 1.0
    assert charged(2.0).max_usd(request_for()) == 2.0


def test_what_the_provider_takes_where_nothing_is_sent_is_a_choice_of_ours() -> None:
    data = ENDPOINT.model_dump()
    for name, default in (("quality", "low"), ("size", "1024x1024")):
        data["parameters"][name] |= {"only_when_set": True, "default": default}
    endpoint = Endpoint.model_validate(data)
    request = PendingRequest("f", 0, endpoint.name, {"prompt": "x"}, {}, "a", LOW_USD, 1.0, 0, 0, 1)
    prices = SteadyPrices({}, {endpoint.name: endpoint})
    prices.learn(request, Answer(IMAGE, cost_usd=LOW_USD))
    assert prices.steady_usd(request) == LOW_USD
