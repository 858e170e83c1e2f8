"""Who may ask: a browser that came with the address, its own pages, under the names of this machine."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from typing import Any

import pytest

from batch_editor.review.access import HEADERS
from batch_editor.review.server import Review, ReviewOptions
from tests.support.made_output import MadeOutput
from tests.support.page import Page, reviewed

PLACES = [
    *("/", "/job/B00000-beach", "/api/overview", "/api/jobs", "/api/grid", "/api/jobs/B00000-beach"),
    *("/api/changes", "/thumb/a/b", "/image/a/b", "/before/a/0", "/input/a/0", "/nothing/of/that/name"),
]
OPEN_IT = "Open the address that batch-editor review has printed last, once."


def host_of(page: Page) -> str:
    return page.origin.removeprefix("http://")


@pytest.mark.parametrize("place", PLACES)
async def test_nothing_is_told_without_the_cookie(made: MadeOutput, place: str) -> None:
    async with Review(ReviewOptions(made.path, "ann")) as server, Page(server.url, enters=False) as stranger:
        answer = await stranger.ask(place)
        assert answer.status == 403
        assert b"B0000" not in answer.body
        assert answer.headers["Content-Type"].startswith("text/html" if place in PLACES[:2] else "application/json")


async def test_a_browser_that_is_not_known_is_told_what_to_do(made: MadeOutput) -> None:
    async with Review(ReviewOptions(made.path, "ann")) as server, Page(server.url, enters=False) as stranger:
        said = (await stranger.ask("/")).body.decode()
        assert "This browser isn&#39;t known here, or the server was started anew." in said
        assert OPEN_IT in said
        assert "batch-editor review OUT" in said
        assert made.path.name not in re.sub("review OUT", "", said)  # whoever isn't let in isn't told what there is
        error = json.loads((await stranger.ask("/api/overview")).body)
        assert error == {"error": "this browser isn't known here, or the server was started anew"}


async def test_an_address_is_good_for_one_browser_and_the_next_one_is_told(made: MadeOutput) -> None:
    told: list[str] = []
    async with Review(ReviewOptions(made.path, "ann", said=told.append)) as server:
        first = server.url
        async with Page(first) as page, Page(first, enters=False) as late:
            again = await late.ask(first.removeprefix(late.origin))
            assert again.status == 403
            assert b"has been used already" in again.body
            assert "Set-Cookie" not in again.headers
            assert [server.url] == told != [first]
            async with Page(told[0]) as second:
                assert (await second.get("/api/overview"))["user"] == "ann"
            assert (await page.get("/api/overview"))["user"] == "ann"


async def test_a_browser_is_let_in_by_a_redirect_with_a_cookie_that_pages_can_not_read(made: MadeOutput) -> None:
    async with Review(ReviewOptions(made.path, "ann")) as server, Page(server.url, enters=False) as page:
        answer = await page.ask(server.url.removeprefix(page.origin))
        assert (answer.status, answer.headers["Location"]) == (303, "/")
        port = server.url.partition("/?")[0].rpartition(":")[2]
        assert re.fullmatch(
            rf"batch_editor_review_{port}=[\w-]{{43}}; HttpOnly; Path=/; SameSite=Strict", answer.headers["Set-Cookie"]
        )


async def test_a_browser_that_follows_a_link_is_let_in_by_a_page(made: MadeOutput) -> None:
    """A Strict cookie isn't sent after a redirect that another page has begun."""
    async with Review(ReviewOptions(made.path, "ann")) as server, Page(server.url, enters=False) as page:
        path = server.url.removeprefix(page.origin)
        answer = await page.ask(path, headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status == 200
        assert b'<meta http-equiv="refresh" content="0; url=/">' in answer.body
        assert (await page.get("/api/overview"))["user"] == "ann"


@pytest.mark.parametrize("token", ["", "%00", "x" * 43, "%ED%A0%80", "%FF"])
async def test_another_token_lets_nobody_in(made: MadeOutput, token: str) -> None:
    async with Review(ReviewOptions(made.path, "ann")) as server, Page(server.url, enters=False) as page:
        answer = await page.ask(f"/?token={token}")
        assert answer.status == 403
        assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "cookie", ["x", "", "\u00e9", "a; batch_editor_review_1=b", "x" * 4000], ids=["x", "none", "accent", "two", "long"]
)
async def test_another_cookie_lets_nobody_in(made: MadeOutput, cookie: str) -> None:
    async with Review(ReviewOptions(made.path, "ann")) as server, Page(server.url, enters=False) as page:
        port = page.origin.rpartition(":")[2]
        answer = await page.ask("/api/overview", headers={"Cookie": f"batch_editor_review_{port}={cookie}"})
        assert answer.status == 403


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "127.0.0.1", "[::1]"])
@pytest.mark.parametrize("port", ["", ":1", ":9000", ":65535"])
async def test_the_names_of_this_machine_are_taken_with_any_port(page: Page, name: str, port: str) -> None:
    assert (await page.ask("/api/changes", headers={"Host": f"{name}{port}"})).status == 200


