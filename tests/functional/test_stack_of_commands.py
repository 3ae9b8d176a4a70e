"""`--stack NAME` of the commands that write recordings: the stack's own buckets, prefix and key, or one clear line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from connect_audio_local.synthesis.calls import DEFAULT_START_MS
from support.aws_answers import DENIED, Answer, AwsAnswers, Refusal
from support.command import run_here
from support.deployed_stack import ACCOUNT, described
from support.locked_buckets import CALL, KEY, Buckets, locked_buckets
from support.wav import same_wav, wav_of_call

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from support.wire_server import Handler, WireServer

KMS_KEY: Final = f"arn:aws:kms:eu-west-2:{ACCOUNT}:key/k1"
MANIFEST: Final = "s3://calls-recordings/audio/call.json"
DESCRIBE: Final = "cloudformation:DescribeStacks"
COMMANDS: Final[dict[str, tuple[str, ...]]] = {
    "export": ("export", "--stream", "calls-now", "--start", str(DEFAULT_START_MS)),
    "record": ("record", "calls-now"),
    "repair": ("repair", MANIFEST),
    "redrive": ("redrive",),
}
INSTEAD: Final = {
    "export": "give -o s3://BUCKET/PREFIX and --staging-bucket",
    "record": "give -o s3://BUCKET/PREFIX and --staging-bucket",
    "repair": "give --staging-bucket",
    "redrive": "give --queue-url and --function",
}
ABSENT: Final = Refusal("ValidationError", "Stack with id calls does not exist")


@pytest.fixture
def buckets(moto_server: str, s3_client: S3Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Buckets]:
    with locked_buckets(moto_server, s3_client, monkeypatch) as made:
        yield made


@pytest.fixture
def aws(wire_server: Callable[[Handler], WireServer], monkeypatch: pytest.MonkeyPatch) -> AwsAnswers:
    """CloudFormation and STS with the stack of a test. Each other service of AWS answers nothing."""
    answers = AwsAnswers({"sts:GetCallerIdentity": {"Account": ACCOUNT}})
    monkeypatch.setenv("AWS_ENDPOINT_URL", wire_server(answers).url)
    return answers


def deployed(buckets: Buckets, **parameters: str) -> dict[str, Any]:
    return described(
        outputs={"RecordingsBucketName": buckets.recordings}, parameters={"RecordingsPrefix": "audio", **parameters}
    )


def test_an_export_into_a_stack_has_its_buckets_its_prefix_and_its_key(buckets: Buckets, aws: AwsAnswers) -> None:
    aws.answers[DESCRIBE] = deployed(buckets, StagingBucketName=buckets.staging, RecordingsKmsKeyArn=KMS_KEY)
    buckets.claim()
    left = buckets.export(buckets.now, "--stack", "calls")
    buckets.s3.delete_object(Bucket=buckets.staging, Key=f"{KEY}.wav.claim")

    finished = buckets.export(buckets.now, "--stack", "calls")

    assert (left.code, left.complaint) == (3, f"{KEY}.wav is being recorded by another program")
    assert finished.code == 0
    assert f"s3://{buckets.recordings}/{KEY}.wav" in finished.out
    assert same_wav(buckets.body(f"{KEY}.wav"), wav_of_call(CALL))
    assert (buckets.versions(), buckets.staged()) == ({f"{KEY}.wav": 1, f"{KEY}.json": 1}, [])
    claims = {each.bucket for each in buckets.requests() if each.key.endswith(".claim")}
    deleted = {each.bucket for each in buckets.requests() if each.name == "DeleteObjects"}
    assert deleted == claims == {buckets.staging}
    heads = [buckets.s3.head_object(Bucket=buckets.recordings, Key=f"{KEY}{end}") for end in (".wav", ".json")]
    assert [each["SSEKMSKeyId"] for each in heads] == [KMS_KEY, KMS_KEY]


def test_the_claim_lies_beside_the_recording_if_the_stack_has_no_bucket_of_staging(
    buckets: Buckets, aws: AwsAnswers
) -> None:
    aws.answers[DESCRIBE] = deployed(buckets)

    assert buckets.export(buckets.now, "--stack", "calls").code == 0

    assert {each.bucket for each in buckets.requests() if each.key} == {buckets.recordings}
    assert f"{KEY}.wav.claim" in {each.key for each in buckets.requests()}


def test_a_repair_of_a_stacks_recording_claims_where_the_stack_does(buckets: Buckets, aws: AwsAnswers) -> None:
    aws.answers[DESCRIBE] = deployed(buckets, StagingBucketName=buckets.staging)
    assert buckets.export(buckets.then, "--stack", "calls").code == 3
    manifest = json.loads(buckets.body(f"{KEY}.json"))
    manifest["stream"]["arn"] = buckets.now.arn
    buckets.s3.put_object(Bucket=buckets.recordings, Key=f"{KEY}.json", Body=json.dumps(manifest).encode())
    buckets.claim()

    finished = run_here("repair", "--stack", "calls", f"s3://{buckets.recordings}/{KEY}.json")

    assert (finished.code, finished.complaint) == (3, "another program records or repairs this call")


@pytest.mark.parametrize("place", ["s3://another/audio/call.json", "s3://calls-recordings/audios/call.json"])
def test_a_repair_takes_no_recording_of_another_stack(aws: AwsAnswers, place: str) -> None:
    aws.answers[DESCRIBE] = described(parameters={"RecordingsPrefix": "audio"})

    finished = run_here("repair", "--stack", "calls", place)

    assert (finished.code, finished.out) == (2, "")
    assert (
        finished.complaint == f"{place}: is none of the stack's recordings, which lie below s3://calls-recordings/audio"
    )


def test_a_manifest_in_a_folder_is_of_no_stack(aws: AwsAnswers, tmp_path: Path) -> None:
    aws.answers[DESCRIBE] = described()
    manifest = tmp_path / "call.json"
    manifest.write_text("{}")

    finished = run_here("repair", "--stack", "calls", manifest)

    assert finished.code == 2
    assert finished.complaint.endswith("call.json: lies in no bucket: --stack goes with s3://BUCKET/KEY")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_stack_that_may_not_be_looked_at_is_never_one_without_a_bucket_of_staging(
    aws: AwsAnswers, command: str
) -> None:
    aws.answers[DESCRIBE] = DENIED

    finished = run_here(*COMMANDS[command], "--stack", "calls")

    needs = "stack calls: needs cloudformation:DescribeStacks; without that right"
    assert (finished.code, finished.out) == (2, "")
    assert finished.complaint == f"{needs} {INSTEAD[command]}"
    assert aws.asked == [DESCRIBE]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_stack_that_is_not_there_is_told_with_those_that_are(aws: AwsAnswers, command: str) -> None:
    aws.answers[DESCRIBE] = [ABSENT, described()]

    finished = run_here(*COMMANDS[command], "--stack", "cals")

    assert finished.code == 2
    assert finished.complaint == f"account {ACCOUNT} has no stack cals in eu-west-2: name one of calls"


def without(kind: str, name: str, status: str = "UPDATE_COMPLETE") -> Answer:
    """A stack that lacks an output or a parameter."""
    found = described(status)
    (stack,) = found["Stacks"]
    key = "OutputKey" if kind == "Outputs" else "ParameterKey"
    stack[kind] = [each for each in stack[kind] if each[key] != name]
    return found


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (Refusal("ExpiredToken", status=403), "AWS refuses DescribeStacks: ExpiredToken"),
        (
            without("Outputs", "ConsumerAliasArn"),
            "stack calls has no output ConsumerAliasArn: is it one of this project?",
        ),
        (
            without("Outputs", "RecordingsBucketName", "ROLLBACK_COMPLETE"),
            "stack calls is ROLLBACK_COMPLETE and has no output RecordingsBucketName: deploy it first",
        ),
        *(
            (
                without("Parameters", name),
                f"stack calls has no parameter {name}: its template is not this project's own",
            )
            for name in ("StagingBucketName", "RecordingsPrefix", "RecordingsKmsKeyArn")
        ),
    ],
)
def test_a_stack_that_does_not_say_its_place_gets_no_recording(aws: AwsAnswers, answer: Answer, complaint: str) -> None:
    aws.answers[DESCRIBE] = answer

    finished = run_here(*COMMANDS["export"], "--stack", "calls")

    assert (finished.code, finished.out, finished.complaint) == (2, "", complaint)
    assert aws.asked == [DESCRIBE]


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("export", ("--output", "calls")),
        ("export", ("--output", "s3://calls-recordings/audio")),
        ("export", ("--staging-bucket", "staging")),
        ("record", ("--output", "calls")),
        ("record", ("--staging-bucket", "staging")),
        ("repair", ("--staging-bucket", "staging")),
    ],
)
def test_an_option_that_says_the_same_once_more_is_refused(
    aws: AwsAnswers, command: str, options: tuple[str, str]
) -> None:
    finished = run_here(*COMMANDS[command], "--stack", "calls", *options)

    together = f"Option '{options[0]}' cannot be used together with '--stack'"
    assert (finished.code, finished.complaint) == (2, f"{together} (see connect-audio {command} --help)")
    assert aws.asked == []
