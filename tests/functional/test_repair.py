"""`connect-audio repair` against the stand-in of Kinesis Video Streams: recordings of a folder."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import pytest

from connect_audio.recorder.repair import begin_repair
from connect_audio_cli.repairing import repair
from connect_audio_local.kvs import ArchiveBehaviour, EmulatedStream, FaultPlan, KvsEmulator, stored
from connect_audio_local.kvs.faults import AtFragment, InBand, InLog, LeftOut, Missing, OnCall, Refuse
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, DEFAULT_START_MS, SyntheticCall
from support.calls import call, fragments
from support.command import Finished, run_here
from support.recording_folder import files_in, manifest_in
from support.wav import same_wav, wav_of_call

KEY: Final = f"2026/07/01/{DEFAULT_CONTACT_ID}_20260701T133054.536Z"
HOLE: Final = FaultPlan((InLog(3, Missing(2)),))
DENIED: Final = FaultPlan((OnCall(1, Refuse("AccessDeniedException"), times=None),))


class Calls:
    """Recordings in a folder, streams in the emulator, and the command on both."""

    def __init__(self, emulator: KvsEmulator, folder: Path) -> None:
        self._emulator = emulator
        self._streams = 0
        self.folder = folder

    def serve(self, *calls: SyntheticCall, **options: Any) -> EmulatedStream:
        self._streams += 1
        stream = EmulatedStream(f"calls-{self._streams}", stored(fragments(*calls)), **options)
        return self._emulator.add_stream(stream)

    def record(self, each: SyntheticCall, **options: Any) -> None:
        """Record a call from a stream of its own, as it was then."""
        start = str(DEFAULT_START_MS)
        done = run_here("export", "--stream", self.serve(each, **options).arn, "--start", start, "-o", self.folder)
        assert done.code != 2, done.err

    def keeps(self, *calls: SyntheticCall, **options: Any) -> EmulatedStream:
        """Serve what the recording's stream keeps now."""
        stream = self.serve(*calls, **options)
        self.change(stream={**self.manifest()["stream"], "arn": stream.arn})
        return stream

    def change(self, **fields: Any) -> None:
        path = self.folder / f"{KEY}.json"
        path.write_text(json.dumps({**self.manifest(), **fields}))

    def repair(self, *options: str) -> Finished:
        return run_here("repair", str(self.folder / f"{KEY}.json"), *options)

    def wav(self) -> bytes:
        return (self.folder / f"{KEY}.wav").read_bytes()

    def manifest(self) -> dict[str, Any]:
        return manifest_in(self.folder, KEY)

    def files(self) -> set[str]:
        return files_in(self.folder)


@pytest.fixture
def calls(tmp_path: Path, kvs_emulator: KvsEmulator) -> Calls:
    return Calls(kvs_emulator, tmp_path / "calls")


def test_a_recording_with_a_hole_becomes_whole_from_what_the_stream_keeps(calls: Calls) -> None:
    ours = call(8)
    calls.record(ours, faults=HOLE)
    old = calls.manifest()
    calls.keeps(ours)

    finished = calls.repair()

    assert (finished.code, finished.err) == (0, "")
    assert "repaired (2 fragments of 8 listed ones lacked or were in part)" in finished.out
    assert same_wav(calls.wav(), wav_of_call(ours))
    manifest = calls.manifest()
    assert (manifest["status"], manifest["recording"]["location"]) == ("complete", old["recording"]["location"])
    audit = manifest["audit"]
    assert (audit["number"], audit["result"], audit["listedFragments"]) == (1, "REPAIRED", 8)
    assert audit["recoverableFragments"] == 2
    assert audit["replaced"]["status"] == "partial"
    assert audit["replaced"]["dataCrc32"] == old["recording"]["dataCrc32"]
    assert calls.files() == {f"{KEY}.wav", f"{KEY}.json"}


@pytest.mark.parametrize(
    "faults",
    [DENIED, *(FaultPlan((AtFragment(4, fault, times=None),)) for fault in (InBand(4000), LeftOut()))],
    ids=repr,
)
def test_a_repair_takes_from_the_archive_what_get_media_does_not_give(calls: Calls, faults: FaultPlan) -> None:
    ours = call(8)
    calls.record(ours, faults=HOLE)
    stream = calls.keeps(ours, faults=faults)

    finished = calls.repair()

    assert (finished.code, finished.err) == (0, "")
    assert same_wav(calls.wav(), wav_of_call(ours))
    assert stream.faults.calls("GetMediaForFragmentList") == 1


