"""How soon a block of audio is in hand, and what reading costs, for four ways of reading a GetMedia body.

`python -m benchmarks.read_strategy` prints the table of docs/adr/0004-how-bytes-are-read-at-once.md, in some 15 s. The
sender is a process of its own on loopback and stamps each block with the monotonic clock, which Linux and macOS share
among processes. All ways read at the same time, each at its own moment of the pace, so none waits for another.
"""

from __future__ import annotations

import math
import multiprocessing
import socket
import statistics
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config

from connect_audio.adapters.kvs_media import READ_BYTES, KvsMediaStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from multiprocessing.connection import Connection

    from botocore.response import StreamingBody

# A Connect fragment: 32 SimpleBlocks of 64 ms, of two tracks, in 1.024 s. On the wire a block is its ID, a size of two
# bytes, four bytes of header and 1024 of PCM. The stamp is the first eight bytes of the PCM.
BLOCKS_PER_FRAGMENT: Final = 32
FRAGMENT_S: Final = 1.024
BLOCK_S: Final = FRAGMENT_S / BLOCKS_PER_FRAGMENT
_HEAD: Final = b"\xa3\x44\x04"
_BLOCK: Final = struct.Struct(">3s4xQ1016x")
# Five seconds of each arrival.
_FRAGMENTS: Final = 5
# A quarter of an hour, read as fast as it comes.
_CATCH_UP_FRAGMENTS: Final = 879

type Strategy = Callable[[StreamingBody], Iterable[bytes]]


def _iter_chunks(body: StreamingBody) -> Iterable[bytes]:
    return body.iter_chunks(1024)


def _exact_reads(body: StreamingBody) -> Iterator[bytes]:
    # A pull parser on the public API reads the element's head, then exactly its payload.
    while head := body.read(3):
        yield head
        yield body.read(int.from_bytes(head[1:]) & 0x3FFF)


def _http_client_read1(body: StreamingBody) -> Iterator[bytes]:
    source: Any = body
    while data := source._raw_stream._fp.read1(READ_BYTES):  # noqa: SLF001  # the way that is weighed and not taken
        yield data


def _adapter(body: StreamingBody) -> Iterator[bytes]:
    return iter(KvsMediaStream(body, stream_name="benchmark", read_timeout_s=10).read, b"")


STRATEGIES: Final[dict[str, Strategy]] = {
    "body.iter_chunks(1024)": _iter_chunks,
    "body.read(n), exact": _exact_reads,
    "http.client read1": _http_client_read1,
    "urllib3 read1 (KvsMediaStream)": _adapter,
}


@dataclass(frozen=True, slots=True)
class Latency:
    """From the sender's stamp to the block's last byte in hand.

    Args:
        median_ms: milliseconds.
        p99_ms: milliseconds.
    """

    median_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Row:
    """One way of reading.

    Args:
        strategy: its name.
        by_block: a block every 32 ms.
        by_fragment: 32 blocks at once every 1.024 s.
        cpu_s: CPU-seconds for an hour of call, read as fast as it comes.
    """

    strategy: str
    by_block: Latency
    by_fragment: Latency
    cpu_s: float


def measure() -> list[Row]:
    """Measure every strategy."""
    with _sender() as url, ThreadPoolExecutor(len(STRATEGIES)) as pool:

        def all_at_once(arrival: str) -> list[Latency]:
            slots = range(len(STRATEGIES))
            return list(pool.map(lambda slot, read: _latency(url, arrival, slot, read), slots, STRATEGIES.values()))

        by_block = all_at_once("block")
        by_fragment = all_at_once("fragment")
        cpu_s = [_cpu_s(url, read) for read in STRATEGIES.values()]
    return [Row(*figures) for figures in zip(STRATEGIES, by_block, by_fragment, cpu_s, strict=True)]


