"""Who may ask the server for anything: a browser of whoever started it, and no page of anybody else in that browser.

Other pages of a browser can send requests here, and other people of the machine can connect. So a request must name
this machine (a foreign name that leads here is an attack by DNS), come from these pages themselves, and have a cookie
that the address with the token gave; that address is good for one use.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable

from aiohttp import hdrs, web

# With any port: `ssh -L 9000:127.0.0.1:8123` has the browser ask for localhost:9000.
_THIS_MACHINE = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
_SAFE_METHODS = frozenset(["GET", "HEAD"])
# A browser says so of requests that this server's own pages make, and of an address that somebody has typed or opened.
_OWN = frozenset(["same-origin", "none"])
TOKEN = "token"  # noqa: S105  # the name of a parameter

_POLICY = "; ".join(
    [
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "connect")),
        "form-action 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ]
)
HEADERS = {
    "Server": "batch-editor",  # in the place of aiohttp's and Python's versions
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Forbidden(Exception):
    """The request isn't one of these pages; `message` says what is to be done."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Access:
    """The token that the next browser comes with, and the cookie that browsers have then.

    `renewed` is called whenever a token has been used up, after which another one is good.
    """

    def __init__(self, *, renewed: Callable[[], None]) -> None:
        self._renewed = renewed
        self._session = secrets.token_urlsafe(32)
        self.token = secrets.token_urlsafe(32)
        self._port = 0

    def listens_on(self, port: int) -> None:
        """Hear of the server's port, once it is known: the cookie is named after it."""
        self._port = port

    def check(self, request: web.Request, *, with_session: bool = True) -> None:
        """Let a request pass that these pages have made. Without a session for what is no secret: scripts and styles.

        Raises:
            Forbidden: it is another one.
        """
        self._check_host(request)
        self._check_origin(request)
        if not with_session:
            return
        given = request.cookies.get(self._cookie, "")
        if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._session.encode()):
            raise Forbidden(NO_SESSION)

    def entered(self, request: web.Request) -> web.Response:
        """The answer that lets a browser in which comes with the token.

        Raises:
            Forbidden: the token has been used, or never was one.
        """
        given = request.query[TOKEN]
        self._check_host(request)
        if request.method != "GET" or not hmac.compare_digest(
            given.encode("utf-8", "surrogatepass"), self.token.encode()
        ):
            raise Forbidden(USED_TOKEN)
        self.token = secrets.token_urlsafe(32)
        # After a redirect that began at a page elsewhere, as at a terminal in the browser, a Strict cookie isn't sent.
        if request.headers.get("Sec-Fetch-Site", "none") in _OWN:
            response = web.Response(status=303, headers={"Location": "/"})
        else:
            response = web.Response(text=_ONWARD, content_type="text/html")
        response.set_cookie(self._cookie, self._session, path="/", httponly=True, samesite="Strict")
        self._renewed()
        return response

    @property
    def _cookie(self) -> str:
        """Cookies of one host are sent to all its ports, so those of two servers need two names."""
        return f"batch_editor_review_{self._port}"

    @staticmethod
    def _check_host(request: web.Request) -> None:
        hosts = request.headers.getall(hdrs.HOST, [])
        if len(hosts) != 1 or _THIS_MACHINE.fullmatch(hosts[0]) is None:
            raise Forbidden("this server is for this machine alone; ask for it as localhost or 127.0.0.1")

    @staticmethod
    def _check_origin(request: web.Request) -> None:
        origins = request.headers.getall(hdrs.ORIGIN, [])
        own = f"http://{request.headers[hdrs.HOST]}".lower()
        if any(origin.lower() != own for origin in origins):
            raise Forbidden("another page asks; only the pages of this server may")
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in _OWN:
            raise Forbidden("another page asks; only the pages of this server may")
        if request.method in _SAFE_METHODS:
            return
        if not origins:
            raise Forbidden("the request doesn't say which page it comes from (Origin)")
        if request.content_type != "application/json":
            raise Forbidden("expected JSON (Content-Type: application/json)")


NO_SESSION = "this browser isn't known here, or the server was started anew"
USED_TOKEN = "this address has been used already, or is of an earlier start"  # noqa: S105  # a message
_ONWARD = '<!doctype html><title>Review</title><meta http-equiv="refresh" content="0; url=/">'
