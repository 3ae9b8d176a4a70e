"""`connect-audio redrive`: start what is in the dead-letter queue again. The one command that works on AWS."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from connect_audio_cli.output.arguments import Parser, flag, number
from connect_audio_cli.output.command_error import CommandError, ExitCode, printable
from connect_audio_cli.output.extras import needs
from connect_audio_cli.output.formatting import count
from connect_audio_cli.output.reporting import Report, add_report_options

if TYPE_CHECKING:
    from boto3 import Session

_FUNCTION: Final = re.compile(
    r"(?:arn:aws[a-z-]*:lambda:(?P<region>[a-z0-9-]+):[0-9]{12}:function:)?[A-Za-z0-9-_]{1,64}:[A-Za-z0-9-_]{1,128}",
    re.ASCII,
)


def main(arguments: Sequence[str]) -> int:
    """Read the options and redrive.

    Raises:
        CommandError: as `run`, or options that cannot be used.
    """
    given = parser().read(arguments)
    run(
        Target(given.stack, given.queue_url, given.function, given.profile, given.region),
        contact_ids=given.contact_id or (),
        most=given.max,
        dry_run=given.dry_run,
        report=Report.of(given),
    )
    return ExitCode.WHOLE


@dataclass(frozen=True, slots=True)
class Target:
    """The stack to work on, as the options say it. Either `stack`, or `queue_url` and `function`.

    Args:
        stack: name of the CloudFormation stack; None for none.
        queue_url: the dead-letter queue's URL; None for the stack's.
        function: the consumer, qualified; None for the stack's.
        profile: profile of AWS's configuration; None for the default.
        region: region; None for the function's, or the profile's.
    """

    stack: str | None
    queue_url: str | None
    function: str | None
    profile: str | None
    region: str | None


def parser() -> Parser:
    """Return the options."""
    options = Parser(
        "redrive",
        "--stack NAME",
        "Start failed recordings again, each where it stood. Works on AWS, with your credentials.\n\n"
        "Takes the messages of the dead-letter queue; each one that is started again, or need not be, leaves the "
        "queue. Instead of --stack, give --queue-url and --function.",
        examples=(
            ("connect-audio redrive --stack connect-audio --dry-run", "Show each decision, and start nothing."),
            ("connect-audio redrive --stack connect-audio --max 10", "The first ten recordings are started again."),
        ),
        exit_codes={ExitCode.NOT_WHOLE: "a message was left in the queue"},
    )
    options.add_argument("--stack", metavar="NAME", help="The stack, whose outputs name queue and function.")
    options.add_argument(
        "--queue-url",
        metavar="URL",
        help="The dead-letter queue: the stack's output FailedRecordingsQueueUrl.",
    )
    options.add_argument(
        "--function",
        metavar="ARN",
        help="The consumer, with its alias: the stack's output ConsumerAliasArn.",
    )
    options.add_argument(
        "--contact-id", metavar="ID", action="append", help="Only this contact's recordings; may be given many times."
    )
    options.add_argument("--max", metavar="N", type=number(int, 1), help="Take so many messages at most.")
    options.add_argument("--profile", metavar="NAME", help="Profile of your AWS configuration.")
    options.add_argument("--region", metavar="REGION", help="Region of the stack; by default the function's own.")
    flag(options, "--dry-run", "Say what would be done, and do nothing.")
    add_report_options(options)
    return options


def run(
    target: Target,
    *,
    contact_ids: Sequence[str] = (),
    most: int | None = None,
    dry_run: bool = False,
    report: Report | None = None,
) -> None:
    """Redrive a queue and print the outcome of each message.

    Args:
        target: the stack.
        contact_ids: contacts whose recordings are redriven; empty for all.
        most: number of messages to take at most; None for all.
        dry_run: only look.
        report: gets the outcomes; lines for people by default.

    Raises:
        CommandError: AWS refused or cannot be reached, or a message was left in the queue.
    """
    _check(target)
    with needs("redrive"):
        import boto3  # noqa: PLC0415 - help and slips need none of it
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        from connect_audio.adapters.system_clock import SystemClock  # noqa: PLC0415
        from connect_audio_cli.redrive.decision import Outcome  # noqa: PLC0415
        from connect_audio_cli.redrive.redrive import Redrive, Selection  # noqa: PLC0415
    report = report or Report()
    outcomes: Counter[Outcome] = Counter()
    messages: list[dict[str, str]] = []
    try:
        with ExitStack() as stack:
            known = None if target.function is None else _FUNCTION.fullmatch(target.function)
            region = target.region or (known and known["region"]) or None
            session = boto3.Session(profile_name=target.profile, region_name=region)
            queue_url, function = _addresses(target, session)
            redrive = Redrive(
                queue_url,
                function,
                sqs=stack.enter_context(closing(session.client("sqs"))),
                lambda_=stack.enter_context(closing(session.client("lambda"))),
                s3=stack.enter_context(closing(session.client("s3"))),
                clock=SystemClock(),
                selection=Selection(contact_ids=frozenset(contact_ids), most=most),
                dry_run=dry_run,
            )
            redriven = stack.enter_context(closing(redrive.run()))
            for each in redriven:
                outcomes[each.outcome] += 1
                detail = printable(each.detail)
                messages.append({"outcome": str(each.outcome), "execution": each.name, "detail": detail})
                report.line(f"{each.outcome:8}  {each.name}  {detail}")
                sys.stdout.flush()
    except ClientError as error:
        failed = error.response.get("Error", {})
        code, message = failed.get("Code", "an error"), failed.get("Message", "")
        raise CommandError(f"AWS refuses {error.operation_name}: {code}: {printable(message)}") from error
    except BotoCoreError as error:
        raise CommandError(f"AWS cannot be asked: {printable(str(error))}") from error
    finally:
        # Recordings that were started before a failure stay started.
        report.document({"dryRun": dry_run, "messages": messages})
    if not outcomes:
        report.line("the queue has no message of these contacts" if contact_ids else "the queue is empty")
    elif outcomes[Outcome.LEFT] and not dry_run:
        raise CommandError(f"{count(outcomes[Outcome.LEFT], 'message')} left in the queue", ExitCode.NOT_WHOLE)


def _check(target: Target) -> None:
    if target.stack is None and (target.queue_url is None or target.function is None):
        raise CommandError(
            "give --stack NAME, or --queue-url and --function (see connect-audio redrive --help)", ExitCode.UNUSABLE
        )
    if target.function is not None and _FUNCTION.fullmatch(target.function) is None:
        raise CommandError(
            f"--function {printable(target.function)} has no alias: give the consumer's ARN, or name, with :live "
            "behind it"
        )


def _addresses(target: Target, session: Session) -> tuple[str, str]:
    """The queue's URL and the function's ARN: the given ones, or the stack's outputs.

    Raises:
        CommandError: there is no such stack, it has no such outputs, or AWS refused.
    """
    if target.queue_url is not None and target.function is not None:
        return target.queue_url, target.function
    from connect_audio_cli.stacks.deployed import Deployed  # noqa: PLC0415 - as above

    stack = Deployed.found(session, target.stack or "", otherwise="give --queue-url and --function")
    return (
        target.queue_url or stack.output("FailedRecordingsQueueUrl"),
        target.function or stack.output("ConsumerAliasArn"),
    )
