"""The recording of one call after its end, in one go: the functions' recorder, and the stream's listing for the end.

It needs no durable execution, since the stream keeps the call: a run that dies is begun again. `connect-audio export`
and the backfill's worker use it.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from connect_audio.core.errors import (
    OUTSIDE_RETENTION,
    LateRecordingError,
    MediaSourceError,
    StorageError,
    StreamError,
)
from connect_audio.ports import ContactAnswer, ContactState
from connect_audio.recorder.archived_call import QUIET_MS, settled_fragments_of_call
from connect_audio.recorder.checkpoint import Checkpoint
from connect_audio.recorder.claim import (
    AlreadyPublished,
    Claimant,
    Refusal,
    Refused,
    claim_of_earlier_run,
    claim_recording,
)
from connect_audio.recorder.claim_object import holds_claim, name_of_run, read_claim
from connect_audio.recorder.clean_up import clean_up
from connect_audio.recorder.continuation import Continuation
from connect_audio.recorder.either_source import DENIALS
from connect_audio.recorder.labels import labels_at
from connect_audio.recorder.listed_end import ListedEnd
from connect_audio.recorder.other_streamings import OtherStreamings
from connect_audio.recorder.outcome import OutcomeStatus
from connect_audio.recorder.policy import EARLY_MS, Policy
from connect_audio.recorder.publication_plan import Plan, UnknownPlanError, keep_plan, plan_of, publish_plan
from connect_audio.recorder.publish import Recorded
from connect_audio.recorder.record_step import Budget
from connect_audio.recorder.recorder import Recorder
from connect_audio.recorder.recorder_ports import RecorderPorts
from connect_audio.recorder.step_result import HandOver, Over, Wait
from connect_audio.request import RecordingRequest
from connect_audio.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from connect_audio.ports import (
        Clock,
        FragmentIndex,
        ListedFragment,
        Log,
        MediaSource,
        MediaStream,
        PartStore,
        StartSelector,
    )
    from connect_audio.recorder.object_names import RecordingNames

NO_DEADLINE: Final = float("inf")
CREDENTIALS_CODES: Final = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "NoCredentialsError",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
        "UnrecognizedClientException",
    }
)
"""Codes of AWS and names of its SDK for credentials that are no good. Each further call fails, too."""
_NO_STREAM: Final = "ResourceNotFoundException"
_NO_KEY: Final = "NoSuchKey"
_WHOLE: Final = "complete"


class LateFailure(StrEnum):
    """Why there is no recording."""

    NO_AUDIO = "NO_AUDIO"
    """The stream has no audio at that time."""
    GOES_ON = "CALL_GOES_ON"
    """The stream's newest audio is too young: the call may go on."""
    NO_CONTACT = "NO_CONTACT"
    """No fragment names a contact at that time, and nothing else does."""
    NO_INSTANCE = "NO_INSTANCE"
    """No fragment names the Connect instance, and nothing else does."""
    CLAIMED = "CLAIMED"
    """Another program records the call."""
    TOO_OLD = "OUTSIDE_RETENTION"
    """The stream no longer keeps the call."""
    NO_STREAM = "NO_STREAM"
    """There is no such stream."""
    OTHER_STREAM = "NOT_OF_CONNECT"
    """The stream holds no fragments of Connect."""
    REFUSED = "REFUSED"
    """AWS refused, and would again."""
    FAILED = "FAILED"
    """AWS failed; another try may help."""
    TIME_UP = "TIME_UP"
    """The time for it was over before its end."""


MAY_BE_LATER: Final = frozenset({LateFailure.GOES_ON, LateFailure.CLAIMED, LateFailure.FAILED, LateFailure.TIME_UP})
"""Reasons that a later try may not meet."""


class Place(Protocol):
    """The place of the recordings, and the name under which they are claimed."""

    @property
    def store(self) -> PartStore:
        """Keeps the objects."""

    def names(self, request: RecordingRequest) -> RecordingNames:
        """Return the keys of a recording."""

    def claimant(self, request: RecordingRequest) -> str:
        """Return the owner of the claim: the same one for a second try of this program."""


@dataclass(frozen=True, slots=True)
class LateCall:
    """A call to record.

    Args:
        stream_arn: the stream's ARN.
        start_ms: StartTimestamp of the streaming, ms since the epoch.
        contact_id: the contact; None for the one that the stream names.
        instance_arn: the Connect instance; None for the one that the stream names.
        slack_ms: how far the start may be off, ms. A recording of the contact that began so near is the call's.
    """

    stream_arn: str
    start_ms: int
    contact_id: str | None = None
    instance_arn: str | None = None
    slack_ms: int = 0


