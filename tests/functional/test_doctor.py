"""`connect-audio doctor` against a stand-in for AWS at the socket: each check well, with a fault, and denied."""

from __future__ import annotations

import copy
import json
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import boto3
import pytest

from connect_audio.telemetry import Metric
from connect_audio_cli.doctor import listening, metrics
from connect_audio_cli.doctor.check import Check, Standing, well
from connect_audio_cli.doctor.doctor import CHECKS, examine, finding_of
from connect_audio_cli.doctor.flow import use_of
from connect_audio_cli.stacks.aws import Aws
from connect_audio_cli.stacks.deployed import Deployed
from support.aws_answers import DENIED, Answer, AwsAnswers, Refusal
from support.command import COMMAND, Finished, run, run_here
from support.deployed_stack import ACCOUNT, CONSUMER, REGION, ROLE, TRIGGER, described
from support.wire_server import WireServer

INSTANCE: Final = f"arn:aws:connect:{REGION}:{ACCOUNT}:instance/11111111-2222-3333-4444-555555555555"
KEY: Final = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/k1"
BY_NAME: Final = {check.name: check for check in CHECKS}
ROOT: Final = Path(__file__).parents[2]
FLOW: Final = (ROOT / "connect" / "recording-flow.json").read_text("utf-8")


def stack(status: str = "UPDATE_COMPLETE", **parameters: str) -> dict[str, Any]:
    return described(status, parameters={"ConnectInstanceArn": INSTANCE, "StreamNamePrefix": "calls", **parameters})


def resources(*logical_ids: str) -> dict[str, Any]:
    summaries = [
        {
            "LogicalResourceId": each,
            "PhysicalResourceId": f"calls-{each}",
            "ResourceType": "AWS::Events::Rule",
            "ResourceStatus": "CREATE_COMPLETE",
            "LastUpdatedTimestamp": datetime(2026, 11, 28, tzinfo=UTC),
        }
        for each in logical_ids
    ]
    return {"StackResourceSummaries": summaries}


def rule(state: str = "ENABLED", event_type: str = "DISCONNECTED", source: str = "aws.connect") -> dict[str, Any]:
    arn = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/calls-ContactEndedRule"
    return {
        "Arn": arn,
        "State": state,
        "EventPattern": json.dumps({"source": [source], "detail": {"eventType": [event_type]}}),
    }


def targets(*functions: str) -> dict[str, Any]:
    arn = TRIGGER.removesuffix("calls-TriggerFunction")
    return {"Targets": [{"Id": f"t{number}", "Arn": f"{arn}{each}"} for number, each in enumerate(functions)]}


def storage(hours: int = 24, prefix: str = "calls-connect-example-contact-") -> dict[str, Any]:
    config = {
        "Prefix": prefix,
        "RetentionPeriodHours": hours,
        "EncryptionConfig": {"EncryptionType": "KMS", "KeyId": KEY},
    }
    return {"StorageConfigs": [{"StorageType": "KINESIS_VIDEO_STREAM", "KinesisVideoStreamConfig": config}]}


def streams(*hours: int, key: str = f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/aws/kinesisvideo") -> dict[str, Any]:
    listed = [
        {"StreamName": f"calls-{number}", "KmsKeyId": key, "DataRetentionInHours": each}
        for number, each in enumerate(hours)
    ]
    return {"StreamInfoList": listed}


def key(state: str = "Enabled") -> dict[str, Any]:
    return {"KeyMetadata": {"KeyId": "k1", "Arn": KEY, "KeyState": state, "KeyManager": "CUSTOMER"}}


def key_policy(principal: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "kms:*", "Resource": "*"}
    return {"Policy": json.dumps({"Statement": [statement]})}


def trigger_policy(source: str = INSTANCE, account: str = ACCOUNT) -> dict[str, Any]:
    return policy("connect.amazonaws.com", source, account)


def policy(service: str, source: str, account: str = ACCOUNT) -> dict[str, Any]:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "lambda:InvokeFunction",
        "Condition": {"StringEquals": {"AWS:SourceAccount": account}, "ArnLike": {"AWS:SourceArn": source}},
    }
    return {"Policy": json.dumps({"Statement": [statement]})}


def versions(*numbers: int) -> dict[str, Any]:
    return {"Versions": [{"Version": each} for each in ("$LATEST", *map(str, numbers))]}


def function(timeout: int = 900, *, durable: bool = True) -> dict[str, Any]:
    configured = {"DurableConfig": {"ExecutionTimeout": 172800}} if durable else {}
    return {"Timeout": timeout, "MemorySize": 512, "State": "Active", **configured}


