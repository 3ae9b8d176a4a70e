"""`connect-audio export` of many calls at the same time: within the service's quotas, and after a kill."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from connect_audio_local.kvs import UNLIMITED, EmulatedStream, FaultPlan, KvsEmulator, Limits, stored
from connect_audio_local.kvs.faults import OnCall, Refuse, Stall
from connect_audio_local.synthesis.calls import DEFAULT_START_MS
from support.calls import call, fragments
from support.command import COMMAND, PATIENCE_S, run_here
from support.recording_folder import files_in
from support.wav import same_wav, wav_of_call

if TYPE_CHECKING:
    import pytest

GAP_MS: Final = 60_000


def contact(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def lines_of(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "progress.jsonl").read_text().splitlines()]


def test_many_short_calls_of_one_stream_stay_within_its_quotas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[object] = []
    calls = [
        call(3, contact_id=contact(number), start_ms=DEFAULT_START_MS + number * GAP_MS, seed=number)
        for number in range(6)
    ]
    rows = tmp_path / "calls.csv"
    with KvsEmulator(limits=Limits(), on_unanswered=refused.append) as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        emulator.add_stream(EmulatedStream("calls", stored(fragments(*calls))))
        starts = (f"calls,{DEFAULT_START_MS + number * GAP_MS}\n" for number in range(6))
        rows.write_text("stream_arn,start_ms\n" + "".join(starts))

        finished = run_here("export", "--csv", rows, "-o", tmp_path / "out")

    assert (finished.code, finished.err) == (0, "")
    assert refused == []
    assert {line["status"] for line in lines_of(tmp_path / "out")} == {"complete"}
    assert len(list((tmp_path / "out").rglob("*.wav"))) == 6


def test_credentials_that_end_on_the_way_end_the_export_and_leave_the_rest_untried(
    tmp_path: Path, kvs_emulator: KvsEmulator
) -> None:
    ended = FaultPlan((OnCall(1, Refuse("ExpiredTokenException"), "GetDataEndpoint", times=None),))
    streams = [
        kvs_emulator.add_stream(
            EmulatedStream(f"calls-{at}", stored(fragments(call(1))), faults=ended if at else FaultPlan())
        )
        for at in range(3)
    ]
    rows, folder = tmp_path / "calls.csv", tmp_path / "out"
    rows.write_text("stream_arn,start_ms\n" + "".join(f"{each.arn},{DEFAULT_START_MS}\n" for each in streams))

    finished = run_here("export", "--csv", rows, "-o", folder, "--concurrency", "1")

    assert finished.code == 3
    assert "ExpiredTokenException" in finished.complaint
    assert finished.complaint.endswith("; the same command goes on with new credentials")
    assert [line["status"] for line in lines_of(folder)] == ["complete"]
    assert streams[2].faults.calls("GetDataEndpoint") == 0


def test_ctrl_c_ends_the_export_at_once_and_the_same_command_does_the_rest(
    tmp_path: Path, kvs_emulator: KvsEmulator
) -> None:
    stall = FaultPlan((OnCall(2, Stall(100_000)),))
    calls = [call(20, contact_id=contact(at), seed=at) for at in range(2)]
    streams = [
        kvs_emulator.add_stream(
            EmulatedStream(f"calls-{at}", stored(fragments(each)), faults=stall if at else FaultPlan())
        )
        for at, each in enumerate(calls)
    ]
    rows, folder = tmp_path / "calls.csv", tmp_path / "out"
    rows.write_text("stream_arn,start_ms\n" + "".join(f"{each.arn},{DEFAULT_START_MS}\n" for each in streams))
    arguments: list[str | Path] = [COMMAND, "export", "--csv", rows, "-o", folder, "--concurrency", "1"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as first:
        assert streams[1].faults.wait_for_stalls()
        first.send_signal(signal.SIGINT)
        out, err = first.communicate(timeout=PATIENCE_S)

    assert (first.returncode, err.strip()) == (130, "connect-audio: interrupted")
    assert out.startswith("complete")
    assert [line["status"] for line in lines_of(folder)] == ["complete"]

    opened = streams[0].faults.calls("GetMedia")
    second = run_here("export", "--csv", rows, "-o", folder, "--json")

    assert (second.code, json.loads(second.out)) == (0, {"calls": 2, "statuses": {"skipped": 1, "complete": 1}})
    for each in calls:
        [wav] = folder.rglob(f"{each.contact_id}_*.wav")
        assert same_wav(wav.read_bytes(), wav_of_call(each))
    assert streams[0].faults.calls("GetMedia") == opened


def test_a_killed_export_goes_on_without_a_call_twice_or_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rows = tmp_path / "out", tmp_path / "calls.csv"
    calls = [call(3, contact_id=contact(number), seed=number) for number in range(5)]
    # The stream of this one falls silent in the midst of it.
    calls.append(call(340, contact_id=contact(5), seed=5))
    rows.write_text("stream_arn,start_ms\n" + "".join(f"calls-{at},{DEFAULT_START_MS}\n" for at in range(6)))
    with KvsEmulator(limits=UNLIMITED) as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        stall = FaultPlan((OnCall(2, Stall(9_000_000)),))
        streams = [
            emulator.add_stream(
                EmulatedStream(f"calls-{at}", stored(fragments(each)), faults=stall if at == 5 else FaultPlan())
            )
            for at, each in enumerate(calls)
        ]
        arguments: list[str | Path] = [COMMAND, "export", "--csv", rows, "-o", folder, "--concurrency", "2"]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as first:
            assert first.stdout is not None
            done = [first.stdout.readline() for _ in range(5)]
            assert streams[5].faults.wait_for_stalls()
            first.kill()
        opened = [stream.faults.calls("GetMedia") for stream in streams]
        claims = list(folder.rglob("*.claim"))

        second = subprocess.run(arguments, capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    assert all(line.startswith("complete") for line in done)
    assert len(claims) == 1
    assert (second.returncode, second.stderr) == (0, "")
    assert [line["status"] for line in lines_of(folder)] == ["complete"] * 6
    assert len({line["key"] for line in lines_of(folder)}) == 6
    for each in calls:
        [wav] = folder.rglob(f"{each.contact_id}_*.wav")
        assert same_wav(wav.read_bytes(), wav_of_call(each))
    # Nothing but recordings, manifests and metadata is left, and no stream of a whole call is read again.
    assert {Path(name).suffix for name in files_in(folder)} == {".wav", ".json", ".jsonl"}
    assert len(list(folder.glob("20*/**/*.*"))) == 12
    assert [stream.faults.calls("GetMedia") for stream in streams[:5]] == opened[:5]


def test_a_second_export_into_the_same_folder_is_refused_until_the_first_one_is_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rows = tmp_path / "out", tmp_path / "calls.csv"
    rows.write_text(f"stream_arn,start_ms\ncalls,{DEFAULT_START_MS}\n")
    with KvsEmulator(limits=UNLIMITED) as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        stall = FaultPlan((OnCall(2, Stall(20_000)),))
        stream = emulator.add_stream(EmulatedStream("calls", stored(fragments(call(3))), faults=stall))
        arguments: list[str | Path] = ["export", "--csv", rows, "-o", folder]
        with subprocess.Popen([COMMAND, *arguments], stdout=subprocess.DEVNULL) as first:
            assert stream.faults.wait_for_stalls()
            beside = run_here(*arguments)
            other_progress = run_here(*arguments, "--progress", tmp_path / "other.jsonl")
            first.kill()
        after = run_here(*arguments)

    for refused in (beside, other_progress):
        assert (refused.code, refused.out) == (2, "")
        assert refused.complaint == f"another export works on {folder}: wait for its end, or stop it"
    assert (after.code, after.err) == (0, "")
    assert [line["status"] for line in lines_of(folder)] == ["complete"]
