"""One contact's recording out of a capture: what `connect_audio.read` and `connect-audio replay` share.

How it works: `Extraction` adds the capture's fragments to a `CallRecording`. Until a fragment names a contact, the
recording has no contact and admits nothing. The first contact then gets a recording that goes on with the counts.
If unlabelled fragments are accepted, the fragments before the first label are held, since they belong to that contact.
The caller takes the settled frames and the notes after each fragment, so memory does not grow with the call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final

from connect_audio.core.admission import StreamEnd, Verdict, start_ms
from connect_audio.core.contact_id import is_contact_id
from connect_audio.core.cursor import Cursor
from connect_audio.core.errors import CaptureError
from connect_audio.core.evidence import OTHER_CONTACT_MS
from connect_audio.core.fragments import BytesLost, Completion, Fragment, OpenFragment
from connect_audio.core.in_band import InBandError
from connect_audio.core.live_state import LiveState
from connect_audio.core.manifest import EndReason, NoteLog, Reason, RecordingFacts, build_manifest
from connect_audio.core.no_audio import seen_instead
from connect_audio.core.recording import Added, CallRecording
from connect_audio.core.recording_facts import WordsFacts
from connect_audio.core.resume_points import NoResumePoints
from connect_audio.core.tracks import CONNECT_NAMES, TrackNames, choose_tracks, find_track, shown_name
from connect_audio.library.capture import CaptureEvent
from connect_audio.text import printable
from connect_audio.values import dataclass

_MAX_HELD_BYTES: Final = 32 * 1024 * 1024
"""Fragments held until a contact is named: 17 minutes of a call. Beyond, the caller has to name the contact."""
_COST_OF_AN_EVENT: Final = 4096
"""The weight of an event beside its audio in `_MAX_HELD_BYTES`, so that empty fragments are bounded, too."""
_MAX_LISTED: Final = 100
"""Contacts and kinds of tracks that are kept for messages, however many a capture holds; further ones are left out."""
_MAX_NAMED: Final = 8
"""Tracks that one message names."""
_NO_CONTACT_ID: Final = "is no contact id: 1 to 50 letters, digits and inner hyphens"
_TRACK_TYPES: Final = {1: "video", 2: "audio", 17: "subtitle"}
_NOBODY: Final = ""
"""A contact id that no fragment has: empty ContactId tags are not taken for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionNames:
    """How the caller's user spells the two options that messages advise.

    Args:
        contact_id: the option that names the contact.
        contact_id_given: the same with a value.
        accept_unlabelled: the option that accepts unlabelled fragments.
        both_given: that option and the contact id.
        customer_track: the option that names the customer's track.
        agent_track: the option that names the agent's track.
    """

    contact_id: str
    contact_id_given: str
    accept_unlabelled: str
    both_given: str
    customer_track: str
    agent_track: str


PYTHON_OPTIONS: Final = OptionNames(
    contact_id="contact_id",
    contact_id_given='contact_id="ID"',
    accept_unlabelled="accept_unlabelled=True",
    both_given='contact_id="ID", accept_unlabelled=True',
    customer_track="customer_track",
    agent_track="agent_track",
)
"""As `connect_audio.read` has them."""