def test_a_repair_that_may_read_nothing_says_so_and_leaves_the_recording_alone(calls: Calls) -> None:
    ours = call(8)
    calls.record(ours, faults=HOLE)
    stream = calls.keeps(ours)
    stream.denied_apis = frozenset({"GetMedia", "GetMediaForFragmentList"})
    old = calls.wav()

    finished = calls.repair()

    assert finished.code == 3
    assert "kinesisvideo:GetMedia and kinesisvideo:GetMediaForFragmentList is needed" in finished.complaint
    assert (calls.wav(), calls.files()) == (old, {f"{KEY}.wav", f"{KEY}.json"})
    assert calls.manifest().get("audit") is None


def test_a_whole_recording_is_left_alone_in_one_line(calls: Calls) -> None:
    calls.record(call(5))
    stream = calls.keeps(call(5))
    before = calls.manifest()

    finished = calls.repair()

    assert (finished.code, finished.out.count("\n"), finished.err) == (0, 1, "")
    assert finished.out.endswith(": whole: left alone\n")
    assert calls.manifest() == before
    assert stream.faults.calls("ListFragments") == 0


def test_a_dry_run_says_what_is_recoverable_and_writes_nothing(calls: Calls) -> None:
    calls.record(call(8), faults=HOLE)
    stream = calls.keeps(call(8))
    before = (calls.wav(), calls.manifest(), calls.files())

    finished = calls.repair("--dry-run", "--json")

    assert finished.code == 3
    (line,) = json.loads(finished.out)["recordings"]
    assert (line["result"], line["listedFragments"], line["recoverableFragments"]) == ("RECOVERABLE", 8, 2)
    assert (calls.wav(), calls.manifest(), calls.files()) == before
    assert stream.faults.calls("GetMedia") == 0


def test_what_the_stream_lacks_too_is_not_read_again(calls: Calls) -> None:
    calls.record(call(8), faults=HOLE)
    stream = calls.keeps(call(8), faults=HOLE)
    before = calls.wav()

    finished = calls.repair()

    assert (finished.code, finished.complaint) == (3, "the recording is not whole")
    assert "the stream has nothing more of it; partial: STREAM_HOLES" in finished.out
    assert (calls.wav(), calls.manifest()["audit"]["result"]) == (before, "NOTHING_RECOVERABLE")
    assert stream.faults.calls("GetMedia") == 0
    assert calls.files() == {f"{KEY}.wav", f"{KEY}.json"}
    calls.repair()
    assert calls.manifest()["audit"]["number"] == 2


def test_a_recording_that_would_lose_audio_is_dropped(calls: Calls) -> None:
    """The hole is there again, and the beginning of the call has expired meanwhile."""
    ours = call(8)
    calls.record(ours, faults=HOLE)
    before = calls.wav()
    calls.keeps(ours, faults=FaultPlan((InLog(1, Missing(2)),)))

    finished = calls.repair()

    assert finished.code == 3
    assert "recorded again without a gain: the old recording stays" in finished.out
    assert (calls.wav(), calls.manifest()["audit"]["result"]) == (before, "NOTHING_GAINED")
    assert calls.files() == {f"{KEY}.wav", f"{KEY}.json"}


def test_the_missing_end_of_a_call_is_recovered(calls: Calls) -> None:
    ours = call(8)
    calls.record(ours, faults=FaultPlan((InLog(5, Missing(3)),)))
    end = {"state": "not_proven", "code": "SOURCE_FAILED", "detail": "cut"}
    calls.change(
        status="partial",
        reasons=[{"code": "SOURCE_FAILED", "detail": "cut"}],
        evidence={**calls.manifest()["evidence"], "end": end},
    )
    calls.keeps(ours)

    assert calls.repair().code == 0

    assert same_wav(calls.wav(), wav_of_call(ours))


def test_a_recording_that_no_event_began_has_its_start_in_its_name(calls: Calls) -> None:
    """So `record` makes it."""
    ours = call(8)
    calls.record(ours, faults=HOLE)
    calls.change(startTimestamp=None)
    calls.keeps(ours)

    assert calls.repair().code == 0

    assert same_wav(calls.wav(), wav_of_call(ours))
    manifest = calls.manifest()
    assert (manifest["startTimestamp"], manifest["evidence"]["opening"]["code"]) == (None, "NO_EVENT")