def decisions(decision: str = "allowed") -> dict[str, Any]:
    result = {"EvalActionName": "kinesisvideo:GetMedia", "EvalDecision": decision}
    return {"EvaluationResults": [result], "IsTruncated": False}


def encryption(key_arn: str) -> dict[str, Any]:
    by = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key_arn}
    return {"ServerSideEncryptionConfiguration": {"Rules": [{"ApplyServerSideEncryptionByDefault": by}]}}


def lifecycle(days: int = 17, *further: dict[str, Any]) -> dict[str, Any]:
    tag = {"Tag": {"Key": "connect-audio", "Value": "temporary"}}
    rules = [
        {"ID": "uploads", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days}},
        {"ID": "temporary", "Status": "Enabled", "Filter": tag, "Expiration": {"Days": 17}},
        *further,
    ]
    return {"Rules": rules}


def uploads_alone() -> dict[str, Any]:
    return {"Rules": lifecycle()["Rules"][:1]}


def letters(number: int) -> dict[str, Any]:
    return {"Attributes": {"ApproximateNumberOfMessages": str(number), "ApproximateNumberOfMessagesNotVisible": "0"}}


def limits(concurrent: int) -> dict[str, Any]:
    return {"AccountLimit": {"ConcurrentExecutions": concurrent, "UnreservedConcurrentExecutions": concurrent}}


def day(*sums: float) -> dict[str, Any]:
    return {"MetricDataResults": [{"Id": f"m{number}", "Values": [each]} for number, each in enumerate(sums)]}


def flow(change: Callable[[dict[str, Any]], object] = lambda _: None) -> dict[str, Any]:
    content = json.loads(FLOW.replace("${TriggerFunctionArn}", TRIGGER))
    for each in content["Actions"]:
        if each["Type"] == "InvokeLambdaFunction":
            each["Parameters"]["LambdaFunctionARN"] = TRIGGER
        change(each)
    return {"ContactFlow": {"Id": "f1", "Name": "Main line", "Content": json.dumps(content)}}


def without_streaming(action: dict[str, Any]) -> None:
    if action["Identifier"] == "Start media streaming":
        action["Type"] = "Wait"


def one_way(action: dict[str, Any]) -> None:
    if action["Identifier"] == "Start media streaming":
        action["Parameters"]["Participants"][0]["MediaDirections"] = ["From"]


def without_trigger(action: dict[str, Any]) -> None:
    action.get("Parameters", {}).pop("LambdaFunctionARN", None)


def quota(value: float) -> dict[str, Any]:
    return {"Quota": {"ServiceCode": "connect", "QuotaName": "a quota", "Value": value}}


CONTACT: Final = "c0ffee00-0000-4000-8000-000000000001"


def bucket_of(*names: str) -> dict[str, Any]:
    """A listing of today's folder; each object is a second younger than the one before."""
    now = datetime.now(UTC)
    return {
        "Contents": [
            {"Key": f"recordings/{now:%Y/%m/%d}/{name}", "LastModified": now + timedelta(seconds=at), "Size": 9}
            for at, name in enumerate(names)
        ]
    }


def contact(*storage_types: str) -> dict[str, Any]:
    recordings = [{"StorageType": each, "Location": "somewhere", "FragmentStopNumber": "9"} for each in storage_types]
    ended = datetime(2026, 11, 28, tzinfo=UTC)
    return {"Contact": {"Id": CONTACT, "Recordings": recordings, "DisconnectTimestamp": ended}}


