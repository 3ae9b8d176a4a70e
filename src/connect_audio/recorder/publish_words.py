"""Publishes a call's words: transcript and captions beside the recording, out of the pages that the sink left.

How it works. The newest page has the state that counts. A party's words are whole up to what is settled; the span from
there to the recording's end is listed as missing. Words beyond the recording's end came of audio that was never
recorded, so they are left out. The pages stay; the bucket deletes them like segments. A damaged page costs its own
span.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from connect_audio.core.pcm import PARTIES, Party
from connect_audio.core.recording_facts import WordsFacts
from connect_audio.core.transcript import Turn
from connect_audio.core.transcript_document import TranscriptFacts, transcript_document
from connect_audio.core.webvtt import webvtt
from connect_audio.core.word_pages import (
    DamagedPageError,
    ForeignPageError,
    MissingReason,
    MissingSpan,
    NumberedTurn,
    WordPage,
    cut_spans,
    decode_page,
    pages_prefix,
    turn_before,
    valid_turns,
    with_span,
)
from connect_audio.ports import ObjectKind
from connect_audio.recorder.recorder_ports import RecorderPorts


def publish_words(ports: RecorderPorts, sink: str, frames: int, rate: int) -> WordsFacts | None:
    """Write transcript and captions. May be run again from any point.

    Args:
        ports: the recorder's dependencies.
        sink: name of the sink of words.
        frames: length of the recording, frames.
        rate: its samples a second.

    Returns:
        The facts for the manifest; None if the pages cannot be read.

    Raises:
        StorageError: S3 failed; safe to try again.
    """
    names, store = ports.names, ports.store
    keys = store.list_keys(pages_prefix(names.key))
    try:
        pages = [_decoded(ports, number, store.get(key)) for number, key in enumerate(keys)]
        whole = [page for page in pages if page is not None]
        if any(page.call.rate != rate for page in whole):
            raise DamagedPageError("it counts frames of another rate")
        if keys and not whole:
            raise DamagedPageError("no page is whole")
    except (DamagedPageError, ForeignPageError) as error:
        ports.logger.error(  # noqa: TRY400 - no bug, and the text says all
            "pages of words cannot be read: the recording is published without a transcript",
            extra={"detail": str(error)},
        )
        return None
    facts = transcript_facts(pages, frames, rate, contact_id=ports.request.contact_id, engine=sink)
    store.put(names.transcript, transcript_file(facts), ObjectKind("application/json"))
    store.put(names.captions, webvtt(facts.turns, rate).encode(), ObjectKind("text/vtt; charset=utf-8"))
    return words_facts(facts, f"s3://{names.bucket}/{names.transcript}", f"s3://{names.bucket}/{names.captions}")


def _decoded(ports: RecorderPorts, number: int, text: bytes | bytearray) -> WordPage | None:
    """Read a page; None, and a line in the log, if it is damaged."""
    try:
        return decode_page(number, text)
    except DamagedPageError as error:
        ports.logger.warning(
            "a page of words cannot be read: its words are missing in the transcript",
            extra={"page": number, "detail": str(error)},
        )
        return None


def transcript_facts(
    pages: Sequence[WordPage | None], frames: int, rate: int, *, contact_id: str, engine: str
) -> TranscriptFacts:
    """The content of a recording's transcript.

    Args:
        pages: all its pages, in order; None for a damaged one.
        frames: its length, frames.
        rate: its samples a second.
        contact_id: the call's contact.
        engine: name of the recognizer if no page names it.
    """
    turns, numbers, missing = words_of(pages, frames)
    call = next((page.call for page in reversed(pages) if page is not None), None)
    return TranscriptFacts(
        turns=turns,
        numbers=numbers,
        missing=missing,
        rate=rate,
        frames=frames,
        contact_id=contact_id,
        engine=engine if call is None else call.engine,
        language=None if call is None else call.language,
        source="live",
    )


def transcript_file(facts: TranscriptFacts) -> bytes:
    """The file of a transcript."""
    return json.dumps(transcript_document(facts), indent=1, ensure_ascii=False).encode()


def words_facts(facts: TranscriptFacts, transcript: str, captions: str) -> WordsFacts:
    """The manifest's facts about a transcript.

    Args:
        facts: its content.
        transcript: URI or name of its file.
        captions: URI or name of the captions.
    """
    return WordsFacts(
        transcript=transcript,
        captions=captions,
        engine=facts.engine,
        language=facts.language,
        turns=len(facts.turns),
        missing_seconds={
            party: round(sum(span.end - span.start for span in facts.missing if span.party is party) / facts.rate, 3)
            for party in PARTIES
        },
    )


def words_of(pages: Sequence[WordPage | None], frames: int) -> tuple[list[Turn], list[int], list[MissingSpan]]:
    """The words of a recording.

    Args:
        pages: all its pages, in order; None for a damaged one.
        frames: its length, frames.

    Returns:
        The turns, the number of each, and the spans without words.
    """
    whole = [page for page in pages if page is not None]
    settled = dict(whole[-1].state.settled) if whole else dict.fromkeys(PARTIES, 0)
    missing = list(whole[-1].state.missing) if whole else []
    ends = dict.fromkeys(PARTIES, frames)
    turns: list[Turn] = []
    numbers: list[int] = []
    taken_back: list[MissingSpan] = []
    for numbered in valid_turns(whole):
        turn = turn_before(numbered.turn, frames)
        if turn is not None:
            turns.append(turn)
            numbers.append(numbered.number)
        if turn is not numbered.turn:
            party, start = numbered.turn.party, numbered.turn.start if turn is None else turn.end
            taken_back.append(MissingSpan(party=party, start=start, end=frames, reason=MissingReason.TAKEN_BACK))
    missing = cut_spans([*missing, *_damaged(pages, settled, missing)], ends)
    for span in taken_back:
        missing = with_span(missing, span)
    # Without its newest page a call's words are known to an older position alone.
    reason = MissingReason.DAMAGED if pages and pages[-1] is None else MissingReason.UNFINISHED
    for party in PARTIES:
        tail = MissingSpan(party=party, start=settled[party], end=frames, reason=reason)
        missing = with_span(missing, tail)
    return turns, numbers, missing


def _damaged(
    pages: Sequence[WordPage | None], settled: Mapping[Party, int], listed: Sequence[MissingSpan]
) -> list[MissingSpan]:
    """The spans of damaged pages between whole ones: from a party's last turn before to its first one behind."""
    found: list[MissingSpan] = []
    for at, page in enumerate(pages):
        if page is not None or (at and pages[at - 1] is None) or not any(pages[at:]):
            continue
        for party in PARTIES:
            before = [each.turn.end for each in _turns(pages[:at]) if each.turn.party is party]
            behind = [each.turn.start for each in _turns(pages[at:]) if each.turn.party is party]
            start, end = max(before, default=0), min(behind, default=settled[party])
            for span in sorted((span for span in listed if span.party is party), key=lambda span: span.start):
                # A span that is listed already has its own reason.
                found += _span(party, start, min(span.start, end))
                start = max(start, min(span.end, end))
            found += _span(party, start, end)
    return found


def _turns(pages: Sequence[WordPage | None]) -> list[NumberedTurn]:
    return [each for page in pages if page is not None for each in page.turns]


def _span(party: Party, start: int, end: int) -> list[MissingSpan]:
    span = MissingSpan(party=party, start=start, end=end, reason=MissingReason.DAMAGED)
    return [span] if start < end else []
