"""The sink of words: a call's audio goes to a recognizer, its words to pages in the store, each word once.

*How it works.* `Recognition` hands on the audio and takes the words into the `WordLedger`. A thread of the sink's own
takes results as they come and writes the pages, so that words do not wait for the next segment. `settled` moves once
the pages are in the store. So after a kill some audio is recognized again, and no word comes twice.

An unforeseen exception ends the thread. The next delivery, or `end`, raises it as an error that disables the sink.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from connect_audio.core.errors import SinkError
from connect_audio.core.live_audio import LiveSegment
from connect_audio.core.word_pages import WordsCall
from connect_audio.ports import Clock, Log
from connect_audio.sinks import LiveEnd
from connect_audio.words.live_words import NO_LISTENER, WordsListener, WordsPolicy
from connect_audio.words.page_store import PageStore
from connect_audio.words.page_writer import PageWriter
from connect_audio.words.recognition import Recognition
from connect_audio.words.recognizer import Recognizer
from connect_audio.words.word_ledger import WordLedger

SEGMENT_S: Final = 0.256
"""Length of the sink's segments, seconds: four of Connect's blocks, a quarter of its fragments. So the last segment of
a fragment ends with the fragment, and a word never waits for the next one. With segments of 1 s it waited up to 1 s
more."""
_LOOK_S: Final = 1.0
"""Longest time between two rounds of the sink's own thread, seconds."""


