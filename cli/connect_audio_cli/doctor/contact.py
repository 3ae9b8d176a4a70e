"""The check of Connect's answer about a contact: the one whose recording is the newest in the bucket."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from botocore.exceptions import ClientError

from connect_audio_cli.doctor.check import Check, Finding, fault, note, well
from connect_audio_cli.output.formatting import count
from connect_audio_cli.stacks.aws import is_absent
from connect_audio_cli.stacks.deployed import Deployed

_DAYS: Final = 7
"""Days that are looked through for a recording, from today on."""
_MANIFEST: Final = re.compile(r"([^/]+)_\d{8}T\d{6}\.\d{3}Z\.json")
_STREAMING: Final = "KINESIS_VIDEO_STREAM"


def _contact(stack: Deployed) -> Finding:
    if (contact_id := _newest(stack)) is None:
        return note(f"the bucket has no recording of the last {_DAYS} days", "run the doctor again after a call")
    try:
        contact = stack.aws.ask("connect", "describe_contact", InstanceId=stack.instance_id, ContactId=contact_id)
    except ClientError as error:
        if not is_absent(error):
            raise
        return fault(
            "Connect does not know the contact of the newest recording",
            "the recording is another instance's: correct ConnectInstanceArn, or --instance",
        )
    return _described(contact["Contact"])


def _newest(stack: Deployed) -> str | None:
    """Return the contact of the newest manifest in the bucket's last days; None if there is none."""
    bucket, prefix = stack.output("RecordingsBucketName"), stack.parameter("RecordingsPrefix").strip("/")
    today = datetime.now(UTC).date()
    for back in range(_DAYS):
        folder = f"{prefix}/{today - timedelta(days=back):%Y/%m/%d}/".lstrip("/")
        listed = stack.aws.ask("s3", "list_objects_v2", Bucket=bucket, Prefix=folder)
        manifests = {
            each["LastModified"]: found[1]
            for each in listed.get("Contents", ())
            if (found := _MANIFEST.fullmatch(each["Key"].removeprefix(folder)))
        }
        if manifests:
            return manifests[max(manifests)]
    return None


def _described(contact: Mapping[str, Any]) -> Finding:
    recordings = contact.get("Recordings") or ()
    streamings = [each for each in recordings if each.get("StorageType") == _STREAMING]
    ended = "ended" if contact.get("DisconnectTimestamp") else "goes on"
    number = count(len(recordings), "recording")
    found = f"Connect describes the contact of the newest recording, which {ended}, with {number}"
    if not streamings:
        return note(
            f"{found}, none of a stream",
            "nothing: the consumer finds the last fragment by the stream alone, some seconds later",
        )
    stopped = sum(1 for each in streamings if each.get("FragmentStopNumber"))
    return well(f"{found}, {len(streamings)} of a stream, {stopped} with the last fragment's number")


CHECKS: Final = (Check("Connect's answer", ("s3:ListBucket", "connect:DescribeContact"), _contact),)
