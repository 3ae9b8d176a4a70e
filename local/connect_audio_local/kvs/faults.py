"""How an emulated stream misbehaves: frozen schedules of faults, scripted or seeded. Chaos tests use them.

FaultPlan((OnCall(2, Cut(4096)), AtFragment(17, Stall(100, 20.0)), InLog(9, Rewind(3))))

is what a schedule's repr looks like, and what replays it. `fault_run.py` carries a plan out, without HTTP and without a
clock; `EmulatedStream(..., faults=plan)` serves it over the wire.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from connect_audio_local.brief_repr import brief_repr

type Api = Literal[
    "GetMedia",
    "GetDataEndpoint",
    "DescribeStream",
    "ListStreams",
    "DescribeContact",
    "SearchContacts",
    "ListFragments",
    "GetMediaForFragmentList",
]

LAST: Final = -1
"""As the index of an `InLog`: behind the stream's last fragment."""

# Status codes: botocore's models of kinesisvideo, kinesis-video-media and connect; the SigV4 and 5xx ones are AWS's
# common errors.
STATUS_OF: Final = {
    "ClientLimitExceededException": 400,
    "ConnectionLimitExceededException": 400,
    "InvalidArgumentException": 400,
    "InvalidEndpointException": 400,
    "ThrottlingException": 429,
    "NotAuthorizedException": 401,
    "AccessDeniedException": 403,
    "ExpiredTokenException": 403,
    "ResourceNotFoundException": 404,
    "InternalFailure": 500,
    "ServiceUnavailable": 503,
}
_ONLY_A_HUMAN_HELPS: Final = frozenset(
    {"InvalidArgumentException", "NotAuthorizedException", "AccessDeniedException", "ResourceNotFoundException"}
)

# GetMedia API reference: number and meaning. AWS does not document the texts beside the numbers.
IN_BAND_CODES: Final = {
    3002: "STREAM_WRITE_ERROR",
    4000: "FRAGMENT_NOT_FOUND",
    4500: "KMS_ACCESS_DENIED",
    4501: "KMS_KEY_DISABLED",
    4502: "KMS_VALIDATION_ERROR",
    4503: "KMS_KEY_UNAVAILABLE",
    4504: "KMS_INVALID_USAGE",
    4505: "KMS_INVALID_STATE",
    4506: "KMS_KEY_NOT_FOUND",
    5000: "INTERNAL_ERROR",
}
_PASSING_IN_BAND: Final = frozenset({3002, 4503, 5000})


# --- the faults of a call --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class Refuse:
    """The call is answered with an error.

    Args:
        code: the service's error code, one of `STATUS_OF`.
    """

    code: str

    def __post_init__(self) -> None:
        if self.code not in STATUS_OF:
            raise ValueError(f"{self.code} is none of {', '.join(STATUS_OF)}")

    __repr__ = brief_repr


@dataclass(frozen=True, slots=True, repr=False)
class Drop:
    """The connection is reset before there is any answer."""

    __repr__ = brief_repr


@dataclass(frozen=True, slots=True, repr=False)
class MoveEndpoint:
    """The stream's data endpoint moves first; a GetMedia at the old one is answered InvalidEndpointException."""

    __repr__ = brief_repr


# --- the faults of a body --------------------------------------------------------------------------------------------
# `after` counts bytes from the body's start (OnCall) or from the fragment's (AtFragment).


@dataclass(frozen=True, slots=True, repr=False)
class End:
    """The body ends in good order after so many bytes, wherever that is."""

    after: int

    __repr__ = brief_repr


@dataclass(frozen=True, slots=True, repr=False)
class EndAfter:
    """The body ends silently after a time, as KVS ends its own after some 45 minutes. For `OnCall` alone.

    Args:
        seconds: on the emulator's clock, since the body was opened.
    """

    seconds: float

    __repr__ = brief_repr


@dataclass(frozen=True, slots=True, repr=False)
class Cut:
    """The connection is closed after so many bytes without the body's last chunk."""

    after: int

    __repr__ = brief_repr


