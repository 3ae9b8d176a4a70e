"""The ARN of a stream that the user names by its name or its ARN."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from connect_audio_cli.output.command_error import CommandError, printable

if TYPE_CHECKING:
    from boto3 import Session

_NAME: Final = r"[A-Za-z0-9_.-]{1,256}"
_ARN: Final = re.compile(rf"arn:aws[a-z-]*:kinesisvideo:[a-z0-9-]+:[0-9]{{12}}:stream/{_NAME}/[0-9A-Za-z]+", re.ASCII)


def stream_arn(session: Session, stream: str, *, argument: str = "--stream") -> str:
    """Return the ARN of a stream.

    Args:
        session: gives credentials, and the region of a name.
        stream: the stream's ARN, or its name.
        argument: the name of the argument that gives it, for messages.

    Raises:
        CommandError: neither a name nor an ARN, or AWS refused to describe the stream.
        BotoCoreError: AWS cannot be asked.
    """
    if _ARN.fullmatch(stream):
        return stream
    if not re.fullmatch(_NAME, stream, re.ASCII):
        raise CommandError(f"{argument} {printable(stream, 80)} is neither a stream's name nor its ARN")
    with closing(session.client("kinesisvideo")) as client:
        try:
            return client.describe_stream(StreamName=stream)["StreamInfo"]["StreamARN"]
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "an error")
            if code == "ResourceNotFoundException":
                raise CommandError(f"there is no stream {stream} in region {client.meta.region_name}") from error
            raise CommandError(f"AWS refuses DescribeStream of stream {stream}: {code}") from error
