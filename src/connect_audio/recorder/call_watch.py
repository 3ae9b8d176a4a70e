"""Is a call over that is recorded after its end? Looks from time to time, until the answer is known.

Used for the recording mode `archive`. The call's execution is suspended between two looks.

How it works. A look collects evidence: the announced end of the contact, else Connect's answer, and the stream's
listing. `_decided` is pure and answers with one of four:

    Sleep       the call goes on, and the stream keeps what is unread for long enough
    ReadOn      a quarter of the retention has passed, or nobody knows about the contact: read to the stream's head
    Ended       the call is over: record up to the last fragment of its time
    RecordLive  the listing cannot show the end: the live recording's rules find it

An announced end names a time. The call ends with the unbroken run of fragments that this time falls into, or with the
last run before it. A run that still grows belongs to a call that goes on, for example after a transfer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from connect_audio.core.errors import MediaSourceError
from connect_audio.core.manifest import Reason
from connect_audio.ports import ContactAnswer, ContactState, FragmentIndex, ListedFragment
from connect_audio.recorder.archived_call import unbroken_runs
from connect_audio.recorder.checkpoint import Checkpoint
from connect_audio.recorder.listed_end import ListedEnd
from connect_audio.recorder.policy import EARLY_MS, Policy
from connect_audio.recorder.recorder_ports import RecorderPorts
from connect_audio.request import RecordingRequest
from connect_audio.text import counted

LEAST_RETENTION_HOURS: Final = 2
"""Least retention of a stream that is recorded after the call, hours. A quarter of it passes between two readings, and
a step that fails is tried for half an hour."""
_FIRST_LOOK_S: Final = 300
"""Time from the claim to the first look, s; doubles with each further one. Half of all calls are shorter."""
_FIRST_LOOK_WITH_EVENTS_S: Final = 1800
"""The same where contact events announce the end, s. A look is for an event that was lost, and asks Connect: of 5000
calls at once, one in a hundred is so long."""
_MOST_DOUBLINGS: Final = 8
"""Doublings of the time between two looks; the policy's longest ends them earlier."""
_GOES_ON_S: Final = 60
"""Time to the next look at a contact that is disconnected while its stream goes on, s; doubles, too."""
_BEHIND_END_MS: Final = 2000
"""A run may begin so long after the contact's end and still be the call's, ms: Connect gives whole seconds."""
_LISTED_LATE_MS: Final = 60_000
"""A fragment may enter the listing so much later than its producer's time, ms."""
_WINDOW_MS: Final = 3_600_000
"""Time that one listing asks for, ms: four pages of one call's fragments."""
_MOST_WINDOWS: Final = 8
"""Listings of one look; the next look goes on behind them."""
_SILENCE_MS: Final = 60_000
"""Silence behind the call's end that ends a listing, ms: longer than the longest drain that is usual."""
_LONGEST_WATCH_MS: Final = 46 * 3_600_000
"""Age of a call at which its recording must begin, ms: an hour before the longest recording ends."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """The call goes on, and nothing has to be read yet."""


@dataclass(frozen=True, slots=True)
class ReadOn:
    """The call may go on: read what the stream holds by now.

    Args:
        to: the newest listed fragment.
    """

    to: ListedEnd


@dataclass(frozen=True, slots=True)
class Ended:
    """The call is over.

    Args:
        on: its last fragment.
    """

    on: ListedEnd


@dataclass(frozen=True, slots=True)
class RecordLive:
    """The listing cannot show the call's end: record as a live call from here on.

    Args:
        cause: a code for the log.
    """

    cause: str


type Finding = Sleep | ReadOn | Ended | RecordLive


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """State between two looks at a call.

    Args:
        looks: how many there were.
        read_ms: time up to which the stream has been read or need not be, ms since the epoch.
        newest_ms: end of the newest listed fragment, ms since the epoch; the call's start before the first.
        late_looks: how many looks knew that the contact is over.
        has_events: True if contact events announce the end.
    """

    looks: int = 0
    read_ms: int
    newest_ms: int
    late_looks: int = 0
    has_events: bool = False

    @property
    def is_disconnected(self) -> bool:
        """True once the contact is known to be over."""
        return self.late_looks > 0

    def pause_s(self, policy: Policy, retention_hours: int) -> int:
        """Return the time to the next look, s.

        Args:
            policy: the limits.
            retention_hours: DataRetentionInHours of the stream.
        """
        first_s, looks = _FIRST_LOOK_WITH_EVENTS_S if self.has_events else _FIRST_LOOK_S, self.looks
        if self.is_disconnected:
            first_s, looks = _GOES_ON_S, self.late_looks - 1
        longest_s = min(int(policy.longest_look), retention_hours * 900)
        return max(1, min(longest_s, first_s << min(looks, _MOST_DOUBLINGS)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The result of a look.

    Args:
        found: the answer.
        watched: for the next look.
        is_announced: True if the contact's end was announced.
    """

    found: Finding
    watched: Watched
    is_announced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evidence:
    """Everything that decides. Times in ms since the epoch.

    Args:
        contact: Connect's word, or DISCONNECTED after an announced end.
        ended_ms: when the contact was disconnected; None where it is unknown.
        runs: the unread fragments, cut at each break.
        to_ms: producer time up to which the stream was listed.
        read: the fragment up to which earlier looks had the stream read; None where there was no such look.
        newest_ms: end of the newest listed fragment; the call's start before the first.
    """

    contact: ContactState
    ended_ms: int | None
    runs: Sequence[Sequence[ListedFragment]]
    to_ms: int
    read: ListedEnd | None
    newest_ms: int


