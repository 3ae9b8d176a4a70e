"""AWS's meaning of in-band errors, and what can be done about each."""

from __future__ import annotations

import pytest

from connect_audio.core.in_band import InBandError, Remedy


@pytest.mark.parametrize(
    ("code", "meaning", "remedy"),
    [
        (3002, "error writing to the stream", Remedy.RECONNECT),
        (4000, "the requested fragment is not found", Remedy.SKIP_FRAGMENT),
        (4500, "access denied to the stream's KMS key", Remedy.OPERATOR),
        (4501, "the stream's KMS key is disabled", Remedy.OPERATOR),
        (4502, "validation error on the stream's KMS key", Remedy.OPERATOR),
        (4503, "the stream's KMS key is unavailable", Remedy.RECONNECT),
        (4504, "invalid usage of the stream's KMS key", Remedy.OPERATOR),
        (4505, "invalid state of the stream's KMS key", Remedy.OPERATOR),
        (4506, "the stream's KMS key is not found", Remedy.OPERATOR),
        (5000, "internal service error", Remedy.RECONNECT),
        (9999, "an error code unknown to this version", Remedy.RECONNECT),
        (None, "an error code unknown to this version", Remedy.RECONNECT),
    ],
)
def test_each_code_has_a_meaning_and_a_remedy(code: int | None, meaning: str, remedy: Remedy) -> None:
    error = InBandError(code, "")

    assert (error.meaning, error.remedy) == (meaning, remedy)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        (["4000", "FragmentNotFound"], InBandError(4000, "FragmentNotFound")),
        (["FragmentNotFound", "4000"], InBandError(4000, "FragmentNotFound")),
        (["4000"], InBandError(4000, "")),
        (["a text"], InBandError(None, "a text")),
        (["3002", "5000"], InBandError(3002, "")),
        (["1234567890"], InBandError(None, "1234567890")),
        (["-1", ""], InBandError(None, "-1")),
    ],
)
def test_of_the_two_tags_the_number_is_the_code_wherever_it_stands(values: list[str], error: InBandError) -> None:
    assert InBandError.from_tags(values) == error
