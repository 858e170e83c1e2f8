"""What a bucket is called: `s3://bucket/prefix`."""

from __future__ import annotations

import re
from typing import NamedTuple

SCHEMES = ("s3", "gs", "az", "memory")
_ADDRESS = re.compile(r"([a-z0-9]+)://([^/]*)/?(.*)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXPECTED = "expected s3://bucket/prefix, gs://bucket/prefix or az://container/prefix, or memory:// in a rehearsal"


class Address(NamedTuple):
    """A place in a bucket: `prefix` is what the names of all its objects begin with, before a `/`; empty is fine."""

    scheme: str
    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"{self.scheme}://{'/'.join(filter(None, [self.bucket, self.prefix]))}"

    def below(self, name: str) -> Address:
        """The place of that name in this one.

        Raises:
            ValueError: no object can be called that.
        """
        return self._replace(prefix=_checked("/".join(filter(None, [self.prefix, name]))))

    @property
    def above(self) -> Address:
        """The place that this one is in."""
        return self._replace(prefix=self.prefix.rpartition("/")[0])


def read_address(text: str) -> Address:
    """The place that a text means.

    >>> read_address("s3://shop-pictures/spring/")
    Address(scheme='s3', bucket='shop-pictures', prefix='spring')

    Raises:
        ValueError: it is none.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or found[1] not in SCHEMES:
        raise ValueError(_EXPECTED)
    scheme, bucket, prefix = found.groups()
    if scheme != "memory" and _NAME.fullmatch(bucket) is None:
        raise ValueError(f"{bucket!r} is no name of a bucket; {_EXPECTED}")
    return Address(scheme, bucket, _checked(prefix.strip("/")))


def _checked(prefix: str) -> str:
    if any(part in ("", ".", "..") for part in prefix.split("/")) and prefix:
        raise ValueError(f"{prefix!r} has an empty part, or one of dots alone; {_EXPECTED}")
    if "?" in prefix or "#" in prefix or not prefix.isprintable():
        raise ValueError(f"{prefix!r} has characters that no address of a picture may have; {_EXPECTED}")
    return prefix
