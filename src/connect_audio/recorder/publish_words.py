"""Publishes a call's words: transcript and captions beside the recording, out of the pages that the sink left.

How it works. The newest page has the state that counts. A party's words are whole up to what is settled; the span from
there to the recording's end is listed as missing. Words beyond the recording's end came of audio that was never
recorded, so they are left out. The pages stay; the bucket deletes them like segments.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from connect_audio.core.pcm import PARTIES
from connect_audio.core.recording_facts import WordsFacts
from connect_audio.core.transcript import Turn
from connect_audio.core.transcript_document import TranscriptFacts, transcript_document
from connect_audio.core.webvtt import webvtt
from connect_audio.core.word_pages import (
    DamagedPageError,
    ForeignPageError,
    MissingReason,
    MissingSpan,
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
        pages = [decode_page(number, store.get(key)) for number, key in enumerate(keys)]
        if any(page.call.rate != rate for page in pages):
            raise DamagedPageError("it counts frames of another rate")
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


def transcript_facts(
    pages: Sequence[WordPage], frames: int, rate: int, *, contact_id: str, engine: str
) -> TranscriptFacts:
    """The content of a recording's transcript.

    Args:
        pages: all its pages, in order.
        frames: its length, frames.
        rate: its samples a second.
        contact_id: the call's contact.
        engine: name of the recognizer if no page names it.
    """
    turns, numbers, missing = words_of(pages, frames)
    return TranscriptFacts(
        turns=turns,
        numbers=numbers,
        missing=missing,
        rate=rate,
        frames=frames,
        contact_id=contact_id,
        engine=pages[-1].call.engine if pages else engine,
        language=pages[-1].call.language if pages else None,
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


def words_of(pages: Sequence[WordPage], frames: int) -> tuple[list[Turn], list[int], list[MissingSpan]]:
    """The words of a recording.

    Args:
        pages: all its pages, in order.
        frames: its length, frames.

    Returns:
        The turns, the number of each, and the spans without words.
    """
    settled = dict(pages[-1].state.settled) if pages else dict.fromkeys(PARTIES, 0)
    missing = list(pages[-1].state.missing) if pages else []
    ends = dict.fromkeys(PARTIES, frames)
    turns: list[Turn] = []
    numbers: list[int] = []
    taken_back: list[MissingSpan] = []
    for numbered in valid_turns(pages):
        turn = turn_before(numbered.turn, frames)
        if turn is not None:
            turns.append(turn)
            numbers.append(numbered.number)
        if turn is not numbered.turn:
            party, start = numbered.turn.party, numbered.turn.start if turn is None else turn.end
            taken_back.append(MissingSpan(party=party, start=start, end=frames, reason=MissingReason.TAKEN_BACK))
    missing = cut_spans(missing, ends)
    for span in taken_back:
        missing = with_span(missing, span)
    for party in PARTIES:
        tail = MissingSpan(party=party, start=settled[party], end=frames, reason=MissingReason.UNFINISHED)
        missing = with_span(missing, tail)
    return turns, numbers, missing
