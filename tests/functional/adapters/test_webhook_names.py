"""The sink `webhook`: names, addresses, and the time that looking up and agreeing on TLS may take."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest

from connect_audio.adapters.endpoint import address, connection
from connect_audio.adapters.endpoint.address import Resolver
from connect_audio.adapters.sinks import webhook_requests
from connect_audio.adapters.sinks.webhook import WebhookSink
from connect_audio.core.pcm import Party
from connect_audio_local.webhook import faults as misbehaviour
from connect_audio_local.webhook.model import WebhookReceiver
from connect_audio_local.webhook.server import webhook_receiver
from support.webhook_sink import (
    PATIENCE_S,
    REFUSED,
    SECRET,
    at,
    connected,
    failure,
    segment,
    sink_to,
)


@contextmanager
def named(name: str, *, resolve: Resolver, **changed: Any) -> Iterator[tuple[WebhookSink, WebhookReceiver]]:
    """A sink that posts to a name, and the receiver at 127.0.0.1 that has a certificate for it."""
    with webhook_receiver(SECRET, certificate_for=[name]) as receiver:
        url = receiver.url.replace("127.0.0.1", name)
        with closing(sink_to(url, receiver.ca_file, resolve=resolve, **changed)) as sink:
            yield sink, receiver


def test_the_certificate_and_the_header_host_are_the_names_whatever_address_it_resolves_to() -> None:
    with named("hooks.example.test", resolve=lambda _host, _port: ["127.0.0.1"]) as (sink, receiver):
        sink.deliver_segment(segment(0))
        (delivery,) = receiver.received
        assert delivery.headers["host"] == at(receiver).replace("127.0.0.1", "hooks.example.test")


def test_an_address_where_nobody_listens_gives_way_to_the_next() -> None:
    with named("hooks.example.test", resolve=lambda _host, _port: ["127.0.0.9", "127.0.0.1"]) as (sink, receiver):
        sink.deliver_segment(segment(0))
        assert len(receiver.received) == 1


def test_a_name_that_resolves_to_another_address_the_next_moment_gains_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # On a machine without a network, 127.0.0.1 stands for a public address and 127.0.0.2 for what must not be reached.
    monkeypatch.setattr(address, "_is_public", lambda address: str(address) == "127.0.0.1")
    answers = iter([["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1", "127.0.0.2"], ["127.0.0.1"]])
    asked: list[tuple[str, int]] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return next(answers)

    with named("hooks.example.test", resolve=rebinding, allow_private=False) as (sink, receiver):
        port = int(at(receiver).rpartition(":")[2])
        with socket.create_server(("127.0.0.2", port)) as inside:
            inside.settimeout(0)
            sink.deliver_segment(segment(0))
            sink.deliver_segment(segment(1))
            assert (len(receiver.received), asked) == (2, [("hooks.example.test", port)])
            sink.close()
            for _ in range(2):
                assert failure(lambda: sink.deliver_segment(segment(2))) == (
                    "ADDRESS_REFUSED",
                    REFUSED,
                    False,
                )
            sink.deliver_segment(segment(2))
            assert (len(receiver.received), len(asked)) == (3, 4)
            with pytest.raises(BlockingIOError):
                inside.accept()


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "localhost", "LocalHost", "127.0.0.1.",
     "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::]", "0.0.0.0", "0"],  # noqa: S104 - spelt, not bound
)  # fmt: skip
def test_no_spelling_of_this_machine_is_reached(host: str) -> None:
    with webhook_receiver(SECRET) as receiver:
        url = receiver.url.replace("127.0.0.1", host)
        with closing(sink_to(url, receiver.ca_file, allow_private=False)) as sink:
            code, _, retryable = failure(lambda: sink.deliver_segment(segment(0)))
        assert (code, retryable) == ("ADDRESS_REFUSED", False)
        assert (receiver.connections, receiver.requests) == (0, 0)


def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(0)
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        with connected() as (sink, receiver):
            sink.deliver_segment(segment(0))
            assert len(receiver.received) == 1
        with pytest.raises(BlockingIOError):
            proxy.accept()


def test_a_name_that_cannot_be_resolved_is_tried_again_later() -> None:
    def silent(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    with closing(sink_to("https://hooks.example.test/", None, resolve=silent)) as sink:
        assert failure(lambda: sink.deliver_segment(segment(0))) == (
            "DNS",
            "hooks.example.test could not be resolved (gaierror)",
            True,
        )


def test_a_name_server_that_hangs_holds_nothing_up_and_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LOOKUP_S", 0.2)
    asked: list[str] = []
    released = threading.Event()

    def hanging(host: str, _port: int) -> list[str]:
        asked.append(host)
        released.wait(PATIENCE_S)
        return ["127.0.0.1"]

    with named("hooks.example.test", resolve=hanging) as (sink, receiver):
        for _ in range(2):
            assert failure(lambda: sink.deliver_segment(segment(0))) == (
                "TIMEOUT",
                f"resolving the name ({at(receiver).replace('127.0.0.1', 'hooks.example.test')}) took too long",
                True,
            )
        monkeypatch.setattr(connection, "LOOKUP_S", PATIENCE_S)
        released.set()
        sink.deliver_segment(segment(0))
        # The hanging lookup was waited for, or had ended and was followed by a second.
        assert len(asked) <= 2
        assert len(receiver.received) == 1


def test_a_look_up_that_hangs_can_be_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LOOKUP_S", 60.0)
    monkeypatch.setattr(webhook_requests, "DELIVERY_S", 60.0)
    asked, released = threading.Event(), threading.Event()

    def hanging(_host: str, _port: int) -> list[str]:
        asked.set()
        released.wait(PATIENCE_S)
        return []

    with closing(sink_to("https://hooks.example.test/", None, resolve=hanging)) as sink:
        failures: list[tuple[str, str, bool]] = []
        thread = threading.Thread(target=lambda: failures.append(failure(lambda: sink.deliver_segment(segment(0)))))
        thread.start()
        assert asked.wait(PATIENCE_S)
        sink.interrupt()
        thread.join(PATIENCE_S)
        assert failures == [("INTERRUPTED", "resolving the name (hooks.example.test) was interrupted", True)]
        released.set()


def test_a_receiver_that_never_agrees_on_tls_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        where = f"127.0.0.1:{mute.getsockname()[1]}"
        with closing(sink_to(f"https://{where}/", None)) as sink:
            assert failure(lambda: sink.deliver_segment(segment(0))) == (
                "TIMEOUT",
                f"agreeing on TLS ({where}) took too long",
                True,
            )


def test_a_receiver_that_drips_its_part_of_tls_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECT_S", 0.5)
    given_up = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as dripping:
        where = f"127.0.0.1:{dripping.getsockname()[1]}"

        def serve() -> None:
            connection, _ = dripping.accept()
            with connection, suppress(OSError):
                # A handshake record of 16 kB, as its head says.
                connection.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")
                while not given_up.wait(0.02):
                    connection.sendall(b"\x03")

        thread = threading.Thread(target=serve)
        thread.start()
        with closing(sink_to(f"https://{where}/", None)) as sink:
            began = time.monotonic()
            assert failure(lambda: sink.deliver_segment(segment(0))) == (
                "TIMEOUT",
                f"agreeing on TLS ({where}) took too long",
                True,
            )
            assert time.monotonic() - began < PATIENCE_S
        given_up.set()
        thread.join(PATIENCE_S)


def test_a_receiver_that_does_not_read_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_requests, "DELIVERY_S", 5.0)
    # More than the buffers of both ends hold.
    large = replace(segment(0), samples=dict.fromkeys(Party, bytes(8_000_000)))
    with connected([misbehaviour.hang_before_reading]) as (sink, receiver):
        assert failure(lambda: sink.deliver_segment(large)) == (
            "TIMEOUT",
            f"sending the request ({at(receiver)}) took too long",
            True,
        )


def test_a_receiver_without_tls_is_no_receiver() -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:
        where = f"127.0.0.1:{plain.getsockname()[1]}"

        def serve() -> None:
            connection, _ = plain.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        with closing(sink_to(f"https://{where}/", None)) as sink:
            assert failure(lambda: sink.deliver_segment(segment(0))) == (
                "TLS",
                f"agreeing on TLS ({where}) failed (WRONG_VERSION_NUMBER)",
                True,
            )
        thread.join(PATIENCE_S)
