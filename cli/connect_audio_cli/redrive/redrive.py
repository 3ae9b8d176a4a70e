"""Start failed recordings again from the dead-letter queue: the work behind `connect-audio redrive`.

A message of the queue is the input of an execution that failed for good. Lambda knows its name for as long as the
queue keeps the message (template.yaml: 14 days both). The same input under the same name would start nothing. So the
new execution has a name of its own and continues from the end of the failed one's history. A message in doubt stays in
the queue and is explained.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from connect_audio.core.errors import RequestError
from connect_audio_cli.redrive.decision import (
    FailedRecording,
    InDoubtError,
    Outcome,
    Running,
    Succeeded,
    decide,
    finished_as,
    new_execution,
)
from connect_audio_cli.redrive.history import ExecutionHistory
from connect_audio_cli.redrive.queue import DeadLetterQueue

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

    from connect_audio.ports import Clock

# Lambda's errors that concern every message alike.
_EVERY_MESSAGE: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotAuthorized",
        "OptInRequired",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RecursionError,
    RequestError,
    ParamValidationError,
)
"""Exceptions of an answer in an unexpected form, or of a request made from it."""
_ASK_OF_THE_FUNCTION: Final = frozenset({"Invoke", "ListDurableExecutionsByFunction"})


@dataclass(frozen=True, slots=True)
class Redriven:
    """One message.

    Args:
        outcome: its outcome.
        name: execution name that the message is about, or its message id where it names none.
        detail: for people.
    """

    outcome: Outcome
    name: str
    detail: str


class Redrive:
    """Empty a dead-letter queue.

    Args:
        queue_url: the queue's URL.
        function: the consumer, qualified: its alias's ARN or `name:alias`.
        sqs: a client.
        lambda_: a client.
        clock: gives the time since an execution was stopped.
        dry_run: look, start nothing, and leave every message.
    """

    def __init__(
        self,
        queue_url: str,
        function: str,
        *,
        sqs: SQSClient,
        lambda_: LambdaClient,
        clock: Clock,
        dry_run: bool = False,
    ) -> None:
        self._queue = DeadLetterQueue(queue_url, sqs)
        self._history = ExecutionHistory(function, lambda_)
        self._clock = clock
        self._dry_run = dry_run

    def run(self) -> Generator[Redriven]:
        """Take every message of the queue once; remaining messages can be received again when it ends.

        Close it where it is not run to its end.

        Raises:
            botocore.exceptions.ClientError: SQS refused, or Lambda did in a way that no other message would change;
                what was started before stays started, the rest in the queue.
            botocore.exceptions.BotoCoreError: AWS could not be reached.
        """
        try:
            yield from self._each()
        except BotoCoreError:
            raise  # SQS does not answer; the messages come back by themselves.
        except BaseException:
            with suppress(ClientError, BotoCoreError):
                self._queue.show()
            raise
        self._queue.show()

    def _each(self) -> Iterator[Redriven]:
        while messages := self._queue.receive():
            for message in messages:
                found = self._one(message)
                if found.outcome is not Outcome.LEFT and not self._dry_run:
                    self._queue.delete(message)
                yield found

    def _one(self, message: MessageTypeDef) -> Redriven:
        try:
            failed = FailedRecording.from_body(message["Body"])
        except (ValueError, RecursionError, RequestError) as error:
            said = str(error) if isinstance(error, RequestError) else "it is no JSON"
            return Redriven(Outcome.LEFT, message["MessageId"], f"no input of the consumer: {said}")
        name = failed.request.execution_name
        try:
            return self._start_again(failed)
        except InDoubtError as error:
            return Redriven(Outcome.LEFT, name, str(error))
        except ClientError as error:
            refused = error.response.get("Error", {})
            code = refused.get("Code", "an error")
            if code in _EVERY_MESSAGE or (
                code == "ResourceNotFoundException" and error.operation_name in _ASK_OF_THE_FUNCTION
            ):
                raise
            reason = refused.get("Message", "")
            return Redriven(Outcome.LEFT, name, f"Lambda refuses {error.operation_name}: {code}: {reason}")
        except _UNREADABLE as error:
            # Written by another version, or not what AWS documents; the error's own text may quote it.
            return Redriven(Outcome.LEFT, name, f"what Lambda keeps of it cannot be read ({type(error).__name__})")

    def _start_again(self, failed: FailedRecording) -> Redriven:
        name = failed.request.execution_name
        decision = decide(list(self._history.attempts(name)), self._clock.now_ms())
        if isinstance(decision, Running):
            return Redriven(Outcome.RUNNING, name, f"execution {decision.attempt.name} is at it")
        if isinstance(decision, Succeeded):
            status = finished_as(decision.attempt, self._history.result(decision.attempt))
            return Redriven(Outcome.FINISHED, name, f"execution {decision.attempt.name} has finished it: {status}")
        newest = decision.newest
        continuation = failed.carried if newest is None else self._history.continuation(newest)
        execution = new_execution(failed, newest, continuation)
        if self._dry_run:
            return Redriven(Outcome.LEFT, name, f"would start {execution.name} {execution.start}")
        self._history.start(execution)
        return Redriven(Outcome.STARTED, name, f"{execution.name} goes on {execution.start}")
