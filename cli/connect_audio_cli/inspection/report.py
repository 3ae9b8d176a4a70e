"""A capture as tables, as an element tree or as JSON: the work behind `connect-audio inspect`."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from connect_audio.core.fragments import BytesLost, Completion
from connect_audio.core.levels import peak_dbfs, rms_dbfs
from connect_audio_cli.captures import CaptureInput, open_capture
from connect_audio_cli.inspection.element_tree import ElementRow, KeptBytes, element_rows
from connect_audio_cli.inspection.inspection import (
    FragmentRow,
    Inspection,
    Summary,
    TrackSummary,
    fragment_json,
    is_gap,
    number_of,
    summary_json,
)
from connect_audio_cli.output.command_error import CommandError, ExitCode, printable
from connect_audio_cli.output.formatting import count, duration, speech
from connect_audio_cli.output.progress import progress_of
from connect_audio_cli.output.reporting import Form, Report
from connect_audio_cli.output.table import Row, print_table, print_values
from connect_audio_cli.output.terminal import is_terminal, width

_HEADINGS: Final = ("#", "fragment", "producer", "server", "contact", "blocks", "bytes", "end", "gap ms", "notes")
_TABLE_ROWS: Final = 40
_TREE_FRAGMENTS: Final = 1
_FULL_WIDTH: Final = 160
_HOUR_MS: Final = 3_600_000
_YEAR_2000_MS: Final = 946_684_800_000
_ENDS: Final = {
    Completion.TOKEN: "token",
    Completion.SUCCESSOR: "next",
    Completion.END_OF_BODY: "end of file",
    Completion.TRUNCATED: "CUT OFF",
}


def show(capture: str, report: Report, *, tree: bool, limit: int | None) -> None:
    """Show what a capture holds.

    Args:
        capture: a path, or `-`.
        report: the form of the report.
        tree: the element tree in place of the table of fragments.
        limit: how many fragments to show; 0 for all, None for as many as suits the form.

    Raises:
        CommandError: it is no capture, or it is broken somewhere.
    """
    # Tables need every row to find their widths, and the summary; the other forms are written as the capture is read.
    as_json, is_quiet = report.form is Form.JSON, report.form is Form.QUIET
    at_once = is_quiet or (not tree and not as_json)
    full = not is_terminal(sys.stdout) or width() >= _FULL_WIDTH
    table: list[Row] = []
    with (
        open_capture(capture) as opened,
        progress_of(
            opened.chunks,
            what="Reading",
            total=opened.size,
            shown=report.shows_progress and (at_once or not sys.stdout.isatty()),
        ) as chunks,
    ):
        kept = KeptBytes() if tree and not is_quiet else None
        inspection = Inspection(kept.watch(chunks) if kept else chunks, opened.name)
        if is_quiet:
            deque(inspection.rows(), maxlen=0)
        elif as_json:
            _print_json(opened, inspection, kept, limit or None)
        elif kept:
            limit = _TREE_FRAGMENTS if limit is None else limit
            _print_trees(inspection, kept, limit or None)
        else:
            limit = _TABLE_ROWS if limit is None else limit
            table = list(_rows(inspection, limit or None, full=full))
    if report.form is Form.TEXT:
        if at_once:
            # Without the full width a server's time is a difference, which is read from the right.
            print_table(_HEADINGS, table, right=(0, 6, 8) if full else (0, 3, 6, 8))
        further = inspection.summary.fragments - (limit or inspection.summary.fragments)
        if further > 0:
            sys.stdout.write(f"… and {count(further, 'further fragment')} (--limit 0 shows all)\n")
        sys.stdout.write("\n")
        print_values(_summary_lines(opened.name, inspection.summary))
    summary = inspection.summary
    if not summary.whole:
        raise CommandError(f"{opened.name} is broken: {_damage(summary)}", ExitCode.NOT_WHOLE)


def _damage(summary: Summary) -> str:
    found = []
    cause = ""
    if summary.truncations:
        index, cause = summary.truncations[0]
        cut = summary.completions[Completion.TRUNCATED]
        others = f" and {count(cut - 1, 'other')}" if cut > 1 else ""
        found.append(f"fragment {index}{others} cut off: {printable(cause)}")
    if summary.lost:
        lost = summary.lost[0]
        why = f": {printable(lost.cause)}" if lost.cause != cause else ""
        found.append(f"{count(summary.lost_bytes, 'byte')} in no fragment, from byte {lost.offset} on{why}")
    return "; ".join(found)


# --- for machines ----------------------------------------------------------------------------------------------------


def _print_json(opened: CaptureInput, inspection: Inspection, kept: KeptBytes | None, limit: int | None) -> None:
    """One document, written as the capture is read, so that its length does not matter."""
    write = sys.stdout.write
    prefix = head = f'{{"capture": {json.dumps(opened.name)}, "fragments": [\n'
    for row in inspection.rows():
        if isinstance(row, BytesLost) or (limit is not None and row.index > limit):
            continue
        entry = fragment_json(row)
        if kept is not None:
            rows = element_rows(kept.take(row.fragment.offset, row.fragment.size), row.fragment.offset)
            entry["elements"] = [_element_json(element) for element in rows]
        write(prefix + json.dumps(entry))
        prefix = ",\n"
    if prefix == head:
        write(head)
    write(f'\n], "summary": {json.dumps(summary_json(inspection.summary))}}}\n')


def _element_json(row: ElementRow) -> dict[str, Any]:
    return {
        "depth": row.depth,
        "offset": row.offset,
        "size": row.size,
        "id": f"0x{row.element_id:X}",
        "name": row.name,
        "type": row.kind,
        "value": row.value,
        "broken": row.broken,
    }


# --- for people ------------------------------------------------------------------------------------------------------


def _rows(inspection: Inspection, limit: int | None, *, full: bool) -> Iterator[Row]:
    """The fragments as rows of a table.

    Args:
        inspection: read to its end.
        limit: fragments in the table, None for all.
        full: with whole fragment numbers, contact ids and server times, 160 columns in all.
    """
    shown = 0
    for row in inspection.rows():
        if isinstance(row, BytesLost):
            if limit is None or shown < limit:
                yield Row(["", "", "", "", "", "", str(row.count), "LOST", "", printable(row.cause, 80)], "red")
        elif limit is None or shown < limit:
            style = "red" if row.fragment.completion is Completion.TRUNCATED else "yellow" if is_gap(row) else ""
            yield Row(_cells(row, full=full), style)
            shown += 1


def _cells(row: FragmentRow, *, full: bool) -> list[str]:
    fragment = row.fragment
    number, contact = printable(number_of(fragment) or "-"), ", ".join(fragment.contact_ids) or "-"
    notes = []
    if row.missing_fragments:
        notes.append(f"{row.missing_fragments} missing")
    notes += [f"error {error.code}" for error in fragment.errors[:10]]
    producer_ms, server_ms = fragment.producer_timestamp_ms, fragment.server_timestamp_ms
    server = _time(server_ms)
    if not full and producer_ms is not None and server_ms is not None and abs(server_ms - producer_ms) < _HOUR_MS:
        server = f"{server_ms - producer_ms:+} ms"
    return [
        str(row.index),
        # A fragment number has 47 digits, most of them equal in all fragments of a capture: the tail is enough.
        number if full or len(number) < 10 else "…" + number[-8:],
        _time(producer_ms),
        server,
        printable(contact, 100 if full else 8).removesuffix("…"),
        _blocks(row),
        str(fragment.size),
        _ENDS[fragment.completion],
        "" if row.gap_ms is None or abs(row.gap_ms) <= 1 else f"{row.gap_ms:+.0f}",
        ", ".join(notes),
    ]


def _blocks(row: FragmentRow) -> str:
    """Blocks per track, `1:16 2:16`; declared tracks without blocks are shown, too."""
    numbers = dict.fromkeys([*(entry.number for entry in row.fragment.tracks), *row.blocks])
    return " ".join(f"{number}:{row.blocks.get(number, 0)}" for number in list(numbers)[:8]) or "-"


def _time(ms: float | None) -> str:
    """Time of day, UTC; the date stands in the summary."""
    moment = _moment(ms)
    return "-" if moment is None else f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03}"


def _span(start_ms: float, end_ms: float) -> str:
    """From when to when, and how long; a producer may as well count from zero."""
    start, end, length = _moment(start_ms), _moment(end_ms), duration((end_ms - start_ms) / 1000)
    if start is None or end is None or end_ms < _YEAR_2000_MS:
        return f"from {duration(start_ms / 1000)} to {duration(end_ms / 1000)} of the producer's own time ({length})"
    return f"{start:%Y-%m-%d} {_time(start_ms)} to {end:%Y-%m-%d} {_time(end_ms)} UTC ({length})"


def _moment(ms: float | None) -> datetime | None:
    if ms is None:
        return None
    try:
        return datetime.fromtimestamp(ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _summary_lines(name: str, summary: Summary) -> Iterator[tuple[str, str]]:
    yield "Capture", f"{name}: {summary.size} bytes, {count(summary.fragments, 'fragment')}"
    for contact_id, contact in summary.contacts.items():
        line = f"{printable(contact_id, 100) if contact_id else 'none named'}: {count(contact.fragments, 'fragment')}"
        if contact.start_ms is not None and contact.end_ms is not None:
            line += f", {_span(contact.start_ms, contact.end_ms)}"
        if contact.instance_id:
            line += f", instance {printable(contact.instance_id, 100)}"
        yield "Contact", line
    if not summary.tracks:
        yield "Tracks", "none declared"
    for track in summary.tracks.values():
        declared = f"{track.kind} {printable(track.codec_id, 60) or 'of no codec'}"
        line = f"{track.number} '{printable(track.name, 60)}', declared as {declared}"
        if track.audio:
            line += f", is {printable(track.audio)}"
        shown = _speech(track)
        if shown is not None:
            line += f", {shown}"
        yield "Track", f"{line}; {count(track.blocks, 'block')}, {track.size} bytes"
    gaps = f"{summary.gaps or 'none'} between fragments"
    if summary.gaps:
        gaps += f", {duration(summary.gap_ms / 1000)} in all"
    if summary.overlaps:
        gaps += f", {count(summary.overlaps, 'overlap')}"
    if summary.missing_fragments:
        gaps += f", {count(summary.missing_fragments, 'fragment')} missing by their numbers"
    yield "Gaps", gaps
    if summary.without_blocks:
        yield "Empty", f"{count(summary.without_blocks, 'fragment')} without a block"
    if summary.max_millis_behind_now is not None:
        yield "Behind", f"up to {duration(summary.max_millis_behind_now / 1000)} behind the stream's head"
    for error, times in summary.errors.items():
        yield "Error", f"{error.code}: {error.meaning}, {count(times, 'time')} ({printable(error.text, 100)})"
    if not summary.errors:
        yield "Errors", "none in the stream"
    for lost in summary.lost[:10]:
        yield "Lost", f"{count(lost.count, 'byte')} from byte {lost.offset} on: {printable(lost.cause)}"
    for index, cause in summary.truncations[:10]:
        yield "Cut off", f"fragment {index}: {printable(cause)}"
    if summary.whole:
        yield "Lost", "nothing: every byte is in a fragment, and every fragment has its end"


def _speech(track: TrackSummary) -> str | None:
    levels = None if track.meter is None else track.meter.levels().closed()
    if levels is None or not levels.samples:
        return None
    share = levels.active / levels.samples
    return speech(rms_dbfs(levels.active_energy, levels.active), share, peak_dbfs(levels.peak))


def _print_trees(inspection: Inspection, kept: KeptBytes, limit: int | None) -> None:
    """The form of the dumps in the Kinesis Video tutorials. Plain lines, not wrapped."""
    write = sys.stdout.write
    for row in inspection.rows():
        if isinstance(row, BytesLost) or (limit is not None and row.index > limit):
            continue
        fragment = row.fragment
        write(f"Fragment {row.index} ({printable(number_of(fragment) or 'without a number')})\n")
        write(f"{'offset':>10} {'size':>9}  element (ID): value\n")
        for element in element_rows(kept.take(fragment.offset, fragment.size), fragment.offset):
            write(f"{element.offset:>10} {element.size:>9}  {'  ' * element.depth}{_element(element)}\n")


def _element(row: ElementRow) -> str:
    text = f"{row.name} (0x{row.element_id:X})" if row.element_id else row.name
    if row.kind == "master":
        text += f": {count(row.children, 'element')}"
    elif row.kind == "str":
        text += f": '{printable(str(row.value), 120)}'"
    elif row.value is not None:
        text += f": {row.value}"
    return f"{text}   <- {printable(row.broken)}" if row.broken else text
