"""`connect-audio doctor`: say why calls are not recorded. Reads a stack and what it depends on; changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from connect_audio_cli.output.arguments import Parser, flag
from connect_audio_cli.output.command_error import CommandError, ExitCode, printable
from connect_audio_cli.output.extras import needs
from connect_audio_cli.output.formatting import count
from connect_audio_cli.output.reporting import Report, add_report_options

if TYPE_CHECKING:
    from connect_audio_cli.doctor.check import Check, Finding
    from connect_audio_cli.stacks.aws import Aws


def main(arguments: Sequence[str]) -> int:
    """Read the options and examine the stack.

    Raises:
        CommandError: the stack does not exist, AWS cannot be asked at all, or a fault was found.
    """
    given = parser().read(arguments)
    with needs("doctor"):
        import boto3  # noqa: PLC0415 - help and slips need none of it
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        from connect_audio_cli.stacks.aws import Aws, code_of  # noqa: PLC0415
    try:
        with closing(Aws(boto3.Session(profile_name=given.profile, region_name=given.region))) as aws:
            account = aws.account
            findings = _findings(aws, given.stack, given.instance, listen=given.listen)
            region = aws.region
    except ClientError as error:
        raise CommandError(f"AWS refuses {error.operation_name}: {printable(code_of(error))}") from error
    except BotoCoreError as error:
        raise CommandError(f"AWS cannot be asked: {printable(str(error))}") from error
    return _report(findings, Report.of(given), {"stack": given.stack, "account": account, "region": region})


def parser() -> Parser:
    """Return the options."""
    options = Parser(
        "doctor",
        "--stack NAME",
        "Say why calls are not recorded. Works on AWS, with your credentials, and changes nothing.\n\n"
        "Looks at the stack, the Connect instance, its streams and flows, the functions, the bucket, the dead letters, "
        "the quotas and the last day. Each check says what it found and what to do. A check whose right is missing is "
        "not checked, and is no fault.",
        examples=(
            ("connect-audio doctor --stack connect-audio", "Each check in a line or two."),
            ("connect-audio doctor --stack connect-audio --listen", "The same, and the newest stream is read."),
            (
                "connect-audio doctor --stack connect-audio --json",
                "The same for a script, with the rights of each check.",
            ),
        ),
        exit_codes={
            ExitCode.WHOLE: "no fault was found",
            ExitCode.UNUSABLE: "arguments that cannot be used, no such stack, or no credentials",
            ExitCode.NOT_WHOLE: "a fault was found",
        },
    )
    options.add_argument("--stack", metavar="NAME", required=True, help="The stack.")
    options.add_argument(
        "--instance",
        metavar="ARN",
        default="",
        help="The Connect instance, for a stack that serves every instance of the account.",
    )
    flag(
        options,
        "--listen",
        "Also read the newest stream for some seconds, by one of its 3 connections of GetMedia. Audio is read.",
    )
    options.add_argument("--profile", metavar="NAME", help="Profile of your AWS configuration.")
    options.add_argument("--region", metavar="REGION", help="Region of the stack.")
    add_report_options(options)
    return options


def _findings(aws: Aws, name: str, instance: str, *, listen: bool) -> list[tuple[Check, Finding]]:
    """Run the checks; without the right to read the stack, none of them can look.

    Raises:
        CommandError: there is no such stack.
        ClientError: AWS refuses to describe the stack, for another reason than a missing right.
    """
    from botocore.exceptions import ClientError  # noqa: PLC0415 - as above

    from connect_audio_cli.doctor.check import not_checked  # noqa: PLC0415
    from connect_audio_cli.doctor.doctor import CHECKS, examine  # noqa: PLC0415
    from connect_audio_cli.doctor.listening import CHECKS as LISTENING  # noqa: PLC0415
    from connect_audio_cli.stacks.aws import is_denied  # noqa: PLC0415
    from connect_audio_cli.stacks.deployed import Deployed  # noqa: PLC0415

    further = LISTENING if listen else ()
    try:
        stack = Deployed.find(aws, name, instance)
    except ClientError as error:
        if not is_denied(error):
            raise
        return [(check, not_checked("needs cloudformation:DescribeStacks")) for check in (*CHECKS, *further)]
    # Listening makes clients of its own, which must not happen beside the other checks.
    return examine(stack) + examine(stack, further)


def _report(findings: Sequence[tuple[Check, Finding]], report: Report, place: dict[str, str]) -> int:
    """Print the findings.

    Raises:
        CommandError: a fault was found.
    """
    from connect_audio_cli.doctor.check import Standing  # noqa: PLC0415 - as above

    rows = []
    for check, finding in findings:
        rows.append((str(finding.standing), f"{check.name}: {finding.found}"))
        if finding.remedy:
            rows.append(("", f"do: {finding.remedy}"))
    report.values(rows)
    counts = Counter(finding.standing for _, finding in findings)
    report.line()
    plain = {Standing.WELL, Standing.NOT_CHECKED}
    report.line(
        ", ".join(
            f"{number} {standing}" if standing in plain else count(number, standing)
            for standing in Standing
            if (number := counts[standing])
        )
    )
    report.document(
        {
            **place,
            "checks": [
                {
                    "name": check.name,
                    "standing": str(finding.standing),
                    "found": finding.found,
                    "remedy": finding.remedy or None,
                    "rights": list(check.rights),
                }
                for check, finding in findings
            ],
        }
    )
    if faults := counts[Standing.FAULT]:
        raise CommandError(f"{count(faults, 'check')} found a fault", ExitCode.NOT_WHOLE)
    return ExitCode.WHOLE
