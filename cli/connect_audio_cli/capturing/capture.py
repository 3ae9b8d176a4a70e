"""One capture: a body into a file, and beside it a JSON of how it was had.

How it works. The body comes in pieces of whole fragments. Each piece is kept, dropped or redacted, and written at once.
A signal is taken between two pieces only. So the file ends behind a whole fragment, and the counts fit the
file.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from connect_audio.core.errors import READ_TIMEOUT, MediaSourceError
from connect_audio.core.fragments import Fragment
from connect_audio_cli.capturing.evidence import Evidence
from connect_audio_cli.capturing.pieces import Piece, Pieces
from connect_audio_cli.output.atomic_file import AtomicFile

if TYPE_CHECKING:
    from connect_audio_cli.capturing.answer import Answer
    from connect_audio_cli.capturing.contact_filter import ContactFilter
    from connect_audio_cli.capturing.redaction import Redaction

SCHEMA_VERSION: Final = "1.1"
"""Version of the JSON beside a capture."""
_BLOCK_MS: Final = 64
"""Length of Connect's blocks, ms."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_MOST_CONTACTS: Final = 10_000
"""Most contacts that are counted. A stream serves fewer in a day."""


class End(StrEnum):
    """The cause of a capture's end."""

    SECONDS = "SECONDS"
    """All of the wanted time is there."""
    BODY = "BODY"
    """The service ended the body."""
    SILENT = "SILENT"
    """Nothing came for half a minute: the call is over, or makes a pause."""
    INTERRUPTED = "INTERRUPTED"
    """A signal, for example Ctrl-C."""
    FAILED = "FAILED"
    """The connection broke."""


@dataclass(slots=True)
class Counts:
    """Counts of one capture.

    Args:
        served: bytes that were received.
        written: bytes of the file.
        fragments: fragments of the body.
        kept: fragments of the file.
        unlabelled: fragments of the body that name no contact.
        outside: bytes of the body that are in no whole fragment.
        errors: errors that KVS reported inside the body.
        contacts: the contacts that the body names.
        first: number of the first kept fragment; None where it has none.
        last: number of the last kept fragment.
    """

    served: int = 0
    written: int = 0
    fragments: int = 0
    kept: int = 0
    unlabelled: int = 0
    outside: int = 0
    errors: int = 0
    contacts: set[str] = field(default_factory=set)
    first: str | None = None
    last: str | None = None

    def add(self, fragment: Fragment) -> None:
        """Count a fragment of the body."""
        self.fragments += 1
        self.unlabelled += not fragment.contact_ids
        self.errors += len(fragment.errors)
        if len(self.contacts) < _MOST_CONTACTS:
            self.contacts.update(fragment.contact_ids)

    def keep(self, fragment: Fragment) -> None:
        """Count a fragment of the file."""
        if not self.kept:
            self.first = fragment.number
        self.kept += 1
        self.last = fragment.number


@dataclass(frozen=True, slots=True)
class Captured:
    """A finished capture.

    Args:
        end: the cause of its end.
        failure: the failure's code; None where there was none.
        interrupt: the signal; None where there was none.
        counts: its counts. Without a byte written there is no file.
    """

    end: End
    failure: str | None
    interrupt: KeyboardInterrupt | None
    counts: Counts


