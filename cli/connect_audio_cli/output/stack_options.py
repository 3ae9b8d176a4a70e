"""The options `--stack` and `--staging-bucket`, for the commands that write recordings into a stack's bucket."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Final

from connect_audio_cli.output.command_error import CommandError

if TYPE_CHECKING:
    from connect_audio_cli.output.arguments import Parser

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)


def is_bucket(name: str) -> bool:
    """Return True if a name can be one of a bucket."""
    return _BUCKET.fullmatch(name) is not None


def add_stack_options(parser: Parser, stack_help: str) -> None:
    """Add `--stack` and `--staging-bucket` to a command.

    Args:
        parser: the command's options.
        stack_help: the effect of `--stack`.
    """
    parser.add_argument("--stack", metavar="NAME", help=stack_help)
    parser.add_argument(
        "--staging-bucket",
        metavar="BUCKET",
        type=_bucket,
        help="The stack's StagingBucketName, without --stack: staging and claims lie there. (default: beside the "
        "recordings)",
    )


def check_stack_options(given: argparse.Namespace, parser: Parser) -> None:
    """Refuse an option beside `--stack` that would say the same once more.

    Args:
        given: options with `stack` and `staging_bucket`, and in some commands `output`, None where it is not given.
        parser: the command's options.

    Raises:
        CommandError: there is one.
    """
    if given.stack is None:
        return
    for name in ("output", "staging_bucket"):
        if getattr(given, name, None) is not None:
            option = name.replace("_", "-")
            raise CommandError(f"Option '--{option}' cannot be used together with '--stack' (see {parser.prog} --help)")


def _bucket(text: str) -> str:
    if not is_bucket(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a bucket")
    return text