class Extraction:
    """Extract one contact's recording.

    Args:
        events: the values of `capture_events` or `growing_events`.
        name: the capture's name in messages.
        contact_id: the contact; None for the first one that the capture names.
        accept_unlabelled: take fragments that name no contact for this contact's.
        limit_s: longest recording, seconds; what a WAV can hold if None.
        track_names: the parties' tracks as the user names them.
        options: how messages spell the options.

    Raises:
        CaptureError: `contact_id` is no contact id, or both parties' tracks have the same name.
    """

    def __init__(
        self,
        events: Iterator[CaptureEvent],
        name: str,
        *,
        contact_id: str | None,
        accept_unlabelled: bool,
        limit_s: int | None = None,
        track_names: TrackNames = CONNECT_NAMES,
        options: OptionNames = PYTHON_OPTIONS,
    ) -> None:
        if contact_id is not None and not is_contact_id(contact_id):
            raise CaptureError(f"{options.contact_id} '{printable(contact_id, 60)}' {_NO_CONTACT_ID}")
        self.contact_id = contact_id
        self._track_names = track_names
        self.recording = self._recording_of(contact_id or _NOBODY, accept_unlabelled=accept_unlabelled, limit_s=limit_s)
        self.added = Added((), (), None)
        """The result of the last fragment yielded by `fragments`; after its end, of the fragments that had waited."""
        self._seen = _Seen(track_names, options)
        self._end = _EndOfCapture()
        self._events = self._seen.watch(events)
        self._name = name
        self._accept_unlabelled = accept_unlabelled
        self._limit_s = limit_s
        self._options = options

    def fragments(self) -> Iterator[OpenFragment | Fragment]:
        """Add all fragments to `recording`.

        Yields:
            Each fragment under way that is in `events`; each fragment after it was added. The caller then takes settled
            frames and notes from `recording`, which changes once: when the first contact is named.

        Raises:
            CaptureError: no contact is named in time, or the first one's id is no contact id.
        """
        if self.contact_id is None and self._accept_unlabelled:
            self._events = self._find_first_contact()
        for event in self._events:
            if isinstance(event, BytesLost):
                self.recording.lose(event)
                continue
            if isinstance(event, Fragment):
                if self.contact_id is None and len(event.contact_ids) == 1:
                    self._name_contact(event.contact_ids[0])
                self.added = self._add(event)
                self._end.look_at(event, self.added, self.recording.end_ms)
            yield event
        self.added = self.recording.end(StreamEnd.END_OF_INPUT)

    def manifest(
        self, notes: NoteLog, *, live: LiveState | None = None, words: WordsFacts | None = None
    ) -> dict[str, Any]:
        """Make the manifest of the recording, once all its frames and notes are taken.

        Args:
            notes: all notes.
            live: the sinks of live audio; None where there are none.
            words: the transcript beside the recording; None where there is none.

        Raises:
            CaptureError: the capture holds no audio of the contact.
        """
        cursor = self.recording.cursor()
        misnamed = self._seen.misnamed_track()
        if misnamed is not None:
            raise CaptureError(f"{self._name}: {misnamed}")
        if self.contact_id is None or not cursor.frames:
            raise CaptureError(f"{self._name}: {self._why_nothing()}")
        facts = RecordingFacts(
            contact_id=self.contact_id,
            recording=f"{self.contact_id}.wav",
            end_reason=EndReason.END_OF_INPUT,
            instance_id=self._seen.instances.get(self.contact_id),
            reasons=self._end.reasons(),
            live=live,
            words=words,
        )
        return build_manifest(cursor, facts, notes)

    @property
    def other_contacts(self) -> tuple[str, ...]:
        """Further contacts that the capture names, the first 100."""
        return tuple(other for other in self._seen.contacts if other != self.contact_id)

    def _add(self, fragment: Fragment) -> Added:
        """Add a fragment. A document of an error alone is no fragment of any contact; the recorder does the same."""
        if fragment.errors and not fragment.blocks:
            self.recording.report(fragment.errors, fragment.number)
            return Added((), (), self.added.origin)
        return self.recording.add(fragment)

    def _why_nothing(self) -> str:
        if self._end.error is not None:
            return self._end.error.sentence
        return self._seen.why_nothing(
            self.contact_id, self.recording.cursor(), accept_unlabelled=self._accept_unlabelled
        )

    def _recording_of(self, contact_id: str, *, accept_unlabelled: bool, limit_s: int | None) -> CallRecording:
        return CallRecording(
            contact_id,
            accept_unlabelled=accept_unlabelled,
            limit_s=limit_s,
            track_names=self._track_names,
            points=NoResumePoints,
        )

    def _name_contact(self, contact_id: str) -> None:
        """Go on under the first contact's name: nothing was admitted so far, but the counts stay."""
        self.contact_id = self._checked(contact_id)
        self.recording = self.recording.named(self.contact_id)

    def _find_first_contact(self) -> Iterator[CaptureEvent]:
        """Find the first contact and return the events from the start: unlabelled fragments are to be its own."""
        held: list[CaptureEvent] = []
        held_bytes = 0
        for event in self._events:
            if isinstance(event, OpenFragment):
                continue  # it is still changing, so it cannot be held
            held.append(event)
            held_bytes += _COST_OF_AN_EVENT
            if isinstance(event, Fragment):
                if len(event.contact_ids) == 1:
                    self.contact_id = self._checked(event.contact_ids[0])
                    self.recording = self._recording_of(self.contact_id, accept_unlabelled=True, limit_s=self._limit_s)
                    return chain(held, self._events)
                held_bytes += sum(len(block.data) for block in event.blocks)
            if held_bytes > _MAX_HELD_BYTES:
                raise CaptureError(
                    f"{self._name}: names no contact within {_MAX_HELD_BYTES} bytes of audio; "
                    f"name the call with {self._options.contact_id_given}"
                )
        raise CaptureError(f"{self._name}: {self._why_nothing()}")

    def _checked(self, contact_id: str) -> str:
        """Check the capture's contact id, which becomes a file's name: one rule keeps all path tricks out."""
        if not is_contact_id(contact_id):
            raise CaptureError(
                f"{self._name}: its first contact '{printable(contact_id, 60)}' {_NO_CONTACT_ID}; "
                f"name another contact with {self._options.contact_id}"
            )
        return contact_id


