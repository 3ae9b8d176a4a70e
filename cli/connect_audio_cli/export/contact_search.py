"""Calls by Connect itself: SearchContacts for the contacts of a time, DescribeContact for the stream of each.

Connect allows one search in two seconds and two descriptions a second, an account, and the live recorder asks with
the same allowance. So it is for small numbers.
"""

from __future__ import annotations

import re
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from botocore.config import Config
from botocore.exceptions import ClientError

from connect_audio.adapters.system_clock import SystemClock
from connect_audio_cli.export.pace import Pace
from connect_audio_cli.export.streaming_entries import rows_of_entries
from connect_audio_cli.output.command_error import CommandError, printable
from connect_audio_cli.output.formatting import count
from connect_audio_cli.output.progress import tracked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from boto3 import Session
    from mypy_boto3_connect import ConnectClient

    from connect_audio.ports import Clock
    from connect_audio_cli.export.rows import Row

MOST_CONTACTS: Final = 2000
"""Most contacts of a search: to describe them takes 18 minutes. Beyond, contact records or the streams are the way."""
_PAGE: Final = 100
"""Contacts of a page; the service model's bound."""
_SPAN_MS: Final = 7 * 86_400_000
"""Longest time of one search, ms. The service has a bound, which it does not document."""
_SEARCH_EVERY_S: Final = 2.05
_DESCRIBE_EVERY_S: Final = 0.55
_CONFIG: Final = Config(retries={"mode": "standard", "total_max_attempts": 6})
_INSTANCE: Final = re.compile(r"arn:aws[a-z-]*:connect:([a-z0-9-]+):[0-9]{12}:instance/([0-9A-Za-z-]{1,100})", re.ASCII)
_GONE: Final = "ResourceNotFoundException"


def rows_of_search(
    instance_arn: str, from_ms: int, to_ms: int, *, session: Session, clock: Clock, shows: bool = False
) -> list[Row]:
    """Find the calls of an instance that were initiated in a range of time.

    A contact without live media streaming is passed over.

    Args:
        instance_arn: the Connect instance.
        from_ms: least initiation, ms since the epoch.
        to_ms: greatest initiation, ms since the epoch.
        session: gives credentials.
        clock: for the pauses between questions.
        shows: True to show on a terminal how many contacts are described.

    Returns:
        The calls in the order of their starts.

    Raises:
        CommandError: no ARN of an instance, too many contacts, or none that names a stream; or AWS refused.
        BotoCoreError: AWS cannot be asked.
    """
    region, instance_id = _instance(instance_arn)
    with closing(session.client("connect", region_name=region, config=_CONFIG)) as client:
        contacts = _contacts(client, instance_id, from_ms, to_ms, Pace(_SEARCH_EVERY_S, clock))
        pace = Pace(_DESCRIBE_EVERY_S, clock)
        described = (_recordings(client, instance_id, each, pace) for each in contacts)
        shown = tracked(described, what="Describing", total=len(contacts), shown=shows)
        rows = [
            row
            for contact_id, recordings in zip(contacts, shown, strict=True)
            for row in rows_of_entries(recordings, contact_id, instance_arn)
        ]
    if contacts and not rows:
        raise CommandError(
            f"{count(len(contacts), 'contact')}, and Connect names no stream of any: take --prefix or --contact-records"
        )
    return sorted({(row.stream, row.start_ms): row for row in rows}.values(), key=lambda row: row.start_ms)


def rows_of_contact(instance_arn: str, contact_id: str, *, session: Session) -> list[Row]:
    """Return the calls of one contact, one for each streaming of its audio.

    Args:
        instance_arn: the Connect instance.
        contact_id: the contact.
        session: gives credentials.

    Raises:
        CommandError: no ARN of an instance, no such contact, or Connect names no stream of it; or AWS refused.
        BotoCoreError: AWS cannot be asked.
    """
    region, instance_id = _instance(instance_arn)
    with closing(session.client("connect", region_name=region, config=_CONFIG)) as client:
        recordings = _recordings(client, instance_id, contact_id, Pace(_DESCRIBE_EVERY_S, SystemClock()))
    if recordings is None:
        raise CommandError(f"the instance has no contact {printable(contact_id, 80)}")
    if not (rows := list(rows_of_entries(recordings, contact_id, instance_arn))):
        raise CommandError("Connect names no stream of the contact: take --stream and --start, or --prefix")
    return rows


def _instance(instance_arn: str) -> tuple[str, str]:
    """Return an instance's region and id."""
    if not (found := _INSTANCE.fullmatch(instance_arn)):
        raise CommandError(f"--instance {printable(instance_arn, 80)} is no ARN of a Connect instance")
    return found[1], found[2]


def _contacts(client: ConnectClient, instance_id: str, from_ms: int, to_ms: int, pace: Pace) -> list[str]:
    """Return the ids of the voice contacts, each once."""
    ids: dict[str, None] = {}
    begin_ms = from_ms
    while begin_ms <= to_ms:
        end_ms = min(begin_ms + _SPAN_MS, to_ms)
        for page in _pages(client, instance_id, begin_ms, end_ms, pace):
            ids |= dict.fromkeys(each["Id"] for each in page["Contacts"])
            most = max(page.get("TotalCount", 0), len(ids))
            if most > MOST_CONTACTS:
                raise CommandError(
                    f"{most} contacts are too many to ask Connect about, {MOST_CONTACTS} is the most: "
                    "take --contact-records or --prefix, or a shorter time"
                )
        begin_ms = end_ms + 1
    return list(ids)


def _pages(client: ConnectClient, instance_id: str, begin_ms: int, end_ms: int, pace: Pace) -> Iterator[Any]:
    token: dict[str, str] = {}
    while True:
        try:
            with pace.turn():
                page = client.search_contacts(
                    InstanceId=instance_id,
                    TimeRange={
                        "Type": "INITIATION_TIMESTAMP",
                        "StartTime": datetime.fromtimestamp(begin_ms / 1000, UTC),
                        "EndTime": datetime.fromtimestamp(end_ms / 1000, UTC),
                    },
                    SearchCriteria={"Channels": ["VOICE"]},
                    MaxResults=_PAGE,
                    **token,  # type: ignore[arg-type]
                )
        except ClientError as error:
            raise CommandError(f"AWS refuses SearchContacts: {_code(error)}") from error
        yield page
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}


def _recordings(client: ConnectClient, instance_id: str, contact_id: str, pace: Pace) -> Any:
    """Return `Recordings` of a contact; None where the instance has no such contact."""
    try:
        with pace.turn():
            contact = client.describe_contact(InstanceId=instance_id, ContactId=contact_id)["Contact"]
            return contact.get("Recordings", [])
    except ClientError as error:
        if _code(error) == _GONE:
            return None
        raise CommandError(f"AWS refuses DescribeContact: {_code(error)}") from error


def _code(error: ClientError) -> str:
    return printable(str(error.response.get("Error", {}).get("Code", "an error")))