@dataclass(frozen=True, slots=True)
class LateResult:
    """The end of it.

    Args:
        key: the recording's key.
        status: the recorder's status; `exists` for a whole recording that was there.
        detail: the reasons' codes, with a comma between them; empty for a whole one.
    """

    key: str
    status: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LateRecording:
    """Records one call.

    Args:
        call: the call.
        place: gets the recording, under the key that the functions would use.
        source: the stream.
        index: its listing.
        clock: for times and waits.
        logger: takes ids and numbers.
        deadline_s: when to leave off, by the clock's monotonic seconds.
        policy: the recorder's limits.
        run_name: no other run has the same.
    """

    call: LateCall
    place: Place
    source: MediaSource
    index: FragmentIndex
    clock: Clock
    logger: Log
    deadline_s: float = NO_DEADLINE
    policy: Policy = field(default_factory=Policy)
    run_name: str = field(default_factory=lambda: secrets.token_hex(8))

    def listed(self) -> Sequence[ListedFragment]:
        """Return the fragments that the recorder would read, at most, by the stream's listing.

        Raises:
            LateRecordingError: there are none, or the call may go on.
        """
        try:
            return self._listed()
        except MediaSourceError as error:
            raise self._explained(error) from error

    def run(self, on_audio: Callable[[Checkpoint], None] = lambda _: None) -> LateResult:
        """Record the call.

        Args:
            on_audio: is called after each part of the recording.

        Returns:
            The end of it. A recording that is there is left alone.

        Raises:
            LateRecordingError: there is none.
            RequestError: the contact or the instance has another form.
            StorageError: the place failed.
        """
        try:
            named = self._named_before()
            if named is not None and (finished := self._finished(self._ports(named))) is not None:
                return finished
            end = ListedEnd(self._listed()[-1].number, is_quiet=True)
            ports = self._ports(named or self._request())
            if named is None and (finished := self._finished(ports)) is not None:
                return finished
            return self._record(ports, end, on_audio)
        except MediaSourceError as error:
            failure = self._explained(error)
            self._give_up(failure)
            raise failure from error
        except StreamError as error:
            message = f"the stream holds no fragments of Connect: {error}"
            raise LateRecordingError(LateFailure.OTHER_STREAM, message) from error
        except LateRecordingError as error:
            self._give_up(error)
            raise

    def _give_up(self, error: LateRecordingError) -> None:
        """Delete the claim and what is staged of an earlier run of this program, if no later one may go on.

        A contact that is not named keeps them until the bucket's lifecycle deletes them: only the stream names it.
        """
        named = self._named_before()
        if error.why in MAY_BE_LATER or named is None:
            return
        ports = self._ports(named)
        if claim_of_earlier_run(ports):
            clean_up(ports)

    def _listed(self) -> Sequence[ListedFragment]:
        listed = settled_fragments_of_call(self.index, self.call.start_ms, self.clock)
        if not listed:
            raise LateRecordingError(LateFailure.NO_AUDIO, "the stream has no audio at that time")
        quiet_ms = self.clock.now_ms() - max(each.producer_ms + each.length_ms for each in listed)
        if quiet_ms < QUIET_MS:
            message = (
                f"the call may go on: the stream's newest audio is {quiet_ms // 1000} s old. "
                f"Try again in {counted((QUIET_MS - quiet_ms) // 60_000 + 1, 'minute')}"
            )
            raise LateRecordingError(LateFailure.GOES_ON, message)
        return listed

    def _request(self) -> RecordingRequest:
        contact_id, instance_arn = self.call.contact_id, self.call.instance_arn
        if contact_id is None or instance_arn is None:
            labels = labels_at(self.source, self.call.start_ms)
            if labels is None and contact_id is None:
                raise LateRecordingError(LateFailure.NO_CONTACT, "no fragment names a contact at that time")
            contact_id = contact_id or (labels.contact_id if labels else None)
            instance_arn = instance_arn or (labels.instance_arn(self.call.stream_arn) if labels else None)
            if instance_arn is None:
                raise LateRecordingError(LateFailure.NO_INSTANCE, "no fragment names the Connect instance")
        return self._named(contact_id or "", instance_arn)

    def _named(self, contact_id: str, instance_arn: str) -> RecordingRequest:
        """Return the request, with the start of a recording that began within the slack."""
        start_ms, slack_ms = self.call.start_ms, self.call.slack_ms
        request = RecordingRequest(
            contact_id=contact_id,
            instance_arn=instance_arn,
            stream_arn=self.call.stream_arn,
            start_timestamp_ms=start_ms,
            start_fragment_number=None,
        )
        if not slack_ms:
            return request
        before = replace(request, start_timestamp_ms=start_ms - slack_ms - 1)
        starts = OtherStreamings(before, self.place.names(before), self.place.store)
        # The start may be cut to the second.
        known = starts.first_between(before.start_timestamp_ms, start_ms + slack_ms + 999)
        return request if known is None else replace(request, start_timestamp_ms=known)

    def _named_before(self) -> RecordingRequest | None:
        """Return the request of a contact that is named without the stream; None if only the stream names it."""
        if self.call.contact_id is None or self.call.instance_arn is None:
            return None
        return self._named(self.call.contact_id, self.call.instance_arn)

    def _finished(self, ports: RecorderPorts) -> LateResult | None:
        """Return the end of a recording that is there, or that an interrupted run left to be published.

        The stream is not needed.
        """
        store, names = ports.store, ports.names
        claim = read_claim(store, names)
        if claim is not None:
            try:
                plan = plan_of(claim)
            except UnknownPlanError:
                plan = None
            if plan is not None:
                return self._published(ports, claim.holder, plan)
        if store.head(names.key) is None:
            return None
        if claim is not None:
            if store.head(names.manifest) is None:
                # It is being published.
                return None
            if claim_of_earlier_run(ports):
                clean_up(ports)
        return self._existing(names)

    def _record(self, ports: RecorderPorts, end: ListedEnd, on_audio: Callable[[Checkpoint], None]) -> LateResult:
        names = ports.names
        claim = claim_recording(ports, Claimant.EXPORT)
        if isinstance(claim, Refused):
            if claim.reason is Refusal.CLAIMED:
                raise _claimed(names)
            return self._existing(names)
        if isinstance(claim, AlreadyPublished):
            # A WAV is published from a plan alone, which this run has not made yet.
            raise TypeError("a run of an export finds a WAV of its own")
        try:
            recorded = recorded_to_its_end(
                ports, claim.checkpoint().ending_on(end), on_audio, deadline_s=self.deadline_s
            )
        except MediaSourceError:
            # The stream keeps the call: a caller with the right may record it.
            clean_up(ports)
            raise
        except StorageError as error:
            if holds_claim(ports.store, names, ports.execution):
                raise
            # The claim was taken over, and its new holder has cleaned up.
            clean_up(ports)
            raise _claimed(names) from error
        plan = keep_plan(ports, recorded)
        if plan is None:
            clean_up(ports)
            raise _claimed(names)
        return self._published(ports, ports.execution, plan)

    def _published(self, ports: RecorderPorts, holder: str, plan: Plan) -> LateResult:
        outcome = publish_plan(ports, holder, plan)
        if outcome.status is OutcomeStatus.KEY_TAKEN and ports.store.head(ports.names.key) is None:
            raise LateRecordingError(
                LateFailure.FAILED, f"the upload to {ports.names.key} is gone: another program aborted it"
            )
        return LateResult(ports.names.key, str(outcome.status), ", ".join(outcome.reasons))

    def _ports(self, request: RecordingRequest) -> RecorderPorts:
        return RecorderPorts(
            request=request,
            names=self.place.names(request),
            execution=name_of_run(self.place.claimant(request), self.run_name),
            source=self.source,
            store=self.place.store,
            status=NotAsked(),
            clock=self.clock,
            policy=self.policy,
            logger=self.logger,
            replaces=True,
        )

    def _existing(self, names: RecordingNames) -> LateResult:
        lacking = shortcomings(self.place.store, names)
        return LateResult(names.key, "exists") if lacking is None else LateResult(names.key, "partial", lacking)

    def _explained(self, error: MediaSourceError) -> LateRecordingError:
        age_h = (self.clock.now_ms() - self.call.start_ms) / 3_600_000
        if error.code == OUTSIDE_RETENTION:
            message = f"the stream no longer keeps this call: it began {counted(round(age_h), 'hour')} ago"
            return LateRecordingError(LateFailure.TOO_OLD, message)
        if error.code == _NO_STREAM:
            return LateRecordingError(LateFailure.NO_STREAM, "there is no such stream in this account")
        why = LateFailure.FAILED if error.retryable else LateFailure.REFUSED
        return LateRecordingError(why, f"AWS refuses: {error}")


