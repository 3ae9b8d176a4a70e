"""The contact flow with a stack's ARNs filled in: what `make flow` writes to `build/recording-flow.json`.

`--stack NAME` asks CloudFormation for the stack's outputs; `--outputs FILE` reads them from what `aws cloudformation
describe-stacks` or `sam list stack-outputs --output json` has printed, without AWS. A placeholder is `${Name}`, as
CloudFormation's Sub has it, so that the template can use the same text.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError

from connect_audio_cli.output.command_error import CommandError, ExitCode, describe, printable
from connect_audio_cli.stacks.deployed import Deployed

FLOW: Final = Path("connect/recording-flow.json")
OUTPUT: Final = Path("build/recording-flow.json")
NO_QUEUE: Final = "none"
"""The flow compares with this word: it holds the call where there is no queue to transfer it to."""

_PLACEHOLDER: Final = re.compile(r"\$\{(\w+)\}")
# AWS documentation, "Actions, resources, and condition keys for Amazon Connect": the ARN of a queue.
_QUEUE_ARN: Final = re.compile(r"arn:aws[a-z-]*:connect:[a-z0-9-]+:\d{12}:instance/[\w-]+/queue/[\w-]+", re.ASCII)


def fill(text: str, values: Mapping[str, str]) -> str:
    """Replace a flow's placeholders.

    Args:
        text: the flow.
        values: values for `${Name}`, by name.

    Raises:
        CommandError: a placeholder has no value.
    """
    missing = sorted({name for name in _PLACEHOLDER.findall(text) if not values.get(name)})
    if missing:
        raise CommandError(f"the stack has no output {' and no output '.join(missing)}: is it this project's stack?")
    filled = _PLACEHOLDER.sub(lambda found: json.dumps(values[found[1]])[1:-1], text)
    json.loads(filled)
    return filled


def outputs_in(document: object) -> dict[str, str]:
    """Read outputs as `describe-stacks` prints them, or their list alone.

    Raises:
        CommandError: neither of the two.
    """
    try:
        listed: Any = document["Stacks"][0]["Outputs"] if isinstance(document, Mapping) else document
        return {each["OutputKey"]: each["OutputValue"] for each in listed}
    except (KeyError, IndexError, TypeError) as error:
        raise CommandError("the file of outputs is not what `aws cloudformation describe-stacks` prints") from error


def outputs_of(stack: str) -> Mapping[str, str]:
    """Ask CloudFormation for a stack's outputs, with the credentials and region of the environment.

    Raises:
        CommandError: there is no such stack, or it cannot be asked for.
    """
    try:
        return Deployed.found(boto3.Session(), stack, otherwise="give --outputs FILE").outputs
    except BotoCoreError as error:
        raise CommandError(f"AWS cannot be asked: {printable(str(error))}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the flow and say where it is."""
    parser = argparse.ArgumentParser(prog="fill_flow", description="Fill a stack's ARNs into the contact flow.")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--stack", help="name of the stack")
    source.add_argument("--outputs", type=Path, help="file that `aws cloudformation describe-stacks` has printed")
    parser.add_argument("--queue", default="", help="ARN of the queue for the call; without one the flow holds it")
    parser.add_argument("--flow", type=Path, default=FLOW, help="the flow with placeholders")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where the filled flow goes")
    given = parser.parse_args(arguments)
    try:
        if given.queue and not _QUEUE_ARN.fullmatch(given.queue):
            raise CommandError("the queue must be an ARN (arn:aws:connect:REGION:ACCOUNT:instance/ID/queue/ID)")
        outputs = outputs_of(given.stack) if given.stack else outputs_in(json.loads(given.outputs.read_text("utf-8")))
        filled = fill(given.flow.read_text("utf-8"), {**outputs, "QueueArn": given.queue or NO_QUEUE})
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text(filled, "utf-8")
    except CommandError as error:
        sys.stderr.write(f"make flow: {error}\n")
        return error.code
    except OSError as error:
        sys.stderr.write(f"make flow: {printable(str(error.filename))}: {describe(error)}\n")
        return ExitCode.UNUSABLE
    except ValueError as error:
        sys.stderr.write(f"make flow: not JSON: {printable(str(error))}\n")
        return ExitCode.UNUSABLE
    sys.stdout.write(
        f"{given.output}: calls {outputs.get('TriggerFunctionArn')}, queue {given.queue or NO_QUEUE}\n"
        "Next: in the flow designer, the menu beside Save, Import; or `aws connect create-contact-flow`\n"
    )
    return ExitCode.WHOLE


if __name__ == "__main__":
    sys.exit(main())
