"""The report of a command on standard output: lines for people, one JSON document for scripts, or nothing.

Every command that reports has `--json` and `--quiet`. An error is a line on standard error in all three forms, and the
exit code is the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

from connect_audio_cli.output.arguments import Parser
from connect_audio_cli.output.table import print_values


class Form(Enum):
    """The form of a report."""

    TEXT = "text"
    JSON = "json"
    QUIET = "quiet"


def add_report_options(parser: Parser, *, json_help: str = "One JSON document in place of the text.") -> None:
    """Add `--json` and `--quiet` to a command; `Report.of` reads them.

    Args:
        parser: the command's options.
        json_help: says what the document is.
    """
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help=json_help)
    forms.add_argument(
        "-q", "--quiet", action="store_true", help="No report and no progress; an error is still one line."
    )


class Report:
    """A command's report. Each method writes in its own form and does nothing in the other two.

    Args:
        form: the form.
    """

    def __init__(self, form: Form = Form.TEXT) -> None:
        self.form = form

    @classmethod
    def of(cls, given: argparse.Namespace) -> Report:
        """Make the report that `--json` or `--quiet` asks for."""
        return cls(Form.QUIET if given.quiet else Form.JSON if given.json else Form.TEXT)

    @property
    def shows_progress(self) -> bool:
        """True if a progress line on standard error is welcome: always, but with `--quiet`."""
        return self.form is not Form.QUIET

    def line(self, text: str = "") -> None:
        """Write a line for people."""
        if self.form is Form.TEXT:
            sys.stdout.write(f"{text}\n")

    def values(self, rows: Iterable[tuple[str, str]]) -> None:
        """Write names and values for people."""
        if self.form is Form.TEXT:
            print_values(rows)

    def document(self, content: Mapping[str, Any]) -> None:
        """Write the JSON document, whose names are written like the manifest's."""
        if self.form is Form.JSON:
            sys.stdout.write(json.dumps(content, indent=2) + "\n")
