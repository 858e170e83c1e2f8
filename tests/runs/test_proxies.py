# ruff: noqa: E501  # tables of messages
"""Requests go through the environment's proxy: what it sees, what it doesn't, and what its refusals cost."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.bench import KEY, Bench, job, jobs, sandbox
from tests.support.command import Finished
from tests.support.proxy import CERTIFICATE, ProxyServer
from tests.support.recorder import Recorder, http, png

API = "https://api.segmind.com/v1"
CONNECT = "CONNECT api.segmind.com:443 HTTP/1.1"
QUICK = ("--progress", "none", "--rate", "1000/s")
FAST = {
    "BATCH_EDITOR_RETRY__BACKOFF_S": "0.01",
    "BATCH_EDITOR_RETRY__BACKOFF_MAX_S": "0.05",
    "BATCH_EDITOR_RETRY__MAX_ATTEMPTS": "2",
}


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    async with Recorder() as recorder:
        yield recorder


@pytest.fixture
async def proxy(recorder: Recorder) -> AsyncIterator[ProxyServer]:
    async with ProxyServer(int(recorder.url.rpartition(":")[2])) as proxy:
        yield proxy


async def run(bench: Bench, environment: dict[str, str], *more: str, manifest: Path | None = None) -> Finished:
    manifest = manifest or bench.write(jobs(1))
    return await bench.command(
        "run", manifest, "-o", bench.out, *QUICK, *(more or ("--base-url", API)), environment={**FAST, **environment}
    )


@pytest.mark.fault(65)
async def test_a_run_goes_through_the_proxy_and_the_key_stays_in_the_tunnel(
    bench: Bench, proxy: ProxyServer, recorder: Recorder
) -> None:
    (bench.folder / ".netrc").write_text("machine api.segmind.com login tom password netrc-secret\n")
    (bench.folder / ".netrc").chmod(0o600)
    finished = await run(bench, proxy.environment(HOME=str(bench.folder), NETRC=str(bench.folder / ".netrc")))
    assert (finished.code, bench.statuses()) == (0, {"job-0": "succeeded"})
    assert f"requests go through the proxy {proxy.url} (HTTPS_PROXY)" in finished.err.splitlines()
    assert finished.err.count("proxy") == 1
    (head,) = proxy.heads
    fields = [line.partition(":")[0].lower() for line in head.strip().split("\r\n")[1:]]
    assert (proxy.asked, KEY in head) == ([CONNECT], False)
    assert not {"x-api-key", "authorization", "proxy-authorization", "content-type"} & set(fields)
    (seen,) = recorder.requests
    assert (seen.path, seen.headers["x-api-key"]) == ("/v1/gpt-image-1.5-edit", KEY)
    assert "authorization" not in seen.headers


async def test_a_proxy_s_password_goes_to_it_alone_and_into_no_text(
    bench: Bench, proxy: ProxyServer, recorder: Recorder
) -> None:
    proxy.login = "tom:pass word-7"
    log = bench.folder / "log.jsonl"
    environment = proxy.environment(login="tom:pass%20word-7")
    finished = await run(bench, environment, "--base-url", API, "--log-file", str(log), "-v")
    assert finished.code == 0
    assert f"requests go through the proxy {proxy.url} (HTTPS_PROXY)" in finished.err
    assert all("proxy-authorization" not in seen.headers for seen in recorder.requests)
    written = [path.read_bytes() for path in bench.folder.rglob("*") if path.is_file()]
    for text in (finished.out.encode(), finished.err.encode(), *written):
        assert b"word-7" not in text


REFUSALS = {
    407: (
        "the proxy {url} wants a user name and password, and not those that it was given (HTTP 407);"
        " write them in HTTPS_PROXY, as http://user:password@host:port"
    ),
    403: (
        "the proxy {url} refuses a connection to api.segmind.com:443 (HTTP 403);"
        " have it allowed there, or name the host in NO_PROXY if it is reached without the proxy"
    ),
}


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.fault(65)
async def test_a_proxy_that_refuses_for_good_stops_the_run_unbilled(
    bench: Bench, proxy: ProxyServer, recorder: Recorder, status: int
) -> None:
    proxy.status = status
    finished = await run(bench, proxy.environment(login="tom:wrong-password"))
    row = bench.row("job-0")
    assert (finished.code, row["status"], row["error_kind"], row["possibly_billed"]) == (
        3,
        "pending",
        "connection",
        "0",
    )
    assert row["error"] == REFUSALS[status].format(url=proxy.url)
    assert "wrong-password" not in finished.err + finished.out
    assert (proxy.asked, recorder.requests) == ([CONNECT], [])


@pytest.mark.parametrize("status", [502, 503, 504, 429])
async def test_a_proxy_that_has_no_connection_costs_nothing_and_is_tried_again(
    bench: Bench, proxy: ProxyServer, recorder: Recorder, status: int
) -> None:
    proxy.status = status
    finished = await run(bench, proxy.environment())
    row = bench.row("job-0")
    assert (finished.code, row["status"], row["error_kind"], row["possibly_billed"]) == (1, "failed", "connection", "0")
    assert row["error"] == f"the proxy {proxy.url} has no connection to api.segmind.com:443 (HTTP {status})"
    assert (proxy.asked, recorder.requests) == ([CONNECT] * 2, [])


async def test_a_silent_proxy_is_waited_for_as_for_a_connection(bench: Bench, proxy: ProxyServer) -> None:
    proxy.status = None
    finished = await run(bench, proxy.environment(BATCH_EDITOR_API__CONNECT_TIMEOUT_S="0.2"))
    row = bench.row("job-0")
    assert (finished.code, row["error_kind"], row["possibly_billed"]) == (1, "connection", "0")
    assert row["error"] == f"no connection through the proxy {proxy.url} in time"
    assert proxy.asked == [CONNECT] * 2


@pytest.mark.parametrize(
    ("url", "why"), [("http://127.0.0.1:9", "Connect"), ("http://proxy.invalid:3128", "")], ids=["refused", "no name"]
)
async def test_a_proxy_that_is_not_there_costs_nothing(bench: Bench, proxy: ProxyServer, url: str, why: str) -> None:
    finished = await run(bench, proxy.environment(HTTPS_PROXY=url))
    row = bench.row("job-0")
    assert (finished.code, row["error_kind"], row["attempts"], row["possibly_billed"]) == (1, "connection", "2", "0")
    assert row["error"].startswith(f"the proxy {url} is not reached: {why}")


async def test_behind_the_proxy_all_is_as_before(bench: Bench, proxy: ProxyServer, recorder: Recorder) -> None:
    recorder.answer = http(b"", status="502 Bad Gateway")
    finished = await run(bench, proxy.environment())
    row = bench.row("job-0")
    assert (finished.code, row["status"], row["http_status"], row["possibly_billed"]) == (1, "unknown", "502", "2")


@pytest.mark.parametrize(("status", "code", "billed"), [(502, 1, "2"), (504, 1, "2"), (407, 3, "0")])
async def test_of_a_plain_link_the_proxy_sees_all_and_its_502_may_be_the_provider_s(
    bench: Bench, proxy: ProxyServer, status: int, code: int, billed: str
) -> None:
    proxy.status = status
    finished = await run(bench, proxy.environment(), "--base-url", "http://api.segmind.com/v1")
    row = bench.row("job-0")
    assert (finished.code, row["possibly_billed"]) == (code, billed)
    assert proxy.asked[0] == "POST http://api.segmind.com/v1/gpt-image-1.5-edit HTTP/1.1"
    assert f"requests go through the proxy {proxy.url} (HTTP_PROXY)" in finished.err


@pytest.mark.parametrize("no_proxy", ["", "*", "127.0.0.1", "localhost"])
async def test_this_machine_is_never_asked_for_through_a_proxy(
    bench: Bench, proxy: ProxyServer, recorder: Recorder, no_proxy: str
) -> None:
    finished = await run(
        bench, proxy.environment(ALL_PROXY=proxy.url, NO_PROXY=no_proxy), "--base-url", recorder.base_url
    )
    assert (finished.code, len(recorder.requests), proxy.heads) == (0, 1, [])
    assert "proxy" not in finished.err


@pytest.mark.parametrize("no_proxy", ["api.segmind.com", ".segmind.com", "segmind.com", "x, api.segmind.com:443", "*"])
async def test_what_no_proxy_excepts_is_asked_for_directly(bench: Bench, proxy: ProxyServer, no_proxy: str) -> None:
    finished = await run(bench, proxy.environment(NO_PROXY=no_proxy))
    assert (finished.code, proxy.heads) == (1, [])  # the provider's host is unknown here
    assert bench.row("job-0")["error"].startswith("not reached: Cannot connect to host api.segmind.com:443")
    assert "proxy" not in finished.err


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
async def test_a_proxy_is_named_in_capitals_or_not_and_with_or_without_its_scheme(
    bench: Bench, proxy: ProxyServer, variable: str
) -> None:
    environment = {"SSL_CERT_FILE": str(CERTIFICATE), variable: f"127.0.0.1:{proxy.port}"}
    finished = await run(bench, environment)
    assert (finished.code, proxy.asked) == (0, [CONNECT])
    assert f"requests go through the proxy {proxy.url} ({variable})" in finished.err


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("HTTPS_PROXY", "socks5://tom:hidden-7@127.0.0.1:1080", "HTTPS_PROXY is '127.0.0.1:1080'; expected an HTTP proxy, such as http://proxy.example.com:3128 (others, such as SOCKS, aren't supported)"),
        ("HTTPS_PROXY", "socks5://127.0.0.1:1080", "HTTPS_PROXY is 'socks5://127.0.0.1:1080'; expected an HTTP proxy, such as http://proxy.example.com:3128 (others, such as SOCKS, aren't supported)"),
        ("HTTPS_PROXY", "http://127.0.0.1:x", "HTTPS_PROXY is 'http://127.0.0.1:x'; expected an HTTP proxy, such as http://proxy.example.com:3128 (others, such as SOCKS, aren't supported)"),
        ("SSL_CERT_FILE", "gone.pem", "SSL_CERT_FILE is 'gone.pem'; there is no such file of certificates"),
        ("SSL_CERT_FILE", "jobs.yaml", "SSL_CERT_FILE is 'jobs.yaml', which holds no certificate that can be read"),
        ("SSL_CERT_FILE", ".", "SSL_CERT_FILE is '.', which holds no certificate that can be read"),
        ("REQUESTS_CA_BUNDLE", "gone.pem", "REQUESTS_CA_BUNDLE is 'gone.pem'; there is no such file of certificates"),
        ("REQUESTS_CA_BUNDLE", "jobs.yaml", "REQUESTS_CA_BUNDLE is 'jobs.yaml', which holds no certificate that can be read"),
    ],
)  # fmt: skip
async def test_what_is_no_proxy_or_no_certificate_ends_with_2_before_anything_is_sent(
    bench: Bench, proxy: ProxyServer, variable: str, value: str, message: str
) -> None:
    unset = {"SSL_CERT_FILE": ""} if variable == "REQUESTS_CA_BUNDLE" else {}
    finished = await run(bench, {**proxy.environment(), **unset, variable: value})
    assert (finished.code, finished.err.splitlines()[-1]) == (2, f"error: {message}")
    assert (proxy.heads, bench.out.exists()) == ([], False)


@pytest.mark.parametrize(
    ("trusted", "code"),
    [
        ({"SSL_CERT_FILE": "", "REQUESTS_CA_BUNDLE": str(CERTIFICATE)}, 0),
        ({"SSL_CERT_FILE": str(CERTIFICATE), "REQUESTS_CA_BUNDLE": "gone.pem"}, 0),
        ({"SSL_CERT_FILE": "", "REQUESTS_CA_BUNDLE": ""}, 3),
    ],
    ids=["the bundle", "the file before the bundle", "neither"],
)
async def test_authorities_are_those_that_the_environment_names(
    bench: Bench, proxy: ProxyServer, trusted: dict[str, str], code: int
) -> None:
    finished = await run(bench, {**proxy.environment(), **trusted})
    assert finished.code == code
    assert ("certificate is not valid" in bench.row("job-0")["error"]) == (code == 3)


async def test_links_of_results_are_fetched_through_the_proxy_without_the_key(
    bench: Bench, proxy: ProxyServer, recorder: Recorder
) -> None:
    link = {"image": "https://cdn.segmind.com/made/it.png"}
    recorder.answers = {"/v1/gpt-image-1.5-edit": http(json.dumps(link).encode(), content_type="application/json")}
    recorder.answers["/made/it.png"] = http(png())
    finished = await run(bench, proxy.environment())
    assert (finished.code, proxy.asked) == (0, [CONNECT, "CONNECT cdn.segmind.com:443 HTTP/1.1"])
    assert "x-api-key" not in recorder.requests[1].headers


@pytest.mark.parametrize("host", ["10.0.0.1", "169.254.169.254", "[fd00::1]", "2852039166", "192.168.257"])
async def test_an_address_of_a_private_network_isn_t_asked_for_through_the_proxy(
    bench: Bench, proxy: ProxyServer, recorder: Recorder, host: str
) -> None:
    link = json.dumps({"image": f"http://{host}/it.png"}).encode()
    recorder.answers = {"/v1/gpt-image-1.5-edit": http(link, content_type="application/json")}
    finished = await run(bench, proxy.environment())
    assert (finished.code, proxy.asked) == (1, [CONNECT])
    assert "is not a public address" in bench.row("job-0")["error"]


@pytest.mark.slow
async def test_uploads_v2_polls_and_the_account_go_through_the_proxy(bench: Bench) -> None:
    lost = sandbox(latency="0.05", faults=("502:prompt~broken",))
    async with lost as provider, ProxyServer(int(provider.url.rpartition(":")[2])) as proxy:
        (bench.folder / "in.png").write_bytes(png())
        environment = proxy.environment(BATCH_EDITOR_API__VERSION="v2")
        manifest = bench.write([job("a", image_urls=["in.png"]), job("b", "broken")])
        finished = await run(bench, environment, "--base-url", API, manifest=manifest)
        assert (finished.code, bench.statuses()) == (1, {"a": "succeeded", "b": "unknown"})
        tunnels = {line.split()[1] for line in proxy.asked if line.startswith("CONNECT ")}
        assert tunnels == {"workflows-api.segmind.com:443", "api.segmind.com:443"}
        # The sandbox's link to the result is a plain one.
        (link,) = (line for line in proxy.asked if not line.startswith("CONNECT "))
        assert link.startswith("GET http://api.segmind.com/_sandbox/results/")
        settled = await bench.command("reconcile", bench.out, environment={**FAST, **environment})
        assert proxy.asked[-1] == "CONNECT api.spotprod.segmind.com:443 HTTP/1.1"
        assert settled.err.splitlines()[0] == f"requests go through the proxy {proxy.url} (HTTPS_PROXY)"
        assert all(KEY not in head for head in proxy.heads)
        assert provider.books.key_leaks == 0
