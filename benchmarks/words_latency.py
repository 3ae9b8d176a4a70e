"""The age of live words: from a word's end in the audio to the first partial result and to the stored, announced turn.

`python -m benchmarks.words_latency`, two and a half minutes at the pace of a call. The emulator sends a call of spoken
digits. The whole recorder reads it and hands it to the sink `transcribe`, or `whisper`. The sink sends it to its
stand-in at the socket, which PocketSphinx stands behind. The pages go to S3, which is moto's server. Each phrase ends
at another place of the second in which segments are cut.

A word's age counts from the moment when its last sample is due at the emulator. The first partial result counts from
the end of the phrase's first word, the turn from the end of its last word. The recognizer's own time is the part of the
age in which PocketSphinx was at work for this engine.
"""

from __future__ import annotations

import logging
import statistics
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, override

import boto3
import botocore.session

from benchmarks.bounds import Bound
from benchmarks.live_latency import BUCKET, LOGGER, record_live
from connect_audio.adapters.kvs_media import KvsMediaSource
from connect_audio.adapters.s3_recording import S3_CONFIG
from connect_audio.adapters.sinks.segment_bucket import SegmentBucket, segment_client
from connect_audio.adapters.system_clock import SystemClock
from connect_audio.adapters.words.transcribe import TranscribeRecognizer
from connect_audio.adapters.words.whisper import WhisperRecognizer
from connect_audio.adapters.words.whisper_server import WhisperOptions
from connect_audio.core.pcm import PARTIES, Party
from connect_audio.core.word_pages import pages_prefix
from connect_audio.live import LivePipeline, LivePolicy, LiveState, NamedSink
from connect_audio.words.live_words import NoListener
from connect_audio.words.transcribe_options import TranscribeOptions
from connect_audio.words.words_sink import WordsSink
from connect_audio_local.cloud import environment
from connect_audio_local.kvs import UNLIMITED, EmulatedStream, KvsEmulator, Live, stored
from connect_audio_local.kvs.model import Delivery
from connect_audio_local.recognition.digits import DigitRecognizer
from connect_audio_local.recognition.speech import PHRASES, RATE, VOICES, spoken_digits
from connect_audio_local.s3.server import s3_server
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, SyntheticCall, synthesize_call
from connect_audio_local.transcribe.model import TranscribeModel
from connect_audio_local.transcribe.server import transcribe_endpoint
from connect_audio_local.whisper.server import speech_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from connect_audio.core.transcript import Turn
    from connect_audio.core.word_pages import NumberedTurn, WordsCall
    from connect_audio.words.recognizer import Recognizer
    from connect_audio_local.recognition.word_recognizer import RecognizedWord

MOST_PARTIAL_S: Final = {Delivery.BLOCK: 0.75, Delivery.FRAGMENT: 1.5}
"""Limits the age of a first partial result, seconds: a segment of 0.256 s, or a whole fragment of 1.024 s, and half a
second. The run fails beyond it."""
MOST_FINAL_S: Final = 3.0
"""Limits the age of a stored turn, seconds. The run fails beyond it."""
ARRIVALS: Final = {"block by block": Delivery.BLOCK, "whole fragments": Delivery.FRAGMENT}
_KEY: Final = "AKIDEXAMPLE"
_FIRST_S: Final = 1.0
_APART_S: Final = 1.33
"""Silence behind a phrase, seconds: more than any recognizer waits for, and no multiple of a segment."""
_BEHIND_S: Final = 3.0
"""Silence behind the last phrase, seconds, so that the call's end makes no turn final."""


@dataclass(frozen=True, slots=True)
class Said:
    """A phrase in the call.

    Args:
        party: the speaker.
        text: its words.
        start_s: begin of its sound, seconds.
        first_s: end of its first word.
        end_s: end of its last word.
    """

    party: Party
    text: str
    start_s: float
    first_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Age:
    """The age of a phrase's words, seconds.

    Args:
        age_s: the whole of it.
        own_s: the part in which the recognizer was at work.
    """

    age_s: float
    own_s: float


