"""A Scrapy spider that posts every request and saves every answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import scrapy
from scrapy.crawler import CrawlerProcess
from work import HEADERS, Work, body


class Spider(scrapy.Spider):  # type: ignore[misc]  # Scrapy has no types
    """Reads nothing out of answers."""

    name = "edits"
    work: Work

    async def start(self) -> AsyncIterator[Any]:
        """Every request."""
        for number in range(self.work.count):
            yield scrapy.Request(
                self.work.url,
                method="POST",
                body=body(number),
                headers=HEADERS,
                dont_filter=True,
                cb_kwargs={"number": number},
            )

    def parse(self, response: Any, number: int) -> None:
        """Save an answer."""
        (self.work.folder / f"{number}.png").write_bytes(response.body)


if __name__ == "__main__":
    work = Work.given()
    process = CrawlerProcess(
        {
            "CONCURRENT_REQUESTS": work.in_flight,
            "CONCURRENT_REQUESTS_PER_DOMAIN": work.in_flight,
            "DOWNLOAD_DELAY": 0,
            "LOG_LEVEL": "ERROR",
            "TELNETCONSOLE_ENABLED": False,
        }
    )
    process.crawl(Spider, work=work)
    process.start()
