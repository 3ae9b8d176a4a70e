"""The directive `command-help`: the help of each command of `connect-audio`, as its own parser writes it."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any, override

from docutils import nodes
from docutils.parsers.rst import Directive

from connect_audio_cli.main import COMMANDS

_COLUMNS = "88"
"""Width of the help: as wide as a page shows without a scroll bar."""


class CommandHelp(Directive):  # type: ignore[misc]
    """A section for each command."""

    @override
    def run(self) -> list[nodes.Node]:
        os.environ["COLUMNS"] = _COLUMNS
        made: list[nodes.Node] = []
        for name in COMMANDS:
            text = import_module(f"connect_audio_cli.commands.{name}").parser().format_help()
            section = nodes.section(ids=[name], names=[name])
            section += nodes.title(text=name)
            section += nodes.literal_block(text=text, language="text")
            made.append(section)
        return made


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
