"""Is the call over? A table of rules over what the recorder has observed.

Pure: times come in as arguments; there is no clock and no I/O. `EndState` is all that is kept between steps.

How it works. `EndOfCall` takes observations and keeps them in one `EndState`:

    audio()         new audio of our contact arrived: the call goes on, any cause is dropped
    quiet()         a connection is over: a DISCONNECTED of before is a cause again
    seems_over()    a cause: Connect says DISCONNECTED, or the audio of another contact or streaming follows ours
    connect_says()  Connect's answer; DISCONNECTED is a cause, CONNECTED prolongs the idle limit
    unreadable()    a connection failed: GetMedia was refused, or the body broke, was cut or held an error
    readable()       a connection did not fail: from now on silence is silence

The time of failed connections counts neither for the drain nor for the idle limit.
A recording that is made after the call may know its last fragment, by the stream's listing (`listed_end.py`). It ends
on this fragment, without a drain and without a question to Connect.
`decide()` else walks the table `RULES` from top to bottom, and the first rule that applies answers. A cause alone ends
nothing: the stream must stay silent for the drain time as well. Without a cause the idle limit ends the call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from connect_audio.core.evidence import behind_fragment
from connect_audio.core.manifest import EndReason, Reason
from connect_audio.ports import ContactAnswer, ContactState
from connect_audio.recorder.listed_end import ListedEnd
from connect_audio.recorder.policy import Policy
from connect_audio.values import dataclass

_LEAST_DENIALS: Final = 6
"""Tries of GetMedia that one step makes, with growing pauses, before it takes a non-retryable error for final."""


@dataclass(frozen=True, slots=True)
class EndOfRecording:
    """Why a recording ends.

    Args:
        reason: for the manifest.
        shortcomings: why the recording is not whole, beyond the cursor's counts.
    """

    reason: EndReason
    shortcomings: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EndState:
    """Observations about the end of the call. Times in ms since the epoch, wall clock.

    Args:
        last_audio_ms: arrival of the newest audio of our contact, or the recording's beginning.
        asked_ms: when Connect was last asked about the contact; None before the first time.
        connect: Connect's newest answer but UNKNOWN; None before the first.
        answered_ms: when that answer came; 0 before the first.
        stop_fragment: last fragment of the streaming, as Connect names it; None while it does not.
        cause: why the call seems over; None while it does not.
        cause_ms: when that cause appeared; 0 without a cause.
        readable_from_ms: since when the stream can be read again; 0 before the first failure.
        failing_ms: how long connections failed since the newest audio, up to then, ms.
        unreadable_since_ms: first of the failures in a row; None while the stream can be read.
        denied_since_ms: first of the non-retryable failures in a row; None if the last try was none.
        failure: the newest failure, as a reason of the manifest; None while the stream can be read.
        listed: last fragment of the call's time by the stream's listing; None unless it is recorded after the call.
    """

    last_audio_ms: int = 0
    asked_ms: int | None = None
    connect: ContactState | None = None
    answered_ms: int = 0
    stop_fragment: str | None = None
    cause: EndReason | None = None
    cause_ms: int = 0
    readable_from_ms: int = 0
    failing_ms: int = 0
    unreadable_since_ms: int | None = None
    denied_since_ms: int | None = None
    failure: Reason | None = None
    listed: ListedEnd | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that the rules look at, at one moment. Durations in ms.

    Args:
        silent_ms: time since the newest audio of our contact.
        cause: why the call seems over; None while it does not.
        drained_ms: silence since that cause, the newest audio or the newest failure, whichever is latest.
        failing_ms: the part of the silence in which connections failed, without the present failure.
        unreadable_ms: how long the stream could not be read; None while it can.
        denied_ms: how long GetMedia has failed with a non-retryable error; None if the last try did not.
        denials: non-retryable failures in a row in this step.
        failure: the newest failure; None while the stream can be read.
        is_connected: Connect has said in this silence that the contact is connected.
        is_stopped: the recording has the fragment that Connect names as the streaming's last.
        observed: this invocation has watched the stream long enough for silence to mean anything.
        read_to_end: all that the stream is known to hold has been read.
    """

    silent_ms: int
    cause: EndReason | None = None
    drained_ms: int = 0
    failing_ms: int = 0
    unreadable_ms: int | None = None
    denied_ms: int | None = None
    denials: int = 0
    failure: Reason | None = None
    is_connected: bool = False
    is_stopped: bool = False
    observed: bool = True
    read_to_end: bool = True


type Rule = Callable[[Evidence, Policy], bool]


def _denied(seen: Evidence, policy: Policy) -> bool:
    long = seen.denied_ms is not None and seen.denied_ms >= policy.refusal_limit * 1000
    return long and seen.denials >= _LEAST_DENIALS


def _not_observed(seen: Evidence, _: Policy) -> bool:
    return not seen.observed


def _stopped(seen: Evidence, _: Policy) -> bool:
    return seen.is_stopped and seen.read_to_end and seen.failure is None


