"""`connect-audio export --contact-records`: the calls of Connect's contact records, under the functions' keys."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from connect_audio_local.kvs import EmulatedStream, KvsEmulator, stored
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, DEFAULT_START_MS
from support.calls import call, fragments
from support.command import run_here
from support.wav import same_wav, wav_of_call

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

OTHER: Final = "00000000-0000-4000-8000-000000000002"
INSTANCE: Final = "arn:aws:connect:eu-west-2:123456789012:instance/00000000-0000-4000-8000-0000000000aa"
# DEFAULT_START_MS is 13:30:54.536: a record has the whole second.
SECOND: Final = "2026-07-01T13:30:54Z"
DAY: Final = "2026/07/01"


@pytest.fixture
def stream(moto_server: str, kvs_emulator: KvsEmulator, monkeypatch: pytest.MonkeyPatch) -> EmulatedStream:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto_server)
    theirs = call(5, contact_id=OTHER, start_ms=DEFAULT_START_MS + 60_000, seed=9)
    return kvs_emulator.add_stream(EmulatedStream("calls", stored(fragments(call(10), theirs))))


def record(contact_id: str, *recordings: dict[str, Any], updated: str = "2026-07-01T14:00:00Z") -> str:
    return json.dumps(
        {
            "ContactId": contact_id,
            "InstanceARN": INSTANCE,
            "LastUpdateTimestamp": updated,
            "CustomerEndpoint": {"Address": "not for any report"},
            "Recordings": list(recordings),
        }
    )


def entry(stream: EmulatedStream, start: str | None = SECOND, **fields: Any) -> dict[str, Any]:
    return {
        "StorageType": "KINESIS_VIDEO_STREAM",
        "MediaStreamType": "AUDIO",
        "Location": stream.arn,
        "StartTimestamp": start,
        **fields,
    }


def test_calls_of_records_are_exported_once_and_other_recordings_are_passed_over(
    stream: EmulatedStream, tmp_path: Path
) -> None:
    others = (
        {"StorageType": "S3", "MediaStreamType": "AUDIO", "Location": "bucket/a.wav", "StartTimestamp": SECOND},
        entry(stream, MediaStreamType="VIDEO"),
    )
    # Firehose writes one record behind the other, and an update comes as a further copy.
    old = record(DEFAULT_CONTACT_ID, entry(stream, "2026-07-01T13:00:00Z"), updated="2026-07-01T13:59:00Z")
    new = record(DEFAULT_CONTACT_ID, *others, entry(stream))
    records = tmp_path / "records"
    (records / "hour").mkdir(parents=True)
    (records / "hour" / "1").write_text(new + old + "\n" + record("00000000-0000-4000-8000-000000000003"))
    later = record(OTHER, entry(stream, "2026-07-01T13:31:54Z"))
    (records / "2.gz").write_bytes(gzip.compress(later.encode()) + gzip.compress(b"\n" + new.encode()))

    finished = run_here("export", "--contact-records", records, "-o", tmp_path / "out", "--json")

    assert (finished.code, finished.err) == (0, "")
    assert json.loads(finished.out) == {"calls": 2, "statuses": {"complete": 2}}
    assert "not for any report" not in finished.out
    [wav] = (tmp_path / "out" / DAY).glob(f"{DEFAULT_CONTACT_ID}_*.wav")
    assert same_wav(wav.read_bytes(), wav_of_call(call(10)))
    assert len(list((tmp_path / "out" / DAY).glob(f"{OTHER}_*.wav"))) == 1
    # The records name the contacts: no fragment is read for its labels.
    assert stream.faults.calls("GetMedia") == 2


@pytest.mark.parametrize("second", [SECOND, "2026-07-01T13:30:55Z"])
def test_a_call_that_the_functions_have_recorded_is_found_by_the_second(
    stream: EmulatedStream, s3_client: S3Client, bucket: str, tmp_path: Path, second: str
) -> None:
    key = f"audio/{DAY}/{DEFAULT_CONTACT_ID}_20260701T133054.536Z.wav"
    s3_client.put_object(Bucket=bucket, Key=key, Body=b"theirs")
    s3_client.put_object(Bucket=bucket, Key="records/1", Body=record(DEFAULT_CONTACT_ID, entry(stream, second)))
    progress = tmp_path / "progress.jsonl"

    finished = run_here(
        "export",
        *("--contact-records", f"s3://{bucket}/records/", "-o", f"s3://{bucket}/audio", "--progress", progress),
    )

    assert (finished.code, finished.err) == (0, "")
    assert json.loads(progress.read_text())["status"] == "exists"
    assert json.loads(progress.read_text())["key"] == key
    assert {each["Key"] for each in s3_client.list_objects_v2(Bucket=bucket)["Contents"]} == {key, "records/1"}
    assert stream.faults.calls("ListFragments") == stream.faults.calls("GetMedia") == 0


def test_the_first_fragments_number_gives_the_milliseconds(stream: EmulatedStream, tmp_path: Path) -> None:
    number = 1 << 156 | 1 << 92 | DEFAULT_START_MS << 28
    records = tmp_path / "records"
    records.write_text(record(DEFAULT_CONTACT_ID, entry(stream, FragmentStartNumber=str(number))))

    assert run_here("export", "--contact-records", records, "-o", tmp_path / "out").code == 0

    assert (tmp_path / "out" / DAY / f"{DEFAULT_CONTACT_ID}_20260701T133054.536Z.wav").is_file()


@pytest.mark.parametrize(
    "content", [b"no JSON", b"[1]", b'{"ContactId": ', gzip.compress(b"{}", mtime=0)[:-9], b"\x1f\x8bno"]
)
def test_a_file_that_holds_no_records_is_one_line(tmp_path: Path, content: bytes) -> None:
    records = tmp_path / "records"
    records.write_bytes(content)

    finished = run_here("export", "--contact-records", records, "-o", tmp_path / "out")

    assert finished.code == 2
    assert finished.complaint == f"{records} holds no contact records: JSON objects, or gzip of them"
    assert not (tmp_path / "out").exists()
