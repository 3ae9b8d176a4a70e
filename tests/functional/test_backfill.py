"""The backfill: its worker, the end of a run, and the example's state machine on moto's engine."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import boto3
import pytest

from connect_audio.core.errors import StorageError
from connect_audio.handlers import backfill_end, backfill_worker
from connect_audio.recorder.backfill import items_of, lines_of, read_lines
from connect_audio.recorder.late_recording import LateCall
from connect_audio_local.kvs import UNLIMITED, EmulatedStream, FaultPlan, KvsEmulator, stored
from connect_audio_local.kvs.faults import Api, AtFragment, InBand, OnCall, Refuse
from connect_audio_local.synthesis.calls import DEFAULT_START_MS
from infrastructure.loading import load
from support.calls import call, fragments
from support.command import PATIENCE_S, run_here
from support.state_machine import state_machine_cloud
from support.wav import same_wav, wav_of_call

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "backfill.yaml"
MANIFEST: Final = "backfill/calls.jsonl"
RUN: Final = "backfill/calls.jsonl.runs/one/"


@dataclass
class Context:
    """Lambda's context of an invocation with so many seconds left."""

    left_s: float = 900.0
    function_name: str = "backfill"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:eu-west-2:123456789012:function:backfill"
    aws_request_id: str = "00000000-0000-4000-8000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        return round(self.left_s * 1000)