@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.example:80",
            "localhost@evil.example",
        ),
        *("localhost:", "localhost:80:80", "127.0.0.2", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]", "2130706433", "::1"),
        *("localhost.", "localhost:123456", "user@localhost", "localhost/x", " "),
    ],
)
@pytest.mark.parametrize("place", ["/api/changes", "/static/x/api.js"])
async def test_another_name_that_leads_here_is_refused(page: Page, host: str, place: str) -> None:
    answer = await page.ask(place, headers={"Host": host})
    assert answer.status in (400, 403)  # what is no host at all aiohttp refuses
    assert b"version" not in answer.body


async def test_a_token_is_not_taken_under_another_name(made: MadeOutput) -> None:
    async with Review(ReviewOptions(made.path, "ann")) as server, Page(server.url, enters=False) as page:
        path = server.url.removeprefix(page.origin)
        assert (await page.ask(path, headers={"Host": "evil.example"})).status == 403
        assert (await page.ask(path)).status == 303


@pytest.mark.parametrize("fields", [b"", b"Host: localhost\r\nHost: evil.example\r\n"], ids=["none", "two"])
async def test_a_request_names_one_host(page: Page, fields: bytes) -> None:
    host, port = host_of(page).split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /api/changes HTTP/1.1\r\n" + fields + b"Connection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    assert answer.split(b" ")[1] in (b"400", b"403")


