"""The sources of an export's calls: each option that names one, and the rows that it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connect_audio_cli.export.contact_records import rows_of_records
from connect_audio_cli.export.contact_search import rows_of_contact, rows_of_search
from connect_audio_cli.export.rows import Row, rows_of
from connect_audio_cli.export.stream_first import rows_of_streams

if TYPE_CHECKING:
    import argparse

    from connect_audio_cli.export.exporter import Exporter


def find_rows(given: argparse.Namespace, exporter: Exporter, *, shows: bool) -> list[Row]:
    """Return the calls that the options name.

    Args:
        given: the options, which name one source.
        exporter: gives session and paces.
        shows: True to show on a terminal how far the search is.

    Raises:
        CommandError: a file cannot be used, or AWS refused.
        BotoCoreError: AWS cannot be asked.
    """
    session, paces = exporter.session, exporter.paces
    if given.csv is not None:
        return rows_of(given.csv)
    if given.contact_records is not None:
        return rows_of_records(given.contact_records, session)
    if given.search:
        return rows_of_search(given.instance, given.begin, given.end, session=session, clock=paces.clock, shows=shows)
    if given.prefix is not None:
        return rows_of_streams(
            given.prefix,
            given.begin,
            given.end,
            session=session,
            paces=paces,
            api=exporter.api,
            at_once=given.concurrency,
            shows=shows,
        )
    if given.stream is None:
        return rows_of_contact(given.instance, given.contact_id, session=session)
    return [Row(given.stream, given.start, given.contact_id, given.instance)]
