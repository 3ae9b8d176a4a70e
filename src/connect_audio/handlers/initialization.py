"""Work that a function does at its import, before its first call.

Lambda gives a process a whole core until the handler is imported, and the function's share of one afterwards. Elsewhere
an import does nothing of the kind.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from connect_audio.core.errors import SettingsError
from connect_audio.settings import runs_in_lambda

if TYPE_CHECKING:
    from collections.abc import Callable


def at_initialization(work: Callable[[], object]) -> None:
    """Do the work now if Lambda runs this process. Wrong settings are left to the handler, which reports them.

    Args:
        work: for example makes a client that the handler will use.
    """
    if runs_in_lambda():
        with suppress(SettingsError):
            work()
