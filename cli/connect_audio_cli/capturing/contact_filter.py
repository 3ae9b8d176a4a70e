"""The fragments of one contact in its stream. Whole fragments are kept or dropped, never a part of one."""

from __future__ import annotations

from typing import Final

from connect_audio.core.fragments import Fragment

_MOST_PAUSE_MS: Final = 2000
"""Longest time between the begins of two fragments of one call, ms. Connect's begin every 1.024 s."""


class ContactFilter:
    """Judges the fragments of a stream in their order.

    A fragment that names another contact is foreign, also if it names this one, too. One that names none belongs to the
    contact if it follows one of its fragments without a pause. Without audio it is kept: errors of KVS come so.

    Args:
        contact_id: the contact that is kept.
    """

    def __init__(self, contact_id: str) -> None:
        self._contact_id = contact_id
        self._last_ms: int | None = None  # begin of the last fragment, if it was the contact's

    def keeps(self, fragment: Fragment) -> bool:
        """Return True if a fragment is the contact's."""
        begin_ms = fragment.producer_timestamp_ms
        if fragment.contact_ids:
            keeps = all(each == self._contact_id for each in fragment.contact_ids)
        elif not fragment.blocks:
            return True
        else:
            keeps = (
                self._last_ms is not None and begin_ms is not None and 0 <= begin_ms - self._last_ms <= _MOST_PAUSE_MS
            )
        self._last_ms = begin_ms if keeps else None
        return keeps
