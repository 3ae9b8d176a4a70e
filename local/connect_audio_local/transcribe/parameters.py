"""The parameters of a stream, and the rules that Transcribe states for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

_PREFIX = "x-amzn-transcribe-"
_KNOWN = frozenset(
    {
        "content-identification-type",
        "content-redaction-type",
        "enable-channel-identification",
        "enable-partial-results-stabilization",
        "identify-language",
        "identify-multiple-languages",
        "language-code",
        "language-model-name",
        "language-options",
        "media-encoding",
        "number-of-channels",
        "partial-results-stability",
        "pii-entity-types",
        "preferred-language",
        "sample-rate",
        "session-id",
        "session-resume-window",
        "show-speaker-label",
        "transcript-format",
        "vocabulary-filter-method",
        "vocabulary-filter-name",
        "vocabulary-filter-names",
        "vocabulary-name",
        "vocabulary-names",
    }
)
_CHOICES: Mapping[str, Collection[str]] = {
    "content-identification-type": {"PII"},
    "content-redaction-type": {"PII"},
    "media-encoding": {"pcm"},
    "partial-results-stability": {"high", "medium", "low"},
    "vocabulary-filter-method": {"remove", "mask", "tag"},
}


class ParameterError(Exception):
    """A parameter is unsupported or contradicts another."""


@dataclass(frozen=True, slots=True)
class StreamParameters:
    """The checked parameters of a stream.

    Args:
        given: value of each parameter by the name of its header, without the common prefix.
        rate: samples a second of each channel.
        channels: channels of the audio; with two, each result names its own.
    """

    given: Mapping[str, str]
    rate: int
    channels: int


def parameters_of(headers: Mapping[str, str], vocabularies: Collection[str] | None) -> StreamParameters:
    """Check the parameters of a request.

    Args:
        headers: headers of the request, names in small letters.
        vocabularies: names of the vocabularies that exist; None if every name is taken.

    Raises:
        ParameterError: a rule does not hold. The text says which one.
    """
    given = {
        name.removeprefix(_PREFIX): value
        for name, value in headers.items()
        if name.startswith(_PREFIX) and value.lower() != "false"
    }
    if unknown := given.keys() - _KNOWN:
        raise ParameterError(f"unknown parameters: {', '.join(sorted(unknown))}")
    for name, choices in _CHOICES.items():
        if name in given and given[name] not in choices:
            raise ParameterError(f"{name} is none of {', '.join(sorted(choices))}")
    _check_language(given)
    _check_content(given)
    if vocabularies is not None and given.get("vocabulary-name", next(iter(vocabularies), "")) not in vocabularies:
        raise ParameterError("the vocabulary does not exist")
    return StreamParameters(given, _rate(given), _channels(given))


def _check_language(given: Mapping[str, str]) -> None:
    ways = given.keys() & {"language-code", "identify-language", "identify-multiple-languages"}
    if len(ways) != 1:
        raise ParameterError("one of language-code and identify-language is needed, and one alone")
    options = [option.strip() for option in given.get("language-options", "").split(",") if option.strip()]
    if "language-code" in given and options:
        raise ParameterError("language-options need identify-language")
    if "language-code" not in given:
        if len(options) < 2 or len({option.split("-")[0] for option in options}) != len(options):
            raise ParameterError("language-options need two languages or more, one dialect of each")
        if given.keys() & {"content-redaction-type", "content-identification-type", "language-model-name"}:
            raise ParameterError("identification of the language excludes redaction and custom models")


def _check_content(given: Mapping[str, str]) -> None:
    content = given.keys() & {"content-redaction-type", "content-identification-type"}
    if len(content) > 1:
        raise ParameterError("redaction and identification exclude each other")
    if "pii-entity-types" in given and not content:
        raise ParameterError("pii-entity-types need redaction or identification")
    if "partial-results-stability" in given and "enable-partial-results-stabilization" not in given:
        raise ParameterError("partial-results-stability needs enable-partial-results-stabilization")


def _rate(given: Mapping[str, str]) -> int:
    text = given.get("sample-rate", "")
    if not text.isdecimal() or not 8_000 <= int(text) <= 48_000:
        raise ParameterError("sample-rate is no number from 8000 to 48000")
    if "media-encoding" not in given:
        raise ParameterError("media-encoding is missing")
    return int(text)


def _channels(given: Mapping[str, str]) -> int:
    if ("enable-channel-identification" in given) != ("number-of-channels" in given):
        raise ParameterError("enable-channel-identification and number-of-channels need each other")
    if given.get("number-of-channels", "2") != "2":
        raise ParameterError("number-of-channels is not 2")
    return 2 if "number-of-channels" in given else 1
