"""A part of a manifest's jobs, of which each of several processes does one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

# Each of them reads the whole manifest. More would need other fields of a Kubernetes Job, too.
MOST_SHARDS = 10_000


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `number`, from 0, of `count` parts of a manifest's jobs, each of which one process does."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """A shard as it is written: `0/4` to `3/4`.

        >>> Shard.parse("0/4")
        Shard(number=0, count=4)

        Raises:
            ValueError: it is written otherwise, there is no such part, or there are too many.
        """
        number, _, count = text.strip().partition("/")
        if not all(each.isascii() and each.isdigit() for each in (number, count)) or int(number) >= int(count):
            raise ValueError("expected I/N, the shard's number from 0 and how many there are, such as 0/4 to 3/4")
        if int(count) > MOST_SHARDS:
            raise ValueError(f"expected {MOST_SHARDS:,} shards at most")
        return cls(int(number), int(count))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def said(self) -> str:
        """For people."""
        return "the whole manifest" if self == WHOLE else f"shard {self.number} of {self.count}"

    @property
    def ending(self) -> str:
        """What is added to the name of the output directory of all jobs."""
        return f"-{self.number}-of-{self.count}"

    def has(self, key: str) -> bool:
        """Whether what is known by that key is in this part. What is in which part must never change.

        >>> [Shard(number, 4).has("sha256:00") for number in range(4)]
        [False, False, False, True]
        """
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8]) % self.count == self.number

    def part_of(self, total: int) -> int:
        """The shard's part of a whole number; those of all shards add up to it.

        >>> [Shard(number, 4).part_of(10) for number in range(4)]
        [3, 3, 2, 2]
        """
        return total // self.count + (self.number < total % self.count)


WHOLE = Shard(0, 1)
