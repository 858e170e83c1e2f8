"""Files of the public web: uploads and results, behind links where no API key belongs."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from aiohttp import web

from batch_editor.sandbox.answers import error, page
from batch_editor.sandbox.books import Books
from batch_editor.sandbox.files import File
from batch_editor.sandbox.gate import KEY_HEADER, has_key

# Result links expire. A client that fetches them at once never meets this.
_KEPT_RESULTS = 500


class PublicFiles:
    """What links of the sandbox lead to. `remake` makes a result that is kept no more; None: there never was one."""

    def __init__(self, books: Books, remake: Callable[[str], Awaitable[File | None]]) -> None:
        self._books = books
        self._remake = remake
        self._uploads: dict[str, File] = {}
        self._results: OrderedDict[str, File] = OrderedDict()

    def routes(self) -> list[web.RouteDef]:
        """Where the links lead."""
        return [
            web.get("/uploads/{name}", self._uploaded),
            web.get("/_sandbox/results/{name}", self._result),
            web.route("*", "/_sandbox/elsewhere", self._elsewhere),
        ]

    def keep_upload(self, file: File, *, origin: str) -> str:
        """Keep an upload; its link, which is that of its content."""
        extension = file.content_type.removeprefix("image/").partition("+")[0]
        name = f"{hashlib.sha256(file.data).hexdigest()}.{extension}"
        self._uploads[name] = file
        self._books.upload()
        return f"{origin}/uploads/{name}"

    def keep_result(self, name: str, file: File) -> None:
        """Keep a result, for a while."""
        self._results[name] = file
        if len(self._results) > _KEPT_RESULTS:
            self._results.popitem(last=False)

    async def _uploaded(self, request: web.Request) -> web.Response:
        return self._public(request, self._uploads.get(request.match_info["name"]))

    async def _result(self, request: web.Request) -> web.Response:
        """A picture; one that isn't kept is made again, the same to the last bit."""
        if has_key(request):
            self._books.leak_key()
            return error(400, f"{KEY_HEADER} has no place here: this is a public link")
        name = request.match_info["name"]
        return _served(self._results.get(name) or await self._remake(name))

    async def _elsewhere(self, request: web.Request) -> web.Response:
        return self._public(request, None)

    def _public(self, request: web.Request, file: File | None) -> web.Response:
        if has_key(request):
            self._books.leak_key()
        return _served(file)


def _served(file: File | None) -> web.Response:
    if file is None:
        return page(404, "404 Not Found")
    return web.Response(body=file.data, content_type=file.content_type)
