"""`connect-audio inspect`: its options."""

from __future__ import annotations

from collections.abc import Sequence

from connect_audio_cli.output.arguments import CAPTURE_HELP, Parser, flag, number
from connect_audio_cli.output.command_error import ExitCode


def main(arguments: Sequence[str]) -> int:
    """Read the options and show the capture.

    Raises:
        CommandError: options that cannot be used, no capture, or a broken one.
    """
    given = _parser().read(arguments)
    from connect_audio_cli.inspection.report import show  # noqa: PLC0415 - help and slips need none of it

    show(given.capture, tree=given.tree, as_json=given.json, limit=given.limit)
    return ExitCode.WHOLE


<<<<<<< HEAD
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


def _table(inspection: Inspection, limit: int | None, *, full: bool) -> Table:
    """The fragments as a table.

    Args:
        inspection: read to its end.
        limit: fragments in the table, None for all.
        full: with whole fragment numbers, contact ids and server times, 160 columns in all.
    """
    table = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    for name in ("#", "fragment", "producer", "server", "contact", "blocks", "bytes", "end", "gap ms"):
        right = name in {"#", "bytes", "gap ms"} or (name == "server" and not full)
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    table.add_column("notes")
    shown = 0
    for row in inspection.rows():
        if isinstance(row, BytesLost):
            if limit is None or shown < limit:
                table.add_row(*[""] * 6, str(row.count), "LOST", "", printable(row.cause, 80), style="red")
        elif limit is None or shown < limit:
            style = "red" if row.fragment.completion is Completion.TRUNCATED else "yellow" if is_gap(row) else ""
            table.add_row(*_cells(row, full=full), style=style)
            shown += 1
    return table


def _cells(row: FragmentRow, *, full: bool) -> list[str]:
    fragment = row.fragment
    number, contact = fragment.number or "-", ", ".join(fragment.contact_ids) or "-"
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


def _print_summary(console: Console, name: str, summary: Summary) -> None:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column()
    for label, line in _summary_lines(name, summary):
        grid.add_row(label, line)
    console.print(grid)


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


def _print_trees(inspection: Inspection, kept: KeptBytes, limit: int | None) -> None:
    """The form of the dumps in the Kinesis Video tutorials. Plain lines: rich would wrap them."""
    write = sys.stdout.write
    for row in inspection.rows():
        if isinstance(row, BytesLost) or (limit is not None and row.index > limit):
            continue
        fragment = row.fragment
        write(f"Fragment {row.index} ({fragment.number or 'without a number'})\n")
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
=======
def _parser() -> Parser:
    parser = Parser(
        "inspect",
        "CAPTURE",
        "Show what is in a GetMedia capture: fragments, contacts, tracks, gaps, errors, lost bytes.",
        "Exit code 3: the capture is broken somewhere; what can be shown is shown.",
    )
    parser.add_argument("capture", metavar="CAPTURE", help=CAPTURE_HELP)
    flag(parser, "--tree", "Show every element (offset, size, name, ID, value) instead of the table.")
    flag(parser, "--json", "One JSON document; all fragments unless --limit says otherwise.")
    parser.add_argument(
        "--limit",
        metavar="N",
        type=number(int, 0),
        help="Fragments to show, 0 for all. (default: 40, with --tree 1)",
    )
    return parser
>>>>>>> c7bf903 (The command reads its options by argparse and prints its own tables: help and replay import no more than they use)
