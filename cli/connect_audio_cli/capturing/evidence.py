"""The answers of a body to the questions about the service that its documentation leaves open.

Names, counts and times alone: no text of a tag's value, no id and no sample.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from connect_audio.core.fragment import fragment_counter

if TYPE_CHECKING:
    from connect_audio.core.fragments import Fragment

_MOST_NAMES: Final = 200
"""Most names of tags that are counted. Connect and KVS have some ten."""
_LONGEST_NAME: Final = 60


@dataclass(slots=True)
class Evidence:
    """Evidence of one body, in the order in which its fragments came.

    Args:
        falling_numbers: fragments whose number is lower than that of the one before.
        counter_jumps: places at which the number's counter does not go on by one.
        without_blocks: fragments without a block.
        longest_pause_ms: longest time between two blocks of a track in a row, ms; None with fewer than two.
        tag_names: in how many fragments each name of a tag is.
        block_sizes: how many blocks have each size, bytes.
    """

    falling_numbers: int = 0
    counter_jumps: int = 0
    without_blocks: int = 0
    longest_pause_ms: float | None = None
    tag_names: Counter[str] = field(default_factory=Counter)
    block_sizes: Counter[int] = field(default_factory=Counter)
    _number: str | None = None
    _last_ns: dict[int, int] = field(default_factory=dict)

    def add(self, fragment: Fragment) -> None:
        """Take the next fragment."""
        self._add_number(fragment.number)
        names = {name[:_LONGEST_NAME] for name, _ in fragment.tags}
        self.tag_names.update(name for name in names if name in self.tag_names or len(self.tag_names) < _MOST_NAMES)
        self.without_blocks += not fragment.blocks
        for block in fragment.blocks:
            if block.size in self.block_sizes or len(self.block_sizes) < _MOST_NAMES:
                self.block_sizes[block.size] += 1
            before_ns = self._last_ns.get(block.track_number)
            if before_ns is not None:
                self.longest_pause_ms = max(self.longest_pause_ms or 0.0, (block.time_ns - before_ns) / 1e6)
            self._last_ns[block.track_number] = block.time_ns

    def _add_number(self, number: str | None) -> None:
        before, self._number = self._number, number
        if before is None or number is None or not (before.isdecimal() and number.isdecimal()):
            return
        self.falling_numbers += int(number) < int(before)
        counters = fragment_counter(before), fragment_counter(number)
        if counters[0] is not None and counters[1] is not None:
            self.counter_jumps += counters[1] != counters[0] + 1

    def as_json(self) -> dict[str, Any]:
        """Return the evidence for the JSON beside a capture."""
        return {
            "fallingNumbers": self.falling_numbers,
            "counterJumps": self.counter_jumps,
            "fragmentsWithoutBlocks": self.without_blocks,
            "longestPauseMs": self.longest_pause_ms,
            "tagNames": dict(sorted(self.tag_names.items())),
            "blockSizes": {str(size): number for size, number in sorted(self.block_sizes.items())},
        }
