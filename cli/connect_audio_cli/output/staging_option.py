"""The option `--staging-bucket`, for the commands that write recordings into a stack's bucket."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from connect_audio_cli.output.arguments import Parser

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)


def is_bucket(name: str) -> bool:
    """Return True if a name can be one of a bucket."""
    return _BUCKET.fullmatch(name) is not None


def add_staging_option(parser: Parser) -> None:
    """Add `--staging-bucket` to a command."""
    parser.add_argument(
        "--staging-bucket",
        metavar="BUCKET",
        type=_bucket,
        help="The stack's StagingBucketName: staging and claims lie there. (default: beside the recordings)",
    )


def _bucket(text: str) -> str:
    if not is_bucket(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a bucket")
    return text