def contact(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


CALLS: Final = [
    call(3, contact_id=contact(at), start_ms=DEFAULT_START_MS + after_s * 1000, seed=at)
    for at, after_s in enumerate((0, 20, 0))
]


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[KvsEmulator]:
    with KvsEmulator(limits=UNLIMITED) as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def streams(emulator: KvsEmulator) -> list[EmulatedStream]:
    return [
        emulator.add_stream(EmulatedStream("calls-1", stored(fragments(*CALLS[:2])))),
        emulator.add_stream(EmulatedStream("calls-2", stored(fragments(CALLS[2])))),
    ]


@pytest.fixture
def recordings(bucket: str, moto_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The bucket of the functions."""
    settle(bucket, moto_server, monkeypatch)
    return bucket


def settle(bucket: str, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL_S3": s3,
        "RECORDINGS_BUCKET": bucket,
        "RECORDINGS_PREFIX": "audio",
        "RECORDINGS_KMS_KEY_ARN": "",
    }.items():
        monkeypatch.setenv(name, value)


def work(item: Any, left_s: float = 900.0) -> Any:
    return backfill_worker.handler({"item": item, "run": RUN}, Context(left_s))


def end() -> Any:
    return backfill_end.handler({"key": MANIFEST, "run": RUN}, Context())


def texts(client: S3Client, bucket: str, prefix: str) -> dict[str, str]:
    found = client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    return {each["Key"]: client.get_object(Bucket=bucket, Key=each["Key"])["Body"].read().decode() for each in found}


def outcomes(client: S3Client, bucket: str) -> list[Any]:
    return [each for text in texts(client, bucket, f"{RUN}outcomes/").values() for each in json.loads(text)["outcomes"]]


def late(stream: EmulatedStream, after_s: int, **fields: Any) -> LateCall:
    return LateCall(stream.arn, DEFAULT_START_MS + after_s * 1000, **fields)


# --- the worker ------------------------------------------------------------------------------------------------------


def test_the_worker_records_each_call_of_its_item_under_the_functions_key(
    streams: list[EmulatedStream], recordings: str, s3_client: S3Client
) -> None:
    [item] = items_of([late(streams[0], 0), late(streams[0], 20)])

    first, again = work(item.to_json()), work(item.to_json())

    assert first == again == {"done": 2, "left": 0}
    for each in CALLS[:2]:
        [key] = [
            found["Key"]
            for found in s3_client.list_objects_v2(Bucket=recordings, Prefix="audio/")["Contents"]
            if each.contact_id in found["Key"] and found["Key"].endswith(".wav")
        ]
        body = s3_client.get_object(Bucket=recordings, Key=key)["Body"].read()
        assert same_wav(body, wav_of_call(each))
    # The second run of the same item finds them: its outcomes have replaced the first one's.
    assert [each["status"] for each in outcomes(s3_client, recordings)] == ["exists", "exists"]
    assert [each["startMs"] for each in outcomes(s3_client, recordings)] == [
        DEFAULT_START_MS,
        DEFAULT_START_MS + 20_000,
    ]


def test_a_place_that_get_media_never_gives_is_recorded_and_the_role_has_the_rights_for_it(
    emulator: KvsEmulator, recordings: str, s3_client: S3Client
) -> None:
    faults = FaultPlan((AtFragment(1, InBand(4000), times=None),))
    stream = emulator.add_stream(EmulatedStream("calls-1", stored(fragments(*CALLS[:2])), faults=faults))
    [item] = items_of([late(stream, 0), late(stream, 20)])

    assert work(item.to_json()) == {"done": 2, "left": 0}

    assert [each["status"] for each in outcomes(s3_client, recordings)] == ["complete", "complete"]
    # The role's rights on streams are the requests that were made, no more and no fewer.
    made = {f"kinesisvideo:{api}" for api in get_args(Api.__value__) if stream.faults.calls(api)}
    policies = load(EXAMPLE)["Resources"]["WorkerRole"]["Properties"]["Policies"]
    [rights] = [
        each["Action"]
        for policy in policies
        for each in policy["PolicyDocument"]["Statement"]
        if each.get("Sid") == "ReadTheStreams"
    ]
    assert made == set(rights)


def test_calls_are_recorded_by_the_archive_where_get_media_is_denied(
    streams: list[EmulatedStream], recordings: str, s3_client: S3Client
) -> None:
    streams[0].denied_apis = frozenset({"GetMedia"})
    [item] = items_of([late(streams[0], 0), late(streams[0], 20)])

    assert work(item.to_json()) == {"done": 2, "left": 0}

    assert [each["status"] for each in outcomes(s3_client, recordings)] == ["complete", "complete"]


def test_a_stream_that_gives_neither_right_is_an_outcome_that_names_both(
    streams: list[EmulatedStream], recordings: str, s3_client: S3Client
) -> None:
    streams[0].denied_apis = frozenset({"GetMedia", "GetMediaForFragmentList"})
    [item] = items_of([late(streams[0], 0)])

    assert work(item.to_json()) == {"done": 1, "left": 0}

    [outcome] = outcomes(s3_client, recordings)
    assert (outcome["status"], outcome["detail"].split(":")[0]) == ("none", "REFUSED")
    assert "kinesisvideo:GetMedia and kinesisvideo:GetMediaForFragmentList" in outcome["detail"]


def test_calls_without_a_recording_are_outcomes_and_no_failures(
    emulator: KvsEmulator, recordings: str, s3_client: S3Client
) -> None:
    throttled = FaultPlan((OnCall(1, Refuse("InternalFailure"), api="ListFragments", times=None),))
    faulty = emulator.add_stream(EmulatedStream("faulty", stored(fragments(CALLS[0])), faults=throttled))
    empty = emulator.add_stream(EmulatedStream("empty", stored(fragments(CALLS[0]))))
    gone = LateCall(empty.arn.replace("empty", "gone"), DEFAULT_START_MS)
    hour_later = late(empty, 3 * 3600)

    answers = [work(item.to_json()) for item in items_of([late(faulty, 0), hour_later, gone])]

    assert answers == [{"done": 0, "left": 1}, {"done": 1, "left": 0}, {"done": 1, "left": 0}]
    found = {each["status"]: each["detail"].split(":")[0] for each in outcomes(s3_client, recordings)}
    assert found == {"again": "FAILED", "none": found["none"]}
    assert found["none"] in {"NO_AUDIO", "NO_STREAM"}


def test_a_worker_whose_time_is_up_leaves_the_other_calls_to_the_next_manifest(
    streams: list[EmulatedStream], recordings: str, s3_client: S3Client
) -> None:
    [item] = items_of([late(streams[0], 0), late(streams[0], 20)])

    answer = work(item.to_json(), left_s=80.0)

    assert answer == {"done": 1, "left": 1}
    assert [each["status"] for each in outcomes(s3_client, recordings)] == ["complete", "unfinished"]


def test_a_call_that_outlasts_the_worker_is_unfinished_and_ends_in_the_next_run(
    streams: list[EmulatedStream], recordings: str, s3_client: S3Client
) -> None:
    [item] = items_of([late(streams[0], 0)])

    cut = work(item.to_json(), left_s=30.0)
    status = outcomes(s3_client, recordings)[0]["status"]
    whole = work(item.to_json())

    assert (cut, status) == ({"done": 0, "left": 1}, "unfinished")
    assert whole == {"done": 1, "left": 0}
    assert [each["status"] for each in outcomes(s3_client, recordings)] == ["complete"]


def test_a_failure_of_s3_is_raised_for_the_state_machine_to_try_again(
    streams: list[EmulatedStream], recordings: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [item] = items_of([late(streams[0], 0)])
    monkeypatch.setenv("RECORDINGS_BUCKET", f"{recordings}-gone")

    with pytest.raises(StorageError):
        work(item.to_json())


def test_an_event_that_is_no_item_is_rejected_and_not_tried_again(recordings: str) -> None:
    assert recordings
    assert work({"stream": "x"}) == {"done": 0, "left": 0, "rejected": "an item has a list of `calls`"}
    assert backfill_worker.handler([], Context())["done"] == 0


# --- the end of a run ------------------------------------------------------------------------------------------------


def test_what_was_not_done_is_the_next_manifest_whatever_became_of_its_worker(
    streams: list[EmulatedStream], recordings: str, s3_client: S3Client
) -> None:
    done, dead = items_of([late(streams[0], 0), late(streams[0], 20)], one_item=1)
    s3_client.put_object(Bucket=recordings, Key=MANIFEST, Body=lines_of([done, dead]).encode())
    work(done.to_json())

    report = end()

    assert report == {"statuses": {"complete": 1, "no outcome": 1}, "left": 1, "next": f"{RUN}next.jsonl"}
    found = texts(s3_client, recordings, RUN)
    assert list(read_lines(found[f"{RUN}next.jsonl"])) == [dead]
    assert json.loads(found[f"{RUN}report.json"]) == report


def test_a_run_that_did_all_has_no_next_manifest(
    streams: list[EmulatedStream], recordings: str, s3_client: S3Client
) -> None:
    [item] = items_of([late(streams[1], 0)])
    s3_client.put_object(Bucket=recordings, Key=MANIFEST, Body=lines_of([item]).encode())
    work(item.to_json())

    assert end() == {"statuses": {"complete": 1}, "left": 0, "next": None}
    assert f"{RUN}next.jsonl" not in texts(s3_client, recordings, RUN)


def test_a_manifest_that_is_not_there_fails_the_run(recordings: str) -> None:
    assert recordings
    with pytest.raises(StorageError) as error:
        end()
    assert error.value.code == "NoSuchKey"


# --- the command and the state machine -------------------------------------------------------------------------------


@pytest.mark.usefixtures("streams", "recordings")
def test_export_writes_a_manifest_and_replaces_none(tmp_path: Path, recordings: str, s3_client: S3Client) -> None:
    rows, place = tmp_path / "calls.csv", f"s3://{recordings}/{MANIFEST}"
    second = DEFAULT_START_MS + 20_000
    rows.write_text(
        f"stream_arn,start_ms\ncalls-1,{second}\ncalls-2,{DEFAULT_START_MS}\ncalls-1,{DEFAULT_START_MS}\ncalls-1,{second}\n"
    )

    first = run_here("export", "--csv", rows, "--to-manifest", place, "--json")
    refused = run_here("export", "--csv", rows, "--to-manifest", place)
    forced = run_here("export", "--csv", rows, "--to-manifest", place, "--force", "--quiet")
    local = run_here("export", "--csv", rows, "--to-manifest", tmp_path / "calls.jsonl", "--quiet")
    twice = run_here("export", "--csv", rows, "--to-manifest", tmp_path / "calls.jsonl")

    assert (first.code, json.loads(first.out)) == (0, {"calls": 4, "items": 2, "manifest": place})
    assert (refused.code, refused.complaint) == (2, f"{place}: is there already (--force replaces it)")
    assert (forced.code, local.code, twice.code) == (0, 0, 2)
    text = texts(s3_client, recordings, MANIFEST)[MANIFEST]
    assert (tmp_path / "calls.jsonl").read_text() == text
    assert [(item.stream_arn.split("/")[1], [call.start_ms for call in item.calls]) for item in read_lines(text)] == [
        ("calls-1", [DEFAULT_START_MS, second]),
        ("calls-2", [DEFAULT_START_MS]),
    ]
    assert list(tmp_path.rglob("*.wav")) == []


def definition(bucket: str) -> Any:
    """The example's state machine as moto's engine takes it: it knows neither JSON lines nor a tolerance in whole
    per cent, and its retries wait in earnest."""
    text = load(EXAMPLE)["Resources"]["Backfill"]["Properties"]["DefinitionString"]["Fn::Sub"]
    values = {
        "AWS::Partition": "aws",
        "RecordingsBucketName": bucket,
        "ManifestsPrefix": "backfill",
        "Concurrency": "2",
        "WorkerFunction.Arn": "arn:aws:lambda:eu-west-2:123456789012:function:worker",
        "EndFunction.Arn": "arn:aws:lambda:eu-west-2:123456789012:function:end",
    }
    machine = json.loads(re.sub(r"\$\{([^}]+)\}", lambda found: values[found[1]], text))
    mapped = machine["States"]["Record the calls"]
    assert mapped["ItemReader"]["ReaderConfig"] == {"InputType": "JSONL"}
    mapped["ItemReader"]["ReaderConfig"] = {"InputType": "JSON"}
    assert mapped.pop("ToleratedFailurePercentage") == 100
    for retry in mapped["ItemProcessor"]["States"]["Record an item"]["Retry"]:
        retry |= {"IntervalSeconds": 1, "BackoffRate": 1}
        retry.pop("JitterStrategy")
    return machine


def test_the_state_machine_leads_each_item_to_a_worker_and_the_rest_into_the_next_manifest(
    streams: list[EmulatedStream], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = streams[1].arn
    is_at_the_end = threading.Event()

    def worker(event: Any) -> Any:
        if event["item"]["stream"] == broken:
            raise RuntimeError("the process was killed")
        return backfill_worker.handler(event, Context())

    def run_end(event: Any) -> Any:
        try:
            return backfill_end.handler(event, Context())
        finally:
            is_at_the_end.set()

    with state_machine_cloud({"worker": worker, "end": run_end}) as cloud:
        settle("recordings", cloud.url, monkeypatch)
        s3 = boto3.client("s3", endpoint_url=cloud.url, region_name="eu-west-2")
        s3.create_bucket(Bucket="recordings", CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
        items = items_of([late(streams[0], 0), late(streams[0], 20), late(streams[1], 0)], one_item=1)
        # The engine reads one JSON array; the end reads lines.
        s3.put_object(Bucket="recordings", Key=MANIFEST, Body=json.dumps([each.to_json() for each in items]).encode())
        monkeypatch.setattr(backfill_end, "read_lines", lambda _text: iter(items))
        states = boto3.client("stepfunctions", endpoint_url=cloud.url, region_name="eu-west-2")
        machine = states.create_state_machine(
            name="backfill", definition=json.dumps(definition("recordings")), roleArn="arn:aws:iam::123456789012:role/r"
        )["stateMachineArn"]
        run = states.start_execution(stateMachineArn=machine, name="one", input=json.dumps({"key": MANIFEST}))[
            "executionArn"
        ]
        assert is_at_the_end.wait(PATIENCE_S)
        while (ended := states.describe_execution(executionArn=run))["status"] == "RUNNING":
            pass

        assert ended["status"] == "SUCCEEDED", ended
        report = json.loads(ended["output"])
        left = texts(s3, "recordings", report["next"])[report["next"]]
        written = s3.list_objects_v2(Bucket="recordings", Prefix="audio/")["Contents"]

    assert report == {"statuses": {"complete": 2, "no outcome": 1}, "left": 1, "next": f"{RUN}next.jsonl"}
    assert list(read_lines(left)) == [items[1]]
    assert len([each for each in written if each["Key"].endswith(".wav")]) == 2
    # The item whose worker fails was tried four times, and stopped neither the other items nor the run.
    assert cloud.invocations == {"worker": 2 + 4, "end": 1}