ELSEWHERE = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:1"},
    {"Origin": "http://127.0.0.1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("headers", ELSEWHERE, ids=lambda headers: "-".join(*headers.items()))
@pytest.mark.parametrize("place", ["/", "/api/jobs", "/static/x/api.js", "/thumb/a/b"])
async def test_a_page_of_somebody_else_is_refused_though_it_has_the_cookie(
    page: Page, headers: dict[str, str], place: str
) -> None:
    assert (await page.ask(place, headers=headers)).status == 403


def said(card: dict[str, Any]) -> bytes:
    picture = {"fingerprint": card["fingerprint"], "sha256": card["sha256"]}
    return json.dumps({"pictures": [picture], "verdict": "rejected"}).encode()


@pytest.mark.parametrize(
    "headers",
    [
        *({"Content-Type": "application/json", **headers} for headers in ELSEWHERE),
        {"Content-Type": "application/json"},
        {"Content-Type": "text/plain", "Origin": "own"},
        {"Content-Type": "application/x-www-form-urlencoded", "Origin": "own"},
        {"Origin": "own"},
    ],
    ids=str,
)
async def test_a_verdict_is_taken_from_these_pages_alone(made: MadeOutput, page: Page, headers: dict[str, str]) -> None:
    card = (await page.jobs())[0]
    own = {name: page.origin if value == "own" else value for name, value in headers.items()}
    assert (await page.ask("/api/verdicts", method="POST", data=said(card), headers=own)).status == 403
    assert not (made.path / "verdicts.sqlite3").exists()


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_other_methods_do_nothing(page: Page, method: str) -> None:
    headers = {"Origin": page.origin, "Content-Type": "application/json"}
    for place in ("/", "/api/jobs", "/api/verdicts", "/api/undo"):
        assert (await page.ask(place, method=method, headers=headers)).status in (403, 405)


async def test_every_answer_keeps_the_page_to_itself(page: Page) -> None:
    card = (await page.jobs())[0]
    static = re.search(r'"(/static/[^"]+)"', (await page.ask("/")).body.decode())
    assert static is not None
    places = [*PLACES, card["thumb"], card["before"], f"/image/{card['fingerprint']}/{card['sha256']}", static[1]]
    for place in [*places, f"/input/{card['fingerprint']}/0", "/?token=x"]:
        answer = await page.ask(place)
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, place
        assert answer.headers["Cache-Control"].startswith(("no-store", "private")), place
        assert not any(name.startswith("Access-Control") for name in answer.headers), place


def test_pages_may_run_load_and_tell_nothing_but_their_own() -> None:
    assert HEADERS["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
    )


async def test_what_never_changes_may_be_kept_and_what_people_say_may_not(page: Page) -> None:
    card = (await page.jobs())[0]
    kept = "private, max-age=31536000, immutable"
    assert (await page.ask(card["thumb"])).headers["Cache-Control"] == kept
    assert (await page.ask(f"/image/{card['fingerprint']}/{card['sha256']}")).headers["Cache-Control"] == kept
    for place in ("/", "/api/jobs", "/api/overview", "/nothing"):
        assert (await page.ask(place)).headers["Cache-Control"] == "no-store"


async def test_scripts_and_styles_are_had_without_a_session(made: MadeOutput) -> None:
    """They are no secret, and the page that refuses is to look like the others."""
    async with Review(ReviewOptions(made.path, "ann")) as server, Page(server.url, enters=False) as stranger:
        refused = (await stranger.ask("/")).body.decode()
        style = re.search(r'"(/static/[^"]+review\.css)"', refused)
        assert style is not None
        answer = await stranger.ask(style[1])
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/css; charset=utf-8")


@pytest.mark.parametrize(
    "path",
    [
        *("/static/{}/../../server.py", "/static/{}/..%2f..%2fserver.py", "/static/{}/%2e%2e/%2e%2e/server.py"),
        *("/static/{}//etc/passwd", "/static/{}/%2fetc%2fpasswd", "/static/x/review.css", "/static/{}/review.css%00"),
        *("/image/../../ledger.sqlite3", "/image/x/..%2f..%2fledger.sqlite3", "/thumb/x/%2e%2e%2fledger.sqlite3"),
        *("/input/x/..%2f..%2fetc%2fpasswd", "/before/x/-1", "/ledger.sqlite3", "/.review/x", "/api/../ledger.sqlite3"),
    ],
)
async def test_no_path_leads_to_another_file(page: Page, path: str) -> None:
    static = re.search(r'"/static/([^/"]+)/', (await page.ask("/")).body.decode())
    assert static is not None
    answer = await page.ask(path.replace("{}", static[1]))
    assert answer.status == 404
    assert b"SQLite" not in answer.body
    assert b"root:" not in answer.body


async def test_it_listens_on_this_machine_alone(page: Page) -> None:
    port = int(page.origin.rpartition(":")[2])
    others = {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), port, type=socket.SOCK_STREAM)}
    for address in others - {"127.0.0.1", "::1"}:
        with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
            socket.create_connection((address, port), timeout=1).close()


async def test_a_packed_file_beside_a_picture_is_not_served_in_its_place(made: MadeOutput, page: Page) -> None:
    job = await page.job("B00000-beach")
    path = made.path / job["output_path"]
    for ending in (".gz", ".br"):
        path.with_name(path.name + ending).write_bytes(b"another")
    answer = await page.ask(job["image"], headers={"Accept-Encoding": "gzip, br"})
    assert "Content-Encoding" not in answer.headers
    assert answer.body == path.read_bytes()


async def test_two_servers_in_one_browser_have_cookies_of_their_own(made: MadeOutput) -> None:
    """A browser sends the cookies of one port to all."""
    async with reviewed(made.path) as one, reviewed(made.path, by="bob") as other:
        for page, user in ((one, "ann"), (other, "bob")):
            beside = {**one.cookies(), **other.cookies()}
            assert len(beside) == 2
            page.take_cookies(beside)
            assert (await page.get("/api/overview"))["user"] == user


async def test_what_is_broken_is_said_without_a_traceback(made: MadeOutput) -> None:
    async with reviewed(made.path) as page:
        for body in (b"", b"[", b"[]", b'{"verdict": 1}', b'{"pictures": 3}', b'{"other": 1}', b"\xff" * 100):
            headers = {"Origin": page.origin, "Content-Type": "application/json"}
            answer = await page.ask("/api/verdicts", method="POST", data=body, headers=headers)
            assert answer.status == 400
            assert list(json.loads(answer.body)) == ["error"]
