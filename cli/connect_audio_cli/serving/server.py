"""The web server of `serve`: loopback alone, read-only, GET and HEAD alone.

| path | answer |
| --- | --- |
| `/` | the list of recordings |
| `/call/PATH` | the page of a recording |
| `/live/FOLDER` | a call that is going on |
| `/api/recordings`, `/api/facts?path=…`, `/api/live/FOLDER?from=N` | JSON for these pages |
| `/api/words?text=…&path=…` | JSON: where words are said in the calls of these paths |
| `/files/PATH` | a WAV, JSON or WebVTT file of the place, with ranges |
"""

from __future__ import annotations

import io
import json
import secrets
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any, Final, override
from urllib.parse import parse_qs, quote, unquote, urlsplit

from connect_audio_cli.output.command_error import CommandError, printable
from connect_audio_cli.page.document import write_page
from connect_audio_cli.page.page import read_recording, title_of
from connect_audio_cli.serving.admission import Admission
from connect_audio_cli.serving.catalogue import Catalogue
from connect_audio_cli.serving.live_index import segments_from
from connect_audio_cli.serving.pages import list_page, live_page
from connect_audio_cli.serving.ranges import Span, UnsatisfiableError, span_of
from connect_audio_cli.serving.stores import Store
from connect_audio_cli.serving.words import WordSearch

_TYPES: Final = {"wav": "audio/wav", "json": "application/json", "vtt": "text/vtt; charset=utf-8"}
_HTML: Final = "text/html; charset=utf-8"
_PIECE_BYTES: Final = 1 << 16
_MOST_PATHS: Final = 50
"""Recordings of one question for facts or words."""
_MOST_PAGES: Final = 4
"""Pages that are kept: to go back to a call costs no second look at its audio."""
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_QUIET_S: Final = 30
"""Seconds that a connection may say nothing before it is closed."""


