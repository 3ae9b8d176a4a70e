"""Misbehaviour of a speech server on request: one function a way to misbehave."""

from __future__ import annotations

from connect_audio_local.stoppable_server import reset_connection
from connect_audio_local.whisper.model import Behaviour, Exchange, serve


def answer(status: int, *, retry_after: str | None = None, document: object = None) -> Behaviour:
    """Read the request and answer with a status."""

    def behave(exchange: Exchange) -> None:
        exchange.take()
        exchange.answer(status, document or {"error": {}}, {} if retry_after is None else {"Retry-After": retry_after})

    return behave


def slow(seconds: float) -> Behaviour:
    """Answer only after a while, unless the server is released before."""

    def behave(exchange: Exchange) -> None:
        exchange.server.released.wait(seconds)
        serve(exchange)

    return behave


def hang(exchange: Exchange) -> None:
    """Read the request and never answer."""
    exchange.take()
    exchange.http.close_connection = True
    exchange.server.released.wait()


def drip(exchange: Exchange) -> None:
    """Begin an answer whose body never ends, a byte every 20 ms."""
    exchange.take()
    exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not exchange.server.released.wait(0.02):
        exchange.write(b" ")


def reset(exchange: Exchange) -> None:
    """Read the request, and break the connection (RST) in place of an answer."""
    exchange.take()
    reset_connection(exchange.http)


def cut(exchange: Exchange) -> None:
    """Close the connection in the midst of the answer's body."""
    exchange.take()
    exchange.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"text": "al')


def no_json(exchange: Exchange) -> None:
    """Answer 200 with a page for people, as a proxy does."""
    exchange.take()
    exchange.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 14\r\n\r\n<html></html>\n")


def say(document: object) -> Behaviour:
    """Answer 200 with a document that has nothing to do with the audio."""
    return answer(200, document=document)


def words_outside(shift_s: float) -> Behaviour:
    """Answer with the right words at times that lie outside the audio."""

    def behave(exchange: Exchange) -> None:
        request = exchange.take()
        words = exchange.words(request)
        exchange.answer(
            200,
            {
                "text": " ".join(word.text for word in words),
                "words": [
                    {"word": word.text, "start": word.start + shift_s, "end": word.end + shift_s} for word in words
                ],
            },
        )

    return behave


INVENTED = {
    "text": "Thank you for watching.",
    "segments": [{"start": 0.0, "end": 2.0, "text": " Thank you for watching.", "no_speech_prob": 0.93}],
}
"""An answer to silence, as Whisper invents it."""
REPEATED = {"text": "you " * 40, "segments": [{"start": 0.0, "end": 2.0, "no_speech_prob": 0.2}]}
"""An answer of a decoder that has lost its way."""
