"""A bus with a queue behind it: the events of a recording as a subscriber gets them."""

from __future__ import annotations

import json
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import boto3
from jsonschema import Draft202012Validator

from connect_audio_local.cloud import REGION

ROOT: Final = Path(__file__).parents[2]
SCHEMA: Final[dict[str, Any]] = json.loads((ROOT / "docs" / "recording-event.schema.json").read_text("utf-8"))


class Listener:
    """A bus of its own on the EventBridge server, with a rule that sends everything of ours to a queue."""

    def __init__(self, url: str) -> None:
        self.bus = f"bus-{uuid.uuid4().hex[:8]}"
        self._sqs = boto3.client("sqs", endpoint_url=url, region_name=REGION)
        self._queue = self._sqs.create_queue(QueueName=self.bus)["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])["Attributes"]
        with closing(boto3.client("events", endpoint_url=url, region_name=REGION)) as events:
            events.create_event_bus(Name=self.bus)
            events.put_rule(Name="all", EventBusName=self.bus, EventPattern='{"source": ["connect-audio"]}')
            events.put_targets(
                Rule="all", EventBusName=self.bus, Targets=[{"Id": "queue", "Arn": attributes["QueueArn"]}]
            )

    def events(self) -> list[dict[str, Any]]:
        """What has arrived since the last look; each detail is what the schema says."""
        found = []
        while messages := self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(json.loads(message["Body"]))
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        for event in found:
            Draft202012Validator(SCHEMA).validate(event["detail"])
        return found

    def close(self) -> None:
        self._sqs.close()
