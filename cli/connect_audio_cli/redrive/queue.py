"""The dead-letter queue: each message is received once, and the remaining ones are shown again at the end."""

from __future__ import annotations

from itertools import batched
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

_HIDDEN_S: Final = 600
"""Seconds for which a message is hidden from another redrive: ten messages, each with a wait for its claim. At its end
the command shows the remaining messages again; this limit is for a command that was killed."""
_BATCH: Final = 10
"""Messages in one call of SQS at most (SQS, quotas)."""
_MOST_REPEATS: Final = 100
"""Answers in a row with known messages alone. Then the queue counts as empty."""


class DeadLetterQueue:
    """Messages of failed recordings.

    Args:
        queue_url: the queue's URL.
        sqs: a client.
    """

    def __init__(self, queue_url: str, sqs: SQSClient) -> None:
        self._queue_url = queue_url
        self._sqs = sqs
        self._seen: set[str] = set()
        self._handles: dict[str, str] = {}  # newest receipt handle of each message that is still in the queue

    def receive(self) -> list[MessageTypeDef]:
        """Return the next messages that were not received before; none at the end of the queue."""
        for _ in range(_MOST_REPEATS):
            answer = self._sqs.receive_message(
                QueueUrl=self._queue_url, MaxNumberOfMessages=_BATCH, VisibilityTimeout=_HIDDEN_S, WaitTimeSeconds=1
            )
            messages = answer.get("Messages", [])
            new = [message for message in messages if message["MessageId"] not in self._seen]
            # A message that is received again has a new handle. The old one no longer makes it visible.
            self._handles |= {message["MessageId"]: message["ReceiptHandle"] for message in messages}
            self._seen |= {message["MessageId"] for message in messages}
            if new or not messages:
                return new
        return []

    def delete(self, message: MessageTypeDef) -> None:
        """Take a message out of the queue for good."""
        self._sqs.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"])
        self._handles.pop(message["MessageId"], None)

    def show(self) -> None:
        """Make the remaining messages visible at once. SQS refuses visible ones singly, which is no harm."""
        for handles in batched(self._handles.values(), _BATCH, strict=False):
            self._sqs.change_message_visibility_batch(
                QueueUrl=self._queue_url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                    for number, handle in enumerate(handles)
                ],
            )
