"""A stream of the stand-in: the rules for its audio, the utterances of each channel, and their results.

*How it works.* `SpokenChannel` looks at 20 ms of a channel at a time. The first loud ones open an utterance, and 0.7 s
of quiet close it. While it is open, each audio event gives a partial result with the words so far. The end gives a
final one under the same ResultId. The end of the input makes an utterance final that is still open, as Transcribe does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import audioop

from connect_audio_local.recognition.word_recognizer import WordRecognizer
from connect_audio_local.transcribe.parameters import StreamParameters

SILENCE_S: Final = 15.0
"""Longest time without audio, seconds. Beyond: BadRequestException in the stream."""
LONGEST_STREAM_S: Final = 4 * 3600.0
"""Longest stream, seconds. Beyond: LimitExceededException in the stream."""
LONGEST_EVENT_S: Final = 1.0
"""Longest audio event, seconds of audio. Beyond: BadRequestException in the stream."""

_STEP_S: Final = 0.02
_LOUD: Final = 500
"""Least peak of speech, as a 16-bit sample."""
_LEAD_S: Final = 0.3
"""Quiet before an utterance that goes to the recogniser with it, seconds."""
_QUIET_S: Final = 0.7
"""Quiet that ends an utterance, seconds."""


class StreamError(Exception):
    """The stream ends with an exception event.

    Attributes:
        kind: name of the exception.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(slots=True)
class StreamRecord:
    """The facts of one stream, for tests to read.

    Args:
        parameters: value of each parameter.
        session_id: the stream's SessionId.
        frames: frames of audio that came.
        events: length of each audio event, frames.
        signatures: chunks whose signature was verified.
        outcome: the stream's end: `whole`, the name of an exception, or `cut`; empty while it runs.
    """

    parameters: Mapping[str, str]
    session_id: str
    frames: int = 0
    events: list[int] = field(default_factory=list)
    signatures: int = 0
    outcome: str = ""