def main() -> None:
    """Print the table."""
    print(f"{'':32}{'block by block':>20}{'fragment bursts':>20}{'catching up':>18}")
    print(f"{'':32}" + f"{'median':>10}{'p99':>10}" * 2 + f"{'CPU-s/call-hour':>18}")
    for row in measure():
        latencies = "".join(
            f"{ms:>7.1f} ms" for each in (row.by_block, row.by_fragment) for ms in (each.median_ms, each.p99_ms)
        )
        print(f"{row.strategy:32}{latencies}{row.cpu_s:>18.2f}")


def _latency(url: str, arrival: str, slot: int, read: Strategy) -> Latency:
    waits_ms = []
    pending = bytearray()
    body, close = _open(url, f"{arrival}-{slot}")
    for data in read(body):
        now = time.monotonic_ns()
        pending += data
        while len(pending) >= _BLOCK.size:
            _, sent = _BLOCK.unpack_from(pending)
            waits_ms.append((now - sent) / 1e6)
            del pending[: _BLOCK.size]
    close()
    if len(waits_ms) != _FRAGMENTS * BLOCKS_PER_FRAGMENT or pending:
        raise RuntimeError(f"{len(waits_ms)} blocks and {len(pending)} bytes came")
    return Latency(statistics.median(waits_ms), sorted(waits_ms)[math.ceil(len(waits_ms) * 0.99) - 1])


def _cpu_s(url: str, read: Strategy) -> float:
    body, close = _open(url, "catch-up")
    before = time.thread_time()
    received = sum(map(len, read(body)))
    cpu_s = time.thread_time() - before
    close()
    if received != _CATCH_UP_FRAGMENTS * BLOCKS_PER_FRAGMENT * _BLOCK.size:
        raise RuntimeError(f"{received} bytes came")
    return cpu_s * 3600 / (_CATCH_UP_FRAGMENTS * FRAGMENT_S)


def _open(url: str, scenario: str) -> tuple[StreamingBody, Callable[[], None]]:
    # A session of its own, since sessions are not for several threads.
    client = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x").client(  # noqa: S106  # loopback takes any
        "kinesis-video-media",
        region_name="eu-west-2",
        endpoint_url=url,
        config=Config(read_timeout=10, retries={"total_max_attempts": 1}),
    )
    body = client.get_media(StreamName=scenario, StartSelector={"StartSelectorType": "NOW"})["Payload"]

    def close() -> None:
        body.close()
        client.close()

    return body, close


class _sender:  # noqa: N801  # reads as the context it is
    """The sender's process and its address."""

    def __enter__(self) -> str:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        return f"http://127.0.0.1:{ours.recv()}"

    def __exit__(self, *exc_info: object) -> None:
        self._process.terminate()
        self._process.join()


def _serve(report: Connection) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=16)
    report.send(listener.getsockname()[1])
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    with connection, connection.makefile("rb") as incoming:
        length = 0
        while line := incoming.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        request = incoming.read(length)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        if b"catch-up" in request:
            for _ in range(_CATCH_UP_FRAGMENTS):
                _send(connection, BLOCKS_PER_FRAGMENT)
        else:
            at_once = BLOCKS_PER_FRAGMENT if b"fragment-" in request else 1
            pace = BLOCK_S * at_once
            # The readers share the pace: each has its own moment within it.
            slot = next(slot for slot in range(len(STRATEGIES)) if b"-%d" % slot in request)
            start = math.ceil(time.monotonic() / pace + 1) * pace + pace * slot / len(STRATEGIES)
            for number in range(_FRAGMENTS * BLOCKS_PER_FRAGMENT // at_once):
                time.sleep(max(0.0, start + number * pace - time.monotonic()))
                _send(connection, at_once)
        connection.sendall(b"0\r\n\r\n")


def _send(connection: socket.socket, blocks: int) -> None:
    data = _BLOCK.pack(_HEAD, time.monotonic_ns()) * blocks
    connection.sendall(b"%x\r\n%b\r\n" % (len(data), data))


if __name__ == "__main__":
    main()
