"""The sink of words in the real pipeline with its threads: a hand-over in the midst of words, and a slow recognizer."""

from __future__ import annotations

import random
import threading

from connect_audio.adapters.system_clock import SystemClock
from connect_audio.core.live_audio import LiveSamples
from connect_audio.core.pcm import PARTIES, Party
from connect_audio.core.timeline import Timeline, TimelineState
from connect_audio.live import LivePipeline, LivePolicy, LiveState, NamedSink, Threads
from connect_audio.recorder.publish_words import words_of
from support.live_sinks import LOGGER, ORIGIN
from support.scripted_recognizer import RATE, Script, ScriptedRecognizer, random_script
from support.words_chaos import PageFolder
from support.words_sinks import words_sink

NAME = "transcribe"


def pipeline(script: Script, store: PageFolder, state: LiveState | None) -> LivePipeline:
    sink = words_sink(ScriptedRecognizer(script.lengths, random.Random(1)), store)
    return LivePipeline(
        [NamedSink.of(NAME, sink)], LivePolicy(buffer=300), SystemClock(), LOGGER, state=state, driver=Threads
    )


def speak(into: LivePipeline, timeline: Timeline, script: Script, start: int, stop: int) -> None:
    """Confirm a call's audio, second by second."""
    for at in range(start, stop, RATE):
        placed: list[LiveSamples] = []
        for party in PARTIES:
            samples = script.samples(party, at, min(at + RATE, stop))
            placed += [
                LiveSamples(each.party, ORIGIN + each.start, each.samples)
                for each in timeline.place(party, ORIGIN + at, samples, tick_ns=1_000_000)
            ]
        timeline.settle()
        into.confirm(timeline, placed)


def test_a_hand_over_in_the_midst_of_words_loses_none_and_leaves_no_thread() -> None:
    script = random_script(random.Random(5), 60)
    store = PageFolder(random.Random(0))
    words = [word for word in script.words if word.party is Party.CUSTOMER]
    middle = words[len(words) // 2].start + 20

    first = pipeline(script, store, None)
    timeline = Timeline(TimelineState(rate=RATE, origin=ORIGIN))
    speak(first, timeline, script, 0, middle)
    first.flush()
    first.close()
    for _ in timeline.take():
        pass
    state, tail = first.state(timeline.taken)
    assert state.sinks[NAME].failure is None
    assert state.sinks[NAME].frames < middle

    second = pipeline(script, store, state)
    resumed = Timeline(TimelineState(rate=RATE, origin=ORIGIN, settled=timeline.taken), taken=timeline.taken)
    second.resume(resumed, tail)
    speak(second, resumed, script, timeline.taken, script.frames)
    resumed.close()
    for _ in resumed.take():
        pass
    second.end(resumed)
    second.flush()
    second.close()
    state, _ = second.state(script.frames)
    assert (state.sinks[NAME].failure, state.sinks[NAME].counts.failures) == (None, 0)
    turns, _, missing = words_of(store.read, script.frames)
    for party in PARTIES:
        said = [str(word.value) for word in script.words if word.party is party]
        found = sorted((turn for turn in turns if turn.party is party), key=lambda turn: turn.start)
        assert " ".join(turn.text for turn in found).split() == said
    assert missing == []
    assert not [thread for thread in threading.enumerate() if thread.name in {"words", f"live-{NAME}"}]
