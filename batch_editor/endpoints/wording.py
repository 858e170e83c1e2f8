"""What the words of an error say, where its status says too little. Data, as all that is known of a provider."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, cached_property
from importlib import resources
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from batch_editor.records import Scope
from batch_editor.strict_yaml import parse_yaml

T = TypeVar("T")

SHARED = "_error_words.yaml"
# The words of endpoint files, which users write, and those of the rest of the program.
_SCOPES: Mapping[str, Scope] = {"job": "request", "run": "run", "pace": "rate"}


def _regex(text: str) -> str:
    try:
        found = re.compile(text).search("")
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression ({error})") from error
    if found:
        raise ValueError(f"{text!r} is found in every text; expected words")
    return text


def _some(items: tuple[T, ...]) -> tuple[T, ...]:
    if not items:
        raise ValueError("is empty; expected one or more")
    return items


Regex = Annotated[str, AfterValidator(_regex)]
Regexes = Annotated[tuple[Regex, ...], AfterValidator(_some)]
Statuses = Annotated[tuple[Annotated[int, Field(ge=100, le=599)], ...], AfterValidator(_some)]


class ErrorMeaning(BaseModel):
    """What an HTTP status of the provider says.

    `reach` is job (this one fails), run (everything stops) or pace (everything waits); `billed` whether the
    provider may have charged for it; `transient` whether the same request may well succeed later, so that it is tried
    again, as it is where `retry.statuses` has the status.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    reach: Literal["job", "run", "pace"]
    billed: bool
    meaning: str
    transient: bool = False

    @property
    def scope(self) -> Scope:
        """`reach` in the words of `Failure.scope`."""
        return _SCOPES[self.reach]


class ErrorWords(ErrorMeaning):
    """What an error with one of these statuses means if its text has one of `words` and none of `unless`.

    Both are regular expressions, found anywhere and in any case.
    """

    statuses: Statuses
    words: Regexes
    unless: tuple[Regex, ...] = ()
    billed: bool = False

    def fits(self, status: int, text: str) -> bool:
        """Whether an answer with that status and text means this."""
        return status in self.statuses and self._words.search(text) is not None and not self._excluded(text)

    def _excluded(self, text: str) -> bool:
        return bool(self.unless) and self._unless.search(text) is not None

    @cached_property
    def _words(self) -> re.Pattern[str]:
        return _any_of(self.words)

    @cached_property
    def _unless(self) -> re.Pattern[str]:
        return _any_of(self.unless)


class _Shared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    error_words: tuple[ErrorWords, ...]


@cache
def shared_error_words() -> tuple[ErrorWords, ...]:
    """Those that hold for every endpoint, after its own."""
    data = resources.files(__package__).joinpath(SHARED).read_bytes()
    return _Shared.model_validate(parse_yaml(data)).error_words


def _any_of(regexes: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{regex})" for regex in regexes), re.IGNORECASE)
