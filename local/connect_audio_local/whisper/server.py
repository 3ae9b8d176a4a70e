"""A speech server on loopback: takes utterances as OpenAI's API does, and misbehaves on request.

For tests and demos. `python -m connect_audio_local.whisper` runs one that recognizes spoken digits.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import override

from connect_audio_local.recognition.markers import MarkerRecognizer
from connect_audio_local.recognition.word_recognizer import WordRecognizer
from connect_audio_local.stoppable_server import StoppableServer
from connect_audio_local.whisper.dialects import DIALECTS, OPENAI, Dialect
from connect_audio_local.whisper.model import Behaviour, Exchange, SpeechServer


@contextmanager
def speech_server(
    recognizer: WordRecognizer | None = None,
    behaviours: Iterable[Behaviour] = (),
    *,
    dialect: Dialect = OPENAI,
    key: str | None = None,
    port: int = 0,
) -> Iterator[SpeechServer]:
    """Run a server for the length of a `with` block; every thread and socket ends with it.

    Args:
        recognizer: recognizes the words; by default the words of `marker_speech`.
        behaviours: handling of the requests, one after the other; later requests are served.
        dialect: the server whose way it has.
        key: the API key that it wants; None for none.
        port: on 127.0.0.1; 0 for a free one.

    Yields:
        The server.

    Raises:
        OSError: the port cannot be bound.
    """
    model = SpeechServer(
        recognizer=recognizer or MarkerRecognizer(), dialect=dialect, behaviours=iter(behaviours), key=key
    )
    server = StoppableServer(("127.0.0.1", port), _handler(model), "speech-server")
    model.url = f"http://127.0.0.1:{server.server_address[1]}{dialect.path.removesuffix('/audio/transcriptions')}"
    server.start()
    try:
        yield model
    finally:
        model.released.set()
        server.close()


def _handler(model: SpeechServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            model.begun()(Exchange(self, model))

        @override
        def log_message(self, *_args: object) -> None:
            """Stay silent."""

    return Handler


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a server of spoken digits until it is interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m connect_audio_local.whisper",
        description="Recognize spoken digits on this machine, behind OpenAI's /v1/audio/transcriptions.",
    )
    parser.add_argument("--port", type=int, default=8085, help="port on 127.0.0.1 (8085)")
    parser.add_argument("--dialect", choices=sorted(DIALECTS), default="openai", help="the server to be like (openai)")
    options = parser.parse_args(arguments)
    from connect_audio_local.recognition.digits import DigitRecognizer  # noqa: PLC0415 - help needs no recognizer

    try:
        with speech_server(DigitRecognizer(), dialect=DIALECTS[options.dialect], port=options.port) as server:
            print(f"listening at {server.url}", flush=True)
            threading.Event().wait()
    except KeyboardInterrupt:
        pass  # Ctrl-C is its proper end.
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        print(f"whisper: cannot listen on 127.0.0.1 port {options.port}: {reason}", file=sys.stderr)
        return 2
    return 0
