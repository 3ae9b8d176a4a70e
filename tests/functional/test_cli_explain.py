"""`connect-audio explain` as a user runs it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from connect_audio_local.synthesis.calls import SyntheticFragment
from support.calls import fragments, joined
from support.command import run_here
from support.replayed_calls import CALL

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FRAGMENTS = fragments(CALL)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return replayed(tmp_path_factory.mktemp("whole"), FRAGMENTS)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return replayed(tmp_path_factory.mktemp("broken"), FRAGMENTS[:2] + FRAGMENTS[3:])


def replayed(folder: Path, capture: list[SyntheticFragment]) -> Path:
    """The manifest of a capture."""
    (folder / "call.mkv").write_bytes(joined(capture))
    run_here("replay", folder / "call.mkv", "--output", folder)
    (manifest,) = folder.glob("*.json")
    return manifest


def test_a_whole_call_is_told_in_ten_lines_and_a_picture(whole: Path) -> None:
    finished = run_here("explain", whole)

    assert (finished.code, finished.err) == (0, "")
    lines = finished.out.splitlines()
    blank = lines.index("")
    assert [line.split(" ")[0] for line in lines[:blank]] == ["", "Customer", "Agent"]
    assert [line.split("  ")[0] for line in lines[blank + 1 :]] == [
        "Call",
        "Verdict",
        "Customer",
        "Agent",
        "Gaps",
        "Opening",
        "Middle",
        "End",
    ]
    assert "Verdict   complete: nothing is missing inside it; it does not show the call's opening and end" in lines
    assert "Gaps      none" in lines


def test_a_partial_call_names_its_gap_its_reason_and_the_remedy(broken: Path) -> None:
    finished = run_here("explain", broken)

    assert finished.code == 3
    assert finished.complaint == f"{broken}: partial: something is missing or may be missing (STREAM_HOLES)"
    assert "1 gap: 0:02 1.024 s, 1 fragment missing" in finished.out
    assert "x: fragments missing" in finished.out
    reason = finished.out.index("Reason    STREAM_HOLES: ")
    assert finished.out.index("  do      give the stream a retention of an hour") > reason


def test_the_wav_leads_to_its_manifest_and_shows_who_is_loud(whole: Path, tmp_path: Path) -> None:
    by_wav = run_here("explain", whole.with_suffix(".wav"))
    assert by_wav.out == run_here("explain", whole).out

    alone = tmp_path / "alone.json"
    alone.write_bytes(whole.read_bytes())
    without = run_here("explain", alone)
    assert without.code == 0
    assert set(without.out.splitlines()[1].removeprefix("Customer").strip()) == {"▅"}
    assert len(set(by_wav.out.splitlines()[1].removeprefix("Customer").strip())) > 1


def test_a_recording_in_s3_is_explained_from_its_manifest_alone(
    broken: Path, bucket: str, s3_client: S3Client, moto_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server)
    s3_client.upload_file(str(broken), bucket, "2026/07/01/call.json")

    for key in ("call.json", "call.wav"):
        finished = run_here("explain", f"s3://{bucket}/2026/07/01/{key}")
        assert finished.code == 3
        assert "1 fragment missing" in finished.out

    absent = run_here("explain", f"s3://{bucket}/2026/07/02/call.wav")
    assert absent.code == 2
    assert absent.complaint == f"s3://{bucket}/2026/07/02/call.json: cannot be read: S3 answers NoSuchKey"


def test_json_has_gaps_with_causes_and_reasons_with_remedies(broken: Path) -> None:
    finished = run_here("explain", broken, "--json")

    assert finished.code == 3
    told = json.loads(finished.out)
    assert told["gaps"] == [
        {
            "parties": ["customer", "agent"],
            "startSeconds": 2.048,
            "seconds": 1.024,
            "cause": "missing",
            "missingFragments": 1,
        }
    ]
    assert told["status"] == "partial"
    assert told["reasons"][0]["code"] == "STREAM_HOLES"
    assert told["reasons"][0]["remedy"]


def test_quiet_is_the_exit_code(whole: Path, broken: Path) -> None:
    assert (run_here("explain", whole, "--quiet").code, run_here("explain", whole, "--quiet").out) == (0, "")
    assert (run_here("explain", broken, "--quiet").code, run_here("explain", broken, "--quiet").out) == (3, "")


def test_a_manifest_of_version_1_is_explained_as_far_as_it_goes(whole: Path, tmp_path: Path) -> None:
    old = json.loads(whole.read_bytes())
    old["schemaVersion"] = "1.1"
    for name in ("evidence", "blockHoles", "timesDisagree", "unknownTracks"):
        del old[name]
    for track in old["tracks"].values():
        track["gaps"] = track.pop("gapCount")
        for name in ("silence", "activeSeconds", "activeRmsDbfs", "rmsDbfs", "peakDbfs"):
            del track[name]
    path = tmp_path / "old.json"
    path.write_text(json.dumps(old), "utf-8")

    finished = run_here("explain", path)

    assert (finished.code, finished.err) == (0, "")
    assert (
        "complete, as version 1.1 of the manifest says it: nothing complained, and nothing was proven" in finished.out
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "call.json: is no manifest: Expecting value"),
        ("[" * 100_000, "call.json: is no manifest: "),
        ("{}", "call.json: is no manifest of a recording: it has no schemaVersion"),
        ('{"schemaVersion": "3.0"}', "call.json: is of version 3.0, and this command reads 1 and 2: "),
        ('{"schemaVersion": "2.0"}', "call.json: is no manifest of a recording (docs/manifest.md)"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "call.json").write_text(text, "utf-8")
    finished = run_here("explain", "call.json")
    assert finished.code == 2
    assert finished.complaint.startswith(complaint)


def test_a_capture_in_place_of_a_manifest_is_told_without_a_codecs_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "call.mkv").write_bytes(b"\x1a\x45\xdf\xa3\xa3\x42\x86\x81\x01")
    complaint = "call.mkv: is no manifest: it holds no text (a manifest is the .json beside the WAV)"
    assert run_here("explain", "call.mkv").complaint == complaint


def test_a_wav_that_was_cut_is_said_below_the_picture(whole: Path, tmp_path: Path) -> None:
    wav = whole.with_suffix(".wav").read_bytes()
    cut = tmp_path / "cut.wav"
    cut.write_bytes(wav[: 44 + 4 * 1000])
    shutil.copy(whole, cut.with_suffix(".json"))

    finished = run_here("explain", cut)

    frames = (len(wav) - 44) // 4
    said = f"The picture shows no levels. {cut}: ends after 1000 of its {frames} frames: fetch it again\n"
    assert said in finished.out