class RecordingServer(ThreadingHTTPServer):
    """Serves a place on this machine's loopback until it is shut down.

    Args:
        store: the place.
        port: the port; 0 for a free one.

    Raises:
        OSError: the port is taken.
    """

    daemon_threads = True

    def __init__(self, store: Store, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Request)
        self.store = store
        self.catalogue = Catalogue(store)
        self.words = WordSearch(store, self.catalogue.transcript)
        self.admission = Admission(self.server_address[1], secrets.token_urlsafe(24))
        self._pages: OrderedDict[tuple[str, ...], bytes] = OrderedDict()
        self._lock = Lock()

    @property
    def address(self) -> str:
        """The address to open, with the key."""
        return f"http://127.0.0.1:{self.admission.port}/?key={self.admission.key}"

    def page(self, path: str) -> bytes | None:
        """Return the page of a recording; None if there is no such recording.

        Raises:
            CommandError: it cannot be read.
        """
        items = [self.store.item(path + ending) for ending in (".wav", ".json", ".transcript.json", ".vtt")]
        if items[0] is None:
            return None
        key = (path, *(item.version if item else "" for item in items))
        with self._lock:
            if key in self._pages:
                self._pages.move_to_end(key)
                return self._pages[key]
        made = _page(self.store, path)
        with self._lock:
            self._pages[key] = made
            while len(self._pages) > _MOST_PAGES:
                self._pages.popitem(last=False)
        return made

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that went away; any other fault is a line."""
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            sys.stderr.write(f"connect-audio serve: a request failed: {printable(repr(error), 200)}\n")


def _page(store: Store, path: str) -> bytes:
    recording = read_recording(store.location(f"{path}.wav"))
    facts = recording.facts(
        {
            "kind": "served",
            "format": "WAV",
            "name": f"{recording.stem}.wav",
            "source": f"/files/{quote(path)}.wav",
        }
    )
    page = io.BytesIO()
    write_page(page.write, facts, title=title_of(facts), media="'self'", audio=None, is_served=True)
    return page.getvalue()


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "connect-audio"
    sys_version = ""
    timeout = _QUIET_S
    server: RecordingServer
    _begun = False

    @override
    def log_message(self, format: str, *arguments: Any) -> None:
        """Log nothing: the addresses carry contact ids."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self._begun = False
        refusal = self.server.admission.refusal(self.headers)
        if refusal is not None:
            self._text(refusal, "this server answers its own pages on 127.0.0.1 alone")
            return
        address = urlsplit(self.path)
        query = parse_qs(address.query)
        if "key" in query:
            self._take_key(query["key"][0])
        elif not self.server.admission.knows(self.headers):
            self._text(HTTPStatus.FORBIDDEN, "open the address that connect-audio serve has printed")
        else:
            self._answer(unquote(address.path), query)

    def _take_key(self, key: str) -> None:
        if not self.server.admission.fits(key):
            self._text(
                HTTPStatus.FORBIDDEN, "this is not the key: open the address that connect-audio serve has printed"
            )
            return
        self._send(
            HTTPStatus.SEE_OTHER, b"", "text/plain", {"Location": "/", "Set-Cookie": self.server.admission.set_cookie}
        )

    def _answer(self, path: str, query: Mapping[str, list[str]]) -> None:
        routes: dict[str, Callable[[str, Mapping[str, list[str]]], None]] = {
            "call": self._call,
            "live": self._live,
            "files": self._file,
            "api": self._api,
        }
        first, _, below = path.removeprefix("/").partition("/")
        try:
            if path == "/":
                self._html(list_page(self.server.store.name))
            elif first in routes:
                routes[first](below, query)
            else:
                self._not_found()
        except CommandError as error:
            if self._begun:
                # Half of an answer is out: only the end of the connection can say that it is not whole.
                self.close_connection = True
            else:
                self._text(HTTPStatus.BAD_GATEWAY, str(error))

    def _call(self, path: str, _: Mapping[str, list[str]]) -> None:
        page = self.server.page(path)
        if page is None:
            self._not_found()
        else:
            self._html(page)

    def _live(self, folder: str, _: Mapping[str, list[str]]) -> None:
        if self.server.store.item(f"{folder}/index.json") is None:
            self._not_found()
        else:
            self._html(live_page(folder))

    def _api(self, path: str, query: Mapping[str, list[str]]) -> None:
        what, _, below = path.partition("/")
        if what == "recordings":
            entries, more = self.server.catalogue.entries()
            self._json({"recordings": [entry.to_json() for entry in entries], "more": more})
        elif what == "facts":
            self._json(self.server.catalogue.facts(query.get("path", [])[:_MOST_PATHS]))
        elif what == "words":
            self._json(self.server.words.search(query.get("text", [""])[0], query.get("path", [])[:_MOST_PATHS]))
        elif what == "live" and (
            found := segments_from(self.server.store, below, _number(query.get("from", ["0"])[0]))
        ):
            self._json(found)
        else:
            self._not_found()

    def _file(self, path: str, _: Mapping[str, list[str]]) -> None:
        item = self.server.store.item(path)
        if item is None:
            self._not_found()
            return
        headers = {"Accept-Ranges": "bytes", "ETag": f'"{item.version}"'}
        try:
            span = span_of(self.headers.get("Range"), item.size)
        except UnsatisfiableError:
            headers["Content-Range"] = f"bytes */{item.size}"
            self._send(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, b"", "text/plain", headers)
            return
        status = HTTPStatus.OK
        if span is None:
            span = Span(0, item.size)
        else:
            status = HTTPStatus.PARTIAL_CONTENT
            headers["Content-Range"] = f"bytes {span.start}-{span.start + span.length - 1}/{item.size}"
        kind = _TYPES[path.rpartition(".")[2]]
        if self.command == "HEAD":
            self._head(status, span.length, kind, headers)
            return
        with self.server.store.open(item, span.start, span.length) as file:
            self._head(status, span.length, kind, headers)
            left = span.length
            while left and (data := file.read(min(left, _PIECE_BYTES))):
                self.wfile.write(data)
                left -= len(data)
            # A body that ended early is no whole answer: the closed connection says so.
            self.close_connection = self.close_connection or left > 0

    def _html(self, page: bytes) -> None:
        self._send(HTTPStatus.OK, page, _HTML, {"Content-Security-Policy": "frame-ancestors 'none'"})

    def _json(self, document: Mapping[str, Any]) -> None:
        self._send(HTTPStatus.OK, json.dumps(document).encode(), "application/json", {})

    def _not_found(self) -> None:
        self._text(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _text(self, status: HTTPStatus, text: str) -> None:
        self._send(status, f"{text}\n".encode(), "text/plain; charset=utf-8", {})

    def _send(self, status: HTTPStatus, body: bytes, kind: str, headers: Mapping[str, str]) -> None:
        self._head(status, len(body), kind, headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: HTTPStatus, length: int, kind: str, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self._begun = True


def _number(text: str) -> int:
    try:
        return int(text[:12])
    except ValueError:
        return 0
