"""A call with words from the stream to the transcript: recorder, live audio, sink and publication together."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from connect_audio.core.live_audio import LiveSegment
from connect_audio.core.pcm import Party
from connect_audio.core.word_pages import NumberedTurn, WordsCall, pages_prefix
from connect_audio.live import Inline, LivePipeline, LivePolicy, LiveState, NamedSink
from connect_audio.recorder import OutcomeStatus
from connect_audio.words.live_words import NoListener
from connect_audio.words.words_sink import WordsSink
from connect_audio_local.synthesis.calls import SyntheticCall
from support.live_sinks import LOGGER
from support.log_lines import LogLines
from support.scripted_recognizer import Script, ScriptedRecognizer, random_script
from support.wav import same_wav, wav_of_call
from support.world import World, finish, world

RATE = 8000


class BucketPages:
    """The pages beside the recording of a world."""

    def __init__(self, at: World) -> None:
        self._objects = at.store.objects
        self._prefix = pages_prefix(at.names.key)

    def put(self, name: str, body: bytes, content_type: str) -> None:
        assert content_type == "application/json"
        self._objects[self._prefix + name] = (body, {})

    def get(self, name: str) -> bytes | None:
        found = self._objects.get(self._prefix + name)
        return None if found is None else found[0]

    def close(self) -> None:
        """Nothing is held."""


class BrokenListener(NoListener):
    """Has a bug, whose exception holds words."""

    def turns(self, call: WordsCall, turns: Sequence[NumberedTurn]) -> None:  # noqa: ARG002 - the port's names
        raise KeyError("secret words")


def recorded(script: Script, *, trouble: float = 0.0, is_made: bool = True) -> tuple[World, SyntheticCall]:
    """A world whose calls have words."""
    samples = {party: script.samples(party, 0, script.frames) for party in Party}
    ours = SyntheticCall(customer=samples[Party.CUSTOMER], agent=samples[Party.AGENT], rate=RATE)
    at = world(ours)

    def live(state: LiveState | None) -> LivePipeline:
        sink = WordsSink(
            ScriptedRecognizer(script.lengths, random.Random(len(at.store.written)), trouble),
            BucketPages(at),
            contact_id=at.request.contact_id,
            recording=at.names.uri,
            language="en-US",
            logger=LOGGER,
            clock=at.clock,
            has_thread=False,
        )
        deliver = sink.deliver_segment
        sink.deliver_segment = lambda segment: (deliver(segment), sink.work())[0]  # type: ignore[method-assign, func-returns-value]
        named = NamedSink.of("transcribe", sink) if is_made else NamedSink("transcribe", None, "NO_SDK")
        return LivePipeline([named], LivePolicy(), at.clock, LOGGER, state=state, driver=Inline, jitter=lambda: 1.0)

    at.live = live
    return at, ours


def transcript(at: World) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(at.store.objects[at.names.transcript][0])
    return document


def with_a_broken_thread(at: World, script: Script, log: LogLines) -> None:
    """Let the sink's own thread fail at the first turn, in the midst of the call."""

    def live(state: LiveState | None) -> LivePipeline:
        sink = WordsSink(
            ScriptedRecognizer(script.lengths, random.Random(0)),
            BucketPages(at),
            contact_id=at.request.contact_id,
            recording=at.names.uri,
            language="en-US",
            logger=LOGGER,
            clock=at.clock,
            listener=BrokenListener(),
        )
        deliver = sink.deliver_segment

        def deliver_and_wait(segment: LiveSegment) -> None:
            deliver(segment)
            if segment.number == 80:
                for thread in threading.enumerate():
                    if thread.name == "words":
                        thread.join(10)

        sink.deliver_segment = deliver_and_wait  # type: ignore[method-assign]
        named = [NamedSink.of("transcribe", sink)]
        return LivePipeline(named, LivePolicy(), at.clock, log, state=state, driver=Inline, jitter=lambda: 1.0)

    at.live = live


@pytest.fixture(scope="module")
def script() -> Script:
    return random_script(random.Random(7), 180, RATE)


def test_a_call_over_parts_and_invocations_has_each_word_once_in_its_transcript(script: Script) -> None:
    at, ours = recorded(script)
    run = at.run(fresh_each_step=True)
    assert same_wav(run.wav, wav_of_call(ours))
    assert len(run.kinds) > 1
    document = transcript(at)
    for party in Party:
        said = [(str(word.value), word.start / RATE) for word in script.words if word.party is party]
        found = [
            (word["text"], word["start"])
            for turn in document["turns"]
            if turn["participant"] == party.value.upper()
            for word in turn["words"]
        ]
        assert [text for text, _ in found] == [text for text, _ in said]
        assert [start for _, start in found] == pytest.approx([start for _, start in said], abs=0.001)
    assert document["missing"] == []
    assert run.manifest["words"] == {
        "transcript": f"s3://calls/{at.names.transcript}",
        "captions": f"s3://calls/{at.names.captions}",
        "engine": "scripted",
        "language": "en-US",
        "turns": len(document["turns"]),
        "missingSeconds": {"customer": 0.0, "agent": 0.0},
    }
    (sink,) = run.manifest["live"]["sinks"]
    assert (sink["droppedSeconds"], sink["failedAttempts"]) == (0.0, 0)


def test_an_exception_in_the_words_thread_costs_the_words_alone_and_log_and_manifest_tell_it() -> None:
    script, log = random_script(random.Random(7), 60, RATE), LogLines()
    at, ours = recorded(script)
    with_a_broken_thread(at, script, log)
    run = at.run()
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.outcome.status is OutcomeStatus.COMPLETE
    (sink,) = run.manifest["live"]["sinks"]
    assert sink["failure"] == "KeyError"
    assert 0 < sink["deliveries"] <= 81
    assert [warning["code"] for warning in run.manifest["warnings"]] == ["LIVE_SINK_FAILED", "LIVE_AUDIO_DROPPED"]
    (missing, *_) = transcript(at)["missing"]
    assert (missing["end"], missing["reason"]) == (pytest.approx(script.frames / RATE, abs=0.001), "UNFINISHED")
    told = log.of("live sink failed; disabled for this call")
    assert [(level, extra["code"]) for level, extra in told] == [("error", "KeyError")]
    assert "secret" not in str(log.lines)


def test_a_sink_that_could_not_be_made_leaves_a_transcript_that_lacks_the_whole_call() -> None:
    at, ours = recorded(random_script(random.Random(7), 10, RATE), is_made=False)
    run = at.run()
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.outcome.status is OutcomeStatus.COMPLETE
    seconds = run.manifest["recording"]["durationSeconds"]
    assert transcript(at)["missing"] == [
        {"participant": None, "start": 0.0, "end": pytest.approx(seconds, abs=0.001), "reason": "UNFINISHED"}
    ]
    assert run.manifest["words"]["missingSeconds"]["agent"] == pytest.approx(seconds, abs=0.001)


def test_a_finish_that_runs_again_writes_the_same_transcript() -> None:
    at, _ = recorded(random_script(random.Random(3), 20, RATE))
    run = at.run()
    before = dict(at.store.objects)
    again = finish(at, run.results)
    assert again.status is OutcomeStatus.COMPLETE
    assert at.store.objects == before
