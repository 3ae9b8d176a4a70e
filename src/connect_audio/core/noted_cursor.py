"""A cursor as a recording notes it behind each fragment: its values alone. A checkpoint makes the cursor of them.

One of some 160 fragments becomes a cursor. To make the cursor behind each would take a tenth of a fragment's work.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from connect_audio.core.admission import AdmissionState
from connect_audio.core.claims import TimesDisagree
from connect_audio.core.copying import reader
from connect_audio.core.cursor import Cursor, FragmentCounts, NeighbourState, StreamCounts
from connect_audio.core.order import OrderState
from connect_audio.core.other_tracks import OtherTracks
from connect_audio.core.receipts import NotedReceipts
from connect_audio.core.timeline import NotedTimeline

values_of_fragments: Final = reader(FragmentCounts)
values_of_neighbours: Final = reader(NeighbourState)


class NotedCursor(NamedTuple):
    """The values of a cursor, but for the taken frames and their levels.

    Args:
        fragment: see `Cursor`, as the following ones.
        admission: state of admission.
        timeline: values of the timeline's state; None before the first audio.
        fragments: values of `FragmentCounts`.
        stream: counts of the stream.
        neighbours: values of `NeighbourState`.
        order: state that the next fragment's time and counter are compared with.
        times: contradictions between numbers.
        other_tracks: audio on tracks that are not recorded.
        receipts: values of `ReceiptsState`.
    """

    fragment: str | None
    admission: AdmissionState
    timeline: NotedTimeline | None
    fragments: tuple[Any, ...]
    stream: StreamCounts
    neighbours: tuple[Any, ...]
    order: OrderState
    times: TimesDisagree
    other_tracks: OtherTracks
    receipts: NotedReceipts

    def cursor(self) -> Cursor:
        """Make the cursor; its frames, CRC-32, levels and carried audio are the recording's to fill in."""
        return Cursor(
            fragment=self.fragment,
            admission=self.admission,
            timeline=None if self.timeline is None else self.timeline.state(),
            fragments=FragmentCounts(*self.fragments),
            stream=self.stream,
            neighbours=NeighbourState(*self.neighbours),
            order=self.order,
            times=self.times,
            other_tracks=self.other_tracks,
            receipts=self.receipts.state(),
        )
