"""The engine `whisper`: a `Recognizer` over any server that speaks OpenAI's `/v1/audio/transcriptions`.

*How it works.* A session cuts each party's audio into utterances (`UtteranceCutter`). Each party has a lane: a queue of
utterances, a thread, and a connection. A lane sends one utterance at a time, so its turns come in order, and both lanes
send at once. A party is settled before its first utterance without an answer, or before what may still become one. A
lane whose request fails for good fails the session.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from connect_audio.adapters.endpoint.secret import SecretSource
from connect_audio.adapters.words.voice_activity import voice_detector
from connect_audio.adapters.words.whisper_answer import turn_of
from connect_audio.adapters.words.whisper_server import (
    Knowledge,
    WhisperOptions,
    WhisperServer,
    seconds_of,
    speech_endpoint,
)
from connect_audio.core.errors import SinkError
from connect_audio.core.pcm import PARTIES, SAMPLE_BYTES, Party
from connect_audio.core.transcript import Turn
from connect_audio.words.recognizer import Results, SessionStart
from connect_audio.words.utterances import Utterance, UtteranceCutter, VoiceDetector

_JOIN_S: Final = 5.0
"""Longest wait for a lane's thread at `close`, seconds; an interrupted request ends at once."""


class WhisperRecognizer:
    """Opens sessions for one call in one invocation.

    Args:
        options: the server and the model.
        key: the API key; None if the server wants none. It is closed with the recognizer.
        detector: makes the detector of one party's voice, by the rate.

    Raises:
        SinkError: `URL_REFUSED`, not retryable.
    """

    def __init__(
        self,
        options: WhisperOptions,
        key: SecretSource | None = None,
        detector: Callable[[int], VoiceDetector] = voice_detector,
    ) -> None:
        self._options = options
        self._endpoint = speech_endpoint(options.url)
        self._key = key
        self._detector = detector
        self._knowledge = Knowledge()

    @property
    def engine(self) -> str:
        """Name of the engine."""
        return "whisper"

    def prepare(self) -> None:
        """Fetch the key.

        Raises:
            SinkError: it cannot be had.
        """
        if self._key is not None:
            self._key()

    def open(self, start: SessionStart) -> WhisperSession:
        """Begin a session. The server is reached once there is an utterance."""
        lanes = {
            party: Lane(
                party,
                start.rate,
                UtteranceCutter(start.rate, start.needed[party], self._detector(start.rate)),
                WhisperServer(self._endpoint, self._options, self._key, self._knowledge),
            )
            for party in PARTIES
        }
        return WhisperSession(start, lanes, self._options)

    def close(self) -> None:
        """Release the key."""
        if self._key is not None:
            self._key.close()


class Lane:
    """The way of one party's utterances to the server.

    Args:
        party: the speaker.
        rate: samples a second.
        cutter: cuts the party's audio.
        server: the party's own connection.
    """

    def __init__(self, party: Party, rate: int, cutter: UtteranceCutter, server: WhisperServer) -> None:
        self.party = party
        self.cutter = cutter
        self.server = server
        self.thread: threading.Thread | None = None
        # The session's lock guards these: utterances without an answer, turns that were not taken yet, and the
        # cutter's own position.
        self.waiting: deque[Utterance] = deque()
        self.turns: list[Turn] = []
        self.cut = cutter.settled
        self._rate = rate

    @property
    def settled(self) -> int:
        """Position before which all words are out."""
        return self.waiting[0].start if self.waiting else self.cut

    @property
    def backlog_s(self) -> float:
        """Audio without an answer, seconds."""
        return sum(seconds_of(utterance.samples, self._rate) for utterance in self.waiting)

    def recognize(self, utterance: Utterance) -> Turn | None:
        """Return the turn of an utterance; None if nothing was said.

        Raises:
            SinkError: it could not be had.
        """
        spoken = self.server.transcribe(utterance.samples, self._rate)
        return None if spoken is None else turn_of(spoken, utterance, self.party, self._rate)


