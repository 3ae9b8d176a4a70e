"""The recorder's ports, misbehaving by a plan: every call may fail, lose its answer, or be the process's last.

`chaos.schedule` draws the plan, `chaos.execution` runs the recorder over it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from chaos.log import LogEntry
from connect_audio.core.errors import MediaSourceError, StorageError
from connect_audio.ports import (
    AfterFragment,
    ContactAnswer,
    ContactState,
    ObjectBody,
    ObjectHead,
    ObjectKind,
    StartSelector,
    UploadedPart,
    WriteOutcome,
)
from connect_audio_local.synthesis.fragment_writer import FragmentContents, FragmentLayout, InBandError, write_fragment
from support.clock import FakeClock
from support.store import MemoryStore

READ_TIMEOUT_S = 10.0
BUFFER_S = 300.0
"""What a stream without retention keeps."""


class KilledError(BaseException):
    """The process is gone: out of memory, out of time, crashed."""


class OverrunError(Exception):
    """A step outlived its invocation: the deadline was not kept."""


@dataclass(frozen=True)
class Kill:
    """Die at the nth call of a port.

    Args:
        port: which.
        nth: counted from 1 over the whole execution.
        after: with the call's effect done and its answer lost.
    """

    port: str
    nth: int
    after: bool


@dataclass
class Hooks:
    """Counts an execution's calls of its ports, and kills it where planned.

    Args:
        kills: where.
        clock: the world's.
    """

    clock: FakeClock
    kills: dict[tuple[str, int], Kill] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    killed: Counter[str] = field(default_factory=Counter)
    total: int = 0
    intrusions: dict[int, Callable[[], None]] = field(default_factory=dict)
    appointment: tuple[int, Callable[[], None]] | None = None
    """What happens elsewhere at a time, ms since the epoch."""
    hard_deadline: float = float("inf")

    def enter(self, port: str) -> int:
        """Before a call's effect.

        Returns:
            Which call of the port it is.
        """
        self.total += 1
        intrusion = self.intrusions.pop(self.total, None)
        if intrusion is not None:
            intrusion()
        if self.appointment is not None and self.clock.now_ms() >= self.appointment[0]:
            (_, happens), self.appointment = self.appointment, None
            happens()
        if self.clock.monotonic() > self.hard_deadline:
            raise OverrunError(f"{port} is called {self.clock.monotonic() - self.hard_deadline:.1f} s too late")
        self.calls[port] += 1
        nth = self.calls[port]
        kill = self.kills.get((port, nth))
        if kill is not None and not kill.after:
            self._kill(port)
        return nth

    def leave(self, port: str, nth: int) -> None:
        """After a call's effect."""
        kill = self.kills.get((port, nth))
        if kill is not None and kill.after:
            self._kill(port)

    def _kill(self, port: str) -> None:
        self.killed[port] += 1
        raise KilledError(port)


@dataclass
class SleepingClock:
    """The clock as one execution has it."""

    clock: FakeClock
    hooks: Hooks

    def now_ms(self) -> int:
        return self.clock.now_ms()

    def monotonic(self) -> float:
        return self.clock.monotonic()

    def sleep(self, seconds: float) -> None:
        nth = self.hooks.enter("sleep")
        self.clock.sleep(seconds)
        self.hooks.leave("sleep", nth)


# --- Connect ---------------------------------------------------------------------------------------------------------


@dataclass
class ChaosStatus:
    """Connect's word: right where it is given at all."""

    clock: FakeClock
    hooks: Hooks
    disconnected_ms: int
    unknown: float
    chance: random.Random

    def describe(
        self, instance_id: str, contact_id: str, *, stream_arn: str, start_fragment: str | None
    ) -> ContactAnswer:
        assert instance_id
        assert contact_id
        assert stream_arn
        assert start_fragment is None or start_fragment
        nth = self.hooks.enter("state")
        self.clock.pass_by(0.05)
        answer = ContactState.DISCONNECTED if self.clock.now_ms() >= self.disconnected_ms else ContactState.CONNECTED
        if self.chance.random() < self.unknown:
            answer = ContactState.UNKNOWN
        self.hooks.leave("state", nth)
        return ContactAnswer(answer)


# --- S3 --------------------------------------------------------------------------------------------------------------


class StoreFault:
    """What S3 may do to a call."""

    SLOW_DOWN = "503 SlowDown"
    INTERNAL = "500 InternalError"
    UNREACHABLE = "connection refused"
    CONFLICT = "409 conflict"
    LOST_ANSWER = "answer lost"
    LOST_500 = "500 after success"
    OWN_412 = "412 from its own write"
    GONE_AFTER_SUCCESS = "NoSuchUpload after success"
    UPLOAD_LOST = "upload lost for good"
    DENIED = "403 AccessDenied"


