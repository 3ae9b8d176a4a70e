"""The wire of the stand-in: HTTP/2 over TLS on loopback, for the length of a `with` block.

It makes a certificate authority of its own at each start; `ca_file` is the file that a client must trust. Messages and
signatures are checked before anything is believed.

*How it works.* An asyncio loop in a thread serves all connections. `_Connection` is one: h2 turns bytes into events,
and `_Stream` takes the request and its messages. The queue of what is to be sent waits for the client's window. A
stream that hangs acknowledges nothing, so the client's window closes, as with a dead process.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, override

from connect_audio_local.extra import extra_local

with extra_local():
    import h2.config
    import h2.connection
    import h2.errors
    import h2.events
    import h2.exceptions
    import trustme

from connect_audio_local.transcribe.chunk_signature import ChunkSignatures, SignatureError
from connect_audio_local.transcribe.event_stream import MalformedMessageError, Message, MessageReader, decode, encode
from connect_audio_local.transcribe.faults import Behaviour
from connect_audio_local.transcribe.model import SpokenStream, StreamError, StreamRecord, TranscribeModel
from connect_audio_local.transcribe.parameters import ParameterError, parameters_of

_PATH: Final = "/stream-transcription"
_START_S: Final = 10.0
"""Limit of the server's start, seconds. Beyond: TimeoutError."""


@dataclass(frozen=True, slots=True)
class TranscribeEndpoint:
    """A running stand-in, made by `transcribe_endpoint`.

    Args:
        url: its address.
        ca_file: certificates that the client must trust.
        model: its state.
    """

    url: str
    ca_file: Path
    model: TranscribeModel


@contextmanager
def transcribe_endpoint(model: TranscribeModel, behaviours: Iterable[Behaviour] = ()) -> Iterator[TranscribeEndpoint]:
    """Run the stand-in; every thread and socket ends with the block.

    Args:
        model: the service's state.
        behaviours: behaviour of the next streams, one after the other; later ones do as they should.

    Yields:
        The endpoint.
    """
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    context.set_alpn_protocols(["h2"])
    server = _Server(model, iter(behaviours), context)
    with tempfile.TemporaryDirectory(prefix="connect-audio-transcribe-") as folder:
        ca_file = Path(folder) / "ca.pem"
        authority.cert_pem.write_to_path(str(ca_file))
        port = server.start()
        try:
            yield TranscribeEndpoint(f"https://localhost:{port}", ca_file, model)
        finally:
            server.close()


