"""Carries out a `FaultPlan` on one stream: counts calls and fragments, spoils bodies, rewrites the stored stream.

Neither HTTP nor clock: the emulator's server uses it, and so can an in-memory source of bytes. A body is a run of
`Sendable`: bytes to send, a stall to wait out, or the way in which it ends.
"""

from __future__ import annotations

import heapq
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from enum import Enum
from typing import Final

from connect_audio_local.kvs.capture import StoredFragment, block_ends
from connect_audio_local.kvs.faults import (
    IN_BAND_CODES,
    LAST,
    Api,
    AtFragment,
    Cut,
    Drop,
    End,
    EndAfter,
    Fault,
    FaultPlan,
    Garbage,
    InBand,
    InLog,
    LeftOut,
    Missing,
    MoveEndpoint,
    OnCall,
    OtherContacts,
    PlacedAction,
    Refuse,
    Reset,
    Rewind,
    Stall,
    Trickle,
    Twice,
)
from connect_audio_local.synthesis.fragment_writer import (
    CONNECT_LAYOUT,
    CONNECT_TRACKS,
    Block,
    FragmentContents,
    InBandError,
    write_fragment,
)

OTHER_CONTACT_ID: Final = "99999999-9999-4999-8999-999999999999"
OTHER_CONTACT_PCM: Final = b"\x5a\xa5"
"""The one sample that another contact's fragments consist of. No recording of our contact may hold it."""

_BLOCK_MS, _BLOCKS, _RATE = 64, 16, 8000


class Ending(Enum):
    """How a body ends before its time."""

    CLEAN = "its last chunk"
    CUT = "the connection closed"
    RESET = "the connection reset"


type Sendable = bytes | Stall | Ending