WELL: Final[dict[str, Answer]] = {
    "sts:GetCallerIdentity": {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/someone", "UserId": "A"},
    "cloudformation:DescribeStacks": stack(),
    "cloudformation:ListStackResources": resources("TriggerFunction", "ContactEndedFunction", "ContactEndedRule"),
    "events:DescribeRule": rule(),
    "events:ListTargetsByRule": targets("calls-ContactEndedFunction"),
    "connect:DescribeInstance": {"Instance": {"InstanceStatus": "ACTIVE", "InboundCallsEnabled": True}},
    "connect:ListInstanceStorageConfigs": storage(),
    "connect:ListLambdaFunctions": {"LambdaFunctions": [f"{CONSUMER}-other", TRIGGER]},
    "connect:ListContactFlows": {
        "ContactFlowSummaryList": [
            {"Id": "f1", "Name": "Main line", "ContactFlowState": "ACTIVE", "ContactFlowStatus": "PUBLISHED"}
        ]
    },
    "connect:DescribeContactFlow": flow(),
    "kinesisvideo:ListStreams": streams(24, 24),
    "kms:DescribeKey": key(),
    "kms:GetKeyPolicy": key_policy(f"arn:aws:iam::{ACCOUNT}:root"),
    "iam:SimulatePrincipalPolicy": decisions(),
    "lambda:GetPolicy": trigger_policy(),
    "lambda:GetAlias": {"FunctionVersion": "9"},
    "lambda:ListVersionsByFunction": versions(8, 9),
    "lambda:GetFunctionConfiguration": function(),
    "lambda:GetAccountSettings": limits(1000),
    "lambda:GetFunctionConcurrency": {},
    "s3:GetBucketLocation": {"LocationConstraint": REGION},
    "s3:GetBucketEncryption": encryption(f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/aws/s3"),
    "s3:GetObjectLockConfiguration": Refusal("ObjectLockConfigurationNotFoundError", status=404),
    "s3:GetBucketLifecycleConfiguration": lifecycle(),
    "s3:ListObjectsV2": bucket_of(f"{CONTACT}_20261128T120000.000Z.json", f"{CONTACT}_20261128T120000.000Z.wav"),
    "connect:DescribeContact": contact("S3", "KINESIS_VIDEO_STREAM"),
    "servicequotas:GetServiceQuota": quota(10),
    "sqs:GetQueueAttributes": letters(0),
    "monitoring:GetMetricData": day(40, 0, 0, 40, 0, 0),
}

RULE_ARN: Final[str] = rule()["Arn"]
EVENTS_ON: Final[dict[str, Answer]] = {
    "cloudformation:DescribeStacks": stack(ContactEvents="on"),
    "lambda:GetPolicy": policy("events.amazonaws.com", RULE_ARN),
}

LOCKED: Final[Answer] = {
    "ObjectLockConfiguration": {
        "ObjectLockEnabled": "Enabled",
        "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 2000}},
    }
}
STAGED: Final[dict[str, Answer]] = {"cloudformation:DescribeStacks": stack(StagingBucketName="calls-staging")}

FAULTS: Final[list[tuple[str, dict[str, Answer], str, str]]] = [
    ("credentials", {"cloudformation:DescribeStacks": stack(ConnectInstanceArn=INSTANCE.replace(REGION, "us-east-1"))},
     "the instance is in account 123456789012, us-east-1", "deploy the stack in the instance's account and region"),
    ("stack", {"cloudformation:DescribeStacks": stack("UPDATE_ROLLBACK_COMPLETE")},
     "the last deployment failed", "read its events"),
    ("instance", {"connect:DescribeInstance": Refusal("ResourceNotFoundException", status=404)},
     f"there is no instance 11111111-2222-3333-4444-555555555555 in {REGION}", "correct ConnectInstanceArn"),
    ("instance", {"connect:DescribeInstance": {"Instance": {"InstanceStatus": "CREATION_FAILED"}}},
     "the instance is CREATION_FAILED", "make another"),
    ("media streaming", {"connect:ListInstanceStorageConfigs": {"StorageConfigs": []}},
     "live media streaming is off", "Data storage, Live media streaming"),
    ("stream prefix", {"connect:ListInstanceStorageConfigs": storage(prefix="other")},
     "streams begin with other, and the consumer may read calls* alone", "deploy with StreamNamePrefix=other"),
    ("instance's retention", {"connect:ListInstanceStorageConfigs": storage(0)},
     "keep 0 h: audio that is not read within 5 minutes is lost", "set a retention of 24 h"),
    ("trigger in Connect", {"connect:ListLambdaFunctions": {"LambdaFunctions": [f"{TRIGGER}2"]}},
     "the instance's flows may call 1 function, and the trigger is none of them", "Flows, AWS Lambda"),
    ("flows", {"connect:DescribeContactFlow": flow(without_streaming)},
     'flow "Main line" can call the trigger before media streaming is started', "Start media streaming"),
    ("flows", {"connect:DescribeContactFlow": flow(one_way)}, "streams one direction alone", "To the customer"),
    ("flows", {"connect:DescribeContactFlow": flow(without_trigger)},
     "1 published flow, and none calls the trigger", "publish a flow that does"),
    ("streams' retention", {"kinesisvideo:ListStreams": streams(24, 0, 0)},
     "3 streams, 2 with 0 h", "update-data-retention"),
    ("streams' retention", {"kinesisvideo:ListStreams": streams(24, 1),
                            "cloudformation:DescribeStacks": stack(RecordingMode="archive")},
     "2 streams, 1 with less than 2 h: their calls are recorded live", "best to 24 h"),
    ("streams' key", {"kinesisvideo:ListStreams": streams(24, key=KEY)},
     "the consumer may not decrypt with it", f"deploy with StreamKmsKeyArn={KEY}"),
    ("streams' key", {"kinesisvideo:ListStreams": streams(24, key=KEY), "kms:DescribeKey": key("Disabled")},
     f"key {KEY} encrypts 1 stream, and is Disabled", "enable the key"),
    ("streams' key", {"kinesisvideo:ListStreams": streams(24, key=KEY),
                      "cloudformation:DescribeStacks": stack(StreamKmsKeyArn=KEY),
                      "kms:GetKeyPolicy": key_policy(f"{ROLE}-other")},
     f"its policy does not let {ROLE} decrypt", "KMS keys"),
    ("consumer's role", {"iam:SimulatePrincipalPolicy": decisions("implicitDeny")},
     "the consumer's role may not kinesisvideo:GetMedia", "permissions boundary"),
    ("trigger's permission", {"lambda:GetPolicy": Refusal("ResourceNotFoundException", status=404)},
     "no permission for connect.amazonaws.com", "deploy the stack again"),
    ("trigger's permission", {"lambda:GetPolicy": trigger_policy(f"{INSTANCE[:-1]}6")},
     "with this instance as source", "another instance"),
    ("trigger's permission", {"lambda:GetPolicy": trigger_policy(account="210987654321")},
     "with this instance as source", "another instance"),
    ("consumer's alias", {"lambda:ListVersionsByFunction": versions(8, 9, 10)},
     "live points to version 9, and 10 is newer: an update was rolled back", "delete the newer version"),
    ("consumer's alias", {"lambda:GetFunctionConfiguration": function(durable=False)},
     "version 9 is no durable function", "deploy it anew"),
    ("consumer's alias", {"lambda:GetFunctionConfiguration": function(60)},
     "version 9 ends after 60 s, and ConsumerTimeout is 900", "deploy again"),
    ("contact events", {**EVENTS_ON, "cloudformation:ListStackResources": resources("ContactEndedFunction")},
     "ContactEvents is on, and the stack has no ContactEndedRule", "deploy again"),
    ("contact events", {**EVENTS_ON, "cloudformation:ListStackResources": resources("ContactEndedRule")},
     "ContactEvents is on, and the stack has no ContactEndedFunction", "deploy again"),
    ("contact events", {**EVENTS_ON, "events:DescribeRule": Refusal("ResourceNotFoundException")},
     "there is no rule calls-ContactEndedRule", "by hand"),
    ("contact events", {**EVENTS_ON, "events:DescribeRule": rule("DISABLED")},
     "rule calls-ContactEndedRule is disabled", "aws events enable-rule --name calls-ContactEndedRule"),
    ("contact events", {**EVENTS_ON, "events:DescribeRule": rule(event_type="INITIATED")},
     "does not name DISCONNECTED of aws.connect", "by hand"),
    ("contact events", {**EVENTS_ON, "events:DescribeRule": rule(source="aws.chime")},
     "does not name DISCONNECTED of aws.connect", "by hand"),
    ("contact events", {**EVENTS_ON, "events:DescribeRule": {"ScheduleExpression": "rate(1 hour)", "State": "ENABLED"}},
     "does not name DISCONNECTED of aws.connect", "by hand"),
    ("contact events", {**EVENTS_ON, "events:ListTargetsByRule": targets("calls-TriggerFunction")},
     "does not lead to calls-ContactEndedFunction", "by hand"),
    ("contact events", {**EVENTS_ON, "lambda:GetPolicy": Refusal("ResourceNotFoundException", status=404)},
     "the policy of calls-ContactEndedFunction has no permission for events.amazonaws.com", "by hand"),
    ("contact events", {**EVENTS_ON, "lambda:GetPolicy": policy("events.amazonaws.com", f"{RULE_ARN}2")},
     "with rule calls-ContactEndedRule as source", "by hand"),
    ("bucket", {"s3:GetBucketLocation": Refusal("NoSuchBucket", status=404)},
     "there is no bucket calls-recordings", "deploy with another"),
    ("bucket", {"s3:GetBucketEncryption": encryption(KEY)},
     f"key {KEY} encrypts the bucket, and the consumer may not use it", f"deploy with RecordingsKmsKeyArn={KEY}"),
    ("bucket's lifecycle", {"s3:GetBucketLifecycleConfiguration": Refusal("NoSuchLifecycleConfiguration", status=404)},
     "calls-recordings has no lifecycle rule that aborts incomplete uploads", "An existing bucket"),
    ("bucket's lifecycle", {"s3:GetBucketLifecycleConfiguration": lifecycle(1)},
     "rule uploads of calls-recordings aborts uploads after 1 day", "make it 17 days at least"),
    ("bucket's lifecycle", {"s3:GetBucketLifecycleConfiguration": lifecycle(
        17, {"ID": "short", "Status": "Enabled", "Filter": {"Prefix": "rec"}, "Expiration": {"Days": 7}})},
     "rule short of calls-recordings deletes objects after 7 days", "make it 17 days at least"),
    ("bucket's lifecycle", {**STAGED, "s3:GetBucketLifecycleConfiguration": [lifecycle(), lifecycle(1)]},
     "rule uploads of calls-staging aborts uploads after 1 day", "make it 17 days at least"),
    ("bucket's lifecycle", {**STAGED, "s3:GetBucketLifecycleConfiguration": [lifecycle(), uploads_alone()]},
     "calls-staging has no lifecycle rule that deletes what is tagged", "An existing bucket"),
    ("bucket", {"s3:GetObjectLockConfiguration": LOCKED},
     "Object Lock holds each object of calls-recordings", "deploy with a StagingBucketName"),
    ("bucket", {**STAGED, "s3:GetObjectLockConfiguration": LOCKED},
     "Object Lock holds each object of calls-staging", "that is not locked"),
    ("bucket", {**STAGED, "s3:GetBucketLocation": [
        {"LocationConstraint": REGION}, Refusal("NoSuchBucket", status=404)]},
     "there is no bucket calls-staging", "deploy with another"),
    ("dead letters", {"sqs:GetQueueAttributes": letters(3)},
     "3 recordings failed", "connect-audio redrive --stack calls starts them again"),
    ("Lambda's concurrency", {"lambda:GetAccountSettings": limits(10)},
     "the account may run 10 functions at once", "Service Quotas"),
    ("Lambda's concurrency", {"lambda:GetFunctionConcurrency": {"ReservedConcurrentExecutions": 0}},
     "no call can be recorded", "ConsumerReservedConcurrency=-1"),
    ("Connect's quotas", {"servicequotas:GetServiceQuota": quota(0)},
     "the instance may have 0 calls at once", "Concurrent active calls per instance"),
    ("Connect's quotas", {"servicequotas:GetServiceQuota": quota(1001)},
     "may have 1001 calls at once, and Lambda can record 1000", "Concurrent executions"),
    ("Connect's quotas", {"lambda:GetFunctionConcurrency": {"ReservedConcurrentExecutions": 9}},
     "may have 10 calls at once, and Lambda can record 9", "ConsumerReservedConcurrency"),
    ("number of streams", {"kinesisvideo:ListStreams": streams(*[24] * 9000)},
     "Connect has made 9000 streams", "raise the quota of streams"),
    ("Connect's answer", {"connect:DescribeContact": Refusal("ResourceNotFoundException", status=404)},
     "Connect does not know the contact of the newest recording", "correct ConnectInstanceArn"),
    ("last 24 hours", {"monitoring:GetMetricData": day(40, 0, 2, 38, 0, 0)}, "2 starts refused", "Starts refused"),
    ("last 24 hours", {"monitoring:GetMetricData": day(40, 0, 0, 38, 0, 2)}, "2 failed", "Recordings failed"),
]  # fmt: skip

NOTES: Final[list[tuple[str, dict[str, Answer], str]]] = [
    ("stack", {"cloudformation:DescribeStacks": stack("UPDATE_IN_PROGRESS")}, "UPDATE_IN_PROGRESS"),
    ("stream prefix", {"connect:ListInstanceStorageConfigs": storage(prefix="call")}, "streams begin with call,"),
    (
        "contact events",
        {"cloudformation:DescribeStacks": stack(RecordingMode="archive")},
        "off, although RecordingMode is archive: a recording comes 5 minutes to an hour after its call",
    ),
    ("streams' retention", {"kinesisvideo:ListStreams": streams()}, "no stream begins with calls"),
    (
        "bucket",
        {"s3:GetBucketLocation": {"LocationConstraint": "eu-west-1"}},
        "is in eu-west-1, the stack in eu-west-2",
    ),
    ("last 24 hours", {"monitoring:GetMetricData": day(0, 0, 0, 0, 0, 0)}, "the trigger was not called"),
    ("Connect's answer", {"s3:ListObjectsV2": {}}, "the bucket has no recording of the last 7 days"),
    ("Connect's answer", {"connect:DescribeContact": contact("S3")}, "which ended, with 1 recording, none of a stream"),
    ("last 24 hours", {"monitoring:GetMetricData": day(40, 0, 0, 38, 2, 0)}, "2 partial"),
    ("last 24 hours", {"monitoring:GetMetricData": day(40, 0, 0, 38, 0, 0, 1, 2)}, "Lambda throttled 3 starts"),
]

RIGHTS: Final = {
    "sts:GetCallerIdentity": "",
    "cloudformation:DescribeStacks": "",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "s3:ListObjectsV2": "s3:ListBucket",
    "monitoring:GetMetricData": "cloudwatch:GetMetricData",
}
"""Rights of operations, where the two differ; empty for those that no single check asks."""


@dataclass
class Scene:
    """The stand-in, and the doctor's way to it. Clients are made once for all tests: each takes a while."""

    aws: Aws
    answers: AwsAnswers

    def stack(self, changed: dict[str, Answer], instance: str = "") -> Deployed:
        self.answers.answers = {**copy.deepcopy(WELL), **changed}
        self.aws._answers.clear()
        # The command asks so first.
        assert self.aws.account == ACCOUNT
        self.answers.asked.clear()
        return Deployed.find(self.aws, "calls", instance)


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Scene, WireServer]]:
    answers = AwsAnswers(dict(WELL))
    server = WireServer(answers)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", server.url)
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        session = boto3.Session("testing", "testing", region_name=REGION)
        with closing(server), closing(Aws(session)) as aws:
            # Clients read the variable when they are made.
            for name in (
                "cloudformation",
                "cloudwatch",
                "connect",
                "events",
                "iam",
                "kinesisvideo",
                "kms",
                "lambda",
                "s3",
                "service-quotas",
                "sqs",
                "sts",
            ):
                aws._client(name)
            yield Scene(aws, answers), server