class _Server:
    def __init__(self, model: TranscribeModel, behaviours: Iterator[Behaviour], context: ssl.SSLContext) -> None:
        self._model, self._behaviours, self._context = model, behaviours, context
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="transcribe-endpoint")

    def start(self) -> int:
        """Begin to accept, and return the port."""
        self._thread.start()
        self._listener = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(_START_S)
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    def close(self) -> None:
        """Cut all connections and end the thread."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(_START_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await self._loop.create_server(self._connection, "127.0.0.1", 0, ssl=self._context)

    async def _stop(self) -> None:
        self._listener.close()
        self._listener.abort_clients()
        await self._listener.wait_closed()

    def _connection(self) -> asyncio.Protocol:
        return _Connection(self._model, lambda: next(self._behaviours, None) or Behaviour())


class _Connection(asyncio.Protocol):
    def __init__(self, model: TranscribeModel, next_behaviour: Callable[[], Behaviour]) -> None:
        self.model, self._next_behaviour = model, next_behaviour
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self._stream: _Stream | None = None
        self._is_lost = False

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a TLS connection has one
        self._transport = transport
        self.http.initiate_connection()
        self.flush()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        if self._stream is not None:
            self._stream.stop("cut")

    @override
    def data_received(self, data: bytes) -> None:
        try:
            events = self.http.receive_data(data)
        except h2.exceptions.ProtocolError:
            self.flush()
            self._transport.close()
            return
        for event in events:
            self._take(event)
        self.flush()

    def flush(self) -> None:
        """Send what h2 holds."""
        if not self._is_lost and (data := self.http.data_to_send()):
            self._transport.write(data)

    def cut(self) -> None:
        """Break the connection."""
        self._transport.abort()

    def _take(self, event: h2.events.Event) -> None:
        stream = self._stream
        if isinstance(event, h2.events.RequestReceived):
            headers = {str(name).lower(): str(value) for name, value in event.headers}
            if stream is not None:
                # Transcribe's own rule: a second stream on a connection fails.
                _Stream(self, event.stream_id, Behaviour()).refuse(400, "BadRequestException")
                return
            self._stream = _Stream(self, event.stream_id, self._next_behaviour())
            self._stream.begin(headers)
        elif stream is None or getattr(event, "stream_id", 0) not in {0, stream.number}:
            return
        elif isinstance(event, h2.events.DataReceived):
            if stream.receive(event.data):
                self.http.acknowledge_received_data(event.flow_controlled_length, stream.number)
        elif isinstance(event, h2.events.StreamEnded):
            stream.end()
        elif isinstance(event, h2.events.StreamReset):
            stream.stop("cut")
        elif isinstance(event, h2.events.WindowUpdated):
            stream.pump()


class _Stream:
    """One request and its answer."""

    def __init__(self, connection: _Connection, number: int, behaviour: Behaviour) -> None:
        self._connection, self.number, self._behaviour = connection, number, behaviour
        self._reader = MessageReader()
        self._outgoing = bytearray()
        self._is_over = False
        self._is_ended = False
        self._hangs = False
        self._record: StreamRecord | None = None
        self._spoken: SpokenStream | None = None
        self._signatures: ChunkSignatures | None = None
        self._timers: list[asyncio.TimerHandle] = []

    def begin(self, headers: dict[str, str]) -> None:
        """Take the request."""
        model = self._connection.model
        if self._behaviour.on_request(self):
            return
        if headers[":method"] != "POST" or headers[":path"].rstrip("?") != _PATH:
            self.refuse(404, "UnknownOperationException")
            return
        try:
            self._signatures = ChunkSignatures(headers, model.secrets)
            parameters = parameters_of(headers, model.vocabularies)
            self._record = model.begin(parameters, headers.get("x-amzn-transcribe-session-id", ""))
        except SignatureError:
            self.refuse(403, "UnrecognizedClientException")
            return
        except ParameterError as error:
            self.refuse(400, "BadRequestException", str(error))
            return
        except StreamError as error:
            self.refuse(429, error.kind, str(error))
            return
        self._spoken = SpokenStream(
            parameters, model.recognizer, self._record, recognizes_partials=model.recognizes_partials
        )
        echoed = [(f"x-amzn-transcribe-{name}", value) for name, value in parameters.given.items()]
        head = [(":status", "200"), ("content-type", "application/vnd.amazon.eventstream"), *echoed]
        self._connection.http.send_headers(self.number, head)
        self._timers.append(self._after(model.longest_s, "LimitExceededException"))
        self._timers.append(self._after(model.silence_s, "BadRequestException"))

    def receive(self, data: bytes) -> bool:
        """Take bytes of the request's body; False if the client is to wait for ever."""
        if self._is_over:
            return not self._hangs
        try:
            for message in self._reader.receive(data):
                if not self._take_message(message):
                    break
        except (MalformedMessageError, SignatureError) as error:
            self.fail("BadRequestException", str(error))
        except StreamError as error:
            self.fail(error.kind, str(error))
        return not self._hangs

    def end(self) -> None:
        """Take the end of the input and give the last results."""
        if self._is_over or self._spoken is None or self._behaviour.on_end(self):
            return
        for result in self._spoken.end():
            self._send_results([result])
        self._send_results([])
        self._finish("whole")

    def refuse(self, status: int, kind: str, message: str = "refused") -> None:
        """Answer the request with a failure."""
        self.stop(kind)
        head = [(":status", str(status)), ("content-type", "application/json"), ("x-amzn-errortype", kind)]
        self._connection.http.send_headers(self.number, head)
        self._connection.http.send_data(self.number, json.dumps({"Message": message}).encode(), end_stream=True)
        self._connection.flush()

    def fail(self, kind: str, message: str = "the service failed") -> None:
        """End the stream with an exception event."""
        if self._is_over:
            return
        headers = {":message-type": "exception", ":exception-type": kind, ":content-type": "application/json"}
        self._outgoing += encode(headers, json.dumps({"Message": message}).encode())
        self._finish(kind)

    def hang(self) -> None:
        """Read and answer nothing from now on."""
        self._hangs = True
        self.stop("hang")

    def cut(self) -> None:
        """Break the connection."""
        self.stop("cut")
        self._connection.cut()

    def end_without_results(self) -> None:
        """End the answer as if all were well."""
        self._finish("ended")

    def stop(self, outcome: str) -> None:
        """Take and give nothing more."""
        self._is_over = True
        for timer in self._timers:
            timer.cancel()
        if self._record is not None:
            self._connection.model.end(self._record, outcome)

    def pump(self) -> None:
        """Send as much as the client's window allows."""
        http = self._connection.http
        while self._outgoing:
            room = min(http.local_flow_control_window(self.number), http.max_outbound_frame_size, len(self._outgoing))
            if room <= 0:
                break
            http.send_data(self.number, bytes(self._outgoing[:room]))
            del self._outgoing[:room]
        if self._is_ended and not self._outgoing:
            self._is_ended = False
            http.end_stream(self.number)
        self._connection.flush()

    def _take_message(self, envelope: Message) -> bool:
        """Take a signed message; False if nothing after it counts."""
        if self._signatures is None or self._record is None or self._spoken is None:
            return False
        self._signatures.verify(envelope)
        self._record.signatures += 1
        if not envelope.payload:
            self.end()
            return False
        event = decode(envelope.payload)
        if event.headers.get(":event-type") != "AudioEvent":
            raise StreamError("BadRequestException", "the event is no AudioEvent")
        results = list(self._spoken.receive(event.payload))
        self._timers.pop().cancel()
        self._timers.append(self._after(self._connection.model.silence_s, "BadRequestException"))
        self._connection.model.notify()
        if self._behaviour.on_audio(self, self._spoken.seconds):
            return False
        for result in results:
            self._send_results([result])
        return True

    def _send_results(self, results: list[dict[str, object]]) -> None:
        headers = {":message-type": "event", ":event-type": "TranscriptEvent", ":content-type": "application/json"}
        self._outgoing += encode(headers, json.dumps({"Transcript": {"Results": results}}).encode())
        self.pump()

    def _finish(self, outcome: str) -> None:
        self.stop(outcome)
        self._is_ended = True
        self.pump()

    def _after(self, seconds: float, kind: str) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, lambda: self.fail(kind))
