"""Documents that stand where none belongs: inside an element whose size was damaged or cut off.

A verdict depends on the bytes from the place on alone, and on no more than `MAX_DOCUMENT_LOOK_BYTES` of them. So it is
the same however a stream was cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from connect_audio.core.ebml import EBML_HEADER
from connect_audio.core.fragment import Block
from connect_audio.core.matroska import document_goes_on, is_matroska_document

_MAGIC: Final = EBML_HEADER.to_bytes(4)


def document_at(data: bytes, at: int) -> bool | None:
    """Return True if a document stands at a position with its head and the beginning of a child, not by chance.

    Args:
        data: the bytes, as many as there are.
        at: position of the EBML magic in them.

    Returns:
        None if more bytes are needed.
    """
    verdict = is_matroska_document(data, at)
    return document_goes_on(data, at) if verdict else verdict


def holds_document(data: bytes) -> bool:
    """Return True if a block's payload holds a document's beginning, not by chance: another contact's audio."""
    at = data.find(_MAGIC)
    while at >= 0:
        if document_at(data, at):
            return True
        at = data.find(_MAGIC, at + 1)
    return False


def without_swallowed(blocks: Sequence[Block]) -> Sequence[Block]:
    """Leave out what a block took from the next document, and what was made of the bytes behind it.

    A fragment that is too long to be read again may have been cut off inside a block, with another document behind it.
    """
    for index, block in enumerate(blocks):
        if holds_document(block.data):
            return blocks[:index]
    return blocks
