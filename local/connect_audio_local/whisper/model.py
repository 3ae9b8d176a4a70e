"""The state of a speech server: the requests that it got, and what it does with each."""

from __future__ import annotations

import io
import json
import threading
import wave
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

from connect_audio_local.recognition.word_recognizer import RecognizedWord, WordRecognizer
from connect_audio_local.whisper.dialects import Dialect

_LARGEST_BODY: Final = 32 * 1024 * 1024

type Behaviour = Callable[[Exchange], None]
"""The handling of one request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as it came.

    Args:
        path: its path.
        headers: its headers, names in lower case.
        fields: its fields beside the file.
        file_name: name of the file; empty without one.
        file_type: content type of the file.
        samples: samples of the WAV, mono 16-bit.
        rate: samples a second.
    """

    path: str
    headers: Mapping[str, str]
    fields: Mapping[str, str]
    file_name: str
    file_type: str
    samples: bytes = field(repr=False)
    rate: int

    @property
    def seconds(self) -> float:
        """Length of the audio, seconds."""
        return len(self.samples) / 2 / self.rate


class Exchange:
    """One request, and the means to answer it."""

    def __init__(self, http: BaseHTTPRequestHandler, server: SpeechServer) -> None:
        self.http = http
        self.server = server

    def take(self) -> Request:
        """Read the request and keep it."""
        length = int(self.http.headers.get("Content-Length", "0"))
        body = self.http.rfile.read(min(length, _LARGEST_BODY))
        request = _request(self.http, body)
        self.server.keep(request)
        return request

    def answer(self, status: int, document: object, headers: Mapping[str, str] | None = None) -> None:
        """Answer whole, in JSON."""
        body = json.dumps(document).encode()
        self.http.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            **(headers or {}),
            "Content-Length": str(len(body)),
        }.items():
            self.http.send_header(name, value)
        self.http.end_headers()
        self.http.wfile.write(body)

    def write(self, data: bytes) -> None:
        """Send bytes as they are; the connection cannot be used afterwards."""
        self.http.close_connection = True
        self.http.wfile.write(data)

    def words(self, request: Request) -> list[RecognizedWord]:
        """Recognize the words of a request."""
        return self.server.recognizer.words_of(request.samples, request.rate)


def serve(exchange: Exchange) -> None:
    """Answer as a server in good health does."""
    request, server = exchange.take(), exchange.server
    dialect = server.dialect
    given = request.fields.get("response_format", "json")
    if request.path != dialect.path:
        exchange.answer(404, _error("there is no such path"))
    elif server.key is not None and request.headers.get("authorization") != f"Bearer {server.key}":
        exchange.answer(401, _error("Incorrect API key provided", "invalid_api_key"))
    elif not request.file_name or not request.samples:
        exchange.answer(400, _error("a file with a name and audio in it is needed", "invalid_file", "file"))
    elif not request.fields.get("model"):
        exchange.answer(400, _error("you must provide a model parameter", "missing", "model"))
    elif given not in dialect.formats:
        exchange.answer(400, dialect.refusal(given))
    else:
        exchange.answer(200, dialect.write(exchange.words(request), request.seconds, request.fields))


@dataclass(slots=True)
class SpeechServer:
    """A running server, made by `speech_server`.

    Args:
        recognizer: recognizes the words.
        dialect: the server whose way it has.
        behaviours: handling of the next requests; `serve` handles all later ones.
        key: the API key that it wants; None for none.
        url: address to give to the client.
        released: set it, and all that hangs or drips comes to its end.
    """

    recognizer: WordRecognizer
    dialect: Dialect
    behaviours: Iterator[Behaviour]
    key: str | None = None
    url: str = ""
    released: threading.Event = field(default_factory=threading.Event)
    _requests: list[Request] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def requests(self) -> tuple[Request, ...]:
        """The requests that were read, in their order."""
        with self._changed:
            return tuple(self._requests)

    def wait_for_requests(self, count: int, patience_s: float = 10.0) -> bool:
        """Wait until so many were read; False if they were not in time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._requests) >= count, patience_s)

    def keep(self, request: Request) -> None:
        """Keep a request."""
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()

    def begun(self) -> Behaviour:
        """Return the handling of the next request."""
        with self._changed:
            return next(self.behaviours, serve)


def _request(http: BaseHTTPRequestHandler, body: bytes) -> Request:
    """Read a multipart body by the standard library's own parser."""
    head = f"Content-Type: {http.headers.get('Content-Type', '')}\r\n\r\n".encode()
    fields: dict[str, str] = {}
    file_name = file_type = ""
    samples, rate = b"", 0
    for part in BytesParser(policy=HTTP).parsebytes(head + body).iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        payload: Any = part.get_payload(decode=True)
        if name == "file":
            file_name, file_type = part.get_filename() or "", part.get_content_type()
            with wave.open(io.BytesIO(payload)) as wav:
                rate, samples = wav.getframerate(), wav.readframes(wav.getnframes())
        else:
            fields[name] = payload.decode()
    return Request(
        path=http.path,
        headers={name.lower(): value for name, value in http.headers.items()},
        fields=fields,
        file_name=file_name,
        file_type=file_type,
        samples=samples,
        rate=rate,
    )


def _error(message: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}
