"""The status of a recording: one table of rules, for the recorder and for `connect-audio replay` alike.

*How it works.* `RULES` holds every code that a manifest can carry as a reason, the likeliest cause first. A rule reads
the final cursor and the facts and yields a detail for each finding. The recorder's own reasons join the rule of their
code. A finding refutes the parts of the call that the rule names: their evidence is not proven, and the recording is
partial. `WARNINGS` is the same for dangers that did no harm. `judge` walks both tables; nothing else decides a status.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from connect_audio.core.accounts import PartyBytes, TrackCounts, imbalances
from connect_audio.core.cursor import Cursor
from connect_audio.core.evidence import (
    CallPart,
    Proof,
    ProofState,
    end_proof,
    middle_proof,
    opening_proof,
)
from connect_audio.core.no_audio import seen_instead
from connect_audio.core.pcm import Party
from connect_audio.core.recording_facts import Reason, RecordingFacts, Status
from connect_audio.text import counted
from connect_audio.values import dataclass

ACCOUNTS_DISAGREE: Final = "ACCOUNTS_DISAGREE"
"""The code of a recording whose sums do not add up, which has a metric of its own."""
_OPENING: Final = frozenset({CallPart.OPENING})
_MIDDLE: Final = frozenset({CallPart.MIDDLE})
_END: Final = frozenset({CallPart.END})
_PLACE: Final = _MIDDLE | _END
"""An error at one place of the stream: it refutes the end if the recording ends with it, else the middle."""

_CHOPPY_SHARE: Final = 0.01
"""Share of the call above which holes of both tracks are warned of: words get lost in them."""


class Case(NamedTuple):
    """Everything that the rules look at.

    Args:
        cursor: the final one, with every frame taken.
        facts: the facts besides.
    """

    cursor: Cursor
    facts: RecordingFacts


type Find = Callable[[Case], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One code, and when it is found.

    Args:
        code: UPPER_SNAKE, a row of `docs/manifest.md`.
        refutes: the parts of the call whose proof a finding refutes; of a warning none.
        find: yields a detail for each finding: a sentence with numbers, no personal data.
    """

    code: str
    refutes: frozenset[CallPart]
    find: Find


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The status of a recording and its grounds.

    Args:
        status: complete, partial or empty.
        reasons: why it is not complete, the likeliest cause first.
        warnings: dangers that did no harm.
        evidence: the proof of each part of the call.
    """

    status: Status
    reasons: Sequence[Reason]
    warnings: Sequence[Reason]
    evidence: Mapping[CallPart, Proof]


def judge(cursor: Cursor, facts: RecordingFacts) -> Judgement:
    """Decide on a recording.

    Args:
        cursor: the final one, with every frame taken.
        facts: the facts besides.
    """
    case = Case(cursor, facts)
    reasons = list(_found(RULES, case, facts.reasons))
    ranked = {rule.code for rule in RULES}
    # A code without a row must not make a recording look whole. A test holds that each code has one.
    reasons += [reason for reason in facts.reasons if reason.code not in ranked]
    return Judgement(
        status=Status.EMPTY if not cursor.frames else Status.PARTIAL if reasons else Status.COMPLETE,
        reasons=reasons,
        warnings=list(_found(WARNINGS, case, facts.warnings)),
        evidence={part: _proof(part, case, reasons) for part in CallPart},
    )


def one_line(reasons: Sequence[Reason]) -> str:
    """Return the likeliest cause with its detail, and the further codes, for a person."""
    if not reasons:
        return "nothing is missing"
    first, *others = reasons
    codes = ", ".join(dict.fromkeys(reason.code for reason in others if reason.code != first.code))
    return f"{first.code}: {first.detail}" + (f" (also {codes})" if codes else "")


def _found(rules: Sequence[Rule], case: Case, reported: Sequence[Reason]) -> Iterator[Reason]:
    for rule in rules:
        details = [reason.detail for reason in reported if reason.code == rule.code]
        yield from (Reason(rule.code, detail) for detail in dict.fromkeys([*details, *rule.find(case)]))


def _proof(part: CallPart, case: Case, reasons: Sequence[Reason]) -> Proof:
    """Return what refutes a part, the likeliest cause first, or else what proves it."""
    at_place = _MIDDLE if end_proof(case.cursor, case.facts).state is ProofState.PROVEN else _END
    refuting = {rule.code for rule in RULES if part in (at_place if rule.refutes == _PLACE else rule.refutes)}
    for reason in reasons:
        if reason.code in refuting:
            return Proof(ProofState.NOT_PROVEN, reason.code, reason.detail)
    match part:
        case CallPart.OPENING:
            return opening_proof(case.cursor, case.facts)
        case CallPart.MIDDLE:
            return middle_proof(case.cursor)
        case CallPart.END:
            return end_proof(case.cursor, case.facts)


# --- findings --------------------------------------------------------------------------------------------------------


def _reported(_: Case) -> Iterator[str]:
    """Find nothing: only the recorder reports this code."""
    yield from ()


def _when(applies: Callable[[Case], bool | int], detail: str) -> Find:
    """Return a rule with one detail."""

    def find(case: Case) -> Iterator[str]:
        if applies(case):
            yield detail

    return find


def _count(number: Callable[[Case], int], noun: str, one: str, many: str) -> Find:
    """Return a rule over one count.

    Args:
        number: the count.
        noun: the noun of one counted thing.
        one: the rest of the detail behind a single thing.
        many: the same behind several.
    """

    def find(case: Case) -> Iterator[str]:
        found = number(case)
        if found:
            yield f"{counted(found, noun)} {one if found == 1 else many}"

    return find


def _sentence(sentence: Callable[[Case], str | None]) -> Find:
    """Return a rule over an account that says itself what it counts, and None for nothing."""

    def find(case: Case) -> Iterator[str]:
        found = sentence(case)
        if found is not None:
            yield found

    return find


def _of_each_track(number: Callable[[TrackCounts], int], noun: str, one: str, many: str) -> Find:
    """Return a rule over a count of each track.

    Args:
        number: the count.
        noun: the noun of one counted thing.
        one: the rest of the detail behind a single thing and its party.
        many: the same behind several.
    """

    def find(case: Case) -> Iterator[str]:
        for party, track in _tracks(case):
            found = number(track)
            if found:
                yield f"{counted(found, noun)} of the {party} {one if found == 1 else many}"

    return find


def _tracks(case: Case) -> Iterator[tuple[Party, TrackCounts]]:
    timeline = case.cursor.timeline
    if timeline is not None:
        yield from ((Party.CUSTOMER, timeline.customer), (Party.AGENT, timeline.agent))


def _accounts(case: Case) -> Iterator[str]:
    """Check both laws of `accounts.py`."""
    cursor, timeline = case.cursor, case.cursor.timeline
    if timeline is None:
        return
    tracks = [
        (party, track, PartyBytes(received, cursor.other_tracks.unsupported_bytes(party)))
        for party, track, received in (
            (Party.CUSTOMER, timeline.customer, cursor.receipts.customer),
            (Party.AGENT, timeline.agent, cursor.receipts.agent),
        )
    ]
    # A reported reason may mean that the recording stops short of its end. Its silence is not settled then.
    is_closed = max(timeline.customer.end, timeline.agent.end) <= timeline.settled == cursor.frames
    yield from imbalances(tracks, frames=cursor.frames, settled=timeline.settled if is_closed else None)
    if not is_closed and not case.facts.reasons:
        settled = counted(timeline.settled, "settled frame")
        yield f"the recording of {counted(cursor.frames, 'frame')} was not closed at {settled}"


def _opening(case: Case) -> Iterator[str]:
    proof = opening_proof(case.cursor, case.facts)
    if case.cursor.timeline is not None and proof.state is ProofState.NOT_PROVEN:
        yield proof.detail


def _open_end(code: str) -> Find:
    """Return a rule for an end that its own reason leaves open, where no other reason says why."""

    def find(case: Case) -> Iterator[str]:
        proof = end_proof(case.cursor, case.facts)
        reported = {reason.code for reason in case.facts.reasons} & {rule.code for rule in RULES if rule.refutes & _END}
        if proof.state is ProofState.NOT_PROVEN and proof.code == code and not reported:
            yield proof.detail

    return find


def _beyond_limit(case: Case) -> Iterator[str]:
    beyond = list(
        _of_each_track(
            lambda track: track.dropped.beyond_limit.samples,
            "sample",
            "lies beyond the longest recording",
            "lie beyond the longest recording",
        )(case)
    )
    yield from beyond or _open_end("RECORDING_LIMIT")(case)


def _failed_sinks(case: Case) -> Iterator[str]:
    live = case.facts.live
    for name, sink in live.sinks.items() if live else ():
        if sink.failure is not None:
            yield f"live audio does not go to {name}, or not any more: {sink.failure}"


def _dropped_live(case: Case) -> Iterator[str]:
    live, timeline = case.facts.live, case.cursor.timeline
    for name, sink in live.sinks.items() if live else ():
        dropped = sink.counts.dropped_frames
        if dropped:
            yield f"{name} did not get {dropped / (timeline.rate if timeline else 1):.3f} s of the live audio"


def _dropped_messages(case: Case) -> Iterator[str]:
    live = case.facts.live
    for name, sink in live.sinks.items() if live else ():
        if sink.counts.dropped_messages:
            yield f"{counted(sink.counts.dropped_messages, 'message')} of {name} did not reach a receiver"


def _times(case: Case) -> Iterator[str]:
    times = case.cursor.times
    if times.count:
        yield f"{counted(times.count, 'time')} the stream's own numbers contradict each other: {times.text()}"


def _holes(case: Case) -> Iterator[str]:
    stream = case.cursor.stream
    if stream.holes.stream_holes:
        times = counted(stream.holes.stream_holes, "time")
        yield f"{times} neither track has audio, and fragments may be missing there"
    elif stream.missing_fragments:
        numbers = "is missing by its number" if stream.missing_fragments == 1 else "are missing by their numbers"
        yield f"{counted(stream.missing_fragments, 'fragment')} {numbers}"


def _choppy(case: Case) -> Iterator[str]:
    holes, frames, timeline = case.cursor.stream.holes, case.cursor.frames, case.cursor.timeline
    # Silence of both tracks is in the account of either.
    silent = 0 if timeline is None else timeline.customer.silence.block_hole
    if timeline is not None and silent > _CHOPPY_SHARE * frames:
        seconds, share = silent / timeline.rate, 100 * silent / frames
        yield (
            f"neither party has audio {counted(holes.block_holes, 'time')} inside fragments that lack nothing: "
            f"{seconds:.3f} s, {share:.1f} % of the call"
        )


RULES: Final[tuple[Rule, ...]] = (
    Rule(ACCOUNTS_DISAGREE, _MIDDLE, _accounts),
    # The recorder or its source.
    Rule("STEP_FAILED", _END, _open_end("STEP_FAILED")),
    Rule("INTERRUPTED", _END, _open_end("INTERRUPTED")),
    Rule("NO_PROGRESS", _END, _reported),
    Rule("UPLOAD_LOST", _END, _reported),
    Rule("IN_BAND_ERROR", _PLACE, _reported),
    Rule("SOURCE_FAILED", _PLACE, _open_end("SOURCE_FAILED")),
    Rule("MEDIA_EXPIRED", _PLACE, _reported),
    # Audio that is there and not understood.
    Rule(
        "UNSUPPORTED_AUDIO",
        _MIDDLE,
        _sentence(lambda case: case.cursor.other_tracks.unsupported_sentence()),
    ),
    Rule("UNKNOWN_TRACK", _MIDDLE, _sentence(lambda case: case.cursor.other_tracks.unknown_sentence())),
    Rule(
        "NO_AUDIO",
        _OPENING | _MIDDLE,
        _sentence(lambda case: None if case.cursor.frames else seen_instead(case.cursor)),
    ),
    # The call's borders.
    Rule("OPENING_MISSING", _OPENING, _opening),
    Rule("ENDING_MISSING", _END, _open_end("ENDING_MISSING")),
    Rule("STILL_CONNECTED", _END, _reported),
    Rule("RECORDING_LIMIT", _END, _beyond_limit),
    # Damage, and fragments that were left out.
    Rule(
        "TRUNCATED_FRAGMENTS",
        _MIDDLE,
        _count(
            lambda case: case.cursor.fragments.truncated,
            "fragment",
            "was cut off; its whole blocks are in the recording",
            "were cut off; their whole blocks are in the recording",
        ),
    ),
    Rule(
        "LOST_BYTES",
        _MIDDLE,
        _count(
            lambda case: case.cursor.stream.lost_bytes,
            "byte",
            "of the stream belongs to no readable fragment",
            "of the stream belong to no readable fragment",
        ),
    ),
    Rule(
        "UNDECIDABLE_FRAGMENTS",
        _MIDDLE,
        _count(
            lambda case: case.cursor.fragments.undecidable,
            "fragment",
            "beside the contact's own names no contact and was left out",
            "beside the contact's own name no contact and were left out",
        ),
    ),
    Rule(
        "CONTRADICTORY_FRAGMENTS",
        _MIDDLE,
        _count(
            lambda case: case.cursor.fragments.contradictory,
            "fragment",
            "names more than one contact and was left out",
            "name more than one contact and were left out",
        ),
    ),
    # Symptoms: a cause above explains them where there is one.
    Rule("TIMES_DISAGREE", _MIDDLE, _times),
    Rule("STREAM_HOLES", _MIDDLE, _holes),
    Rule(
        "LATE_AUDIO",
        _MIDDLE,
        _of_each_track(
            lambda track: track.dropped.late.samples,
            "sample",
            "came after silence had taken its place",
            "came after silence had taken their place",
        ),
    ),
    Rule(
        "OUT_OF_RANGE_AUDIO",
        _MIDDLE,
        _of_each_track(
            lambda track: track.dropped.out_of_range.samples,
            "sample",
            "has a time outside the call",
            "have times outside the call",
        ),
    ),
    Rule(
        "CONFLICTING_AUDIO",
        _MIDDLE,
        _of_each_track(
            lambda track: track.dropped.conflicting.samples,
            "sample",
            "came for a time that has other audio, and was left out",
            "came for a time that has other audio, and were left out",
        ),
    ),
    Rule(
        "DANGLING_BYTES",
        _MIDDLE,
        _of_each_track(
            lambda track: track.dropped.dangling_bytes, "byte", "makes no whole sample", "make no whole sample"
        ),
    ),
)
"""Every reason, the likeliest cause first: a cause stands before its symptoms."""

WARNINGS: Final[tuple[Rule, ...]] = (
    Rule("CHOPPY_AUDIO", frozenset(), _choppy),
    Rule(
        "NO_RETENTION",
        frozenset(),
        _when(
            lambda case: case.facts.retention_hours is not None and case.facts.retention_hours < 1,
            "the stream keeps nothing: audio that is not read within about 5 minutes is gone for good",
        ),
    ),
    Rule("RETENTION_TOO_SHORT", frozenset(), _reported),
    Rule("LIVE_SINK_FAILED", frozenset(), _failed_sinks),
    Rule("LIVE_AUDIO_DROPPED", frozenset(), _dropped_live),
    Rule("LIVE_MESSAGES_DROPPED", frozenset(), _dropped_messages),
)
"""Every warning: a danger that did no harm to the recording."""