def fragments_to_read(start_ms: int, index: FragmentIndex, clock: Clock) -> Sequence[ListedFragment]:
    """List what a recorder of a call may read, for a source that reads by numbers.

    Args:
        start_ms: earliest StartTimestamp of the call, ms since the epoch.
        index: the stream's listing.
        clock: for the time and a wait.

    Raises:
        MediaSourceError: ListFragments failed.
    """
    # A fragment that contains the begin of the reading begins before it.
    return settled_fragments_of_call(index, start_ms - EARLY_MS, clock)


def recorded_to_its_end(
    ports: RecorderPorts,
    checkpoint: Checkpoint,
    on_audio: Callable[[Checkpoint], None] = lambda _: None,
    *,
    deadline_s: float = NO_DEADLINE,
) -> Recorded:
    """Record a call up to the end that its checkpoint names.

    Args:
        ports: the recorder's dependencies.
        checkpoint: the beginning, with the last fragment of the call's time.
        on_audio: is called after each part of the recording.
        deadline_s: when to leave off, by the clock's monotonic seconds.

    Raises:
        LateRecordingError: the time was over before the end.
        MediaSourceError: AWS denies the reading of the stream.
        StorageError: the target refused.
    """
    try:
        return _recorded(replace(ports, source=_Allowed(ports.source)), checkpoint, on_audio, deadline_s)
    except _DeniedError as error:
        raise error.denial from error