def keeps_long_enough(retention_hours: int | None) -> bool:
    """Return True if a stream keeps its fragments long enough to record a call after its end.

    Args:
        retention_hours: DataRetentionInHours; None where unknown.
    """
    return retention_hours is not None and retention_hours >= LEAST_RETENTION_HOURS


def retention_too_short(retention_hours: int | None) -> Reason:
    """Return the warning of a call that is recorded live because its stream does not keep it long enough.

    Args:
        retention_hours: DataRetentionInHours; None where unknown.
    """
    kept = "for an unknown time" if retention_hours is None else f"for {counted(retention_hours, 'hour')}"
    detail = f"the stream keeps audio {kept}, archive needs {LEAST_RETENTION_HOURS} hours: the call was recorded live"
    return Reason("RETENTION_TOO_SHORT", detail)


def watch_from(ports: RecorderPorts) -> Watched:
    """Return the state before the first look.

    Args:
        ports: the recorder's dependencies.
    """
    start_ms = ports.request.start_timestamp_ms
    return Watched(read_ms=start_ms, newest_ms=start_ms, has_events=ports.ends is not None)


def look_at_call(ports: RecorderPorts, index: FragmentIndex, watched: Watched, checkpoint: Checkpoint) -> Look:
    """Look once.

    Args:
        ports: the recorder's dependencies.
        index: the stream's listing.
        watched: the earlier looks' state.
        checkpoint: the recording's; of a stream that keeps its fragments.

    Raises:
        StorageError: the announced ends cannot be read.
        MediaSourceError: the listing failed, and a later try may do better.
    """
    request, policy, now_ms = ports.request, ports.policy, ports.clock.now_ms()
    announced_ms = None if ports.ends is None else ports.ends.ended_ms(request.contact_id)
    answer = _asked(ports) if announced_ms is None else ContactAnswer(ContactState.DISCONNECTED, ended_ms=announced_ms)
    is_over = answer.state is ContactState.DISCONNECTED
    watched = replace(watched, looks=watched.looks + 1, late_looks=watched.late_looks + is_over)
    retention_hours = checkpoint.read.retention_hours or 0
    unread_s = (now_ms - watched.read_ms) / 1000 + watched.pause_s(policy, retention_hours)
    found: Finding = Sleep()
    if answer.state is not ContactState.CONNECTED or unread_s > retention_hours * 900:
        try:
            listed, to_ms = _listed(index, request, watched, answer.ended_ms or now_ms, now_ms)
        except MediaSourceError as error:
            if error.retryable:
                raise
            ports.logger.warning("stream cannot be listed: recorded as a live call", extra={"code": error.code})
            return Look(found=RecordLive(error.code), watched=watched, is_announced=announced_ms is not None)
        newest_ms = max((_end_ms(each) for each in listed), default=watched.newest_ms)
        seen = _Evidence(
            contact=answer.state,
            ended_ms=answer.ended_ms,
            runs=unbroken_runs(listed),
            to_ms=to_ms,
            read=checkpoint.end.listed,
            newest_ms=newest_ms,
        )
        found = _decided(seen, policy)
        watched = replace(watched, read_ms=to_ms, newest_ms=newest_ms)
    is_old = now_ms - request.start_timestamp_ms >= _LONGEST_WATCH_MS
    if is_old and isinstance(found, Sleep | ReadOn) and not watched.is_disconnected:
        found = RecordLive("WATCHED_FOR_LONG")
    return Look(found=found, watched=watched, is_announced=announced_ms is not None)


