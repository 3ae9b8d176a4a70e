"""The choice between GetMedia and the archive, place by place."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

import pytest

from connect_audio.core.errors import MediaSourceError
from connect_audio.ports import AfterFragment, FromProducerTime, MediaSource, StartSelector
from connect_audio.recorder.either_source import EitherSource

BEGIN: Final = FromProducerTime(1_000)
BROKEN: Final = MediaSourceError("ConnectionError", "the connection broke", retryable=True)


def denied(operation: str) -> MediaSourceError:
    return MediaSourceError("AccessDeniedException", f"{operation} of stream calls: not authorized", retryable=False)


@dataclass
class Body:
    """A body of so many reads, and its end."""

    reads: int = 1
    end: MediaSourceError | None = None

    def read(self) -> bytes:
        self.reads -= 1
        if self.reads < 0 and self.end is not None:
            raise self.end
        return b"media" if self.reads >= 0 else b""

    def close(self) -> None:
        pass


@dataclass
class Source:
    """A source that notes who was opened, and where."""

    name: str
    opened: list[tuple[str, StartSelector]]
    failure: MediaSourceError | None = None
    bodies: list[Body] = field(default_factory=list)

    def retention_hours(self) -> int:
        return 24

    def open(self, start: StartSelector) -> Body:
        self.opened.append((self.name, start))
        if self.failure is not None:
            raise self.failure
        return self.bodies.pop(0) if self.bodies else Body()


class Sources:
    """Both sources of one stream."""

    def __init__(self, *, archive_first: bool = False) -> None:
        self.opened: list[tuple[str, StartSelector]] = []
        self.media, self.archive = Source("media", self.opened), Source("archive", self.opened)
        self.made = 0
        self.either = EitherSource(self.media, self._make, archive_first=archive_first)

    def _make(self) -> MediaSource:
        self.made += 1
        return self.archive

    def read(self, start: StartSelector, *, whole: bool = True) -> None:
        """Read a body to its end, or leave it behind its first bytes."""
        with closing(self.either.open(start)) as stream:
            try:
                while stream.read() and whole:
                    pass
            except MediaSourceError:
                pass

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.opened]


@pytest.fixture
def sources() -> Sources:
    return Sources()


@pytest.mark.parametrize("end", [None, BROKEN], ids=["its end", "a break"])
def test_a_body_that_got_further_is_followed_by_get_media(sources: Sources, end: MediaSourceError | None) -> None:
    sources.media.bodies = [Body(end=end)]

    sources.read(BEGIN)
    sources.read(AfterFragment("5"))

    assert (sources.names, sources.made) == (["media", "media"], 0)


def test_a_place_that_a_second_reading_begins_at_is_the_archives_and_the_next_one_get_medias(sources: Sources) -> None:
    for start in (BEGIN, AfterFragment("5"), AfterFragment("5"), AfterFragment("5"), AfterFragment("9")):
        sources.read(start)

    assert sources.names == ["media", "media", "archive", "media", "media"]


def test_a_body_that_is_left_before_its_end_failed_where_reading_goes_on(sources: Sources) -> None:
    sources.read(BEGIN, whole=False)
    sources.read(AfterFragment("5"))

    assert sources.opened == [("media", BEGIN), ("archive", AfterFragment("5"))]


def test_a_body_that_is_left_for_another_time_did_not_fail(sources: Sources) -> None:
    # The labels of a call are read so, before its recording begins.
    sources.read(BEGIN, whole=False)
    sources.read(FromProducerTime(0))

    assert sources.names == ["media", "media"]


def test_a_denied_get_media_is_asked_once_and_the_archive_is_made_once(sources: Sources) -> None:
    sources.media.failure = denied("GetMedia")

    sources.read(BEGIN)
    sources.read(AfterFragment("5"))

    assert (sources.names, sources.made) == (["media", "archive", "archive"], 1)


def test_a_failure_of_get_media_that_is_no_denial_is_the_callers(sources: Sources) -> None:
    sources.media.failure = BROKEN

    with pytest.raises(MediaSourceError, match="the connection broke"):
        sources.read(BEGIN)

    assert sources.names == ["media"]


@pytest.mark.parametrize(("failure", "asked"), [(denied("GetMediaForFragmentList"), 1), (BROKEN, 2)])
def test_a_place_is_get_medias_again_if_the_archive_fails_and_a_denied_one_is_not_asked_twice(
    sources: Sources, failure: MediaSourceError, asked: int
) -> None:
    sources.archive.failure = failure

    for _ in range(3):
        sources.read(BEGIN)

    assert (sources.names.count("media"), sources.names.count("archive")) == (3, asked)


def test_both_denied_is_one_error_that_names_both_rights(sources: Sources) -> None:
    sources.media.failure, sources.archive.failure = denied("GetMedia"), denied("GetMediaForFragmentList")

    with pytest.raises(MediaSourceError) as refused:
        sources.read(BEGIN)

    assert (refused.value.code, refused.value.retryable) == ("AccessDeniedException", False)
    assert str(refused.value) == (
        "AccessDeniedException: one of the rights kinesisvideo:GetMedia and kinesisvideo:GetMediaForFragmentList is "
        "needed: GetMedia of stream calls: not authorized; GetMediaForFragmentList of stream calls: not authorized"
    )


def test_a_repair_reads_the_archive_first_and_get_media_where_that_fails() -> None:
    sources = Sources(archive_first=True)

    for start in (BEGIN, AfterFragment("5"), AfterFragment("5"), AfterFragment("9")):
        sources.read(start)

    assert (sources.names, sources.made) == (["archive", "archive", "media", "archive"], 1)


@pytest.mark.parametrize(("failure", "asked"), [(denied("GetMediaForFragmentList"), 1), (BROKEN, 2)])
def test_a_repair_without_the_archive_reads_by_get_media(failure: MediaSourceError, asked: int) -> None:
    sources = Sources(archive_first=True)
    sources.archive.failure = failure

    sources.read(BEGIN)
    sources.read(AfterFragment("5"))

    assert (sources.names.count("media"), sources.names.count("archive")) == (2, asked)


def test_a_denial_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    sources = Sources()
    sources.archive.failure = denied("GetMediaForFragmentList")
    sources.either = EitherSource(sources.media, sources._make, archive_first=True, logger=logging.getLogger("calls"))

    for start in (BEGIN, AfterFragment("5"), AfterFragment("9")):
        sources.read(start)

    (line,) = caplog.records
    assert (line.levelname, line.__dict__["operation"]) == ("WARNING", "GetMediaForFragmentList")