@pytest.fixture
def scene(shared: tuple[Scene, WireServer]) -> Iterator[Scene]:
    made, server = shared
    yield made
    if server.failures:
        raise server.failures.pop()


@pytest.fixture
def endpoint(shared: tuple[Scene, WireServer], monkeypatch: pytest.MonkeyPatch) -> AwsAnswers:
    made, server = shared
    made.answers.answers = dict(WELL)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    return made.answers


def test_a_stack_in_good_order_is_well_in_every_check(scene: Scene) -> None:
    findings = examine(scene.stack({}))

    assert {check.name: finding for check, finding in findings if finding.standing is not Standing.WELL} == {}
    assert [check for check, _ in findings] == list(CHECKS)
    # Each question is asked once, whichever checks need its answer.
    # Rights and quotas are asked one by one, and days one by one after midnight.
    of_many = {"iam:SimulatePrincipalPolicy", "servicequotas:GetServiceQuota", "s3:ListObjectsV2"}
    questions = [each for each in scene.answers.asked if each not in of_many]
    assert len(questions) == len(set(questions))


@pytest.mark.parametrize(
    ("name", "changed", "found", "remedy"), FAULTS, ids=[f"{row[0]} {number}" for number, row in enumerate(FAULTS)]
)
def test_a_fault_is_found_with_what_to_do(
    scene: Scene, name: str, changed: dict[str, Answer], found: str, remedy: str
) -> None:
    finding = finding_of(BY_NAME[name], scene.stack(changed))

    assert finding.standing is Standing.FAULT
    assert found in finding.found
    assert remedy in finding.remedy


