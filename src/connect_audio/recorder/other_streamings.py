"""Other streamings of the same contact: a flow that stops and starts streaming makes a recording for each start.

All of them carry the same ContactId, often in the same stream. Only their recordings' keys distinguish them.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from connect_audio.ports import PartStore
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.request import RecordingRequest

_DAY_MS: Final = 86_400_000
_START: Final = re.compile(r"_(\d{8}T\d{6})\.(\d{3})Z\.")


class OtherStreamings:
    """Finds the starts of a contact's other streamings by the objects that their recordings have in the bucket.

    Args:
        request: our streaming.
        names: our recording's keys.
        store: the bucket.
    """

    def __init__(self, request: RecordingRequest, names: RecordingNames, store: PartStore) -> None:
        self._request = request
        self._store = store
        suffix = request.recording_key("")
        self._root = names.key.removesuffix(suffix)

    def latest_before(self) -> int | None:
        """StartTimestamp of the streaming before this one, ms since the epoch; None where there was none within a day.

        Raises:
            StorageError: the bucket cannot be listed.
        """
        ours = self._request.start_timestamp_ms
        return max((start for start in self._starts(ours - _DAY_MS, ours) if start < ours), default=None)

    def first_between(self, after_ms: int, until_ms: int) -> int | None:
        """StartTimestamp of the first later streaming in (`after_ms`, `until_ms`], ms since the epoch; None for none.

        Raises:
            StorageError: the bucket cannot be listed.
        """
        after_ms = max(after_ms, self._request.start_timestamp_ms)
        return min((start for start in self._starts(after_ms, until_ms) if after_ms < start <= until_ms), default=None)

    def _starts(self, from_ms: int, until_ms: int) -> set[int]:
        """Starts that have an object on one of the days between. A recording's thousands of segments count as one."""
        day = datetime.fromtimestamp(from_ms // 1000, UTC).date()
        last = datetime.fromtimestamp(until_ms // 1000, UTC).date()
        starts: set[int] = set()
        while day <= last:
            for key in self._store.list_level(f"{self._root}{day:%Y/%m/%d}/{self._request.contact_id}_"):
                match = _START.search(key, len(self._root))
                if match is not None:
                    at = datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
                    starts.add(int(at.timestamp()) * 1000 + int(match[2]))
            day += timedelta(days=1)
        return starts
