"""A shop: a catalog that changes from night to night, what that asks for, and the nights of its schedule."""

from __future__ import annotations

import asyncio
import csv
import random
import re
import shlex
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from batch_editor.endpoints import TODAY
from batch_editor.ledger import JobChanges
from batch_editor.sandbox import Sandbox
from tests.support.bench import job, sha256_of
from tests.support.clock import clock_at
from tests.support.durability import Desk, RunServer
from tests.support.recorder import Recorder
from tests.support.system_calls import Death

ZONE = "Europe/Berlin"
HOOK, PING = "/services/aSecretOfTheShop", "/ping/5d5b1f2c"
TABLE = "products.csv"
TITLES = ("Coffee mug", "Space suit", "Cat cushion", "Rocket lamp", "Linen shirt")


@dataclass(frozen=True)
class Product:
    """What a row says of a product; `photo` counts how often its link was renewed."""

    title: str
    photo: int = 0


class Catalog:
    """The shop's products by their number, and every request that they ever asked for, by the hash of its body."""

    def __init__(self) -> None:
        self.products: dict[str, Product] = {}
        self.asked: set[str] = set()
        self._draw = random.Random(0)
        self._former: dict[str, Product] = {}
        self._numbers = 0

    def change(
        self,
        made: Container[str],
        *,
        new: int,
        titles: int = 0,
        links: int = 0,
        gone: int = 0,
        back: bool = False,
    ) -> JobChanges:
        """Another day; what it is, as a run has to count it.

        `made`: requests that have their image. Of one that changes before it has any, no run says that its link alone
        is another. `back`: one product is called as it was before, and so has its image already.
        """
        known = list(self.products)
        self._draw.shuffle(known)
        for sku in known[:gone]:
            del self.products[sku]
        left = iter(known[gone:])
        for sku, _ in zip(left, range(titles), strict=False):
            self._former[sku] = self.products[sku]
            self._put(sku, replace(self.products[sku], title=f"{self.products[sku].title} II"))
        links_alone = 0
        for sku, _ in zip(left, range(links), strict=False):
            links_alone += self.request(sku) in made
            self._put(sku, replace(self.products[sku], photo=self.products[sku].photo + 1))
        returned = next((sku for sku in left if back and sku in self._former), None)
        if returned is not None:
            self._put(returned, self._former.pop(returned))
        for _ in range(new):
            self._numbers += 1
            self._put(f"B{self._numbers:03}", Product(f"{self._draw.choice(TITLES)} no. {self._numbers}"))
        changed = titles + links + (returned is not None)
        return JobChanges(new, changed, links_alone, len(known) - gone - changed, gone)

    def _put(self, sku: str, product: Product) -> None:
        self.products[sku] = product
        self.asked.add(self.request(sku))

    def request(self, sku: str) -> str:
        """What a product asks for, as the books have it."""
        product = self.products[sku]
        link = f"http://127.0.0.1:9/{sku}-{product.photo}.png"
        return sha256_of(job(sku, f"Show {sku}, {product.title}, on white", image_urls=[link]))

    def write(self, folder: Path) -> None:
        with (folder / TABLE).open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["sku", "name", "photo"])
            rows.writerows([sku, each.title, each.photo] for sku, each in self.products.items())


@dataclass(frozen=True)
class Heard:
    """What came to those who are told, since it was asked for last."""

    messages: list[str]
    pings: list[str]


class Shop:
    """Everything of the shop. `usual` is its provider; `providers` are all that a night was ever sent to."""

    def __init__(self, desk: Desk, servers: Sequence[RunServer], providers: Sequence[Sandbox], hook: Recorder) -> None:
        self.desk, self.hook = desk, hook
        self.usual, *_ = self.providers = providers
        self.catalog = Catalog()
        self.command: list[str] = []
        self._server, self._other_server = servers
        self._heard = 0

    async def open(self) -> None:
        """The first catalog, a config, and the command of the shop's schedule, as `schedule` writes it."""
        template = {
            "id": "{{ sku }}",
            "rows": TABLE,
            "prompt": "Show {{ sku }}, {{ name }}, on white",
            "image_urls": ["http://127.0.0.1:9/{{ sku }}-{{ photo }}.png"],
        }
        self.desk.write(
            [template],
            api={"base_url": self.usual.base_url},
            retry={"backoff_s": 0.05, "backoff_max_s": 0.5},
            concurrency=3,
            deadline="06:00",
            notify={"to": self.hook.url + HOOK, "when": "always", "ping": self.hook.url + PING},
            metrics={"textfile": "shop.prom"},
        )
        self.catalog.write(self.desk.folder)
        where = ("jobs.yaml", "-o", "disk/runs/out", "--timezone", ZONE)
        assert await self._server.run(self.desk, ["schedule", *where, "--at", "02:30", "--as", "systemd"]) == 0
        (line,) = re.findall(r"^ExecStart=(.*)$", self.desk.said(), re.MULTILINE)
        words = shlex.split(line)
        self.command = words[words.index("run") :]

    async def night(
        self,
        now: datetime,
        *arguments: str,
        base_url: str | None = None,
        death: Death | None = None,
        beside: bool = False,
    ) -> int:
        """The exit code of the schedule's command, or another one, at that instant; -9 if it died."""
        server = self._other_server if beside else self._server
        environment = {"TZ": ZONE, TODAY: "", **clock_at(now)}
        if base_url is not None:
            environment["BATCH_EDITOR_API__BASE_URL"] = base_url
        return await server.run(self.desk, arguments or self.command, death=death, environment=environment)

    def heard(self) -> Heard:
        """What was told since this was asked last."""
        new, self._heard = self.hook.requests[self._heard :], len(self.hook.requests)
        messages = [each.json["text"] for each in new if each.method == "POST"]
        return Heard(messages, [each.path.removeprefix(PING) for each in new if each.method == "GET"])

    async def idle(self) -> None:
        """Until no provider has anything in flight any more."""
        await asyncio.gather(*(each.books.idle() for each in self.providers))

    def arrived(self) -> Counter[str]:
        """How often each request came to any provider."""
        return sum((each.books.arrived_by_body for each in self.providers), Counter())

    def made(self) -> Counter[str]:
        """How often each request was charged for, by the providers' own books."""
        return sum((each.books.billed_by_body for each in self.providers), Counter())

    def metric(self, name: str) -> float:
        """A figure of the last run that ended."""
        text = (self.desk.folder / "shop.prom").read_text(encoding="utf-8")
        (value,) = re.findall(rf"^batch_editor_{name}{{[^}}]*}} (\S+)$", text, re.MULTILINE)
        return float(value)

    async def said(self, now: datetime, *arguments: str) -> str:
        """What a command prints that is none of the schedule's, and goes well."""
        assert await self.night(now, *arguments) == 0
        return (self.desk.folder / "out").read_text(encoding="utf-8")
