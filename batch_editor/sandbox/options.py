"""How a sandbox behaves: its options, and the latency they describe."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from batch_editor.sandbox.faults import parse_fault
from batch_editor.sandbox.rates import parse_rate

AnswerShape: TypeAlias = Literal["image", "base64", "url"]
UploadShape: TypeAlias = Literal["file_urls", "urls"]

# One draw, in seconds.
Latency: TypeAlias = Callable[[random.Random], float]


@dataclass(frozen=True, kw_only=True)
class SandboxOptions:
    """What a sandbox is started with.

    `port` 0 takes a free one. `latency` is seconds ("2"), a range ("1-3") or "lognormal:MEAN,SIGMA".
    `rate_limit` is COUNT/UNIT ("60/min"), for each key at each provider; `provider_rates` are those of some
    providers, by name, in its place. `faults` are specs as FAULT_HELP explains them, the first that fires wins.
    `key` is the only right one; None takes any. `answer` and `upload_shape` say which of the known shapes the
    answers have. Images are made at `size_scale` times the size asked for; prices stay those of the size asked
    for. `record_s` is how long v2 keeps a record after its job's end, `history_rows` how often each request stands
    in the history.

    Raises:
        ValueError: an option's text isn't understood.
    """

    host: str = "127.0.0.1"
    port: int = 0
    latency: str = "0"
    rate_limit: str | None = None
    faults: tuple[str, ...] = ()
    credits_usd: float = math.inf
    key: str | None = None
    seed: int = 0
    answer: AnswerShape = "image"
    upload_shape: UploadShape = "file_urls"
    size_scale: float = 1.0
    record_s: float = 3600.0
    history_rows: int = 1
    provider_rates: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parse_latency(self.latency)
        for rate in (*([self.rate_limit] if self.rate_limit is not None else []), *self.provider_rates.values()):
            parse_rate(rate)
        for spec in self.faults:
            parse_fault(spec)
        _check_word("answer", self.answer, get_args(AnswerShape))
        _check_word("upload_shape", self.upload_shape, get_args(UploadShape))
        if not 0 < self.size_scale <= 1:
            raise ValueError(f"size_scale is {self.size_scale:g}; expected more than 0, at most 1")
        if not self.record_s >= 0:
            raise ValueError(f"record_s is {self.record_s:g}; expected 0 or more")
        if not self.credits_usd >= 0:
            raise ValueError(f"credits_usd is {self.credits_usd:g}; expected 0 or more")


def parse_latency(text: str) -> Latency:
    """A function that draws latencies as the text describes them.

    A log-normal is given by its mean, not by its median: the mean is what providers publish.

    >>> parse_latency("2")(random.Random(0))
    2.0
    >>> 1 <= parse_latency("1-3")(random.Random(0)) <= 3
    True

    Raises:
        ValueError: the text is no latency.
    """
    try:
        if text.startswith("lognormal:"):
            mean, sigma = (_seconds(part) for part in text.removeprefix("lognormal:").split(","))
            # E[lognormal(mu, sigma)] = exp(mu + sigma²/2); a mean of 0 has no logarithm, hence the error.
            mu = math.log(mean) - sigma**2 / 2
            return lambda draw: draw.lognormvariate(mu, sigma)
        if "-" in text:
            low, high = (_seconds(part) for part in text.split("-"))
            if low > high:
                raise ValueError
            return lambda draw: draw.uniform(low, high)
        constant = _seconds(text)
    except ValueError:
        raise ValueError(
            f"latency is {text!r}; expected seconds such as 2, a range such as 1-3, or lognormal:MEAN,SIGMA"
        ) from None
    return lambda _: constant


def _seconds(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError
    return number


def _check_word(option: str, word: str, known: tuple[str, ...]) -> None:
    if word not in known:
        raise ValueError(f"{option} is {word!r}; expected {', '.join(known[:-1])} or {known[-1]}")