class FaultRun:
    """One stream's run through a plan. Thread-safe.

    Args:
        plan: the schedule of faults.
    """

    def __init__(self, plan: FaultPlan) -> None:
        self.plan = plan
        self._condition = threading.Condition()
        self._calls: Counter[str] = Counter()
        self._served: Counter[AtFragment] = Counter()
        self._fired: list[Fault] = []
        self._stalls = 0
        self._released = 0
        self._wakers: list[Callable[[], None]] = []

    @property
    def fired(self) -> tuple[Fault, ...]:
        """The faults so far, each once, in order. A fault of the stored stream happens when it is stored."""
        with self._condition:
            return tuple(self._fired)

    @property
    def recoverable(self) -> bool:
        """True if the faults so far still allow a whole recording."""
        return FaultPlan(self.fired).recoverable

    def calls(self, api: Api) -> int:
        """How often an operation was called on the stream."""
        with self._condition:
            return self._calls[api]

    def call(self, api: Api) -> tuple[OnCall, ...]:
        """Count a call and return its faults."""
        with self._condition:
            self._calls[api] += 1
            found = tuple(
                fault
                for fault in self.plan.faults
                if isinstance(fault, OnCall) and fault.api == api and fault.covers(self._calls[api])
            )
            self._fire(found)
            return found

    def body(self, faults: Sequence[OnCall] = ()) -> FaultyBody:
        """Make a body's spoiler.

        Args:
            faults: the answer of `call("GetMedia")`.
        """
        return FaultyBody(self, faults)

    def at_fragment(self, index: int) -> list[AtFragment]:
        """Count a fragment that is served now, and return its faults."""
        with self._condition:
            found = [
                fault
                for fault in self.plan.faults
                if isinstance(fault, AtFragment)
                and fault.index == index
                and (fault.times is None or self._served[fault] < fault.times)
            ]
            for fault in found:
                self._served[fault] += 1
            self._fire(found)
            return found

    def _fire(self, faults: Iterable[Fault]) -> None:
        """Note what happens; the caller holds the lock."""
        self._fired += [fault for fault in faults if fault not in self._fired]

    # --- stalls ---

    def stall(self) -> Callable[[], bool]:
        """Begin a stall; return a function that says if it was released."""
        with self._condition:
            self._stalls += 1
            mine = self._stalls
            self._condition.notify_all()
        return lambda: self._released >= mine

    def wait_for_stalls(self, count: int = 1, timeout_s: float = 10.0) -> bool:
        """Wait until so many stalls have begun, since the start; False if they have not."""
        with self._condition:
            return self._condition.wait_for(lambda: self._stalls >= count, timeout_s)

    def release(self) -> None:
        """End every stall that has begun."""
        with self._condition:
            self._released = self._stalls
            wakers = list(self._wakers)
        for wake in wakers:
            wake()

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have `wake` called at each release; returns the function that ends it."""
        with self._condition:
            self._wakers.append(wake)

        def unsubscribe() -> None:
            with self._condition:
                self._wakers.remove(wake)

        return unsubscribe

    # --- the stored stream ---

    def stored(self, fragments: Iterable[StoredFragment]) -> Iterator[StoredFragment]:
        """Yield the stream as the plan has it stored, lazily."""
        faults = [fault for fault in self.plan.faults if isinstance(fault, InLog)]
        furthest = max((fault.action.fragments for fault in faults if isinstance(fault.action, Rewind)), default=1)
        sent: list[StoredFragment] = []
        missing = 0
        index = 0
        source = iter(fragments)
        coming = next(source, None)
        while coming is not None:
            for fault in faults:
                if fault.index == index:
                    if isinstance(fault.action, Missing):
                        missing = max(missing, fault.action.fragments)
                    yield from self._inserted(fault, sent, coming)
            if missing:
                missing -= 1
            else:
                yield coming
                sent = [*sent, coming][-furthest:]
            index += 1
            coming = next(source, None)
        for fault in faults:
            if fault.index == LAST:
                yield from self._inserted(fault, sent, None)

    def _inserted(
        self, fault: InLog, sent: Sequence[StoredFragment], coming: StoredFragment | None
    ) -> Iterator[StoredFragment]:
        with self._condition:
            self._fire([fault])
        match fault.action:
            case Rewind(count):
                yield from _rewound(sent[-count:], coming)
            case OtherContacts() as action if coming is not None:
                yield from _other_contact_before(coming, action)
            case OtherContacts() as action if sent:
                yield from _other_contact_after(sent[-1], action)
            case _:
                pass


class FaultyBody:
    """Spoils one body; for one thread. Made by `FaultRun.body`.

    Args:
        run: the stream's.
        faults: the faults of this body.
    """

    def __init__(self, run: FaultRun, faults: Sequence[OnCall]) -> None:
        self._run = run
        self._sent = 0
        self._chunk: int | None = None
        self._order = 0
        self._armed: list[tuple[int, int, PlacedAction | InBand]] = []
        self.session_s: float = math.inf
        for fault in faults:
            match fault.action:
                case EndAfter(seconds):
                    self.session_s = min(self.session_s, seconds)
                case Refuse() | Drop() | MoveEndpoint():
                    pass
                case action:
                    self._arm(action, action.after)

    def begin(self) -> Iterator[Sendable]:
        """Yield what comes before the first byte."""
        return self.spoil(b"")

    def fragment(self, index: int, data: Callable[[], bytes]) -> int:
        """Begin a fragment; return how many times it is to be sent.

        Args:
            index: its place in the stored stream.
            data: gives its bytes.
        """
        copies = 1
        for fault in self._run.at_fragment(index):
            match fault.action:
                case Twice():
                    copies = 2
                case LeftOut():
                    copies = 0
                case InBand() as action if action.after is None:
                    self._arm(action, 0)
                case InBand() as action:
                    after = action.after or 0
                    ends = [end for end, _ in block_ends(data())] or [0]
                    self._arm(action, max((end for end in ends if end <= after), default=ends[0]))
                case action:
                    self._arm(action, action.after)
        return copies

    def spoil(self, data: bytes) -> Iterator[Sendable]:
        """Yield the body's next bytes with their faults. After an `Ending` nothing more is to be passed in."""
        while self._armed and self._armed[0][0] <= self._sent + len(data):
            offset, _, action = heapq.heappop(self._armed)
            head, data = data[: offset - self._sent], data[offset - self._sent :]
            self._sent = offset
            yield from self._chunks(head)
            match action:
                case End():
                    yield Ending.CLEAN
                    return
                case Cut():
                    yield Ending.CUT
                    return
                case Reset():
                    yield Ending.RESET
                    return
                case InBand(code, after):
                    yield from self._chunks(in_band_document(code) if after is None else _error_tags(code))
                    yield Ending.CLEAN
                    return
                case Stall():
                    yield action
                case Trickle(size):
                    self._chunk = size
                case Garbage():
                    yield from self._chunks(action.data())
        self._sent += len(data)
        yield from self._chunks(data)

    def _arm(self, action: PlacedAction | InBand, after: int) -> None:
        self._order += 1
        heapq.heappush(self._armed, (self._sent + after, self._order, action))

    def _chunks(self, data: bytes) -> Iterator[bytes]:
        size = self._chunk or max(1, len(data))
        return (data[at : at + size] for at in range(0, len(data), size))