class Capture:
    """Writes one answer.

    Args:
        answer: the answer, whose body is read once.
        stream_arn: the stream's ARN.
        path: gets the body; its name and `.json` get the JSON.
        seconds: time to capture, s by the producer's clock from the first fragment on; None for no bound.
        chosen: keeps one contact's fragments; None keeps all.
        redaction: takes out audio and ids; None keeps them.
    """

    def __init__(
        self,
        answer: Answer,
        stream_arn: str,
        path: Path,
        *,
        seconds: float | None = None,
        chosen: ContactFilter | None = None,
        redaction: Redaction | None = None,
    ) -> None:
        self._answer, self._stream_arn, self._path = answer, stream_arn, path
        self._chosen, self._redaction = chosen, redaction
        self._span_ms = None if seconds is None else seconds * 1000
        self._until_ms: float | None = None
        self._counts, self._evidence = Counts(), Evidence()
        self._answered = datetime.now(UTC)
        self._first_byte: datetime | None = None

    def run(self, chunks: Iterable[bytes]) -> Captured:
        """Read the body to its end, and write both files.

        Args:
            chunks: the body's bytes, as `chunks_of` gives them.

        Returns:
            The outcome. An interrupt is an end as any other: the caller raises it again.

        Raises:
            CommandError: a file cannot be written.
        """
        end, failure, interrupt = End.BODY, None, None
        with AtomicFile(self._path) as file:
            pieces = Pieces()
            try:
                end = self._read(pieces, file, chunks)
            except KeyboardInterrupt as error:
                end, interrupt = End.INTERRUPTED, error
            except MediaSourceError as error:
                end, failure = End.SILENT if error.code == READ_TIMEOUT else End.FAILED, error.code
            with _held_signals():
                if end is not End.SECONDS and not (interrupt and self._counts.fragments):
                    # A fragment that the service cut off is evidence, too. One that Ctrl-C cut off is none.
                    self._write_all(pieces.receive(b""), file)
                if self._counts.written:
                    file.seal()
                    file.publish()
                    self._write_facts(end, failure)
        return Captured(end, failure, interrupt, self._counts)

    def _read(self, pieces: Pieces, file: AtomicFile, chunks: Iterable[bytes]) -> End:
        for data in chunks:
            with _held_signals():
                self._first_byte = self._first_byte or datetime.now(UTC)
                self._counts.served += len(data)
                if self._write_all(pieces.receive(data), file):
                    return End.SECONDS
        return End.BODY

    def _write_all(self, pieces: Iterable[Piece], file: AtomicFile) -> bool:
        """Write pieces; returns True if all of the wanted time is there."""
        for piece in pieces:
            data = self._kept(piece)
            file.write(data)
            self._counts.written += len(data)
            if piece.fragment is not None and self._is_last(piece.fragment):
                return True
        return False

    def _kept(self, piece: Piece) -> bytes:
        """Return what the file gets of a piece."""
        fragment = piece.fragment
        if fragment is None:
            self._counts.outside += len(piece.data)
            if self._chosen is not None:
                return b""
            return piece.data if self._redaction is None else bytes(len(piece.data))
        self._counts.add(fragment)
        self._evidence.add(fragment)
        if self._chosen is not None and not self._chosen.keeps(fragment):
            return b""
        self._counts.keep(fragment)
        return piece.data if self._redaction is None else self._redaction.fragment(piece.data)

    def _is_last(self, fragment: Fragment) -> bool:
        begin_ms = fragment.producer_timestamp_ms or fragment.server_timestamp_ms
        if self._span_ms is None or begin_ms is None:
            return False
        if self._until_ms is None:
            self._until_ms = begin_ms + self._span_ms
        blocks = fragment.blocks
        # The next fragment begins one block after the last one.
        length_ms = (blocks[-1].time_ns - blocks[0].time_ns) / 1_000_000 if blocks else 0
        return begin_ms + length_ms + _BLOCK_MS >= self._until_ms

    def _write_facts(self, end: End, failure: str | None) -> None:
        with AtomicFile(facts_path(self._path)) as file:
            file.write((json.dumps(self._facts(end, failure), indent=2) + "\n").encode())
            file.seal()
            file.publish()

    def _facts(self, end: End, failure: str | None) -> dict[str, Any]:
        counts, answer, redaction = self._counts, self._answer, self._redaction
        return {
            "schemaVersion": SCHEMA_VERSION,
            "api": answer.api,
            "selector": dict(answer.selector),
            "streamArn": self._stream_arn if redaction is None else _redacted_arn(self._stream_arn, redaction),
            "endpoint": answer.endpoint,
            "requestId": answer.request_id,
            "status": answer.status,
            "headers": dict(answer.headers),
            "answered": _time(self._answered),
            "firstByte": _time(self._first_byte),
            "ended": _time(datetime.now(UTC)),
            "end": end,
            "failure": failure,
            "isRedacted": redaction is not None,
            "isOneContact": self._chosen is not None,
            "bytesServed": counts.served,
            "bytes": counts.written,
            "bytesOutsideFragments": counts.outside,
            "fragmentsServed": counts.fragments,
            "fragments": counts.kept,
            "unlabelledFragments": counts.unlabelled,
            "contacts": len(counts.contacts),
            "errors": counts.errors,
            "firstFragment": counts.first,
            "lastFragment": counts.last,
            "evidence": self._evidence.as_json(),
        }


def facts_path(capture: Path) -> Path:
    """Return the path of the JSON beside a capture."""
    return capture.with_name(f"{capture.name}.json")


def _redacted_arn(stream_arn: str, redaction: Redaction) -> str:
    """Return a stream's ARN without its account and its name, which may hold a contact's id."""
    *head, account, resource = stream_arn.split(":")
    kind, name, created = resource.split("/")
    return ":".join([*head, "0" * len(account), f"{kind}/{redaction.text(name)}/{created}"])


def chunks_of(answer: Answer) -> Iterator[bytes]:
    """Yield the bytes of an answer's body as they arrive.

    Raises:
        MediaSourceError: the connection broke or was silent for too long.
    """
    while data := answer.body.read():
        yield data


@contextmanager
def _held_signals() -> Iterator[None]:
    """Hold back the signals that end the command while a piece is written."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _time(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