def _recorded(
    ports: RecorderPorts, checkpoint: Checkpoint, on_audio: Callable[[Checkpoint], None], deadline_s: float
) -> Recorded:
    done = Continuation(execution=ports.execution)
    with Recorder(ports) as recorder:
        while True:
            result = recorder.record(checkpoint, Budget(deadline_s, deadline_s))
            done, checkpoint = done.after(result), result.checkpoint
            on_audio(checkpoint)
            match result.next:
                case Over(end):
                    return Recorded(checkpoint=checkpoint, parts=done.parts, notes_keys=done.notes_keys, end=end)
                case Wait(seconds) if ports.clock.monotonic() + seconds < deadline_s:
                    ports.clock.sleep(seconds)
                case Wait() | HandOver():
                    raise LateRecordingError(LateFailure.TIME_UP, "the time for it was over before its end")


def _claimed(names: RecordingNames) -> LateRecordingError:
    return LateRecordingError(LateFailure.CLAIMED, f"{names.key} is being recorded by another program")


def shortcomings(store: PartStore, names: RecordingNames) -> str | None:
    """Return the reasons' codes of a recording that is there and not whole; None for a whole one.

    A recording without a manifest of this project counts as whole: it is another writer's.

    Raises:
        StorageError: the manifest cannot be read.
    """
    try:
        manifest = json.loads(store.get(names.manifest))
        if manifest["status"] == _WHOLE:
            return None
        return ", ".join(str(each["code"]) for each in manifest["reasons"])
    except StorageError as error:
        if error.code != _NO_KEY:
            raise
        return None
    except (ValueError, KeyError, TypeError):
        return None


class _DeniedError(Exception):
    """AWS denies the reading, or the credentials. The recorder would try again, and end with less than the whole."""

    def __init__(self, denial: MediaSourceError) -> None:
        super().__init__(str(denial))
        self.denial = denial


class _Allowed:
    """A source whose denial ends the recorder at once."""

    def __init__(self, source: MediaSource) -> None:
        self._source = source

    def retention_hours(self) -> int:
        return self._source.retention_hours()

    def open(self, start: StartSelector) -> MediaStream:
        try:
            return self._source.open(start)
        except MediaSourceError as error:
            if error.code in DENIALS or error.code in CREDENTIALS_CODES:
                raise _DeniedError(error) from error
            raise


class NotAsked:
    """The end is known by the stream's listing: Connect is not asked, and no right on it is needed."""

    def describe(
        self, instance_id: str, contact_id: str, *, stream_arn: str, start_fragment: str | None
    ) -> ContactAnswer:
        """Answer UNKNOWN."""
        del instance_id, contact_id, stream_arn, start_fragment
        return ContactAnswer(ContactState.UNKNOWN)