class WordsSink:
    """Words of one call in one invocation, as `connect_audio.sinks.SegmentSink`.

    Args:
        recognizer: recognizes; closed by `close`.
        store: the place of the pages; closed by `close`.
        contact_id: the call's contact.
        recording: URI or file name of the recording.
        language: the language that was asked for; None if the recognizer finds it.
        policy: durations and limits.
        clock: measures.
        logger: gets codes and numbers.
        listener: gets the words while the call lasts.
        has_thread: False leaves the thread's work to calls of `work`, for tests.
    """

    segment_seconds: Final = SEGMENT_S

    def __init__(
        self,
        recognizer: Recognizer,
        store: PageStore,
        *,
        contact_id: str,
        recording: str,
        language: str | None,
        clock: Clock,
        logger: Log,
        policy: WordsPolicy | None = None,
        listener: WordsListener = NO_LISTENER,
        has_thread: bool = True,
    ) -> None:
        self._recognizer = recognizer
        self._store = store
        self._facts = (contact_id, recording, language)
        self._clock = clock
        self._policy = policy or WordsPolicy()
        self._lock = threading.RLock()
        self._audio = threading.Lock()  # held while audio is handed on or a session is ended
        self._wake = threading.Event()
        self._worker = _Worker(self.work, self._wake) if has_thread else None
        self._pages = PageWriter(self._policy, clock, listener, logger)
        self._call: tuple[WordLedger, Recognition] | None = None

    @property
    def settled(self) -> int | None:
        """Position before which all words are in the store, frames; None before the first delivery."""
        return None if self._call is None else self._call[0].stored

    @property
    def recognized(self) -> int:
        """Audio that the recognizer was given in all invocations so far, frames; 0 before the first delivery."""
        return 0 if self._call is None else self._call[0].state.recognized

    @property
    def dropped_messages(self) -> int:
        """Final turns and retractions that a reader of the live words did not get, in this invocation."""
        return self._pages.dropped + (0 if self._call is None else self._call[0].untold)

    @property
    def end_seconds(self) -> float:
        """Time that `end` may take, seconds."""
        return self._policy.last_words + 3

    def prepare(self) -> None:
        """Let the recognizer do its slow work in advance.

        Raises:
            SinkError: the recognizer's.
        """
        self._recognizer.prepare()

    def deliver_segment(self, segment: LiveSegment) -> None:
        """Hand a segment to the recognizer. It counts as safe only once `settled` has passed it.

        Raises:
            SinkError: the recognizer's or the store's; `is_fatal` once the sink's own thread has failed.
        """
        self._check_worker()
        with self._audio:
            ledger, recognition = self._opened(segment.rate)
            removed = recognition.changed_by(segment)
            self._pages.take_back(removed or ())
            if ledger.is_taking_back:
                self._pages.write(ledger)
            if removed is not None and ledger.least < segment.position:
                text = "other audio has come in the place of an earlier segment"
                raise SinkError("TAKEN_BACK", text, retryable=True, resend_from=ledger.least)
            recognition.recognize(segment)

    def end(self, end: LiveEnd) -> None:
        """Take the last words, and write that the call is over.

        Raises:
            SinkError: as `deliver_segment`.
        """
        self._check_worker()
        if end.rate is None:
            return
        with self._audio:
            ledger, recognition = self._opened(end.rate)
            removed = recognition.end(end.frames, self._policy.last_words)
            self._pages.take_back(removed)
            self._pages.write(ledger)

    def interrupt(self) -> None:
        """Make the recognizer's call under way fail soon."""
        if self._call is not None:
            self._call[1].interrupt()

    def close(self) -> None:
        """End the session if one is open, and store its words: the next invocation goes on behind them.

        Raises:
            SinkError: the sink's own thread has failed, and neither a delivery nor `end` has said so; or it did not end
                in time. All resources are released first.
        """
        with ExitStack() as resources:
            for each in (self._store, self._recognizer, self._pages):
                resources.callback(each.close)
            with self._audio:
                call = self._call
                if call is not None:
                    try:
                        call[1].finish(is_call_over=False, timeout_s=self._policy.hand_over)
                    except SinkError:
                        call[1].close()  # the next invocation recognizes it again
            if self._worker is not None:
                self._worker.stop(self._policy.join)
            if call is not None:
                self._pages.write_if_due(call[0], is_last=True)
            self._check_worker()

    def work(self) -> None:
        """Take what has been recognized, and write the pages that are due: one round of the sink's own thread."""
        if self._call is None:
            return
        ledger, recognition = self._call
        recognition.take()
        if self._audio.acquire(blocking=False):
            try:
                recognition.end_if_idle()
            finally:
                self._audio.release()
        self._pages.hand_partials_on(ledger, recognition.partials)
        self._pages.write_if_due(ledger)

    def _check_worker(self) -> None:
        """Raise, once, what has ended the sink's own thread."""
        failure = None if self._worker is None else self._worker.take_failure()
        if failure is not None:
            # The exception's text may hold words, so the error has its type alone.
            code = type(failure).__name__
            raise SinkError(code, "the thread of the words failed", retryable=False, is_fatal=True) from failure

    def _opened(self, rate: int) -> tuple[WordLedger, Recognition]:
        """The ledger, read from the store once, and what fills it."""
        if self._call is None:
            contact_id, recording, language = self._facts
            facts = WordsCall(
                contact_id=contact_id,
                recording=recording,
                engine=self._recognizer.engine,
                language=language,
                rate=rate,
            )
            ledger = WordLedger.read(facts, self._store, self._lock)
            recognition = Recognition(self._recognizer, ledger, self._policy, self._clock, self._lock, self._wake.set)
            self._call = ledger, recognition
            if self._worker is not None:
                self._worker.start()
        return self._call


class _Worker:
    """The sink's own thread.

    Args:
        work: one round of its work.
        wake: set once there is something to do.
    """

    def __init__(self, work: Callable[[], None], wake: threading.Event) -> None:
        self._work = work
        self._wake = wake
        self._stopping = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="words", daemon=True)

    def start(self) -> None:
        """Begin.

        Raises:
            SinkError: the machine has no more threads.
        """
        try:
            self._thread.start()
        except RuntimeError as exc:
            raise SinkError("NO_THREAD", "the machine has no thread for words", retryable=False) from exc

    def stop(self, timeout_s: float) -> None:
        """End after the round under way.

        Args:
            timeout_s: longest wait, seconds.

        Raises:
            SinkError: `LEFT_BEHIND`: the round lasts longer. It may hold the pages.
        """
        self._stopping = True
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise SinkError("LEFT_BEHIND", "the thread of the words did not end in time", retryable=False)

    def take_failure(self) -> BaseException | None:
        """The exception that has ended the thread; None if there is none, or if it was taken before."""
        failure, self._failure = self._failure, None
        return failure

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._wake.wait(_LOOK_S)
                self._wake.clear()
                self._work()
        except BaseException as error:  # noqa: BLE001 - no caller is above a thread; the sink's next call raises it
            self._failure = error
