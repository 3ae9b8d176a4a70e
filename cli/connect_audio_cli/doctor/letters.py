"""The check of the dead-letter queue: recordings that failed and wait for a redrive."""

from __future__ import annotations

from typing import Final

from connect_audio_cli.doctor.check import Check, Finding, fault, well
from connect_audio_cli.output.formatting import count
from connect_audio_cli.stacks.deployed import Deployed

_COUNTS: Final = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")


def _letters(stack: Deployed) -> Finding:
    queue = stack.output("FailedRecordingsQueueUrl")
    attributes = stack.aws.ask("sqs", "get_queue_attributes", QueueUrl=queue, AttributeNames=list(_COUNTS))[
        "Attributes"
    ]
    if waiting := sum(int(attributes[name]) for name in _COUNTS):
        return fault(
            f"{count(waiting, 'recording')} failed", f"connect-audio redrive --stack {stack.name} starts them again"
        )
    return well("no recording waits for a redrive")


CHECKS: Final = (Check("dead letters", ("sqs:GetQueueAttributes",), _letters),)