class _EndOfCapture:
    """Separate a capture that ends in an in-band error from one that was read to its end.

    The recorder decides the same about a stream: audio behind the error shows that reading went on.
    """

    def __init__(self) -> None:
        self.error: InBandError | None = None
        """The in-band error behind the newest audio; None where there is none, or where the call had ended before."""
        self._is_over = False

    def look_at(self, fragment: Fragment, added: Added, end_ms: int | None) -> None:
        """Take the next fragment.

        Args:
            fragment: the fragment.
            added: the result of adding it.
            end_ms: end of the contact's audio, ms since the epoch; None before the first.
        """
        for each, verdict, _ in added.decisions:
            if verdict.admitted:
                self._is_over = False
            elif verdict is Verdict.OTHER and end_ms is not None and not self._is_over:
                begin_ms = start_ms(each)
                self._is_over = begin_ms is not None and begin_ms - end_ms >= OTHER_CONTACT_MS
        if fragment.errors and not (fragment.blocks and fragment.completion is Completion.TOKEN):
            self.error = None if self._is_over else fragment.errors[-1]
        elif fragment.blocks:
            self.error = None

    def reasons(self) -> tuple[Reason, ...]:
        """Return why the capture's end proves nothing."""
        return () if self.error is None else (Reason(self.error.reason_code, self.error.sentence),)