def test_a_call_without_any_audio_gets_its_recording(calls: Calls) -> None:
    ours = call(8)
    calls.record(ours)
    manifest = calls.manifest()
    (calls.folder / f"{KEY}.wav").unlink()
    nothing = {**manifest["fragments"], "first": None, "last": None, "admitted": 0}
    calls.change(status="empty", recording=None, fragments=nothing, reasons=[{"code": "NO_AUDIO", "detail": "none"}])
    calls.keeps(ours)

    assert calls.repair().code == 0

    assert same_wav(calls.wav(), wav_of_call(ours))
    assert calls.manifest()["audit"]["replaced"] == {"status": "empty", "etag": None, "dataCrc32": None}


def test_a_call_that_the_stream_no_longer_keeps_is_told(calls: Calls) -> None:
    calls.record(call(8), faults=HOLE)
    calls.keeps(call(8), archive=ArchiveBehaviour(age_ms=30 * 3_600_000))

    finished = calls.repair()

    assert finished.code == 3
    assert "the stream does not keep the call any more" in finished.out
    assert calls.manifest()["audit"]["result"] == "OUTSIDE_RETENTION"


def test_a_call_that_may_go_on_is_not_audited(calls: Calls) -> None:
    calls.record(call(8), faults=HOLE)
    end = {"state": "not_proven", "code": "SOURCE_FAILED", "detail": "cut"}
    start_ms = int(time.time() * 1000) - 60_000
    calls.change(
        evidence={**calls.manifest()["evidence"], "end": end},
        startTimestamp=time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(start_ms / 1000)),
    )
    calls.keeps(call(30, start_ms=start_ms))

    finished = calls.repair()

    assert finished.code == 3
    assert finished.complaint.startswith("the call may go on: the stream's newest audio is 3")
    assert calls.manifest()["audit"] is None
    assert calls.files() == {f"{KEY}.wav", f"{KEY}.json"}


def test_a_call_that_another_program_records_is_left_to_it(calls: Calls) -> None:
    calls.record(call(8), faults=HOLE)
    calls.keeps(call(8))
    claim = calls.folder / f"{KEY}.wav.claim"
    claim.write_text("another")
    before = (calls.wav(), calls.manifest())

    finished = calls.repair()

    assert (finished.code, finished.complaint) == (3, "another program records or repairs this call")
    assert (calls.wav(), calls.manifest(), claim.read_text()) == (*before, "another")


def test_a_second_repair_on_the_same_machine_leaves_the_call_to_the_first(
    calls: Calls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls.record(call(8), faults=HOLE)
    calls.keeps(call(8))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    second = list[Finished]()

    def with_another(*given: Any) -> Any:
        begun = begin_repair(*given)
        if not second:
            second.append(calls.repair())
        return begun

    monkeypatch.setattr(repair, "begin_repair", with_another)
    first = calls.repair()

    busy = "another repair of this call runs on this machine: wait for its end, or stop it"
    assert [(each.code, each.complaint) for each in second] == [(3, busy)]
    assert (first.code, first.err) == (0, "")
    assert same_wav(calls.wav(), wav_of_call(call(8)))
    # The lock is free again.
    assert calls.repair().code == 0


def test_several_recordings_are_repaired_and_one_that_cannot_be_is_a_line(calls: Calls, tmp_path: Path) -> None:
    calls.record(call(8), faults=HOLE)
    calls.keeps(call(8))
    capture = tmp_path / "capture.json"
    manifest = calls.manifest()
    capture.write_text(json.dumps({**manifest, "stream": {"arn": None, "dataRetentionInHours": None}}))

    finished = run_here("repair", calls.folder / f"{KEY}.json", capture, tmp_path / "none.json")

    assert (finished.code, finished.complaint) == (3, "2 of 3 recordings are not whole")
    assert len(finished.out.splitlines()) == 3
    assert f"{capture}: names no stream and start to list: a capture has neither" in finished.out
    assert f"{tmp_path / 'none.json'}: cannot be read: No such file or directory" in finished.out
    assert same_wav(calls.wav(), wav_of_call(call(8)))


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("call.wav", "is no manifest: a manifest's name ends in .json"), ("s3://b/x.json", "names no object")],
)
def test_what_is_no_manifest_is_one_line(name: str, complaint: str) -> None:
    finished = run_here("repair", name)

    assert finished.code == 2
    assert complaint in finished.complaint
