"""Start failed recordings again from the dead-letter queue: the work behind `connect-audio redrive`.

A message of the queue is the input of an execution that failed for good. Lambda knows its name for as long as the
queue keeps the message (template.yaml: 14 days both). The same input under the same name would start nothing. So the
new execution has a name of its own and continues from the end of the failed one's history. A message in doubt stays in
the queue and is explained.

*How it works.* Two sources are asked for each message. Lambda lists the executions of the recording by name. The claim
in the bucket names the execution that may write the recording, also one that Lambda does not list. While a claim
stands, only a continuation under its name is started. A message leaves the queue once its successor holds the claim.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from connect_audio.core.errors import RequestError
from connect_audio_cli.redrive.claims import Claims
from connect_audio_cli.redrive.decision import (
    Attempt,
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
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

    from connect_audio.ports import Clock
    from connect_audio.recorder.continuation import Continuation
    from connect_audio.request import RecordingRequest

# Errors of Lambda and S3 that concern every message alike.
_EVERY_MESSAGE: Final = frozenset(
    {
        "403",
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
        "NoSuchBucket",
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


_CLAIM_S: Final = 30.0
"""Limit of waiting for a started execution's claim, seconds: a cold start takes a few. Beyond: the message stays."""
_CLAIM_POLL_S: Final = 1.0
"""Time between two looks at the claim, seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The messages to take; all others stay in the queue and are not mentioned.

    Args:
        contact_ids: contacts whose recordings are taken; empty for every message.
        most: number of messages to take at most; None for all.
    """

    contact_ids: frozenset[str] = frozenset()
    most: int | None = None

    def includes(self, body: str) -> bool:
        """Return True if a message is to be taken, by its body."""
        if not self.contact_ids:
            return True
        try:
            return FailedRecording.from_body(body).request.contact_id in self.contact_ids
        except (ValueError, RecursionError, RequestError):
            return False


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
        s3: a client for the consumer's bucket.
        selection: the messages to take.
        dry_run: look, start nothing, and leave every message.
    """

    def __init__(
        self,
        queue_url: str,
        function: str,
        *,
        sqs: SQSClient,
        lambda_: LambdaClient,
        s3: S3Client,
        clock: Clock,
        selection: Selection | None = None,
        dry_run: bool = False,
    ) -> None:
        self._queue = DeadLetterQueue(queue_url, sqs)
        self._history = ExecutionHistory(function, lambda_)
        self._claims = Claims(function, lambda_, s3)
        self._selection = selection or Selection()
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
        most = self._selection.most
        for message in islice(self._selected(), most):
            found = self._one(message)
            if found.outcome is not Outcome.LEFT and not self._dry_run:
                self._queue.delete(message)
            yield found

    def _selected(self) -> Iterator[MessageTypeDef]:
        while messages := self._queue.receive():
            for message in messages:
                if self._selection.includes(message["Body"]):
                    yield message

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
            if (
                code in _EVERY_MESSAGE
                or error.operation_name == "GetFunctionConfiguration"
                or (code == "ResourceNotFoundException" and error.operation_name in _ASK_OF_THE_FUNCTION)
            ):
                raise
            reason = refused.get("Message", "")
            return Redriven(Outcome.LEFT, name, f"AWS refuses {error.operation_name}: {code}: {reason}")
        except _UNREADABLE as error:
            # Written by another version, or not what AWS documents; the error's own text may quote it.
            return Redriven(Outcome.LEFT, name, f"what Lambda keeps of it cannot be read ({type(error).__name__})")

    def _start_again(self, failed: FailedRecording) -> Redriven:
        name = failed.request.execution_name
        holder = self._claims.holder(failed.request)
        attempts = self._with_holder(list(self._history.attempts(name)), holder, failed)
        decision = decide(attempts, self._clock.now_ms())
        if isinstance(decision, Running):
            running = decision.attempt
            self._check_identity(self._history.beginning(running), holder)
            return Redriven(Outcome.RUNNING, name, f"execution {running.name} is at it")
        if isinstance(decision, Succeeded):
            status = finished_as(decision.attempt, self._history.result(decision.attempt))
            return Redriven(Outcome.FINISHED, name, f"execution {decision.attempt.name} has finished it: {status}")
        newest = decision.newest
        continuation = failed.carried if newest is None else self._history.continuation(newest)
        if continuation is None and holder is None and self._claims.is_published(failed.request):
            return Redriven(Outcome.FINISHED, name, "its recording is in the bucket, and nothing claims it")
        if holder is not None:
            self._check_identity(continuation, holder)
        execution = new_execution(failed, newest, continuation)
        if self._dry_run:
            return Redriven(Outcome.LEFT, name, f"would start {execution.name} {execution.start}")
        self._history.start(execution)
        self._await_claim(failed.request, execution.name, continuation)
        return Redriven(Outcome.STARTED, name, f"{execution.name} goes on {execution.start}")

    def _with_holder(self, attempts: list[Attempt], holder: str | None, failed: FailedRecording) -> list[Attempt]:
        """Add the execution that holds the claim, if Lambda does not list it.

        Raises:
            InDoubtError: Lambda no longer knows it, and the message does not say how far it had come.
        """
        if holder is None or attempts or (failed.carried is not None and failed.carried.execution == holder):
            return attempts
        found = self._history.of_arn(holder, failed.request.execution_name)
        if found is None:
            raise InDoubtError(
                "an execution that Lambda no longer knows holds the claim: a fresh start would be refused. Its audio "
                "is below the recording's .staging/ for 17 days. To give it up, delete the object .claim"
            )
        return [found]

    def _check_identity(self, continuation: Continuation | None, holder: str | None) -> None:
        """Check that an execution may write the recording.

        Args:
            continuation: state with which it began or would begin; None for a fresh start.
            holder: ARN of the execution that holds the claim; None if there is no claim.

        Raises:
            InDoubtError: it may not, or not yet.
        """
        if holder is None:
            raise InDoubtError("an execution of it runs and does not hold the claim yet: try again in a minute")
        if continuation is None or continuation.execution != holder:
            raise InDoubtError("another execution holds the claim than the one to continue from; nothing is started")

    def _await_claim(self, request: RecordingRequest, name: str, continuation: Continuation | None) -> None:
        """Wait until a started execution holds the claim.

        Raises:
            InDoubtError: it does not in time, or another execution does.
        """
        until = self._clock.monotonic() + _CLAIM_S
        while True:
            holder = self._claims.holder(request)
            if holder is not None:
                if continuation is not None and continuation.execution == holder:
                    return
                found = self._history.of_arn(holder, request.execution_name)
                if continuation is None and found is not None and found.name == name:
                    return
                raise InDoubtError(f"{name} was started, but another execution holds the claim")
            if self._claims.is_published(request):
                return
            if self._clock.monotonic() >= until:
                raise InDoubtError(f"{name} was started and does not hold the claim yet: try again in a minute")
            self._clock.sleep(_CLAIM_POLL_S)
