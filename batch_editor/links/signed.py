"""What a link is known by: the link without the signatures and access tokens of the services in `signed.yaml`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from batch_editor.strict_yaml import parse_yaml

_HOST = re.compile(r"https?://(?:[^/?#@]*+@)?([^/?#:]+)", re.IGNORECASE)


def unsigned(link: str) -> str:
    """The link without what a service renews with every export; any other text as it is.

    >>> unsigned("https://b.s3.amazonaws.com/mug.jpg?v=2&X-Amz-Date=20261122&X-Amz-Signature=ab12")
    'https://b.s3.amazonaws.com/mug.jpg?v=2'
    >>> unsigned("https://cdn.discordapp.com/attachments/1/2/cup.jpg?ex=6740&is=673f&hm=aa11&")
    'https://cdn.discordapp.com/attachments/1/2/cup.jpg'
    >>> unsigned("https://shop.example.com/cup.jpg?token=11")
    'https://shop.example.com/cup.jpg?token=11'
    """
    host = _HOST.match(link)
    if host is None:
        return link
    rules = _rules_of(host[1].lower())
    if not rules and not _is_signed(link):
        return link
    try:
        parts = urlsplit(link)
    except ValueError:  # http://[, of a prompt or of somebody's history
        return link
    return _without(link, parts, (*_rules().anywhere, *rules))


def unsigned_0_1(link: str) -> str:
    """What version 0.1 made of a link: it knew four kinds of signatures, the first of which counted."""
    if "?" not in link or not link.startswith(("http://", "https://")):
        return link
    try:
        parts = urlsplit(link)
    except ValueError:
        return link
    names = {name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    rule = next((rule for rule in _rules().anywhere if rule.in_0_1 and rule.needs in names), None)
    return link if rule is None else _without(link, parts, (rule,))


@lru_cache(maxsize=1)
def digest() -> str:
    """Changes with the services that are known."""
    return hashlib.sha256(_data()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class _Rule:
    host: str | None
    path: re.Pattern[str] | None
    needs: str | None
    drop: re.Pattern[str] | None
    keep: str | None
    one_host: bool
    in_0_1: bool

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> _Rule:
        """The rule that an entry of `signed.yaml` writes down."""
        names = [re.escape(name).replace(r"\*", ".*") for name in entry.get("drop", ())]
        return cls(
            host=entry.get("host"),
            path=re.compile(entry["path"]) if "path" in entry else None,
            needs=entry.get("needs"),
            drop=re.compile("|".join(names), re.IGNORECASE) if names else None,
            keep="/".join(entry["keep"]) if "keep" in entry else None,
            one_host="one_host" in entry,
            in_0_1="in_0_1" in entry,
        )


@dataclass(frozen=True, slots=True)
class _Rules:
    """`anywhere` are those for any host."""

    anywhere: tuple[_Rule, ...]
    by_host: Mapping[str, tuple[_Rule, ...]]


def _data() -> bytes:
    return Path(__file__).with_name("signed.yaml").read_bytes()


@lru_cache(maxsize=1)
def _rules() -> _Rules:
    entries: Any = parse_yaml(_data())
    rules = [_Rule.from_entry(entry) for entry in entries]
    hosts = dict.fromkeys(rule.host for rule in rules if rule.host is not None)
    return _Rules(
        anywhere=tuple(rule for rule in rules if rule.host is None),
        by_host={host: tuple(rule for rule in rules if rule.host == host) for host in hosts},
    )


@lru_cache(maxsize=10_000)
def _rules_of(host: str) -> tuple[_Rule, ...]:
    """The rules of a host, and of the domains that it is in."""
    labels = host.split(".")
    domains = [".".join(labels[index:]) for index in range(len(labels))]
    return tuple(rule for domain in domains for rule in _rules().by_host.get(domain, ()))


def _is_signed(link: str) -> bool:
    """Whether a link has what the rules for any host are about."""
    signs, paths = _signs()
    query = link.find("?")
    return (query > 0 and signs.search(link, query) is not None) or paths.search(link) is not None


@lru_cache(maxsize=1)
def _signs() -> tuple[re.Pattern[str], re.Pattern[str]]:
    signs = [re.escape(rule.needs) for rule in _rules().anywhere if rule.needs is not None]
    paths = [rule.path.pattern for rule in _rules().anywhere if rule.path is not None]
    return re.compile(f"[?&](?:{'|'.join(signs)})=", re.IGNORECASE), re.compile("|".join(paths))


def _without(link: str, parts: SplitResult, rules: tuple[_Rule, ...]) -> str:
    query = parse_qsl(parts.query, keep_blank_values=True)
    names = {name.lower() for name, _ in query}
    kept, path, netloc = query, parts.path, parts.netloc
    for rule in rules:
        where = rule.path.fullmatch(parts.path) if rule.path else None
        if (rule.path and where is None) or (rule.needs and rule.needs not in names):
            continue
        if rule.drop is not None:
            kept = [(name, value) for name, value in kept if not rule.drop.fullmatch(name)]
        if rule.keep is not None and where is not None:
            path = where.expand(rule.keep)
        if rule.one_host and rule.host is not None:
            netloc = rule.host
    if kept == query and (path, netloc) == (parts.path, parts.netloc):
        return link
    return urlunsplit(parts._replace(netloc=netloc, path=path, query=urlencode(kept)))
