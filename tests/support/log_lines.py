"""A logger that keeps its lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class LogLines:
    """Keeps level, text and ids of each line."""

    lines: list[tuple[str, str, dict[str, object]]] = field(default_factory=list)

    def debug(self, msg: object, /, *, extra: Mapping[str, object] | None = None) -> None:
        """Keep a line of level debug."""
        self._keep("debug", msg, extra)

    def info(self, msg: object, /, *, extra: Mapping[str, object] | None = None) -> None:
        """Keep a line of level info."""
        self._keep("info", msg, extra)

    def warning(self, msg: object, /, *, extra: Mapping[str, object] | None = None) -> None:
        """Keep a line of level warning."""
        self._keep("warning", msg, extra)

    def error(self, msg: object, /, *, extra: Mapping[str, object] | None = None) -> None:
        """Keep a line of level error."""
        self._keep("error", msg, extra)

    def exception(self, msg: object, /, *, extra: Mapping[str, object] | None = None) -> None:
        """Keep a line of level exception."""
        self._keep("exception", msg, extra)

    def of(self, text: str) -> list[tuple[str, dict[str, object]]]:
        """Return level and ids of the lines that begin with a text."""
        return [(level, extra) for level, line, extra in self.lines if line.startswith(text)]

    def _keep(self, level: str, msg: object, extra: Mapping[str, object] | None) -> None:
        self.lines.append((level, str(msg), dict(extra or {})))
