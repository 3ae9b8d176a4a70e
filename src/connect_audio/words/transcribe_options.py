"""The options of Amazon Transcribe, checked for what Transcribe excludes, as parameters of its streaming API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_STABILITIES: Final = ("", "low", "medium", "high")
_FILTER_METHODS: Final = ("mask", "remove", "tag")


class TranscribeOptionsError(ValueError):
    """Two options exclude each other, or a value is not allowed. The text names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscribeOptions:
    """The wishes for each session.

    Args:
        language: language code, such as `en-US`; empty if Transcribe is to identify the language.
        languages: languages that it may be, two or more of different languages; only without `language`.
        vocabulary: name of a custom vocabulary in the account and Region; empty for none.
        vocabulary_filter: name of a vocabulary filter; empty for none.
        vocabulary_filter_method: handling of a filtered word: `mask`, `remove` or `tag`.
        stability: stabilisation of partial results: `low`, `medium` or `high`; empty for none.
        redact: True to have personal data replaced by `[PII]`.
        pii_types: kinds of personal data to redact, such as `NAME`; empty for all.

    Raises:
        TranscribeOptionsError: the options contradict each other.
    """

    language: str = ""
    languages: tuple[str, ...] = ()
    vocabulary: str = ""
    vocabulary_filter: str = ""
    vocabulary_filter_method: str = "mask"
    stability: str = ""
    redact: bool = False
    pii_types: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if problem := self._problem():
            raise TranscribeOptionsError(problem)

    def _problem(self) -> str:
        if bool(self.language) == bool(self.languages):
            return "Transcribe needs one language, or two and more to choose from, and not both."
        if self.language and "-" not in self.language:
            return "Transcribe needs the language with its country, such as en-US."
        if self.languages and len({code.split("-")[0] for code in self.languages}) != max(2, len(self.languages)):
            return "Transcribe chooses among two or more languages, with one dialect of each."
        if self.languages and self.redact:
            return "Transcribe redacts only if the language is given."
        if self.languages and (self.vocabulary or self.vocabulary_filter):
            return "A vocabulary or a vocabulary filter needs the language that it was made for."
        if self.pii_types and not self.redact:
            return "Kinds of personal data are given, but redaction is off."
        if self.stability not in _STABILITIES:
            return "The stability of partial results is low, medium or high."
        if self.vocabulary_filter_method not in _FILTER_METHODS:
            return "The method of a vocabulary filter is mask, remove or tag."
        return ""

    def parameters(self) -> Mapping[str, str | bool]:
        """Parameters of `StartStreamTranscription`, in the SDK's names, without the ones at their default."""
        wanted: dict[str, str | bool] = {
            "language_code": self.language,
            "identify_language": bool(self.languages),
            "language_options": ",".join(self.languages),
            "vocabulary_name": self.vocabulary,
            "vocabulary_filter_name": self.vocabulary_filter,
            "vocabulary_filter_method": self.vocabulary_filter_method if self.vocabulary_filter else "",
            "enable_partial_results_stabilization": bool(self.stability),
            "partial_results_stability": self.stability,
            "content_redaction_type": "PII" if self.redact else "",
            "pii_entity_types": ",".join(self.pii_types),
        }
        return {name: value for name, value in wanted.items() if value}
