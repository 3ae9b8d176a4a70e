"""Misbehaviour of a receiver on request: one function a way to misbehave."""

from __future__ import annotations

from collections.abc import Mapping

from connect_audio_local.extra import extra_local
from connect_audio_local.stoppable_server import reset_connection

with extra_local():
    pass


from connect_audio_local.webhook.model import Behaviour, Exchange, accept


def answer(status: int, headers: Mapping[str, str] | None = None) -> Behaviour:
    """Keep nothing and answer with a status."""

    def behave(exchange: Exchange) -> None:
        exchange.ignore()
        exchange.answer(status, b"no", headers)

    return behave


def redirect(url: str, status: int = 307) -> Behaviour:
    """Send the sender elsewhere."""
    return answer(status, {"Location": url})


def take_and_answer(status: int) -> Behaviour:
    """Keep it, but answer with the status of a failure."""

    def behave(exchange: Exchange) -> None:
        exchange.take()
        exchange.answer(status)

    return behave


def slow(seconds: float) -> Behaviour:
    """Answer only after a while, unless the receiver is released before."""

    def behave(exchange: Exchange) -> None:
        status = exchange.take()
        exchange.receiver.released.wait(seconds)
        exchange.answer(status)

    return behave


def hang_before_reading(exchange: Exchange) -> None:
    """Neither read the body nor answer."""
    exchange.hang()


def hang_after_reading(exchange: Exchange) -> None:
    """Keep it and never answer."""
    exchange.take()
    exchange.hang()


def drip_head(exchange: Exchange) -> None:
    """Answer with a head that never ends, a byte every 20 ms."""
    exchange.ignore()
    exchange.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    while not exchange.receiver.released.wait(0.02):
        exchange.write(b"a")


def drip_body(exchange: Exchange) -> None:
    """Keep it, say so, and let a body drip that never ends."""
    exchange.take()
    exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not exchange.receiver.released.wait(0.02):
        exchange.write(b"a")


def reset_before_reading(exchange: Exchange) -> None:
    """Break the connection (RST) where the body begins."""
    reset_connection(exchange.http)


def reset_instead_of_answering(exchange: Exchange) -> None:
    """Keep it, and break the connection (RST) where the answer should begin."""
    exchange.take()
    reset_connection(exchange.http)


def reset_in_the_answer(exchange: Exchange) -> None:
    """Keep it, and break the connection (RST) in the middle of the status line."""
    exchange.take()
    exchange.write(b"HTTP/1.1 20")
    reset_connection(exchange.http)


def hang_up_in_the_head(exchange: Exchange) -> None:
    """Keep it, say 200, and close the connection in the midst of the answer's head."""
    exchange.take()
    exchange.write(b"HTTP/1.1 200 OK\r\nContent-Le")


def hang_up_after_answering(exchange: Exchange) -> None:
    """Keep it, answer, and close the connection without having said so."""
    accept(exchange)
    exchange.http.close_connection = True


def announce_close(exchange: Exchange) -> None:
    """Keep it, and answer with `Connection: close`."""
    exchange.answer(exchange.take(), headers={"Connection": "close"})


def answer_hugely(exchange: Exchange) -> None:
    """Keep it, and answer with a body of 64 MiB."""
    status = exchange.take()
    exchange.write(f"HTTP/1.1 {status} OK\r\nContent-Length: {64 * 1024 * 1024}\r\n\r\n".encode())
    for _ in range(64):
        exchange.write(bytes(1024 * 1024))


def answer_with_a_huge_head(exchange: Exchange) -> None:
    """Keep it, and answer with a head of some MiB."""
    status = exchange.take()
    exchange.write(f"HTTP/1.1 {status} OK\r\n".encode())
    for number in range(100):
        exchange.write(f"X-{number}: ".encode() + b"a" * 60_000 + b"\r\n")
    exchange.write(b"\r\n")


def answer_with_garbage(exchange: Exchange) -> None:
    """Answer with what is no HTTP."""
    exchange.ignore()
    exchange.write(b"\x00\xff no HTTP at all\r\n\r\n")