@dataclass(slots=True)
class TimedDigits:
    """The recognizer behind a stand-in; notes when it works."""

    digits: DigitRecognizer = field(default_factory=DigitRecognizer)
    work: list[tuple[float, float]] = field(default_factory=list)

    def words_of(self, samples: bytes, rate: int) -> list[RecognizedWord]:
        """Recognize, and note begin and end."""
        began = time.monotonic()
        try:
            return self.digits.words_of(samples, rate)
        finally:
            self.work.append((began, time.monotonic()))

    def within(self, begin: float, end: float) -> float:
        """Seconds of work between two moments."""
        return sum(max(0.0, min(stop, end) - max(start, begin)) for start, stop in self.work)


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine of the product, and what its stand-in recognizes with.

    Args:
        recognizer: the engine.
        behind: the recognizer behind its stand-in.
    """

    recognizer: Recognizer
    behind: TimedDigits


class NotedWords(NoListener):
    """The sink's listener: notes the moments at which words come.

    Attributes:
        partials_at: moment and party of each partial result.
        finals: moment and turn of each turn that is stored.
    """

    def __init__(self) -> None:
        self.partials_at: list[tuple[float, Party]] = []
        self.finals: list[tuple[float, NumberedTurn]] = []

    @override
    def turns(self, call: WordsCall, turns: Sequence[NumberedTurn]) -> None:
        """Note turns that are stored now."""
        del call
        self.finals += ((time.monotonic(), each) for each in turns)

    @override
    def taken_back(self, call: WordsCall, numbers: Sequence[int]) -> None:
        """Fail: nothing is to be taken back here."""
        raise RuntimeError(f"{call.engine} took {numbers} back")

    @override
    def partials(self, call: WordsCall, turns: Mapping[Party, Turn]) -> None:
        """Note whose turns are not final yet."""
        del call
        self.partials_at += ((time.monotonic(), party) for party in turns)


def digit_call() -> tuple[SyntheticCall, list[Said]]:
    """Each phrase once by each voice, the parties in turn, and where the words are."""
    tracks = {party: bytearray() for party in PARTIES}
    said: list[Said] = []
    digits, at = DigitRecognizer(), _FIRST_S
    for index in range(len(PHRASES) * len(VOICES)):
        party, phrase = PARTIES[index % 2], spoken_digits(VOICES[index % 2], index // 2)
        track = tracks[party]
        track += bytes(2 * round(at * RATE) - len(track)) + phrase.samples
        words = digits.words_of(phrase.samples, RATE)
        if " ".join(word.text for word in words) != phrase.text:
            raise RuntimeError(f"{phrase.text} is not recognized")
        said.append(Said(party, phrase.text, at + phrase.start, at + words[0].end, at + phrase.end))
        at += phrase.end + _APART_S
    length = 2 * round((at + _BEHIND_S) * RATE)
    customer, agent = (bytes(tracks[party].ljust(length, b"\0")) for party in PARTIES)
    return SyntheticCall(customer=customer, agent=agent), said


def measure(engine: str, delivery: Delivery) -> tuple[list[Age], list[Age]]:
    """Record one call.

    Args:
        engine: `transcribe` or `whisper`.
        delivery: in which pieces a fragment comes.

    Returns:
        The ages of first partial results, and of stored turns.
    """
    call, said = digit_call()
    seconds = len(call.customer) / 2 / RATE if isinstance(call.customer, bytes) else 0.0
    with ExitStack() as stack:
        emulator = stack.enter_context(KvsEmulator(limits=UNLIMITED))
        s3_url = stack.enter_context(s3_server())
        stack.enter_context(environment(_variables(emulator.url, s3_url)))
        made, noted = stack.enter_context(ENGINES[engine]()), NotedWords()
        s3 = stack.enter_context(closing(boto3.client("s3", config=S3_CONFIG)))
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
        made.recognizer.prepare()  # the function's initialization does it

        def live(state: LiveState | None) -> LivePipeline:
            return LivePipeline(
                [NamedSink.of(engine, _sink(made.recognizer, noted))], LivePolicy(), SystemClock(), LOGGER, state=state
            )

        fragments = stored(synthesize_call(call))
        began = time.monotonic()
        stream = EmulatedStream("call", fragments, pace=Live(1.0), delivery=delivery, retention_hours=1)
        source = KvsMediaSource(emulator.add_stream(stream).arn, session=boto3.Session())
        record_live(source, live, s3, seconds)
        return _ages(made, noted, said, began)


@contextmanager
def _transcribe() -> Iterator[Engine]:
    digits = TimedDigits()
    with transcribe_endpoint(TranscribeModel(digits, secrets={_KEY: _KEY})) as service:
        options, session = TranscribeOptions(language="en-US"), botocore.session.Session
        yield Engine(TranscribeRecognizer(options, session, endpoint=service.url, ca_file=service.ca_file), digits)


@contextmanager
def _whisper() -> Iterator[Engine]:
    digits = TimedDigits()
    with speech_server(digits) as server:
        yield Engine(WhisperRecognizer(WhisperOptions(url=server.url, model="digits", allow_private=True)), digits)


ENGINES: Final = {"transcribe": _transcribe, "whisper": _whisper}


def _sink(recognizer: Recognizer, noted: NotedWords) -> WordsSink:
    store = SegmentBucket(BUCKET, pages_prefix("call.wav"), client=segment_client(boto3.Session()))
    return WordsSink(
        recognizer,
        store,
        contact_id=DEFAULT_CONTACT_ID,
        recording="s3://recordings/call.wav",
        language="en-US",
        clock=SystemClock(),
        logger=logging.getLogger(__name__),
        listener=noted,
    )


def _ages(engine: Engine, noted: NotedWords, said: list[Said], began: float) -> tuple[list[Age], list[Age]]:
    """The ages of each phrase's words, phrase by phrase."""
    finals = sorted(noted.finals, key=lambda final: final[1].turn.start)
    found = [(final.turn.party, final.turn.text.rstrip(".")) for _, final in finals]
    if found != [(each.party, each.text) for each in said]:
        raise RuntimeError(f"{engine.recognizer.engine} gave {found}")
    partial_ages, final_ages = [], []
    for each, (final_at, _) in zip(said, finals, strict=True):
        started, first, end = (began + seconds for seconds in (each.start_s, each.first_s, each.end_s))
        final_ages.append(Age(final_at - end, engine.behind.within(end, final_at)))
        partials = [at for at, party in noted.partials_at if party is each.party and started <= at <= final_at]
        if partials:
            partial_ages.append(Age(partials[0] - first, engine.behind.within(first, partials[0])))
    return partial_ages, final_ages