class _Seen:
    """The contents of a capture, for the message that says why there is no recording.

    Args:
        track_names: the parties' tracks as the user names them.
        options: how messages spell the options.
    """

    def __init__(self, track_names: TrackNames, options: OptionNames) -> None:
        self.contacts: dict[str, None] = {}
        self.instances: dict[str, str] = {}
        self._names = track_names
        self._are_given = track_names != CONNECT_NAMES
        self._options = options
        self._tracks: dict[str, None] = {}
        self._audio: dict[str, None] = {}  # audio tracks as messages name them
        self._found: set[str] = set()  # names of `track_names` that a fragment has
        self._same = False  # both names are the same track
        self._refusal: str | None = None
        self._unknown = False
        self._pcm = False

    def watch(self, events: Iterable[CaptureEvent]) -> Iterator[CaptureEvent]:
        for event in events:
            if isinstance(event, Fragment):
                self._look_at(event)
            yield event

    def _look_at(self, fragment: Fragment) -> None:
        for contact_id in fragment.contact_ids:
            if contact_id not in self.contacts and len(self.contacts) < _MAX_LISTED:
                self.contacts[contact_id] = None
                instance_id = fragment.tag("InstanceId")
                if instance_id:
                    self.instances[contact_id] = printable(instance_id, 100)
        if self._are_given:
            self._look_for_names(fragment)
        if self._pcm:
            return
        choice = choose_tracks(fragment.tracks, fragment.tag("MimeType"), self._names)
        self._pcm = bool(choice.audio)
        if choice.unsupported:
            refused = choice.unsupported[0]
            self._refusal = self._refusal or f"the {refused.party}'s track is {refused.refusal}"
        self._unknown = self._unknown or bool(choice.unknown)
        for track in fragment.tracks:
            if len(self._tracks) < _MAX_LISTED:
                kind = _TRACK_TYPES.get(track.track_type, f"type {track.track_type}")
                self._tracks[f"{kind} {printable(track.codec_id, 40) or 'of no codec'}"] = None
        for number, name in choice.unknown:
            if len(self._audio) < _MAX_LISTED:
                self._audio[f"{number} '{name}'"] = None

    def _look_for_names(self, fragment: Fragment) -> None:
        found = []
        for wanted in (self._names.customer, self._names.agent):
            entry = None if wanted is None else find_track(fragment.tracks, wanted)
            if wanted is not None and entry is not None:
                self._found.add(wanted)
                found.append(entry.number)
        self._same = self._same or len(set(found)) < len(found)
        for entry in fragment.tracks:
            if len(self._audio) < _MAX_LISTED:
                self._audio[f"{entry.number} '{shown_name(entry.name)}'"] = None

    def misnamed_track(self) -> str | None:
        """Say which name of a party's track is of no use; None if both were found."""
        options = self._options
        for option, wanted in (
            (options.customer_track, self._names.customer),
            (options.agent_track, self._names.agent),
        ):
            if wanted is not None and wanted not in self._found:
                return f"{option}: it has no audio track '{printable(wanted, 60)}', only {self._listed_audio()}"
        if self._same:
            return f"{options.customer_track} and {options.agent_track} name the same track"
        return None

    def _listed_audio(self) -> str:
        return f"track {', track '.join(list(self._audio)[:_MAX_NAMED])}" if self._audio else "tracks without audio"

    def _why_no_pcm(self) -> str:
        if self._refusal:
            return f"there is no PCM audio track in it: {self._refusal}"
        if self._unknown:
            options = self._options
            return (
                f"no name of its tracks is a party's ({self._listed_audio()}); say which is which with "
                f"{options.customer_track} and {options.agent_track}, by name or number"
            )
        only = f", only {', '.join(self._tracks)}" if self._tracks else ""
        return f"there is no PCM audio track in it{only}"

    def why_nothing(self, contact_id: str | None, cursor: Cursor, *, accept_unlabelled: bool) -> str:
        """Say why there is no recording."""
        options = self._options
        if not self._pcm:
            return self._why_no_pcm()
        one_call = "if all its audio is of one call, add"
        if contact_id is None:
            if accept_unlabelled:
                return f"no fragment names a contact; name the call with {options.contact_id_given}"
            return f"no fragment names a contact; {one_call} {options.both_given}"
        if contact_id not in self.contacts and not accept_unlabelled:
            if not self.contacts:
                return f"no fragment names contact {contact_id} or any other; {one_call} {options.accept_unlabelled}"
            others = printable(", ".join(self.contacts), 200)
            return f"no fragment names contact {contact_id}; it holds {others}"
        return f"contact {contact_id} has no audio in it: {seen_instead(cursor)}"
