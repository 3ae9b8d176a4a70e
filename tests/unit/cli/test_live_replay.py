"""Live audio of a replay in this process, paced by a clock that only sleeping moves."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from connect_audio.adapters.system_clock import SystemClock
from connect_audio.core.live_preview import LivePreview
from connect_audio.core.pcm import Party
from connect_audio.words.live_words import WordsPolicy
from connect_audio.words.recognizer import Results, SessionStart
from connect_audio_cli.output.command_error import CommandError
from connect_audio_cli.replay.live_options import Typed, live_options
from connect_audio_cli.replay.live_replay import LiveReplay
from connect_audio_cli.replay.replay import Replay, replay
from connect_audio_cli.replay.replayed_words import ReplayedWords
from connect_audio_cli.replay.words_options import WordsOptions
from connect_audio_local.synthesis.calls import Gap, SyntheticCall, synthesize_stream
from connect_audio_local.synthesis.speech import two_party_conversation
from support.clock import FakeClock
from support.examples import few_of
from support.wav import joined_wavs, pcm

SPEECH = two_party_conversation(4)
CALL = SyntheticCall(customer=SPEECH.customer, agent=SPEECH.agent)
OTHER_ID = "00000000-0000-4000-8000-000000000002"
OTHER_CALL = replace(CALL, contact_id=OTHER_ID, pause_ms=3000)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(autouse=True)
def no_thread_of_a_sink_is_left() -> Iterator[None]:
    yield
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("live-")]
    assert not left, f"threads of sinks outlive the replay: {left}"


def live(clock: FakeClock, folder: Path, *, speed: float | None = None) -> LiveReplay:
    options = live_options(Typed(segments=folder, speed=speed), {})
    assert options is not None
    # Sinks have deadlines, which must not pass while a test's pace leaps over seconds.
    return LiveReplay(options, SystemClock(), clock)


def replayed(
    tmp_path: Path,
    clock: FakeClock,
    *calls: SyntheticCall,
    contact_id: str | None = None,
    accept_unlabelled: bool = False,
    speed: float | None = None,
) -> Replay:
    return replay(
        (fragment.data for fragment in synthesize_stream(calls)),
        tmp_path / "out",
        name="capture",
        contact_id=contact_id,
        accept_unlabelled=accept_unlabelled,
        live=live(clock, tmp_path / "live", speed=speed),
    )


@pytest.mark.parametrize("speed", [1, 4])
def test_a_paced_replay_takes_as_long_as_the_call_divided_by_the_speed(
    tmp_path: Path, clock: FakeClock, speed: float
) -> None:
    done = replayed(tmp_path, clock, CALL, speed=speed)

    # The last fragment is padded up to a whole block.
    assert sum(clock.slept) == pytest.approx(4 / speed, abs=0.064)
    assert joined_wavs(tmp_path / "live") == pcm(done.wav.read_bytes())
    assert done.live is not None
    assert not done.live.sinks[0].lacks


def test_without_a_pace_nothing_waits(tmp_path: Path, clock: FakeClock) -> None:
    done = replayed(tmp_path, clock, CALL)

    assert sum(clock.slept) == 0
    assert joined_wavs(tmp_path / "live") == pcm(done.wav.read_bytes())
    assert done.live is not None
    assert done.live.longest_lag_s is None


def test_without_a_pace_segments_are_written_while_the_capture_is_read(tmp_path: Path, clock: FakeClock) -> None:
    there: list[int] = []

    def watched() -> Iterator[bytes]:
        for fragment in synthesize_stream([CALL]):
            there.append(len(list((tmp_path / "live").glob("*.wav"))))
            yield fragment.data

    replay(watched(), tmp_path / "out", name="capture", live=live(clock, tmp_path / "live"))

    assert there == [0, 1, 2, 3], "each fragment of 1.024 s has ended a segment"


@pytest.mark.parametrize("speed", [None, 1000])
@pytest.mark.parametrize("seed", few_of(range(12)))
def test_of_a_damaged_capture_the_index_lists_the_recording_which_is_what_it_is_without(
    tmp_path: Path, clock: FakeClock, seed: int, speed: float | None
) -> None:
    damage = random.Random(seed)
    data = bytearray(b"".join(fragment.data for fragment in synthesize_stream([CALL, OTHER_CALL])))
    for _ in range(damage.randrange(1, 5)):
        at, length = damage.randrange(len(data)), damage.randrange(1, 4000)
        match damage.randrange(3):
            case 0:
                data[at] ^= damage.randrange(1, 256)
            case 1:
                del data[at : at + length]
            case _:
                data[at:at] = data[damage.randrange(len(data)) :][: 10 * length]
    chunks = [bytes(data[at : at + 5000]) for at in range(0, len(data), 5000)]

    done = replay(iter(chunks), tmp_path / "out", name="capture", live=live(clock, tmp_path / "live", speed=speed))
    plain = replay(iter(chunks), tmp_path / "plain", name="capture")

    assert done.wav.read_bytes() == plain.wav.read_bytes()
    assert {**done.manifest, "live": None} == plain.manifest
    assert listed(tmp_path / "live") == pcm(done.wav.read_bytes())


def listed(folder: Path) -> bytes:
    """The segments that the index lists, joined; what was told at once and is none of the recording is not in it."""
    pages = [
        json.loads((folder / page["name"]).read_bytes())
        for page in json.loads((folder / "index.json").read_bytes())["pages"]
    ]
    return b"".join(pcm((folder / segment["files"][0]).read_bytes()) for page in pages for segment in page["segments"])


def test_what_others_say_takes_no_time(tmp_path: Path, clock: FakeClock) -> None:
    done = replayed(tmp_path, clock, CALL, OTHER_CALL, replace(CALL, pause_ms=3000), contact_id=OTHER_ID, speed=1)

    assert sum(clock.slept) == pytest.approx(4, abs=0.064)
    assert joined_wavs(tmp_path / "live") == pcm(done.wav.read_bytes())


def test_a_pause_within_the_call_is_waited_for_and_silence_in_the_segments(tmp_path: Path, clock: FakeClock) -> None:
    done = replayed(tmp_path, clock, replace(CALL, gaps=(Gap(at_ms=2048, length_ms=5000),)), speed=1)

    assert sum(clock.slept) == pytest.approx(9, abs=0.064)
    assert joined_wavs(tmp_path / "live") == pcm(done.wav.read_bytes())


@pytest.mark.parametrize("speed", [None, 1])
@pytest.mark.parametrize("contact_id", [None, CALL.contact_id])
def test_unlabelled_audio_that_is_accepted_is_in_the_segments(
    tmp_path: Path, clock: FakeClock, speed: float | None, contact_id: str | None
) -> None:
    call = replace(CALL, unlabelled=frozenset({0, 1}))

    done = replayed(tmp_path, clock, call, contact_id=contact_id, accept_unlabelled=True, speed=speed)

    assert joined_wavs(tmp_path / "live") == pcm(done.wav.read_bytes())
    assert sum(clock.slept) == pytest.approx(4 if speed else 0, abs=0.064)


@pytest.mark.parametrize(
    ("unlabelled", "later"),
    [
        pytest.param(frozenset[int](), 1, id="all but the first fragment's, whose contact nobody knew"),
        pytest.param(frozenset({1}), 3, id="none of one without a label, nor of the one that decides on it"),
    ],
)
def test_blocks_do_not_wait_for_the_end_of_a_fragment_that_names_the_contact(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, unlabelled: frozenset[int], later: int
) -> None:
    ahead = 0
    look = LivePreview.look

    def counted(self: LivePreview, *arguments: object) -> object:
        nonlocal ahead
        placements = look(self, *arguments)  # type: ignore[arg-type]
        ahead += len(placements)
        return placements

    monkeypatch.setattr(LivePreview, "look", counted)
    done = replayed(tmp_path, clock, replace(CALL, unlabelled=unlabelled), speed=1)

    blocks_of_a_party = -(-done.manifest["recording"]["frames"] // 512)
    assert ahead == 2 * (blocks_of_a_party - 16 * later)
    assert joined_wavs(tmp_path / "live") == pcm(done.wav.read_bytes())


def test_sinks_end_with_an_input_that_breaks_off(tmp_path: Path, clock: FakeClock) -> None:
    def broken() -> Iterator[bytes]:
        fragments = iter(synthesize_stream([CALL]))
        yield next(fragments).data
        yield next(fragments).data
        raise CommandError("capture: cannot be read: Input/output error")

    with pytest.raises(CommandError, match="Input/output error"):
        replay(broken(), tmp_path / "out", name="capture", live=live(clock, tmp_path / "live", speed=1))

    assert list((tmp_path / "out").iterdir()) == []


def test_sinks_end_with_a_replay_that_fails(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "out" / f"{CALL.contact_id}.json").mkdir(parents=True)

    with pytest.raises(CommandError) as caught:
        replayed(tmp_path, clock, CALL, speed=1)

    assert str(caught.value) == f"{tmp_path}/out/{CALL.contact_id}.json: cannot be written: is a directory"


def test_a_pause_of_minutes_is_not_waited_for_and_yet_in_the_segments(tmp_path: Path, clock: FakeClock) -> None:
    done = replayed(tmp_path, clock, replace(CALL, gaps=(Gap(at_ms=1024, length_ms=90_000),)), speed=1)

    assert sum(clock.slept) == pytest.approx(4, abs=0.064)
    assert joined_wavs(tmp_path / "live") == pcm(done.wav.read_bytes())


class _NeverAnswers:
    """A recognizer, and its session, that notes whether it was interrupted before its end."""

    engine = "scripted"

    def __init__(self) -> None:
        self.calls: list[str] = []

    def prepare(self) -> None:
        """Nothing is slow."""

    def open(self, _start: SessionStart) -> _NeverAnswers:
        return self

    def receive(self, _position: int, _samples: Mapping[Party, bytes]) -> None:
        """Take the audio."""

    def results(self) -> Results:
        return Results()

    def finish(self, *, is_call_over: bool, timeout_s: float) -> Results:
        assert timeout_s > 0
        self.calls.append(f"finish, over {is_call_over}")
        return Results()

    def interrupt(self) -> None:
        self.calls.append("interrupt")

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize("is_interrupted", [True, False])
def test_a_replay_that_is_interrupted_waits_for_no_words(
    tmp_path: Path, clock: FakeClock, *, is_interrupted: bool
) -> None:
    recognizer = _NeverAnswers()
    words = WordsOptions(
        name="whisper",
        make=lambda: recognizer,
        language=None,
        where="nowhere",
        policy=WordsPolicy(),
        is_followed=False,
    )
    options = live_options(Typed(words=words))
    assert options is not None
    replayed_words = ReplayedWords(words, tmp_path, source=None, force=False)

    def chunks() -> Iterator[bytes]:
        yield b"".join(fragment.data for fragment in synthesize_stream([CALL]))
        if is_interrupted:
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        replay(
            chunks(),
            tmp_path,
            name="capture",
            live=LiveReplay(options, SystemClock(), clock, words=replayed_words),
        )

    assert recognizer.calls[0] == ("interrupt" if is_interrupted else "finish, over True")
    assert ("interrupt" in recognizer.calls) == is_interrupted
