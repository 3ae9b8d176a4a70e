"""The calls of a backfill: the lines of its manifest, what became of each call, and the next manifest.

Pure. `connect-audio export --to-manifest` writes a manifest of JSON lines. A line is an item of Step Functions'
Distributed Map: a stream with some of its calls, which one invocation of the worker records.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched, zip_longest
from typing import Any, Final, Self, TypeIs

from connect_audio.core.errors import RequestError
from connect_audio.recorder.late_recording import LateCall

ONE_ITEM: Final = 100
"""Calls of a stream that are one item. At 4 s a call they take 7 of the worker's 15 minutes. More are two items: two
workers read the stream, and its third connection is left to the live recorder."""
MOST_CALLS: Final = 500
"""Most calls of an item: at the longest names they fit the 256 KiB of a child's input. Beyond, a stream has more items.
The calls that a worker does not reach stand in the next manifest."""
_MALFORMED: Final = "MALFORMED_ITEM"
UNFINISHED: Final = "unfinished"
"""Status of a call that the worker did not reach, or could not end in its time."""
AGAIN: Final = "again"
"""Status of a call that a later try may get."""
NONE: Final = "none"
"""Status of a call of which there is no recording and will be none."""
_LEFT: Final = frozenset({UNFINISHED, AGAIN})


@dataclass(frozen=True, slots=True)
class BackfillItem:
    """A stream and calls of it, in the order of their starts.

    Args:
        stream_arn: the stream's ARN.
        calls: the calls, none of them of another stream.
    """

    stream_arn: str
    calls: tuple[LateCall, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the item as the line of a manifest has it."""
        return {"stream": self.stream_arn, "calls": [_written(call) for call in self.calls]}

    @classmethod
    def from_json(cls, found: Any) -> Self:
        """Read an item.

        Raises:
            RequestError: it is none; the message says why.
        """
        if not isinstance(found, Mapping) or not isinstance(stream := found.get("stream"), str) or not stream:
            raise RequestError(_MALFORMED, "an item is an object with a stream's ARN as `stream`")
        calls = found.get("calls")
        if not isinstance(calls, list) or not calls:
            raise RequestError(_MALFORMED, "an item has a list of `calls`")
        return cls(stream, tuple(_call(stream, each) for each in calls))

    @property
    def name(self) -> str:
        """A name of the item: the same one for the same calls."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """The end of a call's try.

    Args:
        start_ms: the call's start, ms since the epoch.
        status: the recorder's status, `exists`, `unfinished`, `again` or `none`.
        key: the recording's key; None where there is none.
        detail: the reasons' codes, or the failure; empty where all is well.
    """

    start_ms: int
    status: str
    key: str | None = None
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as the worker writes it."""
        shown = {"startMs": self.start_ms, "status": self.status}
        return shown | ({"key": self.key} if self.key else {}) | ({"detail": self.detail} if self.detail else {})

    @property
    def is_left(self) -> bool:
        """True if the call belongs into the next manifest."""
        return self.status in _LEFT


def items_of(calls: Iterable[LateCall], one_item: int = ONE_ITEM, most: int = MOST_CALLS) -> list[BackfillItem]:
    """Group calls by stream: one item or two of each, unless a stream has very many calls.

    Two items of one stream stand as far apart as can be. Items that run at the same time are then of different streams,
    and the quotas are each stream's own.

    Args:
        calls: each call once.
        one_item: most calls of a stream that are one item.
        most: most calls of any item.
    """
    of_stream: dict[str, list[LateCall]] = {}
    for call in calls:
        of_stream.setdefault(call.stream_arn, []).append(call)
    columns = [
        [BackfillItem(arn, batch) for batch in batched(sorted(found, key=_start), size, strict=False)]
        for arn, found in of_stream.items()
        for size in [len(found) if len(found) <= one_item else min((len(found) + 1) // 2, most)]
    ]
    return [item for row in zip_longest(*columns) for item in row if item]


def lines_of(items: Iterable[BackfillItem]) -> str:
    """Return a manifest's text: JSON lines."""
    return "".join(json.dumps(item.to_json(), separators=(",", ":")) + "\n" for item in items)


def read_lines(text: str) -> Iterator[BackfillItem]:
    """Read a manifest.

    Raises:
        RequestError: a line is no item; the message names it.
    """
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            yield BackfillItem.from_json(json.loads(line))
        except ValueError as error:
            raise RequestError(_MALFORMED, f"line {number} is no JSON") from error
        except RequestError as error:
            raise RequestError(_MALFORMED, f"line {number}: {error}") from error


def left_of(item: BackfillItem, outcomes: Sequence[CallOutcome]) -> list[LateCall]:
    """Return the calls of an item that belong into the next manifest.

    Args:
        item: the item.
        outcomes: the ends of its calls; a call without one counts as not done.
    """
    done = {each.start_ms for each in outcomes if not each.is_left}
    return [call for call in item.calls if call.start_ms not in done]


def outcomes_of(found: Any) -> list[CallOutcome]:
    """Read the outcomes that a worker wrote; none of anything else."""
    try:
        return [
            CallOutcome(int(each["startMs"]), str(each["status"]), each.get("key"), each.get("detail", ""))
            for each in found["outcomes"]
        ]
    except (KeyError, TypeError, ValueError, AttributeError):
        return []


def _start(call: LateCall) -> int:
    return call.start_ms


def _written(call: LateCall) -> dict[str, Any]:
    optional = {"contactId": call.contact_id, "instanceArn": call.instance_arn, "slackMs": call.slack_ms or None}
    return {"startMs": call.start_ms} | {name: value for name, value in optional.items() if value is not None}


def _call(stream: str, found: Any) -> LateCall:
    if not isinstance(found, Mapping):
        raise RequestError(_MALFORMED, "a call is an object")
    start, slack = found.get("startMs"), found.get("slackMs", 0)
    if not _is_count(start) or not _is_count(slack):
        raise RequestError(_MALFORMED, "a call has its start as `startMs`, a whole number of ms since the epoch")
    contact_id, instance_arn = found.get("contactId"), found.get("instanceArn")
    if not all(each is None or isinstance(each, str) for each in (contact_id, instance_arn)):
        raise RequestError(_MALFORMED, "contactId and instanceArn of a call are texts")
    return LateCall(stream, start, contact_id, instance_arn, slack)


def _is_count(value: Any) -> TypeIs[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