def _drained(seen: Evidence, policy: Policy) -> bool:
    may_drain = seen.cause is not None and seen.read_to_end and seen.failure is None
    return may_drain and seen.drained_ms >= policy.drain * 1000


def _idle(seen: Evidence, policy: Policy) -> bool:
    return not seen.is_connected and _is_quiet_for(seen, policy.idle_limit)


def _idle_though_connected(seen: Evidence, policy: Policy) -> bool:
    return seen.is_connected and _is_quiet_for(seen, max(policy.idle_limit, policy.connected_limit))


def _is_quiet_for(seen: Evidence, limit_s: float) -> bool:
    return seen.failure is None and seen.silent_ms - seen.failing_ms >= limit_s * 1000


def _unreadable(seen: Evidence, policy: Policy) -> bool:
    # The silence before the first failure was silence; what comes after it may be a passing throttle.
    limit_ms = policy.idle_limit * 1000
    return seen.unreadable_ms is not None and min(seen.silent_ms, seen.unreadable_ms) >= limit_ms


def _goes_on(_: Evidence) -> None:
    return None


def _by_cause(seen: Evidence) -> EndOfRecording:
    return EndOfRecording(seen.cause or EndReason.DISCONNECTED)


def _by_stop(seen: Evidence) -> EndOfRecording:
    return EndOfRecording(seen.cause or EndReason.STREAMING_STOPPED)


def _by_long_silence(seen: Evidence) -> EndOfRecording:
    minutes = (seen.silent_ms - seen.failing_ms) // 60_000
    detail = f"no audio came for {minutes} minutes, and Connect says that the contact is connected: it may go on"
    return EndOfRecording(EndReason.IDLE, (Reason("STILL_CONNECTED", detail),))


def _by_silence(_: Evidence) -> EndOfRecording:
    return EndOfRecording(EndReason.IDLE)


def _by_failure(seen: Evidence) -> EndOfRecording:
    return EndOfRecording(EndReason.SOURCE_FAILED, () if seen.failure is None else (seen.failure,))


RULES: Final[tuple[tuple[Rule, Callable[[Evidence], EndOfRecording | None]], ...]] = (
    (_denied, _by_failure),
    (_stopped, _by_stop),
    (_not_observed, _goes_on),
    (_drained, _by_cause),
    (_idle, _by_silence),
    (_idle_though_connected, _by_long_silence),
    (_unreadable, _by_failure),
)
"""The first rule that applies decides; if none does, the call goes on."""