def test_each_check_has_a_case_in_which_it_finds_a_fault() -> None:
    assert {name for name, _, _, _ in FAULTS} == set(BY_NAME)


@pytest.mark.parametrize(("name", "changed", "found"), NOTES)
def test_a_fact_to_know_is_no_fault(scene: Scene, name: str, changed: dict[str, Answer], found: str) -> None:
    finding = finding_of(BY_NAME[name], scene.stack(changed))

    assert finding.standing is Standing.NOTE
    assert found in finding.found


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_check_needs_the_rights_that_it_names_and_says_which_one_it_lacks(scene: Scene, check: Check) -> None:
    # A customer's key on the streams, contact events, and quotas that nobody raised: each check asks all that it ever
    # asks.
    deployed: dict[str, Answer] = {
        "servicequotas:GetServiceQuota": Refusal("NoSuchResourceException"),
        "servicequotas:GetAWSDefaultServiceQuota": quota(10),
        "kinesisvideo:ListStreams": streams(24, key=KEY),
        "cloudformation:DescribeStacks": stack(StreamKmsKeyArn=KEY, ContactEvents="on"),
    }
    finding_of(check, scene.stack(deployed))
    asked = list(dict.fromkeys(scene.answers.asked))[1:]

    rights = []
    for operation in asked:
        finding = finding_of(check, scene.stack({**deployed, operation: DENIED}))
        rights.append(RIGHTS.get(operation, operation))
        assert (finding.standing, finding.found) == (Standing.NOT_CHECKED, f"needs {rights[-1]}")
        assert finding.remedy == ""
    assert sorted(rights) == sorted(right for right in check.rights if right not in RIGHTS)


