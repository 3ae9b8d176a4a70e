"""The time from the sending of a block's last byte to its PCM in hand: GetMedia over HTTP, the adapter, the core.

`python -m benchmarks.block_latency`, some 12 s. The sender is a process of its own on loopback. It sends Connect's
fragments at the pace of a call and stamps each block's PCM with the monotonic clock. Linux and macOS share it among
processes. Both arrivals are read at the same time, half a block apart.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import socket
import statistics
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

import boto3

from benchmarks.bounds import Bound
from benchmarks.long_calls import long_call_fragments
from connect_audio.adapters.kvs_media import KvsMediaSource
from connect_audio.core.fragments import END, NEED_DATA, Fragment, FragmentReader
from connect_audio.ports import FromProducerTime
from connect_audio_local.cloud import environment
from connect_audio_local.kvs.capture import block_ends

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

MOST_MEDIAN_MS: Final = 10.0
FRAGMENTS: Final = 10
BLOCKS_PER_FRAGMENT: Final = 32
_BLOCK_S: Final = 1.024 / BLOCKS_PER_FRAGMENT
_PCM_BYTES: Final = 1024
STAMP: Final = struct.Struct("<q")
# The name of each arrival, and the blocks that it sends at once.
ARRIVALS: Final = {"block by block": 1, "fragment bursts": BLOCKS_PER_FRAGMENT}


@dataclass(frozen=True, slots=True)
class Row:
    """One way for the blocks to arrive.

    Args:
        arrival: its name.
        median_ms: milliseconds.
        p99_ms: milliseconds.
    """

    arrival: str
    median_ms: float
    p99_ms: float


def measure() -> list[Row]:
    """Measure both."""
    with sender() as url, environment({"AWS_ENDPOINT_URL_KINESIS_VIDEO": url}):
        sources = [source_of(at_once) for at_once in ARRIVALS.values()]
        with ThreadPoolExecutor(len(sources)) as pool:
            waits = list(pool.map(_waits_ms, sources))
    return [
        Row(arrival, statistics.median(each), sorted(each)[math.ceil(len(each) * 0.99) - 1])
        for arrival, each in zip(ARRIVALS, waits, strict=True)
    ]


def main() -> list[Bound]:
    """Print the table."""
    rows = measure()
    base = rows[0].median_ms
    print(f"{'block sent to PCM in hand':34}{'median':>11}{'p99':>11}{'ratio':>8}")
    for row in rows:
        print(f"{row.arrival:34}{row.median_ms:>8.2f} ms{row.p99_ms:>8.2f} ms{row.median_ms / base:>8.1f}")
    return [Bound(f"ms to PCM, median, {row.arrival}", row.median_ms, at_most=MOST_MEDIAN_MS) for row in rows]


def source_of(at_once: int) -> KvsMediaSource:
    """The sender's stream.

    Args:
        at_once: blocks that it sends at once, one of `ARRIVALS`.
    """
    arn = f"arn:aws:kinesisvideo:eu-west-2:123456789012:stream/at-once-{at_once}/1"
    # A session of its own, since sessions are not for several threads; loopback takes any credentials.
    session = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x")  # noqa: S106
    return KvsMediaSource(arn, session=session)


def _waits_ms(source: KvsMediaSource) -> list[float]:
    waits: list[float] = []
    fragments = 0
    reader = FragmentReader()
    seen = (0, 0)  # offset of the fragment looked at last, and how many of its blocks were counted
    with closing(source), closing(source.open(FromProducerTime(0))) as stream:
        while True:
            event = reader.next_event()
            fragment = event if isinstance(event, Fragment) else reader.open
            if fragment is not None:
                for block in fragment.blocks[seen[1] if seen[0] == fragment.offset else 0 :]:
                    (sent_ns,) = STAMP.unpack_from(block.data)
                    waits.append((time.monotonic_ns() - sent_ns) / 1e6)
                seen = fragment.offset, len(fragment.blocks)
            if event is NEED_DATA:
                reader.receive_data(stream.read())
            elif event is END:
                break
            else:
                fragments += isinstance(event, Fragment)
    if (fragments, len(waits)) != (FRAGMENTS, FRAGMENTS * BLOCKS_PER_FRAGMENT):
        raise RuntimeError(f"{fragments} fragments with {len(waits)} blocks came")
    return waits


# The sender's process.


@contextmanager
def sender() -> Iterator[str]:
    """Run the sender; yields its URL."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()  # or `recv` would outwait a process that has failed
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()


def _serve(report: Connection) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    report.send(port)
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_answer, args=(connection, port), daemon=True).start()


def _answer(connection: socket.socket, port: int) -> None:
    # A client that has enough hangs up.
    with suppress(ConnectionError), connection, connection.makefile("rb") as incoming:
        path = incoming.readline().split()[1]
        length = 0
        while line := incoming.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        request = incoming.read(length)
        if path != b"/getMedia":
            body = json.dumps({"DataEndpoint": f"http://127.0.0.1:{port}"}).encode()
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
            connection.sendall(head % len(body) + body)
            return
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        _send_call(connection, next(blocks for blocks in ARRIVALS.values() if b"at-once-%d/" % blocks in request))
        connection.sendall(b"0\r\n\r\n")


def _send_call(connection: socket.socket, at_once: int) -> None:
    pace = _BLOCK_S * at_once
    due = time.monotonic() + 0.5 + (_BLOCK_S / 2 if at_once > 1 else 0)
    for fragment in islice(long_call_fragments(FRAGMENTS * _BLOCK_S * BLOCKS_PER_FRAGMENT), FRAGMENTS):
        data = bytearray(fragment.data)
        ends = [end for end, _ in block_ends(fragment.data)]
        sent = 0
        for first in range(0, len(ends), at_once):
            now_due = ends[first : first + at_once]
            # The bytes after the last block belong to the fragment's end.
            stop = len(data) if now_due[-1] == ends[-1] else now_due[-1]
            time.sleep(max(0.0, due - time.monotonic()))
            due += pace
            for end in now_due:
                STAMP.pack_into(data, end - _PCM_BYTES, time.monotonic_ns())
            connection.sendall(b"%x\r\n%b\r\n" % (stop - sent, bytes(data[sent:stop])))
            sent = stop


if __name__ == "__main__":
    from benchmarks.bounds import judge

    judge(main())
