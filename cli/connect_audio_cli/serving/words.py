"""Searches the words of many calls: their transcripts, each read once and kept until its file changes.

How it works. A transcript is kept as its paragraphs' text in small letters, with place and time of each word. It takes
some 400 kB an hour. A search looks for the words that are asked for, one behind the other, in each paragraph. The
transcripts that were not asked for longest make room for new ones.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

from connect_audio_cli.output.command_error import CommandError
from connect_audio_cli.page.transcript import MOST_BYTES, PARTIES, Paragraph, parse_transcript
from connect_audio_cli.serving.stores import Item, Store

MOST_HITS: Final = 5
"""Hits of a call that the list shows; its page shows all of them."""
MOST_TEXT: Final = 200
"""Characters of a question: a longer sentence is cut."""
MOST_KEPT_CHARACTERS: Final = 25_000_000
"""Characters of all kept transcripts, some 500 call-hours: about 200 MB of memory."""
_AROUND: Final = 60
"""Characters that are shown on either side of a hit."""


_MARKS: Final = ".,;:!?…\"'()[]«»“”„¿¡\u2018\u2019"


@dataclass(frozen=True, slots=True)
class _Text:
    """A paragraph that can be searched.

    Args:
        party: index of its channel.
        shown: its words as they are written.
        folded: the same for comparison, without the marks around each word.
        shown_at: place of each word in `shown`, behind its marks.
        folded_at: place of each word in `folded`.
        starts: when each word begins, seconds.
    """

    party: int
    shown: str
    folded: str
    shown_at: array[int]
    folded_at: array[int]
    starts: array[float]

    def hits(self, text: str) -> Iterator[dict[str, Any]]:
        """Find a folded text."""
        at = self.folded.find(text)
        while at >= 0:
            word = bisect_right(self.folded_at, at) - 1
            first = self.shown_at[word] + at - self.folded_at[word]
            last = bisect_right(self.folded_at, at + len(text) - 1) - 1
            ends = self.shown.find(" ", self.shown_at[last])
            stop = min(
                self.shown_at[last] + at + len(text) - self.folded_at[last], ends if ends >= 0 else len(self.shown)
            )
            left, right = self._cut(first, stop)
            yield {
                "start": round(self.starts[word], 2),
                "participant": PARTIES[self.party],
                "before": ("… " if left else "") + self.shown[left:first],
                "found": self.shown[first:stop],
                "after": self.shown[stop:right] + (" …" if right < len(self.shown) else ""),
            }
            at = self.folded.find(text, at + len(text))

    def _cut(self, first: int, stop: int) -> tuple[int, int]:
        """Return begin and end of the text around a hit, both between words."""
        left, right = max(0, first - _AROUND), min(len(self.shown), stop + _AROUND)
        if left:
            left = min(first, self.shown.find(" ", left) + 1 or first)
        if right < len(self.shown):
            right = max(stop, self.shown.rfind(" ", stop, right))
        return left, right


class WordSearch:
    """The words of a place's calls.

    Args:
        store: the place.
        transcript_of: the transcript of a recording by the recording's path; None if it has none.
    """

    def __init__(self, store: Store, transcript_of: Callable[[str], Item | None]) -> None:
        self._store = store
        self._transcript_of = transcript_of
        self._kept: OrderedDict[str, tuple[str, list[_Text]]] = OrderedDict()
        self._characters = 0
        self._lock = Lock()

    @property
    def kept(self) -> list[str]:
        """Paths of the transcripts that are kept, the one that was not asked for longest first."""
        with self._lock:
            return list(self._kept)

    def search(self, text: str, paths: Iterable[str]) -> dict[str, Any]:
        """Find words that are said one behind the other by one party.

        Args:
            text: the words; the first one's beginning and the last one's end may be missing. Capitals and the
                marks around a word do not count.
            paths: paths of the recordings.

        Returns:
            `calls`: by path `count` and the first hits with time in seconds, participant, and the text around.
            `unreadable`: paths whose transcript cannot be read.
        """
        wanted = " ".join(_bare(token) for token in text[:MOST_TEXT].split()).casefold()
        calls: dict[str, Any] = {}
        unreadable: list[str] = []
        for path in dict.fromkeys(paths) if wanted else ():
            try:
                item = self._transcript_of(path)
                texts = self._texts(item) if item else []
            except CommandError:
                unreadable.append(path)
                continue
            hits = [hit for each in texts for hit in each.hits(wanted)]
            if hits:
                calls[path] = {"count": len(hits), "hits": hits[:MOST_HITS]}
        return {"calls": calls, "unreadable": unreadable}

    def _texts(self, item: Item) -> list[_Text]:
        with self._lock:
            version, texts = self._kept.get(item.path, ("", []))
            if version == item.version:
                self._kept.move_to_end(item.path)
                return texts
        if item.size > MOST_BYTES:
            raise CommandError(
                f"{item.path} is no transcript that can be searched: it has more than {MOST_BYTES} bytes"
            )
        with self._store.open(item, 0, item.size) as file:
            data = file.read(MOST_BYTES + 1)
        made = [_text(paragraph) for paragraph in parse_transcript(data, item.path)]
        with self._lock:
            self._drop(item.path)
            self._kept[item.path] = (item.version, made)
            self._characters += _size(made)
            while self._characters > MOST_KEPT_CHARACTERS and len(self._kept) > 1:
                self._drop(next(iter(self._kept)))
        return made

    def _drop(self, path: str) -> None:
        _, texts = self._kept.pop(path, ("", []))
        self._characters -= _size(texts)


def _size(texts: Iterable[_Text]) -> int:
    return sum(len(each.shown) for each in texts)


def _text(paragraph: Paragraph) -> _Text:
    shown, folded = [], []
    shown_at, folded_at, starts = array("I"), array("I"), array("d")
    shown_end = folded_end = 0
    for word in paragraph.words:
        # A turn whose words have no times is one word of the paragraph.
        for token in word.text.split():
            bare = _bare(token)
            shown.append(token)
            folded.append(bare.casefold())
            shown_at.append(shown_end + token.index(bare))
            folded_at.append(folded_end)
            starts.append(word.start)
            shown_end += len(token) + 1
            folded_end += len(folded[-1]) + 1
    return _Text(paragraph.party, " ".join(shown), " ".join(folded), shown_at, folded_at, starts)


def _bare(token: str) -> str:
    """A word without the marks around it, so that a comma does not come between two words."""
    return token.strip(_MARKS) or token
