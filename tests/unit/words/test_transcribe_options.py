from __future__ import annotations

from typing import Any

import pytest

from connect_audio.words.transcribe_options import TranscribeOptions, TranscribeOptionsError


@pytest.mark.parametrize(
    ("wishes", "problem"),
    [
        ({}, "one language, or two"),
        ({"language": "en-GB", "languages": ("en-GB", "de-DE")}, "not both"),
        ({"language": "en"}, "with its country, such as en-US"),
        ({"languages": ("en-GB",)}, "two or more languages"),
        ({"languages": ("en-GB", "en-US")}, "one dialect of each"),
        ({"languages": ("en-GB", "de-DE"), "redact": True}, "redacts only if the language is given"),
        ({"languages": ("en-GB", "de-DE"), "vocabulary": "products"}, "needs the language"),
        ({"language": "en-GB", "pii_types": ("NAME",)}, "redaction is off"),
        ({"language": "en-GB", "stability": "full"}, "low, medium or high"),
        ({"language": "en-GB", "vocabulary_filter_method": "hide"}, "mask, remove or tag"),
    ],
)
def test_options_that_transcribe_excludes_are_refused(wishes: dict[str, Any], problem: str) -> None:
    with pytest.raises(TranscribeOptionsError, match=problem):
        TranscribeOptions(**wishes)


def test_options_left_out_are_no_parameters() -> None:
    assert TranscribeOptions(language="en-US").parameters() == {"language_code": "en-US"}
