"""A call's words as requests to the webhook while the call lasts: final turns, partial ones, and retractions.

*How it works.* The words' sink hands messages over and never waits. A thread of this class's own posts them, one after
the other. Final turns and retractions wait in a bounded queue and are tried again for a while. A party's partial turn
waits in a place of its own, where the next one replaces it. A final turn removes it. So a slow receiver gets fewer
partial turns, and never a partial turn behind the final one.

A final turn or a retraction that was not posted counts in `dropped`. The first of an invocation has a line in the log.

The requests hold what callers say. They are off unless `WORDS_WEBHOOK` is set. Documented in `docs/webhook.md`.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from connect_audio.adapters.sinks.webhook_requests import WebhookCall, WebhookRequests, digest
from connect_audio.core.errors import SinkError
from connect_audio.core.pcm import Party
from connect_audio.core.transcript import Turn
from connect_audio.core.transcript_document import turn_json
from connect_audio.core.word_pages import NumberedTurn, WordsCall
from connect_audio.ports import Clock, Log

SCHEMA_VERSION: Final = "1.0"
_MOST_WAITING: Final = 200
"""Final turns and retractions that wait, some 150 kB. Beyond, the oldest is left out; pages and transcript have it."""
_LONGEST_S: Final = 60.0
"""Time for which a final turn is tried, seconds. Beyond, it is left out."""
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 8.0
_CLOSE_S: Final = 1.5
"""Longest wait of `close` for what still waits, seconds. Beyond, the request under way is interrupted."""
_JOIN_S: Final = 1.0
_TOO_MANY: Final = "BACKLOG"
"""Code of a message that was dropped since too many waited."""
_TOO_LATE: Final = "INVOCATION_ENDED"
"""Code of a message that still waited when the invocation ended."""


class _Stage(Enum):
    """How far the posts are: `CLOSING` tries what waits once, `CLOSED` begins no request."""

    OPEN = 0
    CLOSING = 1
    CLOSED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Message:
    """A message that waits.

    Args:
        name: the name of its request within the call.
        body: the request's body.
        start: begin of a partial turn, frames.
        queued_at: monotonic seconds.
    """

    name: str
    body: bytes = field(repr=False)
    queued_at: float
    start: int = 0


class WordPosts:
    """Posts words, as `WordsListener`; no method but `close` waits, and none raises.

    Args:
        requests: posts; closed by `close`.
        call: the call.
        clock: for sequence numbers and pauses.
        logger: gets codes.
        has_partials: False for final turns and retractions alone.
    """

    def __init__(
        self, requests: WebhookRequests, call: WebhookCall, clock: Clock, logger: Log, *, has_partials: bool
    ) -> None:
        self._requests = requests
        self._call = call
        self._clock = clock
        self._logger = logger
        self._has_partials = has_partials
        self._changed = threading.Condition()  # guards all that follows
        self._waiting: deque[_Message] = deque()
        self._partials: dict[Party, _Message] = {}
        self._under_way: _Message | None = None
        self._known = _Known()
        self._dropped = 0
        self._first_code: str | None = None
        self._stage = _Stage.OPEN
        self._thread: threading.Thread | None = None

    @property
    def dropped(self) -> int:
        """Final turns and retractions that were not posted, in this invocation. A retraction counts once."""
        return self._dropped

    @property
    def first_code(self) -> str | None:
        """Code of the first of them; None if there is none."""
        return self._first_code

    def turns(self, call: WordsCall, turns: Sequence[NumberedTurn]) -> None:
        """Queue new final turns. A turn that was queued before is left out."""
        with self._changed:
            for each in self._known.new_turns(turns):
                partial = self._partials.get(each.turn.party)
                if partial is not None and partial.start < each.turn.end:
                    del self._partials[each.turn.party]
                fields = {"language": call.language, "turn": turn_json(each.turn, each.number, call.rate)}
                self._queue(self._message(call, "final", str(each.number), fields))

    def taken_back(self, call: WordsCall, numbers: Sequence[int]) -> None:
        """Queue a retraction of turns."""
        with self._changed:
            new = self._known.newly_taken_back(numbers)
            if new:
                self._partials.clear()
                ids = [str(number) for number in new]
                self._queue(self._message(call, "retracted", digest("-".join(ids).encode()), {"turns": ids}))

    def partials(self, call: WordsCall, turns: Mapping[Party, Turn]) -> None:
        """Put each party's partial turn in the place of its last one."""
        if not self._has_partials:
            return
        with self._changed:
            for party, turn in turns.items():
                if self._known.is_newer(turn):
                    said = turn_json(turn, 0, call.rate) | {"id": None}
                    fields = {"language": call.language, "turn": said}
                    self._partials[party] = self._message(call, "partial", "", fields, start=turn.start)
            self._begin()

    def close(self) -> None:
        """Post what waits, for 1.5 s at most, and release all resources."""
        with self._changed:
            self._stage = _Stage.CLOSING
            self._partials.clear()
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(_CLOSE_S)
            with self._changed:
                self._stage = _Stage.CLOSED
            if thread.is_alive():
                self._requests.interrupt()
                thread.join(_JOIN_S)
        with self._changed:
            self._drop(len(self._waiting), _TOO_LATE)
            self._waiting.clear()
        self._requests.close()

    def _message(
        self, call: WordsCall, state: str, name: str, fields: Mapping[str, Any], *, start: int = 0
    ) -> _Message:
        sequence = self._known.next_sequence(self._clock.now_ms())
        head = {
            "schemaVersion": SCHEMA_VERSION,
            "event": "words",
            "state": state,
            "sequence": sequence,
            "contactId": call.contact_id,
            "recording": call.recording,
            "streamingStart": self._call.streaming_start,
            "engine": call.engine,
        }
        body = json.dumps({**head, **fields}, separators=(",", ":")).encode("ascii")
        name = f"words_{state}_{name or sequence}"
        return _Message(name=name, body=body, queued_at=self._clock.monotonic(), start=start)

    def _queue(self, message: _Message) -> None:
        # The message under way is no waiting one: it may have reached the receiver.
        first = int(bool(self._waiting) and self._waiting[0] is self._under_way)
        while len(self._waiting) - first >= _MOST_WAITING:
            del self._waiting[first]
            self._drop(1, _TOO_MANY)
        self._waiting.append(message)
        self._begin()

    def _drop(self, count: int, code: str) -> None:
        """Count messages that are not posted; log the first of them."""
        if count and self._first_code is None:
            self._first_code = code
            self._logger.warning("words not posted to the webhook: the transcript has them", extra={"code": code})
        self._dropped += count

    def _begin(self) -> None:
        """Wake the thread, and start it if this is the first message."""
        self._changed.notify_all()
        if self._thread is None and self._stage is _Stage.OPEN:
            thread = threading.Thread(target=self._run, name="words-webhook", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return  # the machine has no more threads; the next message tries again
            self._thread = thread

    # The thread's side.

    def _run(self) -> None:
        pause_s = 0.0
        while (message := self._next(pause_s)) is not None:
            pause_s = self._pause_after(message, pause_s)

    def _next(self, pause_s: float) -> _Message | None:
        """Wait for a message, behind a pause; None once there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._stage is not _Stage.OPEN, pause_s)
            self._changed.wait_for(lambda: self._stage is not _Stage.OPEN or self._waiting or self._partials)
            if self._stage is _Stage.CLOSED:
                return None
            if self._waiting:
                self._under_way = self._waiting[0]
                return self._under_way
            oldest = next(iter(self._partials), None)
            return None if oldest is None else self._partials.pop(oldest)

    def _pause_after(self, message: _Message, pause_s: float) -> float:
        """Post a message; return the pause before the next one, seconds."""
        error = self._post(message)
        again = error is not None and error.retryable
        with self._changed:
            is_old = self._clock.monotonic() - message.queued_at >= _LONGEST_S
            is_done = not again or is_old or self._stage is not _Stage.OPEN
            self._under_way = None
            if is_done and self._waiting and self._waiting[0] is message:
                self._waiting.popleft()
                if error is not None:
                    self._drop(1, error.code)
        return min(_LONGEST_PAUSE_S, 2 * pause_s or _FIRST_PAUSE_S) if again else 0.0

    def _post(self, message: _Message) -> SinkError | None:
        """Post a message; return why it was not taken."""
        try:
            headers = self._requests.headers("words", self._requests.key(message.name))
            self._requests.begin()
            self._requests.post(headers | {"Content-Type": "application/json"}, message.body, "words")
        except SinkError as error:
            return error
        except BaseException as error:  # noqa: BLE001 - no caller is above a thread, and the next message may be taken
            return SinkError(type(error).__name__, "the request raised an exception of its own", retryable=True)
        return None


class _Known:
    """The turns that were queued so far."""

    def __init__(self) -> None:
        self.sequence = 0
        self._next_number = 0
        self._taken_back: set[int] = set()
        self._final_to: dict[Party, int] = {}

    def next_sequence(self, now_ms: int) -> int:
        """A number that is greater than all before, also in earlier invocations."""
        self.sequence = max(self.sequence + 1, now_ms)
        return self.sequence

    def new_turns(self, turns: Sequence[NumberedTurn]) -> Sequence[NumberedTurn]:
        """The turns that were not queued."""
        new = [each for each in turns if each.number >= self._next_number]
        for each in new:
            self._next_number = each.number + 1
            party = each.turn.party
            self._final_to[party] = max(self._final_to.get(party, 0), each.turn.end)
        return new

    def newly_taken_back(self, numbers: Sequence[int]) -> Sequence[int]:
        """The numbers that were not queued; what is final of a party begins anew."""
        new = [number for number in numbers if number not in self._taken_back]
        self._taken_back.update(new)
        if new:
            self._final_to.clear()
        return new

    def is_newer(self, turn: Turn) -> bool:
        """True if the party has no final turn there."""
        return turn.start >= self._final_to.get(turn.party, 0)
