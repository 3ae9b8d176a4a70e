"""The way past a place of the stream that no connection can read.

Pure. A place is what lies directly behind the position. The checkpoint keeps its tries and probes (`PlaceState`), since
an invocation may end, or wait, among them. The next invocation reads what lies before the place once more, and goes on
with the probes at the place. A failure on the way there is another place's.

How it works. A failure may pass, so the place gets `TRIES` connections first. Then probes look behind it, step by step.
Nothing that a probe finds is recorded yet, since the failure may have passed meanwhile. So the place is tried once more
after a probe found a fragment. Only if it fails again does reading go on behind it.

    READING     connections begin behind the position
    PROBING     connections begin behind the place: the first at the present, the next ones later step by step
    CONFIRMING  a probe found a fragment: the place is tried once more
    SKIPPED     reading begins behind the place, until a fragment comes

The first probe of a round shows whether the place alone fails, or the whole stream. In that case the round is over. If
KVS reports another error at the present, two places fail, and the probes go on. The same error may stand at two places,
too: from the third round on the probes go on with it. A round is over, too, once a step has reached the present.
A place that an earlier invocation skipped is tried once and skipped again, since what lies before it may be read often.
A round of probes that found nothing gives the place its tries anew, twice as many as before. If a probe was silent, or
two of a round ended at once without a fragment, the place is the last one of the stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from connect_audio.core.fragment import missing_between
from connect_audio.core.manifest import Reason
from connect_audio.ports import AfterFragment, FromProducerTime, StartSelector
from connect_audio.values import dataclass

TRIES: Final = 3
"""Connections that fail at one place before probes look behind it. A failure that passes rarely lasts so long."""
_MOST_ROUNDS: Final = 2
"""Rounds after which the tries between two rounds of probes double no more: 12 tries with pauses of 8 s take 96 s."""
_FIRST_STEP_MS: Final = 200
"""Step from one probe to the next, ms. A fragment shorter than this may be skipped as well."""
_SHORT_STEPS: Final = 25
"""Probes with that step, five seconds in all. Later steps double, or hours would take hours to pass."""
_MOST_DOUBLINGS: Final = 16
"""Doublings of a step; 200 ms doubled so often are 91 hours, more than any recording."""
_IN_BAND: Final = frozenset({"IN_BAND_ERROR", "MEDIA_EXPIRED"})
"""Codes of the reasons that KVS gives inside a stream (`InBandError.reason_code`)."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The failure of a connection: its silence means nothing.

    Args:
        reason: a reason of the manifest, for a place that is skipped and a call that ends so.
        is_final: True if the stream holds no more of the place: KVS does not find it, or two readings ended alike.
        is_place: False if the next reading deals with it anyhow; then it is no try of the place.
        number: number of the fragment at fault, as KVS names it; None where it does not.
    """

    reason: Reason
    is_final: bool = False
    is_place: bool = True
    number: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceState:
    """A place that fails, between two steps.

    Args:
        behind: number of the fragment before it; None for the stream's beginning.
        failure: its failure.
        tries: connections that failed at it since the last round of probes.
        rounds: rounds of probes that found nothing.
        steps: probes of this round behind the one at the present; None while no probe looks behind the place.
        probe_ms: begin of the newest probe, ms since the epoch; None at the present, and if it began behind a number.
        has_found: True if that probe found a fragment.
        is_last: True if a probe was silent: nothing lay behind it.
        newest_end_ms: end of the newest fragment by the producer's clock, ms since the epoch; None before the first.
    """

    behind: str | None
    failure: Failure
    tries: int = 0
    rounds: int = 0
    steps: int | None = None
    probe_ms: int | None = None
    has_found: bool = False
    is_last: bool = False
    newest_end_ms: int | None = None


class _Phase(Enum):
    READING = auto()
    PROBING = auto()
    CONFIRMING = auto()
    SKIPPED = auto()


class Skip:
    """The place directly behind the position.

    Args:
        state: the place that failed in the last step; None for none.
        position: as for `failed`.
        now_ms: as for `failed`.
        known: begin of the reading behind each place that was skipped, ms since the epoch, by the number of the
            fragment before it and its failure.
    """

    def __init__(
        self,
        state: PlaceState | None = None,
        position: str | None = None,
        now_ms: int = 0,
        known: Mapping[tuple[str | None, Reason], int] | None = None,
    ) -> None:
        self._phase = _Phase.READING
        self._behind = None if state is None else state.behind
        self._tries = 0 if state is None else state.tries
        self._rounds = 0 if state is None else state.rounds
        self._steps = 0
        self._named: str | None = None
        self._is_at_present = False
        self._has_found = False
        self._is_last = state is not None and state.is_last
        self._was_empty = False  # a probe ended at once, without a fragment
        self._selector: StartSelector | None = None
        self._newest_end_ms = None if state is None else state.newest_end_ms
        self._last_end_ms: int | None = None  # the newest fragment of this invocation, known before or not
        self._failure = None if state is None else state.failure
        self._known = dict(known or {})
        # A round of probes that goes on once what lies before the place has been read.
        self._round = None if state is None or state.steps is None else state
        if position == self._behind:
            self._resume(now_ms)

    @property
    def state(self) -> PlaceState | None:
        """The place for the next step; None if none fails."""
        if self._failure is None or self._round is not None:
            return self._round
        is_reading = self._phase is _Phase.READING
        probe = None if is_reading or self._is_at_present else self._selector
        return PlaceState(
            behind=self._behind,
            failure=self._failure,
            tries=self._tries,
            rounds=self._rounds,
            steps=None if is_reading else self._steps,
            probe_ms=probe.ms if isinstance(probe, FromProducerTime) else None,
            has_found=self._phase in {_Phase.CONFIRMING, _Phase.SKIPPED},
            is_last=self._is_last,
            newest_end_ms=self._newest_end_ms,
        )

    @property
    def selector(self) -> StartSelector | None:
        """Begin of the next connection; None for the position."""
        return self._selector if self._phase in {_Phase.PROBING, _Phase.SKIPPED} else None

    @property
    def is_probing(self) -> bool:
        """True if the next connection is a probe."""
        return self._phase is _Phase.PROBING

    @property
    def is_seeking(self) -> bool:
        """True if the next connection is a probe, or follows on one at once."""
        return self._phase in {_Phase.PROBING, _Phase.CONFIRMING}

    @property
    def rounds(self) -> int:
        """Rounds of probes that found nothing."""
        return self._rounds

    @property
    def failure(self) -> Failure | None:
        """Failure of the place while reading has not passed it."""
        return None if self._phase is _Phase.SKIPPED else self._failure

    @property
    def failing(self) -> Failure | None:
        """Failure of the place while silence means nothing; None where the place is known to be the stream's last."""
        failure = self.failure
        return None if failure is not None and failure.is_final and self._is_last else failure

    def came(self, end_ms: int | None, *, is_new: bool = False) -> Failure | None:
        """Note an accepted fragment. The place is passed if the fragment is newer than all before it.

        Args:
            end_ms: its end by the producer's clock, ms since the epoch; None where damage has taken its times.
            is_new: True if its number is higher than all before it. Its time may be lower behind one that leaped.

        Returns:
            The failure of the place that was passed, unless reading was to go on behind it; None for none.
        """
        self._last_end_ms = end_ms or self._last_end_ms
        if end_ms is not None and (is_new or end_ms > (self._newest_end_ms or 0)):
            self._newest_end_ms = end_ms
            if self._failure is not None:
                passed = self.failure
                self._pass()
                return passed
        return None

    def failed(self, failure: Failure, position: str | None, fallback_ms: int, now_ms: int) -> bool:
        """Note a connection that failed before a new fragment came.

        Args:
            failure: the failure.
            position: number of the newest completed fragment; None before the first.
            fallback_ms: begin of the probes if no fragment with a time has come yet, ms since the epoch.
            now_ms: no probe begins beyond the present, ms since the epoch.

        Returns:
            True if reading goes on behind the place from now on.
        """
        if self._phase is not _Phase.PROBING and self._failure is not None and position != self._behind:
            self._pass()
            # The probes begin where the fragment before this place ends, not the one before the place further on.
            self._newest_end_ms = self._last_end_ms
        if self._failure is None:
            self._behind = position
        was_resumed = self._phase is _Phase.READING and self._resume(now_ms)
        if not failure.is_place:
            self._failure = self._failure or failure
            return False
        if was_resumed and self._phase is _Phase.PROBING:
            self._failure = failure
            return False
        if self._phase is _Phase.PROBING:
            if self._is_at_present and not self._is_another_place(failure):
                self._begin_anew(self._rounds + 1)
            else:
                self._is_at_present = self._has_found = False
                self._step(fallback_ms, now_ms)
            return False
        self._failure = failure
        known_ms = self._known.pop((self._behind, failure.reason), None) if self._phase is _Phase.READING else None
        if known_ms is not None:
            self._phase, self._selector = _Phase.CONFIRMING, FromProducerTime(known_ms)
        if self._phase is _Phase.CONFIRMING:
            self._phase = _Phase.SKIPPED
            self._tries = 0
            return True
        self._phase = _Phase.READING
        self._tries += 1
        if self._tries >= TRIES << self._rounds:
            self._named = failure.number if missing_between(position, failure.number) == 0 else None
            self._probe_at_present(now_ms)
        return False

    def _resume(self, now_ms: int) -> bool:
        """Go on with the round of probes that an earlier invocation began. Return False if there is none."""
        state, self._round = self._round, None
        if state is None:
            return False
        self._probe_at_present(now_ms)
        if state.probe_ms is not None:
            self._is_at_present, self._steps = False, state.steps or 0
            self._selector = FromProducerTime(state.probe_ms)
            self._phase = _Phase.CONFIRMING if state.has_found else _Phase.PROBING
        return True

    def _probe_at_present(self, now_ms: int) -> None:
        """Begin a round of probes."""
        self._phase, self._steps, self._has_found, self._is_at_present = _Phase.PROBING, 0, False, True
        self._selector = FromProducerTime(now_ms)

    def _is_another_place(self, failure: Failure) -> bool:
        """Return True if KVS reports errors at the place and at the present that are not the whole stream's.

        Args:
            failure: the failure at the present.
        """
        place = self._failure
        return (
            place is not None
            and {failure.reason.code, place.reason.code} <= _IN_BAND
            and (failure.reason != place.reason or self._rounds >= _MOST_ROUNDS)
        )

    def found(self) -> None:
        """Note that a probe found a fragment: its connection ends."""
        self._has_found = True

    def ended(self, fallback_ms: int, now_ms: int, *, waited: bool = True) -> None:
        """Note the end of a connection that did not fail.

        Args:
            fallback_ms: as for `failed`.
            now_ms: as for `failed`.
            waited: the connection waited for bytes. One that ends at once, empty, shows nothing by itself.
        """
        if self._phase is _Phase.PROBING:
            if self._is_at_present:
                self._is_at_present = self._has_found = False
                self._step(fallback_ms, now_ms)
            elif self._has_found:
                self._phase, self._is_last = _Phase.CONFIRMING, False
            elif not waited and not self._was_empty:
                self._was_empty = True
                self._step(fallback_ms, now_ms)
            else:
                self._is_last = True
                self._begin_anew(self._rounds + 1)
        elif self._phase is not _Phase.SKIPPED:
            self._pass()

    def _pass(self) -> None:
        self._begin_anew(0)
        self._failure, self._round, self._is_last = None, None, False

    def _begin_anew(self, rounds: int) -> None:
        self._phase, self._tries, self._rounds = _Phase.READING, 0, min(rounds, _MOST_ROUNDS)
        self._was_empty = False

    def _step(self, fallback_ms: int, now_ms: int) -> None:
        """Put the next probe one step behind the one before, or give the place its tries anew."""
        if self._named is not None:
            self._selector, self._named = AfterFragment(self._named), None
            return
        last = self._selector.ms if isinstance(self._selector, FromProducerTime) else None
        begin_ms = self._newest_end_ms or fallback_ms
        if self._steps and last is not None and last < begin_ms + _ahead_ms(self._steps):
            # The last step ended at the present, and the present moves on.
            self._begin_anew(self._rounds + 1)
            return
        self._steps += 1
        self._selector = FromProducerTime(min(begin_ms + _ahead_ms(self._steps), now_ms))


def _ahead_ms(steps: int) -> int:
    """How far behind the newest fragment a probe begins, ms, by its number in the round."""
    doublings = min(max(0, steps - _SHORT_STEPS), _MOST_DOUBLINGS)
    return _FIRST_STEP_MS * (min(steps, _SHORT_STEPS) << doublings)