def test_the_table_of_rights_is_what_the_checks_need() -> None:
    text = (ROOT / "docs" / "security.md").read_text("utf-8")
    rows = text[text.index("| check | rights |") :].split("\n\n", 1)[0].splitlines()[2:]

    assert rows == [
        f"| {check.name} | {' '.join(f'`{right}`' for right in check.rights)} |"
        for check in (*CHECKS, *listening.CHECKS)
    ]


def test_a_first_deployment_that_failed_has_no_outputs_and_is_a_fault(scene: Scene) -> None:
    failed = stack("ROLLBACK_COMPLETE")
    del failed["Stacks"][0]["Outputs"]

    findings = {
        check.name: finding for check, finding in examine(scene.stack({"cloudformation:DescribeStacks": failed}))
    }

    assert findings["stack"].standing is Standing.FAULT
    assert findings["dead letters"].found == (
        "stack calls is ROLLBACK_COMPLETE and has no output FailedRecordingsQueueUrl: deploy it first"
    )
    assert findings["dead letters"].standing is Standing.NOT_CHECKED


def test_more_calls_than_executions_are_well_if_calls_are_recorded_after_their_end(scene: Scene) -> None:
    changed: dict[str, Answer] = {
        "cloudformation:DescribeStacks": stack(RecordingMode="archive"),
        "servicequotas:GetServiceQuota": quota(5000),
        "kinesisvideo:ListStreams": streams(2, 24),
    }

    for name in ("Connect's quotas", "streams' retention"):
        assert finding_of(BY_NAME[name], scene.stack(changed)).standing is Standing.WELL


