"""The announced ends of contacts as objects in the bucket of staging, mostly the recordings': the `ContactEnds` port.

    <prefix>/contacts/<contact id>/ended.json                       when the contact was disconnected
    <prefix>/contacts/<contact id>/waiting/<execution name>.json    the callback that wakes an execution

The function for contact events writes `ended.json` and reads `waiting/`. The consumer reads `ended.json` and writes
below `waiting/`. All are temporary: the bucket's lifecycle deletes them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from connect_audio.core.errors import StorageError
from connect_audio.ports import Lifetime, ObjectKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connect_audio.ports import PartStore

_KIND: Final = ObjectKind("application/json", lifetime=Lifetime.TEMPORARY)
_NO_KEY: Final = "NoSuchKey"


class StoredContactEnds:
    """The ends of contacts in one bucket.

    Args:
        store: the bucket.
        prefix: the recordings' key prefix without a slash at either end.
    """

    def __init__(self, store: PartStore, prefix: str) -> None:
        self._store = store
        self._prefix = prefix

    def ended_ms(self, contact_id: str) -> int | None:
        """Return when the contact was disconnected, ms since the epoch; None while no end is announced."""
        found = self._read(self._end_key(contact_id))
        ended_ms = None if found is None else found.get("endedMs")
        return ended_ms if isinstance(ended_ms, int) else None

    def end(self, contact_id: str, ended_ms: int) -> None:
        """Note an end; a second one replaces the first.

        Args:
            contact_id: the contact.
            ended_ms: when it was disconnected, ms since the epoch.

        Raises:
            StorageError: the note cannot be written.
        """
        self._store.put(self._end_key(contact_id), json.dumps({"endedMs": ended_ms}).encode(), _KIND)

    def wait(self, contact_id: str, execution_name: str, callback_id: str) -> None:
        """Enter an execution that the contact's end is to wake, in place of its earlier entry."""
        key = self._waiting_key(contact_id, execution_name)
        self._store.put(key, json.dumps({"callbackId": callback_id}).encode(), _KIND)

    def leave(self, contact_id: str, execution_name: str) -> None:
        """Delete an execution's entry; one that is gone is no error."""
        self._store.delete([self._waiting_key(contact_id, execution_name)])

    def waiting(self, contact_id: str) -> Sequence[str]:
        """Return the callbacks of the executions that wait for a contact's end.

        Raises:
            StorageError: the entries cannot be read.
        """
        entries = [self._read(key) for key in self._store.list_keys(self._waiting_key(contact_id, ""))]
        ids = [entry.get("callbackId") for entry in entries if entry is not None]
        return [each for each in ids if isinstance(each, str)]

    def _read(self, key: str) -> dict[str, Any] | None:
        try:
            found = json.loads(self._store.get(key))
        except StorageError as error:
            if error.code != _NO_KEY:
                raise
            return None
        return found if isinstance(found, dict) else None

    def _end_key(self, contact_id: str) -> str:
        return f"{self._folder(contact_id)}/ended.json"

    def _waiting_key(self, contact_id: str, execution_name: str) -> str:
        name = f"{execution_name}.json" if execution_name else ""
        return f"{self._folder(contact_id)}/waiting/{name}"

    def _folder(self, contact_id: str) -> str:
        return f"{self._prefix}/contacts/{contact_id}"
