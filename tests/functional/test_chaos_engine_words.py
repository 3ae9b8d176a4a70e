"""Words under SIGKILL: the real handler in a process per invocation, the durable engine, and a speech server.

`make chaos-engine N=200` runs more schedules of it, too; `make chaos-engine N=1 SEED=17` repeats one.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final

import pytest

from connect_audio_local.kvs import Live
from connect_audio_local.kvs.model import ALL_AT_ONCE
from connect_audio_local.lambda_.kill_points import Kill, Moment
from connect_audio_local.process_cloud import BUCKET, ProcessCloud, process_cloud
from connect_audio_local.whisper.server import speech_server
from support.engine_chaos import LIVE_MARGIN_S, SPOKEN, Run, Schedule, run_in_time, scene
from support.wav import same_wav

SEEDS: Final = -(-int(os.environ.get("CHAOS_ENGINE_N", "12")) // 12)
"""A twelfth of the schedules of `test_chaos_engine.py`."""
FIRST_SEED: Final = int(os.environ.get("CHAOS_ENGINE_SEED", "1"))
_WORD_S: Final = 0.3
_PAUSE_S: Final = 0.1
_CALM: Final[dict[str, Any]] = {"pace": Live(speed=10), "invocation_s": 900}
_NEAR_S: Final = 0.15
"""Distance of a word from the place where it was said."""


@dataclass(frozen=True)
class Arena:
    """The processes, and what sends them words."""

    cloud: ProcessCloud
    live: Mapping[str, str]
    numbers: Iterator[int]

    def transcript(self, found: Run) -> dict[str, Any]:
        """The transcript that a run left beside its recording."""
        (key,) = [each for each in found.keys if each.endswith(".transcript.json")]
        document: dict[str, Any] = json.loads(self.cloud.body(f"s3://{BUCKET}/{key}"))
        return document


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with process_cloud() as cloud, speech_server() as server:
        live = {
            "LIVE_SINKS": "whisper",
            "LIVE_BUFFER_SECONDS": "300",
            "WORDS_LANGUAGE": "en-US",
            "WHISPER_URL": server.url,
            "WHISPER_MODEL": "small.en",
            "WHISPER_PRIVATE_ADDRESSES": "allowed",
        }
        yield Arena(cloud, live, count(1))


def schedule_of(seed: int, live: Mapping[str, str]) -> Schedule:
    """Kills at requests and at whatever instruction, in invocations of the whole call or of a second each."""
    dice = random.Random(seed)
    services = dice.choices(("s3:", "engine:", "media:"), (5, 3, 2), k=dice.choice((1, 2, 3)))
    return Schedule(
        seed=seed,
        scene="spoken",
        kills=tuple(Kill(f"{each}*", dice.randint(1, 12), dice.choice(list(Moment))) for each in services),
        lifetimes=tuple(round(dice.uniform(0.3, 2.0), 3) for _ in range(dice.choice((0, 1, 1, 2)))),
        pace=dice.choice((ALL_AT_ONCE, Live(speed=10), Live(speed=10))),
        invocation_s=dice.choice((900, LIVE_MARGIN_S + 1)),
        live=live,
        margin_s=LIVE_MARGIN_S,
    )


def judge(transcript: Mapping[str, Any]) -> int:
    """Hold each word against what was said: it stands once, or in a span that is listed; return how many are missing.

    Raises:
        AssertionError: a word stands twice, at a wrong place or with the wrong party, or is missing without a span.
    """
    stand = [
        (turn["participant"].lower(), word["text"], word["start"])
        for turn in transcript["turns"]
        for word in turn["words"]
    ]
    missing = 0
    for party, text, at, end in said_words():
        here = [each for each in stand if each[:2] == (party, text) and abs(each[2] - at) <= _NEAR_S]
        if here:
            assert len(here) == 1, (party, text, at, transcript)
            stand.remove(here[0])
            continue
        spans = [each for each in transcript["missing"] if each["participant"] in {None, party.upper()}]
        assert any(each["start"] < end and at < each["end"] for each in spans), (party, text, at, transcript)
        missing += 1
    assert stand == []
    return missing


def said_words() -> Iterator[tuple[str, str, float, float]]:
    """Yield party, text, begin and end of each word of the scene."""
    for part in SPOKEN:
        for number, text in enumerate(part.words):
            at = part.at + (_WORD_S + _PAUSE_S) * number
            yield part.party.value, text, at, at + _WORD_S


def is_there(found: Run) -> bool:
    """One recording, byte for byte, with its manifest, its words and nothing else."""
    assert [each.status for each in found.executions] == ["SUCCEEDED"], found.executions
    assert found.wav is not None, found.manifest
    assert same_wav(found.wav, scene("spoken").wav)
    assert found.manifest is not None
    assert found.manifest["status"] == "complete"
    stem = found.request.recording_key("recordings").removesuffix("wav")
    # Pages stay until the lifecycle deletes them.
    left = [key.removeprefix(stem) for key in found.keys if not key.startswith(f"{stem}words/")]
    assert sorted(left) == ["json", "transcript.json", "vtt", "wav"]
    assert found.open_uploads == []
    assert [each.left_sinks for each in found.invocations if each.left_sinks] == []
    return True


def transcript_of(words: Iterable[tuple[str, str, float, float]], *missing: dict[str, Any]) -> dict[str, Any]:
    turns = [{"participant": party.upper(), "words": [{"text": text, "start": at}]} for party, text, at, _ in words]
    return {"turns": turns, "missing": list(missing)}


def test_the_judge_takes_no_word_twice_at_another_place_or_missing_without_a_span() -> None:
    first, second, *others = said_words()
    assert judge(transcript_of([first, second, *others])) == 0
    span = {"participant": first[0].upper(), "start": first[2] + 0.1, "end": first[3] + 0.05}
    assert judge(transcript_of([second, *others], span)) == 1
    later = (*first[:2], first[2] + 0.5, first[3])
    for wrong in ([first, first, second, *others], [second, *others], [later, second, *others], [*others]):
        with pytest.raises(AssertionError):
            judge(transcript_of(wrong, {**span, "participant": "NONE"}))


def test_without_a_kill_no_word_is_missing(arena: Arena) -> None:
    found = run_in_time(
        arena.cloud, replace(schedule_of(0, arena.live), kills=(), lifetimes=(), **_CALM), arena.numbers
    )
    is_there(found)
    assert judge(arena.transcript(found)) == 0


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + SEEDS))
def test_each_word_stands_once_or_in_a_span_that_is_listed_whatever_is_killed_where(arena: Arena, seed: int) -> None:
    schedule = schedule_of(seed, arena.live)
    found = run_in_time(arena.cloud, schedule, arena.numbers)
    sys.stdout.write(f"\n{schedule}\nkilled: {', '.join(found.killed) or 'nothing'} {found.keys}")
    is_there(found)
    missing = judge(arena.transcript(found))
    sys.stdout.write(f"words: {len(list(said_words()))}, missing: {missing} ")