def main() -> list[Bound]:
    """Print the table."""
    bounds = []
    print(f"{'words, at the pace of a call':52}{'median':>9}{'worst':>9}{'recognizer, median':>21}{'worst':>9}")
    for arrival, delivery in ARRIVALS.items():
        for engine in ENGINES:
            partials, finals = measure(engine, delivery)
            for what, ages, most in (
                ("first partial", partials, MOST_PARTIAL_S[delivery]),
                ("stored turn", finals, MOST_FINAL_S),
            ):
                if not ages:
                    continue
                name = f"{engine}, {what}, {arrival}"
                whole, own = [age.age_s for age in ages], [age.own_s for age in ages]
                print(
                    f"{name:52}{statistics.median(whole):>7.2f} s{max(whole):>7.2f} s"
                    f"{statistics.median(own):>19.2f} s{max(own):>7.2f} s"
                )
                worst = max(age.age_s - age.own_s for age in ages)
                bounds.append(Bound(f"s at worst without the recognizer, {name}", worst, at_most=most))
    return bounds


def _variables(url: str, s3_url: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL_KINESIS_VIDEO": url,
        "AWS_ENDPOINT_URL_KINESIS_VIDEO_MEDIA": url,
        "AWS_ENDPOINT_URL_S3": s3_url,
        "AWS_ACCESS_KEY_ID": _KEY,
        "AWS_SECRET_ACCESS_KEY": _KEY,
        "AWS_DEFAULT_REGION": "eu-west-2",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


if __name__ == "__main__":
    from benchmarks.bounds import judge

    judge(main())