class TranscribeModel:
    """The service's state: its rules and its streams.

    Args:
        recognizer: recognizes the words.
        recognizes_partials: False gives partial results without words, for a recognizer that takes its time.
        vocabularies: names of the vocabularies that exist; None if every name is taken.
        concurrent: streams that may run at once.
        silence_s: longest time without audio, seconds.
        longest_s: longest stream, seconds.
        secrets: secret of each access key.
    """

    def __init__(
        self,
        recognizer: WordRecognizer,
        *,
        recognizes_partials: bool = True,
        vocabularies: Collection[str] | None = None,
        concurrent: int = 25,
        silence_s: float = SILENCE_S,
        longest_s: float = LONGEST_STREAM_S,
        secrets: Mapping[str, str],
    ) -> None:
        self.recognizer, self.vocabularies, self.secrets = recognizer, vocabularies, secrets
        self.recognizes_partials = recognizes_partials
        self.concurrent, self.silence_s, self.longest_s = concurrent, silence_s, longest_s
        self._streams: list[StreamRecord] = []
        self._changed = threading.Condition()

    @property
    def streams(self) -> Sequence[StreamRecord]:
        """All streams, in the order of their requests."""
        with self._changed:
            return tuple(self._streams)

    def wait_for(self, condition: Callable[[Sequence[StreamRecord]], bool], patience_s: float = 10.0) -> bool:
        """Wait until a condition of the streams holds; False if it does not in time."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(tuple(self._streams)), patience_s)

    def begin(self, parameters: StreamParameters, session_id: str) -> StreamRecord:
        """Begin a stream.

        Raises:
            StreamError: too many run.
        """
        with self._changed:
            if sum(not stream.outcome for stream in self._streams) >= self.concurrent:
                raise StreamError("LimitExceededException", f"{self.concurrent} streams run already")
            record = StreamRecord(parameters.given, session_id)
            self._streams.append(record)
            self._changed.notify_all()
            return record

    def end(self, record: StreamRecord, outcome: str) -> None:
        """Note how a stream ended."""
        with self._changed:
            record.outcome = record.outcome or outcome
            self._changed.notify_all()

    def notify(self) -> None:
        """Wake the waiting tests, since audio came."""
        with self._changed:
            self._changed.notify_all()


class SpokenStream:
    """The audio of one stream and its results.

    Args:
        parameters: the stream's parameters.
        recognizer: recognizes the words.
        record: the facts to keep.
        recognizes_partials: False gives partial results without words.
    """

    def __init__(
        self,
        parameters: StreamParameters,
        recognizer: WordRecognizer,
        record: StreamRecord,
        *,
        recognizes_partials: bool = True,
    ) -> None:
        self._parameters, self._record = parameters, record
        self._channels = [
            SpokenChannel(number, parameters, recognizer, recognizes_partials=recognizes_partials)
            for number in range(parameters.channels)
        ]

    @property
    def seconds(self) -> float:
        """Seconds of audio so far."""
        return self._record.frames / self._parameters.rate

    def receive(self, chunk: bytes) -> Iterator[dict[str, Any]]:
        """Take an audio event's chunk and give each result.

        Raises:
            StreamError: the chunk is malformed or too long.
        """
        channels = self._parameters.channels
        frames, excess = divmod(len(chunk), 2 * channels)
        if excess:
            raise StreamError("BadRequestException", "the audio chunk is no whole number of frames")
        if frames > LONGEST_EVENT_S * self._parameters.rate:
            raise StreamError("BadRequestException", "the audio chunk is longer than a second")
        self._record.frames += frames
        self._record.events.append(frames)
        for channel in self._channels:
            samples = chunk
            if channels == 2:
                samples = audioop.tomono(chunk, 2, 1 - channel.number, channel.number)
            yield from channel.receive(samples)

    def end(self) -> Iterator[dict[str, Any]]:
        """End the input and give each last result."""
        for channel in self._channels:
            yield from channel.end()


class SpokenChannel:
    """One channel and the utterance that is open on it.

    Args:
        number: the channel, 0 or 1.
        parameters: the stream's parameters.
        recognizer: recognizes the words.
        recognizes_partials: False gives partial results without words.
    """

    def __init__(
        self, number: int, parameters: StreamParameters, recognizer: WordRecognizer, *, recognizes_partials: bool
    ) -> None:
        self.number = number
        self._parameters, self._recognizer = parameters, recognizer
        self._recognizes_partials = recognizes_partials
        self._step = 2 * round(_STEP_S * parameters.rate)
        self._waiting = bytearray()
        # Samples that the recogniser is to get: the lead of silence, or the whole utterance once one is open.
        self._kept = bytearray()
        self._end = 0  # position behind `_kept`, bytes
        self._quiet_steps: int | None = None  # None while no utterance is open
        self._utterances = 0

    def receive(self, samples: bytes) -> Iterator[dict[str, Any]]:
        """Take samples and give each result."""
        self._waiting += samples
        while len(self._waiting) >= self._step:
            step = bytes(self._waiting[: self._step])
            del self._waiting[: self._step]
            yield from self._look_at(step)
        if self._quiet_steps is not None:
            yield from self._result(is_partial=True)

    def end(self) -> Iterator[dict[str, Any]]:
        """Make the open utterance final."""
        if self._quiet_steps is not None:
            self._kept += self._waiting
            self._end += len(self._waiting)
            yield from self._result(is_partial=False)

    def _look_at(self, step: bytes) -> Iterator[dict[str, Any]]:
        self._kept += step
        self._end += len(step)
        is_loud = audioop.max(step, 2) >= _LOUD
        if self._quiet_steps is None:
            if is_loud:
                self._quiet_steps = 0
                self._utterances += 1
            else:
                del self._kept[: max(0, len(self._kept) - round(_LEAD_S / _STEP_S) * self._step)]
            return
        self._quiet_steps = 0 if is_loud else self._quiet_steps + 1
        if self._quiet_steps * _STEP_S >= _QUIET_S:
            yield from self._result(is_partial=False)
            self._quiet_steps = None
            self._kept.clear()

    def _result(self, *, is_partial: bool) -> Iterator[dict[str, Any]]:
        rate = self._parameters.rate
        begin_s = (self._end - len(self._kept)) / 2 / rate
        if is_partial and not self._recognizes_partials:
            times = {"StartTime": begin_s, "EndTime": self._end / 2 / rate}
            yield self._named({**times, "IsPartial": True, "Alternatives": [{"Transcript": "…", "Items": []}]})
            return
        words = self._recognizer.words_of(bytes(self._kept), rate)
        if not words:
            return
        items: list[dict[str, Any]] = [
            {
                "Type": "pronunciation",
                "Content": word.text,
                "StartTime": round(begin_s + word.start, 3),
                "EndTime": round(begin_s + word.end, 3),
                "Confidence": 0.99,
                "VocabularyFilterMatch": False,
                "Stable": not is_partial,
            }
            for word in words
        ]
        transcript = " ".join(word.text for word in words)
        if not is_partial:
            transcript += "."
            items.append(
                {
                    "Type": "punctuation",
                    "Content": ".",
                    "StartTime": items[-1]["EndTime"],
                    "EndTime": items[-1]["EndTime"],
                    "VocabularyFilterMatch": False,
                }
            )
        yield self._named(
            {
                "StartTime": items[0]["StartTime"],
                "EndTime": items[-1]["EndTime"],
                "IsPartial": is_partial,
                "Alternatives": [{"Transcript": transcript, "Items": items}],
            }
        )

    def _named(self, result: dict[str, Any]) -> dict[str, Any]:
        """Add the names of utterance and channel to a result."""
        result["ResultId"] = f"result-{self.number}-{self._utterances}"
        if self._parameters.channels == 2:
            result["ChannelId"] = f"ch_{self.number}"
        return result