class WhisperSession:
    """One session; see the module for how it works.

    Args:
        start: its facts.
        lanes: the way of each party's utterances.
        options: the limits.
    """

    def __init__(self, start: SessionStart, lanes: Mapping[Party, Lane], options: WhisperOptions) -> None:
        self._start = start
        self._lanes = lanes
        self._options = options
        # One lock for the lanes' content and for the following two.
        self._changed = threading.Condition()
        self._failure: SinkError | None = None
        self._is_closed = False

    def receive(self, position: int, samples: Mapping[Party, bytes]) -> None:
        """Take the next audio, and wait while too much of it has no answer.

        Raises:
            SinkError: the session has failed; `BACKLOG`: the server is slower than the call.
        """
        for lane in self._lanes.values():
            data = samples[lane.party]
            unneeded = self._start.needed[lane.party] - position
            if unneeded > 0:
                data = data[unneeded * SAMPLE_BYTES :]
            self._enqueue(lane, lane.cutter.receive(data))
        with self._changed:
            in_time = self._changed.wait_for(
                lambda: self._failure is not None or self._backlog_s() <= self._options.backlog_s,
                self._options.patience_s,
            )
            if not in_time:
                self._fail(SinkError("BACKLOG", "the speech server is slower than the call", retryable=True))
            self._check()

    def results(self) -> Results:
        """Take the new turns. After a failure too, so that a good answer before it is not asked for again.

        Raises:
            SinkError: the session has failed, and there are no more turns.
        """
        with self._changed:
            if not any(lane.turns for lane in self._lanes.values()):
                self._check()
            return self._taken()

    def finish(self, *, is_call_over: bool, timeout_s: float) -> Results:
        """Wait for the answers that are still to come; see the port.

        Raises:
            SinkError: the session has failed. `TIMEOUT`: at the call's end the answers did not come in time.
        """
        deadline = time.monotonic() + timeout_s
        if is_call_over:
            for lane in self._lanes.values():
                self._enqueue(lane, lane.cutter.finish())
        with self._changed:
            is_done = self._changed.wait_for(
                lambda: self._failure is not None or not any(lane.waiting for lane in self._lanes.values()),
                max(0.0, deadline - time.monotonic()),
            )
            if is_call_over and not is_done:
                self._fail(SinkError("TIMEOUT", "the speech server's last answers took too long", retryable=True))
            self._check()
            # At a hand-over the next session sends again what has no answer: it is not settled.
            return self._taken()

    def interrupt(self) -> None:
        """Fail the session, and with it the call under way."""
        with self._changed:
            self._fail(SinkError("INTERRUPTED", "the session was interrupted", retryable=True))

    def close(self) -> None:
        """Interrupt all requests, and wait for the threads."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for lane in self._lanes.values():
            lane.server.interrupt()
        for lane in self._lanes.values():
            if lane.thread is not None:
                lane.thread.join(_JOIN_S)
            lane.server.close()

    def _enqueue(self, lane: Lane, utterances: list[Utterance]) -> None:
        with self._changed:
            lane.waiting.extend(utterances)
            lane.cut = lane.cutter.settled
            self._changed.notify_all()
            # Under the lock, since another thread may close the session meanwhile.
            if utterances and lane.thread is None and not self._is_closed:
                thread = threading.Thread(target=self._serve, args=(lane,), name=f"whisper-{lane.party}", daemon=True)
                thread.start()
                lane.thread = thread

    def _serve(self, lane: Lane) -> None:
        """Send one utterance after the other; the work of a lane's thread."""
        while (utterance := self._next(lane)) is not None:
            try:
                turn = lane.recognize(utterance)
            except SinkError as error:
                with self._changed:
                    self._fail(error)
            except BaseException as error:  # noqa: BLE001 - no caller is above a thread
                # The exception's text may hold words, so the error has its type alone.
                failure = SinkError(type(error).__name__, f"the lane of the {lane.party} failed", retryable=False)
                failure.__cause__ = error
                with self._changed:
                    self._fail(failure)
            else:
                with self._changed:
                    lane.waiting.popleft()
                    if turn is not None:
                        lane.turns.append(turn)
                    self._changed.notify_all()
            self._start.notify()

    def _next(self, lane: Lane) -> Utterance | None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_over() or bool(lane.waiting))
            return None if self._is_over() else lane.waiting[0]

    def _is_over(self) -> bool:
        return self._is_closed or self._failure is not None

    def _backlog_s(self) -> float:
        return max(lane.backlog_s for lane in self._lanes.values())

    def _taken(self) -> Results:
        turns = tuple(turn for lane in self._lanes.values() for turn in lane.turns)
        for lane in self._lanes.values():
            lane.turns = []
        return Results(turns=turns, settled={party: lane.settled for party, lane in self._lanes.items()})

    def _fail(self, error: SinkError) -> None:
        """Keep the first failure; the caller holds the lock."""
        if self._failure is None:
            self._failure = error
        self._changed.notify_all()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
