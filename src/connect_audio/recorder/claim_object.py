"""The object of a claim: whom it names, and whether it gives way.

How it works. The first line is the name of the holder. Behind it stands the state of an export:

    nothing    the claim of an execution or a repair: no other one touches the recording
    `export`   an export is recording: an execution or a repair replaces the claim
    a plan     all that an export needs to publish, as JSON: an execution or another export publishes the recording

The name of an export's claim is its owner's with the run's behind it. Two runs of one owner may be alive at once, as in
two terminals. So the later one replaces the claim, and the earlier one finds at its end that it has lost it.

So a killed export never bars the way of a call that could still be recorded, and loses nothing that it had recorded.
Every change of a claim that another one may change too is conditional on the version that was read (ADR 36).
"""

from __future__ import annotations

from typing import Final, Self

from connect_audio.core.errors import StorageError
from connect_audio.ports import Lifetime, ObjectKind, PartStore, WriteOutcome
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.values import dataclass

_NO_KEY: Final = "NoSuchKey"
_KIND: Final = ObjectKind("text/plain", lifetime=Lifetime.TEMPORARY)
_EXPORT: Final = "export"
_RUN: Final = "#"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldClaim:
    """A claim, as it lies in S3.

    Args:
        holder: whom it names.
        state: the text behind its first line; empty for the claim of an execution or a repair.
        etag: ETag of the version.
    """

    holder: str
    state: str
    etag: str

    @classmethod
    def of(cls, body: bytes, etag: str) -> Self:
        """Return the claim that an object holds.

        Args:
            body: the object.
            etag: ETag of its version.
        """
        holder, _, state = body.decode(errors="replace").partition("\n")
        return cls(holder=holder, state=state, etag=etag)

    @property
    def owner(self) -> str | None:
        """The owner of an export's claim; None for the claim of an execution or a repair."""
        return owner_of(self.holder) if self.state else None

    @property
    def gives_way(self) -> bool:
        """True if it is an export's that is recording."""
        return self.state == _EXPORT

    @property
    def plan(self) -> str | None:
        """All that its holder needs to publish, as JSON; None if it has no plan."""
        return None if self.gives_way else self.state or None


def name_of_run(owner: str, run: str) -> str:
    """Return the name under which one run of an export claims.

    Args:
        owner: the same for each run of the export.
        run: no two runs have the same.
    """
    return f"{owner}{_RUN}{run}"


def owner_of(holder: str) -> str:
    """Return the owner in the name of an export's run."""
    return holder.rpartition(_RUN)[0]


def read_claim(store: PartStore, names: RecordingNames) -> HeldClaim | None:
    """Read the claim of a recording; None if there is none.

    Raises:
        StorageError: S3 failed; safe to try again.
    """
    # The head comes first. A claim that changes between the two calls fails each write that is conditional on its ETag.
    head = store.head(names.claim)
    if head is None:
        return None
    try:
        body = bytes(store.get(names.claim))
    except StorageError as error:
        if error.code != _NO_KEY or error.retryable:
            raise
        return None
    return HeldClaim.of(body, head.etag)


def holds_claim(store: PartStore, names: RecordingNames, holder: str) -> bool:
    """Return True if the claim of a recording names this holder.

    Raises:
        StorageError: S3 failed; safe to try again.
    """
    claim = read_claim(store, names)
    return claim is not None and claim.holder == holder


def put_claim(store: PartStore, names: RecordingNames, holder: str, *, is_export: bool) -> WriteOutcome:
    """Claim a recording that has no claim. EXISTS may mean a write of our own whose answer was lost.

    Raises:
        StorageError: S3 failed; safe to try again.
    """
    return store.put_new(names.claim, _body(holder, _EXPORT if is_export else ""), _KIND)


def replace_claim(
    store: PartStore, names: RecordingNames, old: HeldClaim, holder: str, *, is_export: bool = False, plan: str = ""
) -> bool:
    """Put a claim in the place of the version that was read.

    Args:
        store: the bucket.
        names: the recording's objects.
        old: the claim as it was read.
        holder: whom the new claim names.
        is_export: True for an export that is recording.
        plan: all that an export needs to publish, as JSON.

    Returns:
        False if another version lies there, which may be our own write whose answer was lost.

    Raises:
        StorageError: S3 failed; safe to try again.
    """
    body = _body(holder, plan or (_EXPORT if is_export else ""))
    return store.replace(names.claim, body, _KIND, old.etag) is WriteOutcome.WRITTEN


def _body(holder: str, state: str) -> bytes:
    return (f"{holder}\n{state}" if state else holder).encode()