def _listed(
    index: FragmentIndex, request: RecordingRequest, watched: Watched, until_ms: int, now_ms: int
) -> tuple[Sequence[ListedFragment], int]:
    """List what is unread, up to the first silence behind a time.

    Args:
        index: the stream's listing.
        request: the streaming.
        watched: the earlier looks' state.
        until_ms: a silence before this time does not end the listing.
        now_ms: wall clock, ms since the epoch.

    Returns:
        The fragments in order of their numbers, and the producer time up to which the stream was listed.
    """
    found: dict[str, ListedFragment] = {}
    from_ms = max(request.start_timestamp_ms - EARLY_MS, watched.read_ms - _LISTED_LATE_MS)
    to_ms = from_ms
    for _ in range(_MOST_WINDOWS):
        begin_ms, to_ms = to_ms, min(to_ms + _WINDOW_MS, max(now_ms, from_ms))
        window = index.fragments(begin_ms, to_ms)
        found.update((each.number, each) for each in window)
        end_ms = max((_end_ms(each) for each in window), default=begin_ms)
        is_silent = to_ms - max(end_ms, until_ms) >= _SILENCE_MS
        if is_silent or to_ms >= now_ms:
            break
    return sorted(found.values(), key=lambda each: int(each.number)), to_ms


def _asked(ports: RecorderPorts) -> ContactAnswer:
    request = ports.request
    return ports.status.describe(
        request.instance_id,
        request.contact_id,
        stream_arn=request.stream_arn,
        start_fragment=request.start_fragment_number,
    )


def _decided(seen: _Evidence, policy: Policy) -> Finding:
    """Decide. The contact's state is over, unknown, or connected with much to read."""
    if seen.contact is ContactState.DISCONNECTED:
        return _end_of_over(seen, policy.drain) or _to_head(seen)
    is_connected = seen.contact is ContactState.CONNECTED
    limit_s = max(policy.idle_limit, policy.connected_limit) if is_connected else policy.idle_limit
    if seen.to_ms - seen.newest_ms >= limit_s * 1000:
        # The recorder has a rule for a silent contact that Connect calls connected.
        return RecordLive("SILENT_THOUGH_CONNECTED") if is_connected else _last(seen)
    return _to_head(seen)


def _end_of_over(seen: _Evidence, drain_s: float) -> Finding | None:
    """Return the end of a call whose contact is over; None while its fragments go on."""
    behind_ms = seen.to_ms if seen.ended_ms is None else seen.ended_ms + _BEHIND_END_MS
    of_call = [run for run in seen.runs if run[0].producer_ms <= behind_ms or _goes_on_from(run, seen.read)]
    if not of_call:
        return _last(replace(seen, runs=()))
    last = of_call[-1][-1]
    is_closed = len(of_call) < len(seen.runs) or seen.to_ms - _end_ms(last) >= drain_s * 1000
    return Ended(ListedEnd(last.number, is_quiet=True)) if is_closed else None


def _goes_on_from(run: Sequence[ListedFragment], read: ListedEnd | None) -> bool:
    """Return True if a run is the rest of the one that an earlier look had the stream read to."""
    return read is not None and int(run[0].number) <= int(read.number)


def _last(seen: _Evidence) -> Ended | RecordLive:
    """Return the newest fragment that a listing named, as the end."""
    if seen.runs:
        return Ended(ListedEnd(seen.runs[-1][-1].number, is_quiet=True))
    if seen.read is not None:
        return Ended(ListedEnd(seen.read.number, is_quiet=True))
    return RecordLive("NO_FRAGMENTS")


def _to_head(seen: _Evidence) -> ReadOn | Sleep:
    if not seen.runs:
        return Sleep()
    return ReadOn(ListedEnd(seen.runs[-1][-1].number, is_quiet=False, is_end=False))


def _end_ms(fragment: ListedFragment) -> int:
    return fragment.producer_ms + fragment.length_ms
