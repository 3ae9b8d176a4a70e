"""The contact of a stream at a time, by the labels of its fragments. For recordings after the call that name none."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from connect_audio.core.fragments import Fragment, FragmentReader
from connect_audio.ports import FromProducerTime

if TYPE_CHECKING:
    from connect_audio.ports import MediaSource

MOST_FRAGMENTS: Final = 30
"""Fragments that are read for a label. Nearly each fragment of Connect has one; thirty last half a minute."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of a call.

    Args:
        contact_id: its ContactId.
        instance_id: its InstanceId, a plain id or an ARN; None where no fragment has one.
    """

    contact_id: str
    instance_id: str | None

    def instance_arn(self, stream_arn: str) -> str | None:
        """Return the ARN of the instance, which lies in the stream's account and region; None where unknown."""
        if self.instance_id is None or self.instance_id.startswith("arn:"):
            return self.instance_id
        _, partition, _, region, account, _ = stream_arn.split(":", 5)
        return f"arn:{partition}:connect:{region}:{account}:instance/{self.instance_id}"


def labels_at(source: MediaSource, start_ms: int, most: int = MOST_FRAGMENTS) -> Labels | None:
    """Read the labels of the first labelled fragment that begins at a time or later.

    Args:
        source: the stream.
        start_ms: StartTimestamp, ms since the epoch.
        most: fragments that are read for them.

    Returns:
        The labels; None where no fragment near that time has a ContactId.

    Raises:
        MediaSourceError: the stream cannot be read.
        StreamError: its bytes are no fragments.
    """
    reader, seen = FragmentReader(), 0
    with closing(source.open(FromProducerTime(start_ms))) as stream:
        while seen < min(most, MOST_FRAGMENTS):
            data = stream.read()
            reader.receive_data(data)
            while isinstance(event := reader.next_event(), Fragment):
                seen += 1
                if event.contact_ids:
                    return Labels(event.contact_ids[0], event.tag("InstanceId"))
            if not data:
                break
    return None
