"""`connect-audio export` against the stand-in of Kinesis Video Streams: calls that are over, into a folder."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Final

import pytest

from connect_audio.ports import ObjectBody, ObjectKind, WriteOutcome
from connect_audio_cli.export.folder_store import FolderStore
from connect_audio_local.kvs import ArchiveBehaviour, EmulatedStream, FaultPlan, KvsEmulator, stored
from connect_audio_local.kvs.faults import (
    Api,
    AtFragment,
    Cut,
    End,
    FragmentAction,
    Garbage,
    InBand,
    InLog,
    Missing,
    OnCall,
    Refuse,
)
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, DEFAULT_INSTANCE_ID, DEFAULT_START_MS, SyntheticCall
from support.calls import call, fragments
from support.command import Finished, run_here
from support.killed import KilledError
from support.recording_folder import files_in, manifest_in
from support.wav import same_wav, wav_of_call

KEY: Final = f"2026/07/01/{DEFAULT_CONTACT_ID}_20260701T133054.536Z"
OTHER: Final = "00000000-0000-4000-8000-000000000002"


class Streams:
    """Calls in the emulator, and the command on them."""

    def __init__(self, emulator: KvsEmulator, folder: Path) -> None:
        self._emulator = emulator
        self.folder = folder

    def serve(self, *calls: SyntheticCall, **options: Any) -> EmulatedStream:
        self.stream = self._emulator.add_stream(EmulatedStream("calls", stored(fragments(*calls)), **options))
        return self.stream

    def export(self, *options: str, start_ms: int = DEFAULT_START_MS) -> Finished:
        return run_here(
            "export", "--stream", self.stream.arn, "--start", str(start_ms), "-o", str(self.folder), *options
        )

    def wav(self, key: str = KEY) -> bytes:
        return (self.folder / f"{key}.wav").read_bytes()

    def manifest(self, key: str = KEY) -> dict[str, Any]:
        return manifest_in(self.folder, key)

    def files(self) -> set[str]:
        return files_in(self.folder)


@pytest.fixture
def streams(tmp_path: Path, kvs_emulator: KvsEmulator) -> Streams:
    return Streams(kvs_emulator, tmp_path / "calls")


def test_an_exported_call_is_the_one_that_the_functions_would_have_recorded(streams: Streams) -> None:
    ours = call(20)
    stream = streams.serve(ours)

    finished = streams.export()

    assert (finished.code, finished.err) == (0, "")
    assert same_wav(streams.wav(), wav_of_call(ours))
    assert streams.files() == {f"{KEY}.wav", f"{KEY}.json"}
    manifest = streams.manifest()
    assert (manifest["status"], manifest["endReason"], manifest["contactId"]) == (
        "complete",
        "ARCHIVE_END",
        DEFAULT_CONTACT_ID,
    )
    # A folder's manifest names the file beside it.
    assert manifest["recording"]["location"] == f"{KEY.rpartition('/')[2]}.wav"
    # One for the labels, one for the recording, and no question to Connect.
    assert stream.faults.calls("GetMedia") == 2
    assert stream.faults.calls("DescribeContact") == 0


def test_a_second_export_leaves_the_recording_alone(streams: Streams) -> None:
    streams.serve(call(5))
    streams.export()
    before = (streams.folder / f"{KEY}.wav").stat().st_mtime_ns

    again = streams.export("--json")

    assert (again.code, json.loads(again.out)["status"]) == (0, "exists")
    assert (streams.folder / f"{KEY}.wav").stat().st_mtime_ns == before
    assert streams.files() == {f"{KEY}.wav", f"{KEY}.json"}


def test_a_call_of_several_parts_is_joined(streams: Streams) -> None:
    ours = call(340)
    streams.serve(ours)

    assert streams.export().code == 0

    assert same_wav(streams.wav(), wav_of_call(ours))
    assert streams.files() == {f"{KEY}.wav", f"{KEY}.json"}


def test_each_call_of_a_re_used_stream_is_exported_by_its_own_start(streams: Streams) -> None:
    ours, theirs_ms = call(20), DEFAULT_START_MS + 60_000
    theirs = call(15, contact_id=OTHER, start_ms=theirs_ms, seed=9)
    streams.serve(ours, theirs)

    assert [streams.export().code, streams.export(start_ms=theirs_ms).code] == [0, 0]

    assert same_wav(streams.wav(), wav_of_call(ours))
    assert same_wav(streams.wav(f"2026/07/01/{OTHER}_20260701T133154.536Z"), wav_of_call(theirs))


def test_a_call_with_a_hole_is_written_and_not_whole(streams: Streams) -> None:
    streams.serve(call(20), faults=FaultPlan((InLog(5, Missing(2)),)))

    finished = streams.export()

    assert finished.code == 3
    assert finished.complaint == "the recording is partial: STREAM_HOLES"
    assert streams.manifest()["status"] == "partial"
    again = streams.export()
    assert (again.code, again.complaint) == (3, "the recording is partial: STREAM_HOLES")


def test_a_listing_that_lacks_the_call_at_first_is_asked_for_again(streams: Streams) -> None:
    ours = call(5)
    # The first two questions, by the producer's time and by the server's, find nothing yet.
    streams.serve(ours, archive=ArchiveBehaviour(late={each.number: 2 for each in stored(fragments(ours))}))

    assert streams.export().code == 0

    assert same_wav(streams.wav(), wav_of_call(ours))


def test_an_export_goes_on_where_a_killed_one_left_its_claim_and_staging(streams: Streams) -> None:
    ours = call(20)
    streams.serve(ours)
    claim = streams.folder / f"{KEY}.wav.claim"
    (streams.folder / f"{KEY}.wav.staging").mkdir(parents=True)
    (streams.folder / f"{KEY}.wav.staging" / "part-00001-00001-dead.pcm").write_bytes(b"x" * 100)
    claim.write_text(f"connect-audio-export:{DEFAULT_CONTACT_ID}_{DEFAULT_START_MS}#dead\nexport")

    assert streams.export().code == 0

    assert same_wav(streams.wav(), wav_of_call(ours))
    assert streams.files() == {f"{KEY}.wav", f"{KEY}.json"}


def test_a_run_that_was_killed_between_wav_and_manifest_is_finished(
    streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = call(20)
    streams.serve(ours)
    put_new = FolderStore.put_new

    def ends(store: FolderStore, key: str, body: ObjectBody, kind: ObjectKind) -> WriteOutcome:
        if key.endswith(".json"):
            raise KilledError
        return put_new(store, key, body, kind)

    with monkeypatch.context() as patched:
        patched.setattr(FolderStore, "put_new", ends)
        with pytest.raises(KilledError):
            streams.export()
    assert streams.files() > {f"{KEY}.wav", f"{KEY}.wav.claim"}

    assert streams.export().code == 0

    assert same_wav(streams.wav(), wav_of_call(ours))
    assert streams.manifest()["status"] == "complete"
    assert streams.files() == {f"{KEY}.wav", f"{KEY}.json"}


def test_a_call_that_another_program_records_is_left_to_it(streams: Streams) -> None:
    streams.serve(call(5))
    claim = streams.folder / f"{KEY}.wav.claim"
    claim.parent.mkdir(parents=True)
    claim.write_text("another")

    finished = streams.export()

    assert (finished.code, finished.complaint) == (3, f"{KEY}.wav is being recorded by another program")
    assert claim.read_text() == "another"


@pytest.mark.parametrize(
    ("age_h", "complaint"),
    [
        (0, "the stream has no audio at that time (--start is in milliseconds since 1970)"),
        (30, "the stream no longer keeps this call: it began"),
    ],
)
def test_a_call_that_the_stream_does_not_have_is_told(streams: Streams, age_h: int, complaint: str) -> None:
    streams.serve(call(5), archive=ArchiveBehaviour(age_ms=age_h * 3_600_000))

    finished = streams.export(start_ms=DEFAULT_START_MS + (0 if age_h else 3_600_000))

    assert finished.code == 2
    assert finished.complaint.startswith(complaint)
    assert not streams.folder.exists()


def test_a_call_that_may_go_on_is_not_exported(streams: Streams) -> None:
    start_ms = int(time.time() * 1000) - 60_000
    streams.serve(call(30, start_ms=start_ms))

    finished = streams.export(start_ms=start_ms)

    assert finished.code == 2
    assert finished.complaint.startswith("the call may go on: the stream's newest audio is 3")
    assert finished.complaint.endswith("Try again in 10 minutes")


def test_a_stream_that_does_not_exist_and_a_name_that_is_none_are_one_line(streams: Streams) -> None:
    stream = streams.serve(call(5))

    missing = run_here("export", "--stream", stream.arn.replace("calls", "none"), "--start", str(DEFAULT_START_MS))
    unknown = run_here("export", "--stream", "none", "--start", str(DEFAULT_START_MS))
    malformed = run_here("export", "--stream", "two words", "--start", str(DEFAULT_START_MS))

    assert (missing.code, missing.complaint) == (2, "there is no such stream in this account")
    assert (unknown.code, unknown.complaint) == (2, "there is no stream none in region eu-west-2")
    assert (malformed.code, malformed.complaint) == (2, "--stream two words is neither a stream's name nor its ARN")


def test_a_stream_may_be_given_by_its_name(streams: Streams) -> None:
    ours = call(5)
    streams.serve(ours)

    finished = run_here("export", "--stream", "calls", "--start", str(DEFAULT_START_MS), "-o", str(streams.folder))

    assert finished.code == 0
    assert same_wav(streams.wav(), wav_of_call(ours))


# --- many calls ------------------------------------------------------------------------------------------------------


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "progress.jsonl").read_text().splitlines()]


def test_the_calls_of_a_file_are_exported_and_a_second_run_tries_only_what_is_not_whole(
    streams: Streams, tmp_path: Path
) -> None:
    ours, theirs_ms = call(10), DEFAULT_START_MS + 60_000
    theirs = call(8, contact_id=OTHER, start_ms=theirs_ms, seed=9)
    stream = streams.serve(ours, theirs)
    nobody_ms = DEFAULT_START_MS + 3_600_000
    rows = tmp_path / "calls.csv"
    rows.write_text(
        "name,start_ms,stream_arn,contact_id\n"
        f"a,{DEFAULT_START_MS},{stream.arn},\n"
        f"b,{theirs_ms},calls,{OTHER}\n"
        f"c,{nobody_ms},calls,\n"
    )

    first = run_here("export", "--csv", rows, "-o", streams.folder, "--concurrency", "1")
    opened = stream.faults.calls("GetMedia")
    second = run_here("export", "--csv", rows, "-o", streams.folder, "--json")

    assert first.code == second.code == 3
    assert first.complaint == "1 call of 3 not whole; the same command tries them again"
    assert [each["status"] for each in lines_of(streams.folder)] == ["complete", "complete", "failed", "failed"]
    assert lines_of(streams.folder)[1]["key"] == f"2026/07/01/{OTHER}_20260701T133154.536Z.wav"
    assert json.loads(second.out) == {"calls": 3, "statuses": {"skipped": 2, "failed": 1}}
    assert stream.faults.calls("GetMedia") == opened
    assert same_wav(streams.wav(), wav_of_call(ours))


def test_half_a_line_of_progress_is_taken_away_and_its_call_is_found_in_the_folder(
    streams: Streams, tmp_path: Path
) -> None:
    stream = streams.serve(call(5))
    rows = tmp_path / "calls.csv"
    rows.write_text(f"stream_arn,start_ms\n{stream.arn},{DEFAULT_START_MS}\n")
    assert run_here("export", "--csv", rows, "-o", streams.folder).code == 0
    progress = streams.folder / "progress.jsonl"
    progress.write_text(progress.read_text()[:-20])

    assert run_here("export", "--csv", rows, "-o", streams.folder).code == 0

    assert [each["status"] for each in lines_of(streams.folder)] == ["exists"]


def test_a_dry_run_lists_and_reads_no_media_and_writes_nothing(streams: Streams, tmp_path: Path) -> None:
    stream = streams.serve(call(10))
    rows = tmp_path / "calls.csv"
    rows.write_text(
        f"stream_arn,start_ms\n{stream.arn},{DEFAULT_START_MS}\n{stream.arn},{DEFAULT_START_MS + 3_600_000}\n"
    )

    finished = run_here("export", "--csv", rows, "-o", streams.folder, "--dry-run", "--json")

    size = sum(len(each.data) for each in fragments(call(10)))
    assert finished.code == 3
    assert json.loads(finished.out) == {
        "calls": 1,
        "withoutAudio": 1,
        "fragments": 10,
        "bytes": size,
        "dollars": size / 1e9 * 0.0085,
        # Two calls of a stream begin in a second.
        "hours": 0.5 / 3600,
    }
    assert stream.faults.calls("GetMedia") == 0
    assert not streams.folder.exists()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "stream_arn\nx\n",
            "has no column start_ms: its first line names stream_arn, start_ms, contact_id, instance_arn",
        ),
        ("stream_arn,start_ms\ncalls,1782912654536\ncalls,soon\n", "line 3: start_ms 'soon' is no number"),
        ("stream_arn,start_ms\n,1782912654536\n", "line 2: stream_arn is empty"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_before_any_call(tmp_path: Path, text: str, complaint: str) -> None:
    rows = tmp_path / "calls.csv"
    rows.write_text(text)

    finished = run_here("export", "--csv", rows, "-o", tmp_path / "out")

    assert finished.code == 2
    assert complaint in finished.complaint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [(), ("--stream", "calls"), ("--csv", "f", "--stream", "calls", "--start", "1")])
def test_one_call_or_a_file_is_needed(options: tuple[str, ...]) -> None:
    assert run_here("export", *options).code == 2


DENIED: Final = Refuse("AccessDeniedException")


def denied(*apis: Api) -> FaultPlan:
    """A stream that gives no right to some operations."""
    return FaultPlan(tuple(OnCall(1, DENIED, api=api, times=None) for api in apis))


@pytest.mark.parametrize("options", [(), ("--contact-id", DEFAULT_CONTACT_ID)])
def test_a_call_is_exported_by_the_archive_where_get_media_is_denied(
    streams: Streams, options: tuple[str, ...]
) -> None:
    ours = call(20)
    stream = streams.serve(ours, faults=denied("GetMedia"))

    finished = streams.export(*options)

    assert (finished.code, finished.err) == (0, "")
    assert same_wav(streams.wav(), wav_of_call(ours))
    assert streams.manifest()["status"] == "complete"
    # The first denial is enough.
    assert stream.faults.calls("GetMedia") == 1


INSTANCE: Final = f"arn:aws:connect:eu-west-2:111122223333:instance/{DEFAULT_INSTANCE_ID}"
NAMED: Final = ("--contact-id", DEFAULT_CONTACT_ID, "--instance", INSTANCE)


@pytest.mark.parametrize("options", [(), NAMED])
def test_a_stream_that_gives_neither_right_is_one_error_and_leaves_nothing(
    streams: Streams, options: tuple[str, ...]
) -> None:
    streams.serve(call(20), faults=denied("GetMedia", "GetMediaForFragmentList"))

    finished = streams.export(*options)

    assert finished.code == 2
    assert "kinesisvideo:GetMedia and kinesisvideo:GetMediaForFragmentList is needed" in finished.complaint
    assert streams.files() == set()


def test_the_archive_alone_or_get_media_alone_is_read_where_the_option_says_so(streams: Streams) -> None:
    ours = call(20)
    stream = streams.serve(ours)

    assert streams.export("--api", "archive").code == 0

    assert same_wav(streams.wav(), wav_of_call(ours))
    assert stream.faults.calls("GetMedia") == 0
    streams.folder = streams.folder / "by-media"
    assert streams.export("--api", "media").code == 0
    assert same_wav(streams.wav(), wav_of_call(ours))
    assert stream.faults.calls("GetMediaForFragmentList") == 2


@pytest.mark.parametrize(
    ("index", "action"),
    [
        (0, InBand(4000)),
        (5, InBand(5000)),
        (5, Cut(2000)),
        (5, End(2000)),
        (5, Garbage(100, 2000)),
        (19, Cut(2000)),
    ],
)
def test_a_place_that_get_media_never_gives_comes_from_the_archive(
    streams: Streams, index: int, action: FragmentAction
) -> None:
    ours = call(20)
    stream = streams.serve(ours, faults=FaultPlan((AtFragment(index, action, times=None),)))

    finished = streams.export(*NAMED)

    assert (finished.code, finished.err) == (0, "")
    assert same_wav(streams.wav(), wav_of_call(ours))
    assert streams.manifest()["fragments"]["truncated"] == 0
    assert stream.faults.calls("GetMediaForFragmentList") == 1


def test_a_place_that_fails_is_missing_where_the_archive_is_denied(streams: Streams) -> None:
    faults = FaultPlan((AtFragment(5, InBand(4000), times=None), *denied("GetMediaForFragmentList").faults))
    streams.serve(call(20), faults=faults)

    finished = streams.export(*NAMED)

    assert finished.code == 3
    assert streams.manifest()["status"] == "partial"
