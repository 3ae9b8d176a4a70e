"""Times of a stream as Python's datetimes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def moment(time_ns: int) -> datetime | None:
    """Turn a time into a UTC datetime, to the microsecond.

    Args:
        time_ns: ns since the epoch.

    Returns:
        None if the time is beyond the calendar.
    """
    try:
        return _EPOCH + timedelta(microseconds=time_ns // 1000)
    except OverflowError:
        return None
