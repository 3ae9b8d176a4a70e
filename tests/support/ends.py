"""Announced ends of contacts, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from connect_audio.core.errors import StorageError


@dataclass
class FakeEnds:
    """Announced ends, and the executions that wait.

    Args:
        ends: when a contact was disconnected, ms since the epoch.
        failure: raised at each look.
        entries: callbacks of the waiting executions, by contact and execution.
        looks: how often an end was asked for.
    """

    ends: dict[str, int] = field(default_factory=dict)
    failure: StorageError | None = None
    entries: dict[tuple[str, str], str] = field(default_factory=dict)
    looks: int = 0

    def ended_ms(self, contact_id: str) -> int | None:
        self.looks += 1
        if self.failure is not None:
            raise self.failure
        return self.ends.get(contact_id)

    def wait(self, contact_id: str, execution_name: str, callback_id: str) -> None:
        self.entries[contact_id, execution_name] = callback_id

    def leave(self, contact_id: str, execution_name: str) -> None:
        self.entries.pop((contact_id, execution_name), None)
