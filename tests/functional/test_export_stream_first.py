"""`connect-audio export --prefix`: the calls are found in the streams themselves."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from connect_audio_local.kvs import EmulatedStream, KvsEmulator, stored
from connect_audio_local.synthesis.calls import DEFAULT_START_MS
from support.calls import call, fragments
from support.command import Finished, run_here
from support.wav import same_wav, wav_of_call


def contact(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def time_of(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


# The last one is in another stream, and the one after it in a stream of another name.
CALLS: Final = [
    call(3, contact_id=contact(at), start_ms=DEFAULT_START_MS + after_s * 1000, seed=at)
    for at, after_s in enumerate((0, 20, 40, 10, 10))
]


@pytest.fixture
def streams(kvs_emulator: KvsEmulator) -> list[EmulatedStream]:
    served = {"calls-1": CALLS[:3], "calls-2": CALLS[3:4], "other": CALLS[4:5]}
    return [kvs_emulator.add_stream(EmulatedStream(name, stored(fragments(*of)))) for name, of in served.items()]


def export(folder: Path, from_ms: int, to_ms: int, *options: str, prefix: str = "calls-") -> Finished:
    times = ("--from", time_of(from_ms), "--to", time_of(to_ms))
    return run_here("export", "--prefix", prefix, *times, "-o", folder, *options)


def test_the_calls_that_began_in_a_time_are_found_in_all_streams_of_a_prefix(
    streams: list[EmulatedStream], tmp_path: Path
) -> None:
    # The first call began before, and the third one after.
    finished = export(tmp_path, DEFAULT_START_MS + 1000, DEFAULT_START_MS + 30_000, "--json")

    assert (finished.code, finished.err) == (0, "")
    assert json.loads(finished.out) == {"calls": 2, "statuses": {"complete": 2}}
    for each in (CALLS[1], CALLS[3]):
        [wav] = tmp_path.rglob(f"{each.contact_id}_*.wav")
        assert same_wav(wav.read_bytes(), wav_of_call(each))
    assert len(list(tmp_path.rglob("*.wav"))) == 2
    assert streams[2].faults.calls("ListFragments") == 0
    assert sum(stream.faults.calls("DescribeContact") for stream in streams) == 0


@pytest.mark.usefixtures("streams")
def test_a_recording_of_the_same_contact_that_began_near_is_the_calls(tmp_path: Path) -> None:
    began = datetime.fromtimestamp((DEFAULT_START_MS + 10_000 - 1700) / 1000, UTC)
    there = tmp_path / f"{began:%Y/%m/%d}/{contact(3)}_{began:%Y%m%dT%H%M%S}.{began.microsecond // 1000:03}Z.wav"
    there.parent.mkdir(parents=True)
    there.write_bytes(b"theirs")

    finished = export(tmp_path, DEFAULT_START_MS, DEFAULT_START_MS + 30_000, "--json", prefix="calls-2")

    assert (finished.code, json.loads(finished.out)["statuses"]) == (0, {"exists": 1})
    assert list(tmp_path.rglob("*.wav")) == [there]


@pytest.mark.usefixtures("streams")
def test_a_prefix_and_a_time_without_calls_and_a_prefix_without_a_stream_are_said(tmp_path: Path) -> None:
    nothing = export(tmp_path, DEFAULT_START_MS + 100_000, DEFAULT_START_MS + 200_000)
    missing = export(tmp_path, DEFAULT_START_MS, DEFAULT_START_MS + 1, prefix="none-")
    backwards = export(tmp_path, DEFAULT_START_MS, DEFAULT_START_MS - 1)

    assert (nothing.code, nothing.out) == (0, "0 calls: all are whole\n")
    assert (missing.code, missing.complaint) == (2, "no stream begins with none-")
    assert (backwards.code, backwards.complaint) == (2, "--prefix needs --from and --to, a time and a later one")