_BEFORE = {
    StoreFault.SLOW_DOWN: ("SlowDown", True),
    StoreFault.INTERNAL: ("InternalError", True),
    StoreFault.UNREACHABLE: ("ConnectionError", True),
    StoreFault.CONFLICT: ("ConditionalRequestConflict", True),
    StoreFault.DENIED: ("AccessDenied", False),
}
_CONDITIONAL = frozenset({"put_new", "complete_upload"})


class ChaosStore:
    """One execution's view of the bucket.

    Args:
        bucket: the truth.
        hooks: the execution's.
        clock: a call takes time.
        plan: by port and call.
    """

    def __init__(
        self, bucket: MemoryStore, hooks: Hooks, clock: FakeClock, plan: Mapping[tuple[str, int], str] | None = None
    ) -> None:
        self.bucket = bucket
        self.hooks = hooks
        self.clock = clock
        self.plan = dict(plan or {})
        self.met: Counter[str] = Counter()
        self.phase = ""
        self.outage: tuple[str, int] | None = None  # while recording, this port fails so many times from its plan on
        self._outage_left = 0

    def _call[T](self, port: str, work: Callable[[], T]) -> T:
        nth = self.hooks.enter(port)
        self.clock.pass_by(0.05)
        fault = self.plan.get((port, nth))
        if fault is None and self.outage is not None and self.phase == "record" and port == self.outage[0]:
            if nth == self.outage[1]:
                self._outage_left = 8
            if self._outage_left:
                self._outage_left -= 1
                self.met["outage"] += 1
                raise StorageError("SlowDown", "outage", retryable=True)
        if fault in {StoreFault.OWN_412, StoreFault.CONFLICT} and port not in _CONDITIONAL:
            fault = StoreFault.SLOW_DOWN
        if fault == StoreFault.GONE_AFTER_SUCCESS and port != "complete_upload":
            fault = StoreFault.LOST_ANSWER
        if fault is not None:
            self.met[fault] += 1
        if fault in _BEFORE:
            code, retryable = _BEFORE[fault]
            raise StorageError(code, port, retryable=retryable)
        if fault == StoreFault.UPLOAD_LOST:
            self.bucket.uploads.clear()
        result = work()
        if fault == StoreFault.LOST_ANSWER:
            raise StorageError("ConnectionError", port, retryable=True)
        if fault == StoreFault.LOST_500:
            raise StorageError("InternalError", port, retryable=True)
        if fault == StoreFault.GONE_AFTER_SUCCESS and result is WriteOutcome.WRITTEN:
            raise StorageError("NoSuchUpload", port, retryable=False)
        self.hooks.leave(port, nth)
        if fault == StoreFault.OWN_412:
            return WriteOutcome.EXISTS  # type: ignore[return-value]  # of conditional writes alone
        return result

    def put(self, key: str, body: ObjectBody, kind: ObjectKind) -> None:
        self._call("put", lambda: self.bucket.put(key, body, kind))

    def put_new(self, key: str, body: ObjectBody, kind: ObjectKind) -> WriteOutcome:
        return self._call(
            "put_new",
            lambda: self.bucket.put_new(key, body, kind),
        )

    def replace(self, key: str, body: ObjectBody, kind: ObjectKind, etag: str) -> WriteOutcome:
        return self._call("replace", lambda: self.bucket.replace(key, body, kind, etag))

    def get(self, key: str, *, headroom: int = 0) -> bytearray:
        return self._call("get", lambda: self.bucket.get(key, headroom=headroom))

    def head(self, key: str) -> ObjectHead | None:
        return self._call("head", lambda: self.bucket.head(key))

    def delete(self, keys: Iterable[str]) -> None:
        self._call("delete", lambda: self.bucket.delete(keys))

    def delete_version(self, key: str, etag: str) -> None:
        self._call("delete_version", lambda: self.bucket.delete_version(key, etag))

    def list_keys(self, prefix: str) -> Sequence[str]:
        return self._call("list_keys", lambda: self.bucket.list_keys(prefix))

    def list_level(self, prefix: str) -> Sequence[str]:
        return self._call("list_level", lambda: self.bucket.list_level(prefix))

    def create_upload(self, key: str, kind: ObjectKind) -> str:
        return self._call("create_upload", lambda: self.bucket.create_upload(key, kind))

    def find_uploads(self, key: str) -> Sequence[str]:
        return self._call("find_uploads", lambda: self.bucket.find_uploads(key))

    def upload_part(
        self, key: str, upload_id: str, number: int, body: ObjectBody, *, crc32: int | None = None
    ) -> UploadedPart:
        return self._call("upload_part", lambda: self.bucket.upload_part(key, upload_id, number, body, crc32=crc32))

    def complete_upload(
        self, key: str, upload_id: str, parts: Sequence[UploadedPart], *, replaces: str | None = None
    ) -> WriteOutcome:
        return self._call(
            "complete_upload", lambda: self.bucket.complete_upload(key, upload_id, parts, replaces=replaces)
        )

    def abort_upload(self, key: str, upload_id: str) -> None:
        self._call("abort_upload", lambda: self.bucket.abort_upload(key, upload_id))


