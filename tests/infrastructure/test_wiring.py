"""What the stack does to the Connect instance: nothing unless asked, each thing by a switch of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scripts.fill_flow import NO_QUEUE, fill

from infrastructure.evaluation import evaluated

type Json = dict[str, Any]

FLOW = Path(__file__).parents[2] / "connect" / "recording-flow.json"
INSTANCE = "arn:aws:connect:eu-west-2:111122223333:instance/9a8b7c6d-0000-4000-8000-000000000001"
QUEUE = f"{INSTANCE}/queue/1f2e3d4c-0000-4000-8000-000000000002"
KEY = "arn:aws:kms:eu-west-2:111122223333:key/0f5c7a3e-1b2d-4c6f-9a8e-3d4b5c6a7f80"


def stack(template: Json, **parameters: object) -> Json:
    return evaluated(template, {"StreamNamePrefix": "live", **parameters})


def resources(template: Json, **parameters: object) -> Json:
    found: Json = stack(template, **parameters)["Resources"]
    return found


def test_nothing_is_wired_unless_asked_for(template: Json) -> None:
    there = resources(template, ConnectInstanceArn=INSTANCE)
    assert not [name for name, one in there.items() if one["Type"].startswith(("AWS::Connect", "AWS::KMS"))]


@pytest.mark.parametrize(
    ("switches", "made"),
    [
        ({"WireMediaStreaming": "true"}, {"MediaStreaming", "StreamKey"}),
        ({"WireMediaStreaming": "true", "StreamKmsKeyArn": KEY}, {"MediaStreaming"}),
        ({"WireTrigger": "true"}, {"TriggerAssociation"}),
        ({"WireTrigger": "true", "WireFlow": "true"}, {"TriggerAssociation", "RecordingFlow"}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_each_switch_makes_what_it_says_and_no_more(template: Json, switches: dict[str, str], made: set[str]) -> None:
    before = resources(template, ConnectInstanceArn=INSTANCE)
    assert set(resources(template, ConnectInstanceArn=INSTANCE, **switches)) - set(before) == made


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"WireMediaStreaming": "true"}, "WireMediaStreaming and WireTrigger need ConnectInstanceArn"),
        ({"WireTrigger": "true"}, "WireMediaStreaming and WireTrigger need ConnectInstanceArn"),
        ({"WireFlow": "true", "ConnectInstanceArn": INSTANCE}, "WireFlow needs WireTrigger"),
    ],
)
def test_wiring_that_lacks_something_is_refused_with_a_word_of_what(
    template: Json, parameters: dict[str, str], complaint: str
) -> None:
    with pytest.raises(AssertionError, match=complaint):
        resources(template, **parameters)


def test_media_streaming_gets_prefix_retention_and_the_given_key(template: Json) -> None:
    there = resources(
        template,
        ConnectInstanceArn=INSTANCE,
        WireMediaStreaming="true",
        StreamKmsKeyArn=KEY,
        MediaStreamRetentionHours=48,
    )
    assert there["MediaStreaming"]["Properties"] == {
        "InstanceArn": INSTANCE,
        "ResourceType": "MEDIA_STREAMS",
        "StorageType": "KINESIS_VIDEO_STREAM",
        "KinesisVideoStreamConfig": {
            "Prefix": "live",
            "RetentionPeriodHours": 48,
            "EncryptionConfig": {"EncryptionType": "KMS", "KeyId": KEY},
        },
    }


def test_a_key_that_the_stack_makes_turns_stays_and_decrypts_for_the_consumer(template: Json) -> None:
    there = resources(template, ConnectInstanceArn=INSTANCE, WireMediaStreaming="true")
    key = there["StreamKey"]
    assert (key["DeletionPolicy"], key["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert key["Properties"]["EnableKeyRotation"] is True
    config = there["MediaStreaming"]["Properties"]["KinesisVideoStreamConfig"]
    assert config["EncryptionConfig"]["KeyId"] == "<StreamKey.Arn>"
    (policy,) = there["ConsumerRole"]["Properties"]["Policies"]
    (statement,) = [one for one in policy["PolicyDocument"]["Statement"] if one["Sid"] == "DecryptTheStreams"]
    assert (statement["Action"], statement["Resource"]) == ("kms:Decrypt", "<StreamKey.Arn>")


def test_the_streams_keep_audio_for_a_day_unless_told_otherwise_and_an_instance_has_one_setting(template: Json) -> None:
    assert template["Parameters"]["MediaStreamRetentionHours"]["Default"] == 24
    assert "has one such setting" in template["Parameters"]["WireMediaStreaming"]["Description"]


def test_the_trigger_is_added_to_the_instance_once_connect_may_call_it(template: Json) -> None:
    association = resources(template, ConnectInstanceArn=INSTANCE, WireTrigger="true")["TriggerAssociation"]
    assert association["Properties"] == {
        "InstanceId": INSTANCE,
        "IntegrationType": "LAMBDA_FUNCTION",
        "IntegrationArn": "<TriggerFunction.Arn>",
    }
    assert association["DependsOn"] == "TriggerPermission"


# The flow


def flow(template: Json, **parameters: object) -> Json:
    there = resources(template, ConnectInstanceArn=INSTANCE, WireTrigger="true", WireFlow="true", **parameters)
    found: Json = there["RecordingFlow"]
    return found


def test_the_template_holds_the_flow_of_the_file_letter_for_letter(template: Json) -> None:
    text, _ = template["Resources"]["RecordingFlow"]["Properties"]["Content"]["Fn::Sub"]
    assert text == FLOW.read_text("utf-8").rstrip("\n"), "run `make flow-into-template`"


@pytest.mark.parametrize("queue", ["", QUEUE])
def test_the_deployed_flow_is_what_make_flow_writes_with_the_trigger_and_the_queue(template: Json, queue: str) -> None:
    content = flow(template, FlowQueueArn=queue)["Properties"]["Content"]
    filled = fill(
        FLOW.read_text("utf-8"), {"TriggerFunctionArn": "<TriggerFunction.Arn>", "QueueArn": queue or NO_QUEUE}
    )
    assert content == filled.rstrip("\n")
    actions = {one["Identifier"]: one for one in json.loads(content)["Actions"]}
    invocation = actions["Start the recording"]["Parameters"]
    assert invocation["LambdaFunctionARN"] == "<TriggerFunction.Arn>"
    assert actions["Note the queue"]["Parameters"]["Attributes"] == {"recordingQueue": queue or "none"}


def test_the_flow_is_an_active_inbound_flow_made_after_the_instance_knows_the_trigger(template: Json) -> None:
    made = flow(template)
    wanted = {"InstanceArn": INSTANCE, "Name": "Recording (calls)", "Type": "CONTACT_FLOW", "State": "ACTIVE"}
    assert wanted.items() <= made["Properties"].items()
    assert made["DependsOn"] == "TriggerAssociation"
    outputs = stack(template, ConnectInstanceArn=INSTANCE, WireTrigger="true", WireFlow="true")["Outputs"]
    assert outputs["RecordingFlowArn"]["Value"] == "<RecordingFlow>"
