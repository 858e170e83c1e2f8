"""A browser that is asked to break in, and one whose server has gone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser

from tests.servers.review_pages.conftest import Visit
from tests.servers.review_pages.served import Served, Visitor

# What a page of somebody else on this very machine, to which the session's cookie goes as well, might try.
ATTACK = """
<!doctype html><title>elsewhere</title><iframe id="frame" src="ORIGIN/"></iframe>
<script>
window.got = [];
window.tried = (async () => {
  const body = JSON.stringify({pictures: [PICTURE], verdict: "rejected"});
  const say = (word) => window.got.push(word);
  for (const options of [
    {method: "POST", body},
    {method: "POST", body, mode: "no-cors", credentials: "include"},
    {method: "POST", body, mode: "no-cors", credentials: "include", headers: {"Content-Type": "text/plain"}},
    {method: "POST", body, credentials: "include", headers: {"Content-Type": "application/json"}},
  ]) await fetch("ORIGIN/api/verdicts", options).then((it) => it.ok && say("posted"), () => {});
  for (const path of ["/api/jobs", "/api/overview", "/", "/api/changes?since=0"])
    await fetch("ORIGIN" + path, {credentials: "include"}).then(() => say("read " + path), () => {});
  for (const path of ["/api/jobs", "SCRIPT"]) await new Promise((done) => {
    const script = document.createElement("script");
    script.src = "ORIGIN" + path;
    script.onload = () => (say("ran " + path), done());
    script.onerror = done;
    document.head.append(script);
  });
  await new Promise((done) => {
    const image = new Image();
    image.onload = () => (say("saw a picture"), done());
    image.onerror = done;
    image.src = "ORIGINTHUMB";
  });
  const form = document.createElement("form");
  form.method = "POST"; form.action = "ORIGIN/api/verdicts"; form.enctype = "text/plain"; form.target = "frame";
  form.innerHTML = `<input name='{"pictures":[PICTURE],"verdict":"rejected","note":"' value='"}'>`;
  document.body.append(form);
  form.submit();
  await new Promise((done) => setTimeout(done, 500));
})();
</script>
"""


@pytest.fixture
def elsewhere() -> Iterator[ThreadingHTTPServer]:
    """Another server of this machine, which serves `page` at every address."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = getattr(self.server, "page", b"")
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_page_of_another_origin_reads_and_judges_nothing(
    host: str, visitor: Visitor, server: Served, elsewhere: ThreadingHTTPServer
) -> None:
    card = visitor.page.evaluate("fetch('/api/jobs').then(it => it.json()).then(it => it.jobs[0])")
    script = visitor.page.get_attribute("script[src]", "src") or ""
    picture = f'{{"fingerprint":"{card["fingerprint"]}","sha256":"{card["sha256"]}"}}'
    attack = ATTACK.replace("PICTURE", picture).replace("THUMB", card["thumb"]).replace("SCRIPT", script)
    elsewhere.page = attack.replace("ORIGIN", server.origin).encode()  # type: ignore[attr-defined]  # read by Page
    page = visitor.page.context.new_page()
    page.goto(f"http://{host}:{elsewhere.server_port}/")
    page.evaluate("window.tried")
    assert page.evaluate("window.got") == []
    assert server.verdicts() == {}
    frame = next(each for each in page.frames if each is not page.main_frame)
    assert frame.query_selector("#scroller") is None  # not framed either
    page.close()


def test_the_address_opens_one_browser_and_the_next_address_another(browser: Browser, server: Served) -> None:
    first = server.address()
    for number, comes_in in enumerate([True, False, True]):
        address = server.address() if number == 2 else first
        context = browser.new_context()
        page = context.new_page()
        page.goto(address)
        if comes_in:
            page.wait_for_selector(".card.current")
            assert page.url == f"{server.origin}/"  # no token stays in the history
        else:
            assert "batch-editor review" in page.inner_text("main")
            assert page.query_selector("#scroller") is None
        context.close()


def test_without_a_session_a_page_says_what_to_do(browser: Browser, server: Served) -> None:
    context = browser.new_context()
    page = context.new_page()
    answer = page.goto(f"{server.origin}/job/B00000-beach")
    assert answer is not None
    assert answer.status == 403
    assert page.inner_text("pre") == "batch-editor review OUT"
    # With its style.
    assert page.evaluate("getComputedStyle(document.querySelector('pre')).borderTopWidth") == "1px"
    context.close()


def test_a_session_that_has_ended_is_said_and_nothing_is_taken_for_saved(visitor: Visitor, server: Served) -> None:
    visitor.expected = ("403",)
    visitor.page.context.clear_cookies()
    visitor.press("a")
    visitor.page.wait_for_selector("#trouble:has-text('This session has ended.')")
    visitor.until("document.querySelector('#toast').textContent.startsWith('Not saved: B00000-beach.')")
    visitor.until("!document.querySelector('.card[title=\"B00000-beach\"]').classList.contains('is-approved')")
    assert server.verdicts() == {}


def test_a_server_that_has_gone_is_said_and_a_verdict_is_taken_back(visitor: Visitor, server: Served) -> None:
    visitor.expected = ("ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET")
    server.end()
    visitor.press("r")
    visitor.page.wait_for_selector("#trouble:has-text('No answer from batch-editor review.')")
    visitor.until("document.querySelector('#toast').textContent.startsWith('Not saved: B00000-beach.')")
    assert visitor.page.query_selector(".card.is-rejected") is None
    assert server.verdicts() == {}


def test_a_job_with_a_token_in_the_address_has_none_once_open(visit: Visit) -> None:
    visitor = visit(path="/job/B00000-beach")
    assert "token" not in visitor.page.evaluate("document.documentElement.outerHTML + document.cookie + location.href")