# --- Kinesis Video Streams -------------------------------------------------------------------------------------------

_REFUSALS = (
    ("ClientLimitExceededException", True),
    ("ConnectionLimitExceededException", True),
    ("InternalFailure", True),
    ("ServiceUnavailable", True),
    ("ConnectionError", True),
    ("ExpiredTokenException", True),
    ("InvalidEndpointException", True),
    ("NotAuthorizedException", False),
    ("ResourceNotFoundException", False),
)
_BODY_FAULTS = (
    "cut",
    "cut with an error",
    "reset at once",
    "empty body",
    "stall",
    "trickle",
    "garbage",
    "half a fragment, then the next",
    "duplicate",
    "rewind",
    "in-band error",
    "silent end",
)
_MOST_FRUITLESS = 3
"""Faults in a row without a fragment: with a stall among them 20 s. Silence as long as the drain is the call's end."""


@dataclass(frozen=True)
class Spell:
    """A time in which a stream cannot be read, from its first meeting on.

    Args:
        at: index in the log of the fragment at which KVS reports an error; None for bodies that break at any place.
        code: the in-band error; 0 for bodies that break.
        lasts_s: how long; infinity for ever.
        not_before_ms: no meeting earlier, ms since the epoch.
    """

    at: int | None
    code: int
    lasts_s: float
    not_before_ms: int = 0

    def __str__(self) -> str:
        return f"{self.code or 'breaks'} at {self.at} for {self.lasts_s:.0f} s"