@dataclass(frozen=True, slots=True, repr=False)
class Reset:
    """The connection is reset (RST) after so many bytes; like a real one, it may overtake bytes still on their way."""

    after: int

    __repr__ = brief_repr


@dataclass(frozen=True, slots=True, repr=False)
class Stall:
    """After so many bytes nothing comes, until the time is over, `FaultRun.release` is called or the client gives up.

    Args:
        after: bytes.
        seconds: on the emulator's clock; None for no such end.
    """

    after: int
    seconds: float | None = None

    __repr__ = brief_repr


@dataclass(frozen=True, slots=True, repr=False)
class Trickle:
    """From here to the body's end it comes in chunks of so many bytes.

    Args:
        size: bytes of a chunk, at least 1.
        after: bytes.
    """

    size: int
    after: int = 0

    __repr__ = brief_repr


@dataclass(frozen=True, slots=True, repr=False)
class Garbage:
    """Bytes that belong to nothing come between what is sent before and after.

    Inside a fragment no reader can separate them from audio. Bytes that come again at the same place count as damage of
    the log. So a whole recording is owed only if they come once, between two fragments.

    Args:
        size: bytes, at least 4 with the magic.
        after: bytes; 0 at a fragment lets them come between two fragments.
        magic: True puts an EBML header's first four bytes into the middle of them.
        seed: makes the bytes.
    """

    size: int
    after: int = 0
    magic: bool = False
    seed: int = 0

    __repr__ = brief_repr

    def data(self) -> bytes:
        """Make the bytes."""
        data = random.Random(self.seed).randbytes(self.size)
        middle = max(0, self.size // 2 - 2)
        return data[:middle] + b"\x1a\x45\xdf\xa3" + data[middle + 4 :] if self.magic else data


@dataclass(frozen=True, slots=True, repr=False)
class InBand:
    """KVS reports an error by tags inside the 200 body, and ends it.

    Args:
        code: one of `IN_BAND_CODES`.
        after: None makes the tags a document of their own, here and now. A number of bytes puts them into the
            fragment, after the last whole block within so many bytes. It is for `AtFragment` alone. The fragment's
            Segment and Cluster must have unknown sizes, as Connect's have.
    """

    code: int
    after: int | None = None

    def __post_init__(self) -> None:
        if self.code not in IN_BAND_CODES:
            raise ValueError(f"{self.code} is none of KVS's codes: {', '.join(map(str, IN_BAND_CODES))}")

    __repr__ = brief_repr


@dataclass(frozen=True, slots=True, repr=False)
class Twice:
    """The fragment is sent twice in a row. For `AtFragment` alone."""

    __repr__ = brief_repr


@dataclass(frozen=True, slots=True, repr=False)
class LeftOut:
    """GetMedia leaves the fragment out without an error, though it is listed. For `AtFragment` alone; not drawn."""

    __repr__ = brief_repr


# --- the faults of the stored stream ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class Rewind:
    """The producer sends again what it sent last: new fragment numbers, the old times and audio.

    Args:
        fragments: how many, the last ones before the index.
    """

    fragments: int

    __repr__ = brief_repr


@dataclass(frozen=True, slots=True, repr=False)
class OtherContacts:
    """Another contact has the stream: before our contact at index 0, after it at index `LAST`.

    Its samples are one pattern.

    Args:
        fragments: how many, of 1.024 s.
        pause_ms: time between it and our contact.
    """

    fragments: int
    pause_ms: int = 500

    __repr__ = brief_repr


@dataclass(frozen=True, slots=True, repr=False)
class Missing:
    """So many fragments, from the index on, were never stored."""

    fragments: int = 1

    __repr__ = brief_repr


type CallAction = Refuse | Drop | MoveEndpoint
type PlacedAction = End | Cut | Reset | Stall | Trickle | Garbage
type BodyAction = PlacedAction | EndAfter
type FragmentAction = PlacedAction | InBand | Twice | LeftOut
type LogAction = Rewind | OtherContacts | Missing


# --- when ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class OnCall:
    """At the nth call of an operation on the stream, refused ones included.

    Args:
        nth: from 1.
        action: the fault.
        api: the operation; only GetMedia and GetMediaForFragmentList have a body.
        times: how many calls in a row from there; None for all.
    """

    nth: int
    action: CallAction | BodyAction
    api: Api = "GetMedia"
    times: int | None = 1

    def __post_init__(self) -> None:
        if self.nth < 1:
            raise ValueError(f"calls count from 1, not {self.nth}")
        if self.api not in ("GetMedia", "GetMediaForFragmentList") and not isinstance(
            self.action, Refuse | Drop | MoveEndpoint
        ):
            raise ValueError(f"{self.api} has no body for {self.action}")

    __repr__ = brief_repr

    def covers(self, call: int) -> bool:
        """Return True if it happens to the call of this number."""
        return call >= self.nth and (self.times is None or call < self.nth + self.times)

    @property
    def recoverable(self) -> bool:
        """True if a consumer with patience gets everything nevertheless."""
        match self.action:
            case Refuse(code):
                passing = self.times is not None and code not in _ONLY_A_HUMAN_HELPS
                return self.api == "DescribeContact" or passing
            case EndAfter() | Trickle() | MoveEndpoint():
                return True
            case Garbage(after=after):
                return self.times == 1 and after == 0
            case _:
                return self.api == "DescribeContact" or self.times is not None


@dataclass(frozen=True, slots=True, repr=False)
class AtFragment:
    """Whenever a fragment is served, by whatever call.

    Args:
        index: its place in the stream as stored, from 0; what `InLog` adds counts too.
        action: the fault.
        times: how often; None for every time it is served.
    """

    index: int
    action: FragmentAction
    times: int | None = 1

    __repr__ = brief_repr

    @property
    def recoverable(self) -> bool:
        """True if a consumer with patience gets everything nevertheless."""
        match self.action:
            case InBand(code):
                return self.times is not None and code in _PASSING_IN_BAND
            case Twice() | Trickle():
                return True
            case Garbage(after=after):
                return self.times == 1 and after == 0
            case _:
                return self.times is not None


@dataclass(frozen=True, slots=True, repr=False)
class InLog:
    """The stream is stored like this, for every reader and for ever.

    Args:
        index: the fragment, from 0 as they were given, before which it happens; or `LAST`.
        action: the fault.
    """

    index: int
    action: LogAction

    def __post_init__(self) -> None:
        if isinstance(self.action, OtherContacts) and self.index not in (0, LAST):
            raise ValueError("another contact comes before our contact (index 0) or after it (index LAST)")

    __repr__ = brief_repr

    @property
    def recoverable(self) -> bool:
        """True if the log still holds every byte of our contact."""
        return not isinstance(self.action, Missing)


type Fault = OnCall | AtFragment | InLog


@dataclass(frozen=True, slots=True, repr=False)
class FaultPlan:
    """A schedule of faults. In one body the fault with the least `after` comes first.

    Args:
        faults: in any order.
    """

    faults: tuple[Fault, ...] = ()

    __repr__ = brief_repr

    @property
    def recoverable(self) -> bool:
        """True if a whole recording is owed.

        Then the log still holds every byte after all faults, and gives it to a reader that asks again.
        A reader needs patience for the `times` of refusals: a schedule does not know its idle limit.
        """
        # Two runs of garbage may meet at one place.
        garbage = sum(isinstance(fault.action, Garbage) for fault in self.faults)
        return garbage <= 1 and all(fault.recoverable for fault in self.faults)


NO_FAULTS: Final = FaultPlan()


# --- schedules by seed -----------------------------------------------------------------------------------------------


def random_faults(
    seed: int,
    *,
    fragments: int,
    count: int = 4,
    calls: int = 6,
    fragment_bytes: int = 34_000,
    longest_stall_s: float = 2.0,
    recoverable: bool = True,
) -> FaultPlan:
    """Make a schedule; the same arguments make the same one.

    Args:
        seed: seed of the choices.
        fragments: how many the stream has.
        count: how many faults.
        calls: faults on calls are spread over the first so many.
        fragment_bytes: places inside a fragment are chosen up to so many bytes.
        longest_stall_s: stalls end after at most so many seconds of the emulator's clock; 0 for no stalls.
        recoverable: only faults after which a whole recording is owed.
    """
    rng = random.Random(seed)
    makers: list[Callable[[random.Random, _Span], Fault]] = [
        _random_body,
        _random_body,
        _random_fragment,
        _random_fragment,
        _random_call,
        _random_log,
    ]
    found: list[Fault] = []
    span = _Span(fragments, calls, fragment_bytes, longest_stall_s)
    while len(found) < count:
        fault = rng.choice(makers)(rng, span)
        # One contact before and one after; a rewind has to be our contact's.
        if isinstance(fault, InLog) and any(isinstance(each, InLog) and each.index == fault.index for each in found):
            continue
        if not recoverable or FaultPlan((*found, fault)).recoverable:
            found.append(fault)
    return FaultPlan(tuple(found))


@dataclass(frozen=True, slots=True)
class _Span:
    fragments: int
    calls: int
    fragment_bytes: int
    longest_stall_s: float


def _placed(rng: random.Random, span: _Span, most: int) -> PlacedAction:
    """One action somewhere in so many bytes; their edges come more often than chance would have it."""
    after = rng.choice((0, 1, rng.randrange(64), rng.randrange(most), rng.randrange(most)))
    kinds: Iterable[PlacedAction] = (
        End(after),
        Cut(after),
        Reset(after),
        Trickle(rng.choice((1, 7, 100, 1500)), after),
        Garbage(rng.choice((4, 100, 5000)), rng.choice((0, after)), rng.random() < 0.5, rng.randrange(1000)),
        *((Stall(after, round(rng.uniform(0.1, span.longest_stall_s), 1)),) if span.longest_stall_s else ()),
    )
    return rng.choice(tuple(kinds))


def _random_body(rng: random.Random, span: _Span) -> OnCall:
    action: BodyAction = _placed(rng, span, span.fragment_bytes * min(4, span.fragments))
    if rng.random() < 0.1:
        action = EndAfter(round(rng.uniform(0.5, 5.0), 1))
    return OnCall(rng.randint(1, span.calls), action, times=rng.choice((1, 1, 2)))


def _random_fragment(rng: random.Random, span: _Span) -> AtFragment:
    index = rng.randrange(span.fragments)
    action: FragmentAction = _placed(rng, span, span.fragment_bytes)
    if rng.random() < 0.2:
        action = Twice()
    elif rng.random() < 0.25:
        inside = rng.randrange(span.fragment_bytes) if rng.random() < 0.5 else None
        action = InBand(rng.choice(tuple(IN_BAND_CODES)), inside)
    return AtFragment(index, action, rng.choice((1, 1, 2)))


def _random_call(rng: random.Random, span: _Span) -> OnCall:
    api: Api = rng.choice(("GetMedia", "GetMedia", "GetMedia", "GetDataEndpoint", "DescribeContact"))
    action: CallAction = rng.choice((Refuse(rng.choice(tuple(STATUS_OF))), Drop()))
    if api == "GetMedia" and rng.random() < 0.2:
        action = MoveEndpoint()
    return OnCall(rng.randint(1, span.calls), action, api, rng.choice((1, 1, 2, 3)))


def _random_log(rng: random.Random, span: _Span) -> InLog:
    if rng.random() < 0.4:
        return InLog(rng.choice((0, LAST)), OtherContacts(rng.randint(1, 4)))
    index = rng.randint(1, span.fragments)
    if rng.random() < 0.2:
        return InLog(min(index, span.fragments - 1), Missing(rng.randint(1, 3)))
    return InLog(LAST if index == span.fragments else index, Rewind(rng.randint(1, 4)))