def test_a_stack_with_a_bucket_of_staging_is_well_if_each_bucket_has_the_rule_that_it_needs(scene: Scene) -> None:
    staged: dict[str, Answer] = {
        **STAGED,
        "s3:GetBucketLifecycleConfiguration": [uploads_alone(), {"Rules": lifecycle()["Rules"][1:]}],
    }

    findings = {check.name: finding for check, finding in examine(scene.stack(staged))}

    assert {name: each for name, each in findings.items() if each.standing is not Standing.WELL} == {}
    assert "calls-staging is in eu-west-2" in findings["bucket"].found
    assert scene.answers.asked.count("iam:SimulatePrincipalPolicy") == 5


def test_contact_events_are_well_if_the_rule_leads_to_the_function(scene: Scene) -> None:
    finding = finding_of(BY_NAME["contact events"], scene.stack(EVENTS_ON))

    assert finding == well(
        "rule calls-ContactEndedRule is enabled and leads each call's end to calls-ContactEndedFunction"
    )


def test_a_stack_for_every_instance_is_checked_with_the_instance_that_is_given(scene: Scene) -> None:
    open_stack: dict[str, Answer] = {"cloudformation:DescribeStacks": stack(ConnectInstanceArn="")}

    assert finding_of(BY_NAME["instance"], scene.stack(open_stack)).found == (
        "the stack names no instance: give --instance ARN"
    )
    assert finding_of(BY_NAME["instance"], scene.stack(open_stack, INSTANCE)).standing is Standing.WELL


def test_what_aws_does_not_answer_or_refuses_is_not_checked(scene: Scene) -> None:
    broken = Refusal("ServiceException", status=500)

    finding = finding_of(BY_NAME["trigger's permission"], scene.stack({"lambda:GetPolicy": broken}))

    assert (finding.standing, finding.found) == (Standing.NOT_CHECKED, "AWS refuses GetPolicy: ServiceException")


def test_a_check_that_lasts_too_long_holds_nothing_up(scene: Scene) -> None:
    never = threading.Event()

    def waits(_: Deployed) -> Any:
        never.wait(10)

    slow, quick = Check("slow", (), waits), Check("quick", (), lambda _: well("here"))
    findings = examine(scene.stack({}), (slow, quick), limit_s=0.05)
    never.set()

    assert [finding.standing for _, finding in findings] == [Standing.NOT_CHECKED, Standing.WELL]


def test_the_last_days_metrics_are_those_that_the_functions_emit() -> None:
    emitted = {metric.title: [each.value for each in metric.services] for metric in Metric}

    for name, service in metrics._METRICS.items():
        assert emitted[name] == [service]