@dataclass
class ChaosSource:
    """The stream: a log whose fragments become available in time, and connections that fail.

    Args:
        log: in order.
        clock: the world's.
        hooks: the execution's.
        chance: decides what happens to a body.
        faults: how many things go wrong at most.
        retention: hours.
        live_pace: reads take no longer than this, s.
        damaged: numbers of fragments whose bytes are broken in the log itself.
        vanished: numbers of fragments in whose place KVS reports that they are not found.
        spells: times in which the stream cannot be read.
    """

    log: Sequence[LogEntry]
    clock: FakeClock
    hooks: Hooks
    chance: random.Random
    faults: int
    retention: int
    damaged: frozenset[str] = frozenset()
    vanished: frozenset[str] = frozenset()
    retention_fails: bool = False
    spells: Sequence[Spell] = ()
    met: Counter[str] = field(default_factory=Counter)
    open_now: int = 0
    most_open: int = 0
    opened: int = 0
    garbled: Counter[str] = field(default_factory=Counter)
    rewound: set[str] = field(default_factory=set)
    """Numbers of fragments that a producer sent again behind later ones."""
    _fruitless: int = 0
    _stalls: int = 0
    _met_ms: dict[Spell, int] = field(default_factory=dict)
    _refused_until_ms: int = -1
    _refusal: tuple[str, bool] = ("", True)

    def __post_init__(self) -> None:
        self._index = {entry.number: at for at, entry in enumerate(self.log)}

    def retention_hours(self) -> int:
        nth = self.hooks.enter("retention_hours")
        if self.retention_fails:
            raise MediaSourceError("NotAuthorizedException", "no", retryable=False)
        self.hooks.leave("retention_hours", nth)
        return self.retention

    def index(self, number: str | None) -> int:
        return -1 if number is None else self._index[number]

    def is_gone(self, entry: LogEntry) -> bool:
        return self.retention == 0 and self.clock.now_ms() - entry.at_ms > BUFFER_S * 1000

    def meets(self, index: int) -> Spell | None:
        """The spell that keeps a reader from a fragment now."""
        now_ms = self.clock.now_ms()
        for spell in self.spells:
            if spell.at in {None, index} and now_ms >= spell.not_before_ms:
                since_ms = self._met_ms.setdefault(spell, now_ms)
                if now_ms - since_ms < spell.lasts_s * 1000:
                    self.met["spell: " + (f"in-band error {spell.code}" if spell.code else "broken body")] += 1
                    return spell
        return None

    def open(self, start: StartSelector) -> ChaosStream:
        nth = self.hooks.enter("open")
        self.clock.pass_by(0.05)
        self._maybe_refuse()
        if isinstance(start, AfterFragment):
            first = self._index[start.number] + 1
        else:
            first = next((at for at, entry in enumerate(self.log) if entry.end_ms > start.ms), len(self.log))
        self.open_now += 1
        self.opened += 1
        self.most_open = max(self.most_open, self.open_now)
        stream = ChaosStream(self, first, self._draw_fault(first))
        self.hooks.leave("open", nth)
        return stream

    def drop_connections(self) -> None:
        """The process is gone, and its sockets with it."""
        self.open_now = 0

    def _maybe_refuse(self) -> None:
        now_ms = self.clock.now_ms()
        if now_ms >= self._refused_until_ms and self.faults > 0 and self.chance.random() < 0.15:
            self.faults -= 1
            self._refusal = self.chance.choice(_REFUSALS)
            # What only a human can mend ends a recording after a minute, or where it is met again after a wait.
            lasts_s = self.chance.choice((0.1, 5, 7 if not self._refusal[1] else 120))
            self._refused_until_ms = now_ms + round(1000 * self.chance.uniform(0, lasts_s))
        if now_ms <= self._refused_until_ms:
            code, retryable = self._refusal
            self.met[f"refused: {code}"] += 1
            raise MediaSourceError(code, "refused", retryable=retryable)

    def _draw_fault(self, first: int) -> tuple[str, int] | None:
        """What will happen to a body, and how many fragments later."""
        if self.faults <= 0 or self._fruitless >= _MOST_FRUITLESS or self.chance.random() < 0.2:
            return None
        fault = self.chance.choice(_BODY_FAULTS)
        if fault == "stall" and self._stalls:
            return None
        self.faults -= 1
        self.met[fault] += 1
        left = max(1, len(self.log) - first)
        return fault, self.chance.choice((0, 0, 1, 2, self.chance.randrange(left), self.chance.randrange(left)))

    def served(self) -> None:
        """A whole fragment was delivered."""
        self._fruitless = self._stalls = 0

    def was_fruitless(self, *, stall: bool = False) -> None:
        self._fruitless += 1
        self._stalls += stall


