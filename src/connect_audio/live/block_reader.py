"""Cuts blocks for a `BlockSink`: each party's samples as they arrived, and silence where none came.

Each party has its own place on the buffer. The party that is behind comes first. Used by `live/sink_progress.py`.
"""

from __future__ import annotations

from functools import partial

from connect_audio.core.live_audio import LiveBlock
from connect_audio.core.live_buffer import BufferedRun, LiveBuffer
from connect_audio.core.pcm import PARTIES, SAMPLE_BYTES, Party
from connect_audio.live.piece import Piece
from connect_audio.sinks import BlockSink


class BlockReader:
    """Reads the buffer block by block, as `SinkReader`.

    Args:
        sink: the sink that the blocks are for.
    """

    lead_s = 0.0

    def __init__(self, sink: BlockSink) -> None:
        self.sink = sink
        self._positions: dict[Party, int] = {}  # only parties that have begun

    @property
    def position(self) -> int | None:
        """Position before which no audio is needed; None until both parties have begun."""
        return min(self._positions.values()) if len(self._positions) == len(PARTIES) else None

    def begin(self, buffer: LiveBuffer) -> None:
        """Begin at the recording's origin; each party with its first block while the origin is unknown."""
        self._positions = {} if buffer.origin is None else dict.fromkeys(PARTIES, buffer.origin)

    def learn_origin(self, buffer: LiveBuffer) -> None:
        """Let a party that has not begun begin at the origin."""
        if buffer.origin is not None:
            self._positions = dict.fromkeys(PARTIES, buffer.origin) | self._positions

    def resume(self, wanted: int, earliest: int, buffer: LiveBuffer) -> int:
        """As `SinkReader.resume`."""
        del buffer
        start = max(wanted, earliest)
        self._positions = dict.fromkeys(PARTIES, start)
        return len(PARTIES) * (start - wanted)

    def has_next(self, buffer: LiveBuffer) -> bool:
        """True if there is audio of either party."""
        for party in PARTIES:
            position = self._positions.get(party)
            if buffer.run_after(party, 0) is not None if position is None else buffer.end(party) > position:
                return True
        return False

    def complete_at(self, buffer: LiveBuffer) -> None:
        """As `SinkReader.complete_at`: any audio makes a block."""
        del buffer

    def next(self, buffer: LiveBuffer) -> Piece | None:
        """Cut the samples that arrived together, or at most a second of silence where none did."""
        found: tuple[Party, BufferedRun] | None = None
        for party in PARTIES:
            run = self._next_run(party, buffer)
            if run is not None and (found is None or run.start < found[1].start):
                found = party, run
        if found is None:
            return None
        party, run = found
        position = None if buffer.origin is None else run.start - buffer.origin
        block = LiveBlock(party=party, start=run.start, rate=buffer.rate, samples=run.samples, position=position)
        return Piece((party,), run.start, run.stop, run.arrived, partial(self.sink.deliver_block, block))

    def _next_run(self, party: Party, buffer: LiveBuffer) -> BufferedRun | None:
        """The samples or the silence at a party's place; None if the party has nothing new."""
        start = self._positions.get(party)
        run = buffer.run_after(party, start or 0)
        if start is None or (run is not None and run.start == start):
            return run
        stop = min(buffer.end(party) if run is None else run.start, start + buffer.rate)
        if stop <= start:
            return None
        return BufferedRun(start, bytes(SAMPLE_BYTES * (stop - start)), None if run is None else run.arrived)

    def advance(self, piece: Piece) -> None:
        """Go on behind a block."""
        (party,) = piece.parties
        self._positions[party] = piece.stop

    def frames_passed(self, piece: Piece) -> int:
        """Samples of a block that lie before its party's place."""
        (party,) = piece.parties
        return max(0, min(piece.stop, self._positions.get(party, piece.start)) - piece.start)

    def rewind(self, position: int, buffer: LiveBuffer) -> None:
        """Take each party that is further on back to a position."""
        del buffer
        for party, place in self._positions.items():
            self._positions[party] = min(place, position)

    def drop(self, position: int, buffer: LiveBuffer) -> int:
        """As `SinkReader.drop`, by party; nothing until both have begun."""
        del buffer
        if self.position is None:
            return 0
        return self._go_to(dict.fromkeys(PARTIES, position))

    def drop_all(self, buffer: LiveBuffer) -> int:
        """As `SinkReader.drop_all`."""
        self.learn_origin(buffer)
        return self._go_to({party: buffer.end(party) for party in PARTIES})

    def _go_to(self, positions: dict[Party, int]) -> int:
        dropped = 0
        for party, place in self._positions.items():
            dropped += max(0, positions[party] - place)
            self._positions[party] = max(place, positions[party])
        return dropped

    def needed_from(self, limit: int, buffer: LiveBuffer) -> int | None:
        """As `SinkReader.needed_from`."""
        del buffer
        position = self.position
        return None if position is None else min(position, limit)
