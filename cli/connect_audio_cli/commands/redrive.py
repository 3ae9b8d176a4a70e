"""`connect-audio redrive`: start what is in the dead-letter queue again. The one command that works on AWS."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import Final

from connect_audio_cli.output.arguments import Parser, flag
from connect_audio_cli.output.command_error import CommandError, ExitCode, printable
from connect_audio_cli.output.extras import needs
from connect_audio_cli.output.formatting import count

_FUNCTION: Final = re.compile(
    r"(?:arn:aws[a-z-]*:lambda:(?P<region>[a-z0-9-]+):[0-9]{12}:function:)?[A-Za-z0-9-_]{1,64}:[A-Za-z0-9-_]{1,128}",
    re.ASCII,
)


def main(arguments: Sequence[str]) -> int:
    """Read the options and redrive.

    Raises:
        CommandError: as `run`, or options that cannot be used.
    """
    given = _parser().read(arguments)
    run(given.queue_url, given.function, dry_run=given.dry_run)
    return ExitCode.WHOLE


def _parser() -> Parser:
    parser = Parser(
        "redrive",
        "--queue-url URL --function ARN",
        "Start failed recordings again, each where it stood. Works on AWS, with your credentials.\n\n"
        "Takes the messages of the dead-letter queue; each one that is started again, or need not be, leaves the "
        "queue.",
        "Exit code 3: a message was left in the queue.",
    )
    parser.add_argument(
        "--queue-url",
        metavar="URL",
        required=True,
        help="The dead-letter queue: the stack's output FailedRecordingsQueueUrl.",
    )
    parser.add_argument(
        "--function",
        metavar="ARN",
        required=True,
        help="The consumer, with its alias: the stack's output ConsumerAliasArn.",
    )
    flag(parser, "--dry-run", "Say what would be done, and do nothing.")
    return parser


def run(queue_url: str, function: str, *, dry_run: bool) -> None:
    """Redrive a queue and print the outcome of each message.

    Args:
        queue_url: the dead-letter queue's URL.
        function: the consumer, qualified.
        dry_run: only look.

    Raises:
        CommandError: AWS refused or cannot be reached, or a message was left in the queue.
    """
    known = _FUNCTION.fullmatch(function)
    if known is None:
        raise CommandError(
            f"--function {printable(function)} has no alias: give the consumer's ARN, or name, with :live behind it"
        )
    with needs("redrive"):
        import boto3  # noqa: PLC0415 - help and slips need none of it
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        from connect_audio.adapters.system_clock import SystemClock  # noqa: PLC0415
        from connect_audio_cli.redrive.decision import Outcome  # noqa: PLC0415
        from connect_audio_cli.redrive.redrive import Redrive  # noqa: PLC0415
    outcomes: Counter[Outcome] = Counter()
    try:
        with ExitStack() as stack:
            sqs = stack.enter_context(closing(boto3.client("sqs", region_name=known["region"])))
            lambda_ = stack.enter_context(closing(boto3.client("lambda", region_name=known["region"])))
            redrive = Redrive(queue_url, function, sqs=sqs, lambda_=lambda_, clock=SystemClock(), dry_run=dry_run)
            redriven = stack.enter_context(closing(redrive.run()))
            for each in redriven:
                outcomes[each.outcome] += 1
                sys.stdout.write(f"{each.outcome:8}  {each.name}  {printable(each.detail)}\n")
                sys.stdout.flush()
    except ClientError as error:
        failed = error.response.get("Error", {})
        code, message = failed.get("Code", "an error"), failed.get("Message", "")
        raise CommandError(f"AWS refuses {error.operation_name}: {code}: {printable(message)}") from error
    except BotoCoreError as error:
        raise CommandError(f"AWS cannot be asked: {printable(str(error))}") from error
    if not outcomes:
        sys.stdout.write("the queue is empty\n")
    elif outcomes[Outcome.LEFT] and not dry_run:
        raise CommandError(f"{count(outcomes[Outcome.LEFT], 'message')} left in the queue", ExitCode.NOT_WHOLE)