class ChaosStream:
    """One body."""

    def __init__(self, source: ChaosSource, first: int, fault: tuple[str, int] | None) -> None:
        self._source = source
        self._next = first
        self._fault: str | None = fault[0] if fault else None
        self._after = fault[1] if fault else 0
        self._buffer = bytearray()
        self._ends: MediaSourceError | bool | None = None  # what comes behind the buffer
        self._stalls = False
        self._trickle = 0
        self._chunk = source.chance.choice((65_536, 65_536, 65_536, 16_384, 3000)) if source.faults > 0 else 65_536
        self._closed = False
        self._served = 0
        self._whole_at: list[int] = []

    def read(self) -> bytes:
        source = self._source
        assert not self._closed, "read after close"
        nth = source.hooks.enter("read")
        data = self._read()
        source.hooks.leave("read", nth)
        return data

    def close(self) -> None:
        nth = self._source.hooks.enter("close")
        if not self._closed:
            self._closed = True
            self._source.open_now -= 1
            if not self._served and self._fault is not None:
                self._source.was_fruitless()
        self._source.hooks.leave("close", nth)

    def _read(self) -> bytes:
        source = self._source
        source.clock.pass_by(0.002)
        while not self._buffer:
            if self._stalls:
                source.was_fruitless(stall=True)
                source.clock.pass_by(READ_TIMEOUT_S)
                raise MediaSourceError("ReadTimeoutError", "stalled", retryable=True)
            if isinstance(self._ends, MediaSourceError):
                raise self._ends
            if self._ends:
                return b""
            self._fill()
        size = self._chunk
        if self._trickle:
            self._trickle -= 1
            size = source.chance.randint(1, 200)
            source.clock.pass_by(0.1)
        elif size != 65_536:
            size = source.chance.randint(1, size)
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        if not self._buffer and self._whole_at:
            self._whole_at.clear()
            self._served += 1
            source.served()
        return data

    def _fill(self) -> None:
        """Put the next fragment, or what comes in its place, into the buffer; or time passes in vain."""
        source = self._source
        while self._next < len(source.log) and source.is_gone(source.log[self._next]):
            source.met["gone from a stream that keeps nothing"] += 1
            self._next += 1
        if self._fault is not None and self._after == 0 and self._fault in {"reset at once", "empty body"}:
            self._ends = (
                True if self._fault == "empty body" else MediaSourceError("ConnectionError", "reset", retryable=True)
            )
            return
        entry = source.log[self._next] if self._next < len(source.log) else None
        wait_s = READ_TIMEOUT_S if entry is None else (entry.at_ms - source.clock.now_ms()) / 1000
        if self._fault == "silent end" and self._after == 0:
            source.clock.pass_by(min(max(0.0, wait_s), READ_TIMEOUT_S / 2))
            self._ends = True
            return
        if entry is None or wait_s > READ_TIMEOUT_S:
            # At the head a spell is met without anything to wait for.
            spell = source.meets(len(source.log)) if entry is None else None
            if spell is not None:
                source.clock.pass_by(0.5)
                self._meet(spell, None)
                return
            source.clock.pass_by(READ_TIMEOUT_S)
            self._ends = MediaSourceError("ReadTimeoutError", "silent", retryable=True)
            return
        source.clock.pass_by(max(0.0, wait_s))
        spell = source.meets(self._next)
        if spell is not None:
            self._meet(spell, entry)
            return
        if entry.number in source.vanished:
            source.met["in-band error 4000"] += 1
            self._buffer += _error_fragment(source.chance, 4000)
            self._ends = True
            return
        self._serve(entry)
        self._after -= 1

    def _meet(self, spell: Spell, entry: LogEntry | None) -> None:
        """An error in place of the fragment, or a body that breaks within it."""
        chance = self._source.chance
        if spell.code:
            self._buffer += _error_fragment(chance, spell.code)
            self._ends = True
            return
        if entry is not None:
            self._buffer += entry.data[: chance.randrange(len(entry.data))]
        self._ends = MediaSourceError("ConnectionError", "reset by peer", retryable=True)

    def _serve(self, entry: LogEntry) -> None:
        source, chance = self._source, self._source.chance
        data = entry.data
        if entry.number in source.damaged:
            data = _garbled(data, random.Random(entry.number))
        fault = self._fault if self._after <= 0 else None
        if fault is not None:
            self._fault = None
        broken = MediaSourceError("ConnectionError", "reset by peer", retryable=True)
        self._next += 1
        match fault:
            case "cut" | "cut with an error":
                data = data[: chance.randrange(len(data))]
                self._ends = True if fault == "cut" else broken
                source.was_fruitless()
            case "stall":
                data = data[: chance.randrange(len(data))]
                self._stalls = True
            case "trickle":
                self._trickle = 100
            case "garbage":
                source.garbled[entry.number] += 1
                source.was_fruitless()
                self._buffer += _garbled(data, chance)
                return
            case "half a fragment, then the next":
                # What follows the half is swallowed as the rest of its block, up to an element that makes no sense.
                source.garbled[entry.number] += 1
                source.was_fruitless()
                data = data[: chance.randrange(len(data))] + bytes(4000)
                self._buffer += data
                return
            case "duplicate":
                data += data
                # The second copy's damage stands behind the first, where the next fragment's would.
                source.garbled[entry.number] += entry.number in source.damaged
            case "rewind" if entry.contents.contact_id is not None:  # else nobody can tell whose the end is
                back = chance.randint(1, 4)
                again = source.log[max(0, self._next - 1 - back) : self._next]
                again = [each for each in again if each.ours == entry.ours and each.number not in source.damaged]
                source.rewound |= {each.number for each in again}
                data += b"".join(each.data for each in again)
            case "in-band error":
                data = _error_fragment(chance) + (data if chance.random() < 0.3 else b"")
                self._ends = True
                source.was_fruitless()
                self._buffer += data
                return
            case _:
                pass
        self._buffer += data
        if len(data) >= len(entry.data):
            self._whole_at.append(1)


def _garbled(data: bytes, chance: random.Random) -> bytes:
    """Overwrite more than a block with bytes that are no element's ID, so that a header is surely among them."""
    size = 2400
    at = chance.randrange(200, max(201, len(data) - size))
    return data[:at] + bytes(chance.choices(range(16), k=min(size, len(data) - at))) + data[at + size :]


def _error_fragment(chance: random.Random, code: int | None = None) -> bytes:
    code = code or chance.choice((3002, 5000, 4503))
    contents = FragmentContents(
        number="1", producer_ms=1, server_ms=1, contact_id=None, instance_id=None, error=InBandError(code, str(code))
    )
    return write_fragment(contents, FragmentLayout(continuation_token=chance.random() < 0.5))