def test_a_flow_that_can_go_round_the_streaming_is_told_apart() -> None:
    def action(kind: str, *following: str, **parameters: object) -> dict[str, Any]:
        first, *others = [*following, ""]
        transitions = {"NextAction": first, "Conditions": [{"NextAction": each} for each in others if each]}
        return {"Type": kind, "Parameters": parameters, "Transitions": transitions}

    def content(**actions: dict[str, Any]) -> dict[str, Any]:
        return {"StartAction": "begin", "Actions": [{"Identifier": name, **each} for name, each in actions.items()]}

    stream = action(
        "UpdateContactMediaStreamingBehavior",
        "call",
        MediaStreamingState="Enabled",
        Participants=[{"MediaDirections": ["To", "From"]}],
    )
    call = action("InvokeLambdaFunction", LambdaFunctionARN=f"{TRIGGER}:1")

    assert use_of(content(begin=action("Compare", "stream"), stream=stream, call=call), TRIGGER).streams
    assert not use_of(content(begin=action("Compare", "stream", "call"), stream=stream, call=call), TRIGGER).streams
    assert not use_of(content(begin=action("Compare"), stream=stream, call=call), TRIGGER).invokes


SAMPLE: Final[dict[str, Answer]] = {
    "connect:ListInstanceStorageConfigs": storage(0),
    "kinesisvideo:ListStreams": streams(0, 0, 24),
    "connect:ListLambdaFunctions": {"LambdaFunctions": []},
    "iam:SimulatePrincipalPolicy": DENIED,
    "sqs:GetQueueAttributes": letters(1),
    "monitoring:GetMetricData": day(40, 0, 0, 38, 1, 0),
}
"""What the sample of docs/troubleshooting.md was made of."""


def doctor(*options: str) -> Finished:
    return run_here("doctor", "--stack", "calls", *options)


def test_the_command_reports_each_check_and_ends_with_0(endpoint: AwsAnswers) -> None:
    finished = doctor("--json")

    assert "connect:DescribeInstance" in endpoint.asked

    assert (finished.code, finished.err) == (0, "")
    document = json.loads(finished.out)
    assert (document["stack"], document["account"], document["region"]) == ("calls", ACCOUNT, REGION)
    assert [(each["name"], each["standing"]) for each in document["checks"]] == [(each.name, "well") for each in CHECKS]


def test_the_command_ends_with_3_if_a_check_finds_a_fault(endpoint: AwsAnswers) -> None:
    endpoint.answers |= SAMPLE

    finished = doctor()

    assert finished.code == 3
    assert finished.complaint == "4 checks found a fault"
    lines = finished.out.splitlines()
    at = lines.index("fault        dead letters: 1 recording failed")
    assert lines[at + 1] == "             do: connect-audio redrive --stack calls starts them again"
    assert "not checked  consumer's role: needs iam:SimulatePrincipalPolicy" in lines
    assert lines[-1] == f"{len(CHECKS) - 6} well, 4 faults, 1 note, 1 not checked"
    guide = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    (shown,) = re.findall(r"^```text\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    assert shown.split() == finished.out.split() + finished.err.split()


def test_a_stack_that_may_not_be_described_is_not_checked_and_no_fault(endpoint: AwsAnswers) -> None:
    endpoint.answers["cloudformation:DescribeStacks"] = DENIED

    finished = doctor()

    assert finished.code == 0
    assert finished.out.count("needs cloudformation:DescribeStacks") == len(CHECKS)


def test_a_stack_that_is_not_there_is_an_unusable_argument(endpoint: AwsAnswers) -> None:
    absent = Refusal("ValidationError", "Stack with id cals does not exist")
    endpoint.answers["cloudformation:DescribeStacks"] = [absent, stack()]

    finished = run_here("doctor", "--stack", "cals")

    assert (finished.code, finished.out) == (2, "")
    assert finished.complaint == f"account {ACCOUNT} has no stack cals in {REGION}: name one of calls"


def test_expired_credentials_are_told_in_one_line(endpoint: AwsAnswers) -> None:
    endpoint.answers["sts:GetCallerIdentity"] = Refusal("ExpiredToken", status=403)

    finished = doctor()

    assert (finished.code, finished.complaint) == (2, "AWS refuses GetCallerIdentity: ExpiredToken")


def test_ctrl_c_ends_it_while_aws_does_not_answer(endpoint: AwsAnswers) -> None:
    held = threading.Event()
    endpoint.answers["connect:DescribeInstance"] = held
    endpoint.asked.clear()
    process = subprocess.Popen(
        [COMMAND, "doctor", "--stack", "calls"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        while "connect:DescribeInstance" not in endpoint.asked:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    finally:
        held.set()
        process.kill()

    assert (process.returncode, out, err) == (130, "", "connect-audio: interrupted\n")


def test_a_stack_must_be_named() -> None:
    finished = run("doctor")

    assert (finished.code, finished.complaint) == (2, "Missing option '--stack' (see connect-audio doctor --help)")


def test_the_command_listens_on_request_alone(endpoint: AwsAnswers) -> None:
    endpoint.answers["kinesisvideo:ListStreams"] = streams()

    assert "newest stream" not in doctor().out
    assert "newest stream: there is no stream to listen to" in doctor("--listen").out