class EndOfCall:
    """The observations of one step, and the decision.

    Args:
        state: observations of earlier steps.
        policy: the limits.
        now_ms: wall clock, ms since the epoch.
    """

    def __init__(self, state: EndState, policy: Policy, now_ms: int) -> None:
        self._state = state
        # Changes with each fragment, so `_state` gets it only when it is asked for.
        self._last_audio_ms = state.last_audio_ms or now_ms
        self._policy = policy
        self._denials = 0

    @property
    def state(self) -> EndState:
        """State for the next step."""
        return replace(self._state, last_audio_ms=self._last_audio_ms)

    @property
    def cause(self) -> EndReason | None:
        """Why the call seems over; None while it does not."""
        return self._state.cause

    @property
    def listed(self) -> ListedEnd | None:
        """Last fragment of the call's time by the stream's listing; None for a call that may go on."""
        return self._state.listed

    def at_listed(self, position: str | None) -> EndOfRecording | None:
        """Return the end, if the stream is read up to the last fragment that its listing names.

        Args:
            position: number of the newest fragment that was read; None before the first.
        """
        listed = self._state.listed
        is_reached = listed is not None and listed.is_reached(position)
        return EndOfRecording(EndReason.ARCHIVE_END) if is_reached else None

    def behind_listed(self, number: str | None) -> EndOfRecording | None:
        """Return the end, if a fragment lies behind the last one that the listing names, which did not come.

        Args:
            number: the fragment's number; None where it has none.
        """
        listed = self._state.listed
        return without(listed) if listed is not None and listed.is_passed(number) else None

    def audio(self, now_ms: int) -> None:
        """Note new audio of our contact."""
        self._last_audio_ms = now_ms
        if self._state.cause is not None or self._state.failing_ms:
            self._state = replace(self._state, cause=None, cause_ms=0, failing_ms=0)

    def seems_over(self, cause: EndReason, now_ms: int) -> None:
        """Note a cause to think that the call is over. The first cause counts."""
        if self._state.cause is None:
            self._state = replace(self._state, cause=cause, cause_ms=now_ms)

    def other_audio(self, cause: EndReason, ahead_ms: int | None, now_ms: int) -> EndOfRecording | None:
        """Note audio of another contact or streaming behind the recording's.

        Args:
            cause: `OTHER_CONTACT` or `OTHER_STREAMING`.
            ahead_ms: time from the end of our contact's audio to its begin, ms of the stream; None if unknown.
            now_ms: wall clock, ms since the epoch.

        Returns:
            The end, where the stream itself shows the drain time without us; else None.
        """
        self.seems_over(cause, now_ms)
        if ahead_ms is None or ahead_ms < self._policy.drain * 1000:
            return None
        return EndOfRecording(self._state.cause or cause)

    def quiet(self, now_ms: int) -> None:
        """Note that a connection is over. A contact that Connect once called DISCONNECTED never comes back."""
        if self._state.connect is ContactState.DISCONNECTED:
            self.seems_over(EndReason.DISCONNECTED, now_ms)

    def silent_s(self, now_ms: int) -> float:
        """Return the time since the newest audio of our contact, s."""
        return (now_ms - self._last_audio_ms) / 1000

    def wants_status(self, now_ms: int) -> bool:
        """Return True if Connect is to be asked for the contact's state now."""
        asked_ms = self._state.asked_ms
        due = asked_ms is None or now_ms - asked_ms >= self._policy.status_interval * 1000
        # Connect may name the last fragment later than the end.
        lacks_stop = self._state.cause is EndReason.DISCONNECTED and self._state.stop_fragment is None
        return due and (self._state.cause is None or lacks_stop)

    def connect_says(self, answer: ContactAnswer, now_ms: int) -> None:
        """Note Connect's answer. UNKNOWN takes nothing back."""
        state = self._state
        self._state = replace(state, asked_ms=now_ms, stop_fragment=answer.stop_fragment or state.stop_fragment)
        if answer.state is not ContactState.UNKNOWN:
            self._state = replace(self._state, connect=answer.state, answered_ms=now_ms)
        if answer.state is ContactState.DISCONNECTED:
            self.seems_over(EndReason.DISCONNECTED, now_ms)

    @property
    def is_readable(self) -> bool:
        """True while the stream can be read: silence is silence."""
        return self._state.failure is None

    def readable(self, now_ms: int) -> None:
        """Note a connection that did not fail: it was silent, or it brought a new fragment."""
        state = self._state
        if state.failure is not None:
            self._state = replace(
                state,
                readable_from_ms=now_ms,
                failing_ms=state.failing_ms + (_since(state.unreadable_since_ms, now_ms) or 0),
                unreadable_since_ms=None,
                denied_since_ms=None,
                failure=None,
            )
        self._denials = 0

    def unreadable(self, failure: Reason, *, retryable: bool, now_ms: int) -> None:
        """Note a connection that failed, or could not be opened.

        Args:
            failure: a reason of the manifest, for a call that ends so.
            retryable: False if only an operator can end the error.
            now_ms: wall clock, ms since the epoch.
        """
        state = self._state
        since_ms = now_ms if state.unreadable_since_ms is None else state.unreadable_since_ms
        denied_ms = None
        if not retryable:
            denied_ms = now_ms if state.denied_since_ms is None else state.denied_since_ms
        self._state = replace(state, unreadable_since_ms=since_ms, denied_since_ms=denied_ms, failure=failure)
        self._denials = 0 if retryable else self._denials + 1

    def decide(
        self, now_ms: int, *, observed: bool, read_to_end: bool, last_admitted: str | None = None
    ) -> EndOfRecording | None:
        """Decide from all that was observed.

        Args:
            now_ms: wall clock, ms since the epoch.
            observed: True if this invocation has watched the stream long enough for silence to mean anything.
            read_to_end: True if all that the stream is known to hold has been read.
            last_admitted: number of the last admitted fragment; None before the first.

        Returns:
            Why the recording ends; None while the call goes on.
        """
        state = self._state
        behind = behind_fragment(last_admitted, state.stop_fragment)
        evidence = Evidence(
            silent_ms=now_ms - self._last_audio_ms,
            cause=state.cause,
            # Time between two invocations is no silence, so the drain does not begin before its cause.
            drained_ms=now_ms - max(self._last_audio_ms, state.cause_ms, state.readable_from_ms),
            failing_ms=state.failing_ms,
            unreadable_ms=_since(state.unreadable_since_ms, now_ms),
            denied_ms=_since(state.denied_since_ms, now_ms),
            denials=self._denials,
            failure=state.failure,
            is_connected=state.connect is ContactState.CONNECTED and state.answered_ms >= self._last_audio_ms,
            is_stopped=behind is not None and behind <= 0,
            observed=observed,
            read_to_end=read_to_end,
        )
        return next((ends(evidence) for applies, ends in RULES if applies(evidence, self._policy)), None)


def without(listed: ListedEnd) -> EndOfRecording:
    """Return the end of a recording that did not get the last fragment that the stream's listing names.

    Args:
        listed: the fragment.
    """
    return EndOfRecording(EndReason.ARCHIVE_END, (listed.missing,))


def _since(begin_ms: int | None, now_ms: int) -> int | None:
    return None if begin_ms is None else now_ms - begin_ms
