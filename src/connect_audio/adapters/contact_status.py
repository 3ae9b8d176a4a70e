"""Asks Connect for the state of a contact (`connect:DescribeContact`): the `ContactStatus` port.

The recorder asks at an end of body, never in a loop: Connect allows about two requests a second for a whole account.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from botocore.config import Config

from connect_audio.adapters.aws_errors import AWS_EXCEPTIONS, failure_of
from connect_audio.ports import ContactAnswer, ContactState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from mypy_boto3_connect import ConnectClient

    from connect_audio.ports import Log

# The answer only shortens the idle wait, so it must not hold up a live call: 5 s at worst, no retries by the SDK.
CONNECT_CONFIG: Final = Config(connect_timeout=2, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 1})


class ConnectContactStatus:
    """DescribeContact, with every failure answered as UNKNOWN.

    Args:
        client: a Connect client in the instance's region, made with `CONNECT_CONFIG`.
        logger: takes the codes of failures.
    """

    def __init__(self, client: ConnectClient, logger: Log) -> None:
        self._client = client
        self._logger = logger
        self._reported: set[str] = set()

    def describe(
        self, instance_id: str, contact_id: str, *, stream_arn: str, start_fragment: str | None
    ) -> ContactAnswer:
        """Ask once. A refused, throttled or unreachable question is UNKNOWN; each kind of failure is logged once."""
        try:
            answer = self._client.describe_contact(InstanceId=instance_id, ContactId=contact_id)
        except AWS_EXCEPTIONS as exc:
            self._report(failure_of(exc).code)
            return ContactAnswer(ContactState.UNKNOWN)
        contact = answer.get("Contact")
        if not contact:
            self._report("EmptyAnswer")
            return ContactAnswer(ContactState.UNKNOWN)
        ended = contact.get("DisconnectTimestamp")
        return ContactAnswer(
            ContactState.DISCONNECTED if ended else ContactState.CONNECTED,
            _stop_fragment(contact, stream_arn, start_fragment),
            round(ended.timestamp() * 1000) if ended else None,
        )

    def _report(self, code: str) -> None:
        if code in self._reported:
            return
        self._reported.add(code)
        # The code alone: a contact's description holds phone numbers, and AWS's message may quote the request.
        self._logger.warning(
            "DescribeContact gave no answer: only the audio can show the end of the call", extra={"error_code": code}
        )


def _stop_fragment(contact: Mapping[str, Any], stream_arn: str, start_fragment: str | None) -> str | None:
    """Read the streaming's FragmentStopNumber out of the contact's recordings; None unless exactly one fits.

    A contact has recordings of other kinds, too. Connect may leave any member out, empty or null.
    """
    start = _decimal(start_fragment)
    stops = set()
    for each in contact.get("Recordings") or ():
        of_the_stream = each.get("StorageType") == "KINESIS_VIDEO_STREAM" and each.get("Location") == stream_arn
        begins = _decimal(each.get("FragmentStartNumber"))
        is_another = None not in {start, begins} and start != begins
        stop = _decimal(each.get("FragmentStopNumber"))
        is_audio = each.get("MediaStreamType") in {None, "", "AUDIO"}
        if of_the_stream and is_audio and not is_another and stop is not None and stop >= (start or 0):
            stops.add(str(stop))
    return stops.pop() if len(stops) == 1 else None


def _decimal(number: str | None) -> int | None:
    """Return a fragment number as a number; None where it is absent, empty or of another form."""
    return int(number) if number and number.isascii() and number.isdecimal() else None
