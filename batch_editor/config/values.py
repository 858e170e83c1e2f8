"""Values of settings: what their texts have to be, and what is said of one that is something else."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from batch_editor.buckets import read_address
from batch_editor.cluster.address import read_on
from batch_editor.config.deadline import deadline_at
from batch_editor.finishing import FinishRules, finish_schema, read_finish
from batch_editor.links.encoded import encoded
from batch_editor.postgres import DatabaseAddress, read_database_address
from batch_editor.records import Rate

T = TypeVar("T")

# In outputs.public_url it stands for the name of an output directory.
OF_OUTPUT = "{output}"


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # http://[::1, or a port that is none
        usable = False
    if not usable:
        raise ValueError("expected an http(s) URL")
    if parts.username or parts.password:
        raise ValueError("expected a URL without a user name; the key goes into the environment")
    return text.rstrip("/")


def _public_url(text: str) -> str:
    url = encoded(_url(text)).replace(quote(OF_OUTPUT), OF_OUTPUT)
    if "?" in url or "#" in url:
        raise ValueError("expected a URL without ? and #, for a picture's path is put behind it")
    # What stands between the links of a cell.
    return url.replace(",", "%2C")


def _rate(text: str) -> str:
    return str(_checked(Rate.parse, text))


def _deadline(text: str) -> str:
    _checked(lambda written: deadline_at(written, datetime.now()), text)
    return text


def _checked(parse: Callable[[str], T], text: str) -> T:
    """What `parse` makes of the text; its error without the beginning, which says the value over again."""
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(str(error).partition("; ")[2] or str(error)) from error


def _max_failures(text: str) -> str:
    share = re.fullmatch(r"(\d+(?:\.\d+)?)%", text, re.ASCII)
    if share and 0 < float(share[1]) <= 100:
        return text
    if re.fullmatch(r"[1-9]\d*", text, re.ASCII):
        return text
    raise ValueError("expected a count above zero, or a share such as 20%")


def _shared_ledger(value: object) -> object:
    """A database, or a file. What is refused isn't said: it may have a password."""
    if not isinstance(value, str):
        return value
    if "://" in value or value.startswith(("postgresql:", "postgres:")):
        return read_database_address(value)
    if value.startswith("env:"):
        raise ValueError("expected a file, or postgresql://USER:env:NAME@HOST/DATABASE with the password in NAME")
    return Path(value)


def _finish(value: object) -> object:
    """Rules from what stands in the environment; those of a file are read with its folder, see `load_settings`."""
    is_read = isinstance(value, tuple) and all(isinstance(each, FinishRules) for each in value)
    return value if is_read else read_finish(value, beside=Path())


Finish = Annotated[tuple[FinishRules, ...], BeforeValidator(_finish), WithJsonSchema(finish_schema())]
SharedLedger = Annotated[Path | DatabaseAddress, BeforeValidator(_shared_ledger), WithJsonSchema({"type": "string"})]
Url = Annotated[str, AfterValidator(_url)]
BucketAddress = Annotated[str, AfterValidator(lambda text: str(read_address(text)))]
PublicUrl = Annotated[str, AfterValidator(_public_url)]
Usd = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
RateLimit = Annotated[str, AfterValidator(_rate), WithJsonSchema({"type": "string", "pattern": "^[0-9]+/(s|min|h)$"})]
Deadline = Annotated[str, AfterValidator(_deadline)]
RunOn = Annotated[str, AfterValidator(read_on)]
CountOrShare = Annotated[
    str,
    AfterValidator(_max_failures),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "^[0-9.]+%?$"}]}),
]