# --- the reports of the service inside a body ------------------------------------------------------------------------


def in_band_document(code: int) -> bytes:
    """Make a document that holds nothing but an error, as KVS sends it where no fragment is under way."""
    contents = FragmentContents(number="", producer_ms=0, server_ms=0, contact_id=None, instance_id=None)
    whole = write_fragment(contents)
    header = whole[: whole.index(b"\x18\x53\x80\x67")]
    return header + b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" + _error_tags(code)


def _error_tags(code: int) -> bytes:
    """The Tags element of an error; its neighbours come off a fragment that was written for it."""
    contents = FragmentContents(
        number="",
        producer_ms=0,
        server_ms=0,
        contact_id=None,
        instance_id=None,
        millis_behind_now=None,
        error=InBandError(code, IN_BAND_CODES[code]),
    )
    written = write_fragment(contents, replace(CONNECT_LAYOUT, continuation_token=False))
    return written[written.rindex(b"\x12\x54\xc3\x67") :]


# --- further fragments -----------------------------------------------------------------------------------------------


def _between(before: int, after: int | None, count: int) -> list[int]:
    """Fragment numbers behind one and, if there is any, before the next, in order."""
    step = 1 << 92 if after is None else max(1, (after - before) // (count + 1))
    return [before + step * place for place in range(1, count + 1)]


def _rewound(sent: Sequence[StoredFragment], coming: StoredFragment | None) -> Iterator[StoredFragment]:
    if not sent or not sent[-1].number:
        return
    following = int(coming.number) if coming is not None and coming.number else None
    for fragment, number in zip(sent, _between(int(sent[-1].number), following, len(sent)), strict=True):
        yield _renumbered(fragment, str(number))


def _renumbered(fragment: StoredFragment, number: str) -> StoredFragment:
    if len(number) != len(fragment.number):
        raise ValueError(f"fragment {fragment.number} cannot become {number}: the element sizes would change")
    old, load = fragment.number.encode(), fragment.load
    # The number is in its tag and in the continuation token.
    return replace(fragment, number=number, load=lambda: load().replace(old, number.encode()))


def _other_contact_before(first: StoredFragment, others: OtherContacts) -> Iterator[StoredFragment]:
    count, length_ms = others.fragments, _BLOCKS * _BLOCK_MS
    start_ms = first.producer_ms - others.pause_ms - count * length_ms
    for place in range(count):
        number = max(0, int(first.number or 0) - (count - place << 92))
        yield _other_contact(number, start_ms + place * length_ms, first.instance_id)


def _other_contact_after(last: StoredFragment, others: OtherContacts) -> Iterator[StoredFragment]:
    start_ms = last.end_ms + others.pause_ms
    for place, number in enumerate(_between(int(last.number or 0), None, others.fragments)):
        yield _other_contact(number, start_ms + place * _BLOCKS * _BLOCK_MS, last.instance_id)


def _other_contact(number: int, producer_ms: int, instance_id: str | None) -> StoredFragment:
    pcm = OTHER_CONTACT_PCM * (_RATE * _BLOCK_MS // 1000)
    blocks = [
        Block.at_ms(track.number, producer_ms + place * _BLOCK_MS, pcm)
        for place in range(_BLOCKS)
        for track in CONNECT_TRACKS
    ]
    contents = FragmentContents(
        number=str(number),
        producer_ms=producer_ms,
        server_ms=producer_ms + 170,
        contact_id=OTHER_CONTACT_ID,
        instance_id=instance_id,
        blocks=blocks,
        rate=_RATE,
    )
    return StoredFragment.from_bytes(write_fragment(contents), _BLOCKS * _BLOCK_MS)
