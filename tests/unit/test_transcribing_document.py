"""docs/transcribing.md: its request for a Transcribe job is one that AWS's own model of the API allows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import botocore.session
import pytest
from botocore.validate import ParamValidator

DOCUMENT: Final = Path(__file__).parents[2].joinpath("docs/transcribing.md").read_text("utf-8")
REQUEST: Final[dict[str, Any]] = json.loads(re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)[0])
SHAPE: Final[Any] = (
    botocore.session.get_session().get_service_model("transcribe").operation_model("StartTranscriptionJob").input_shape
)


def is_allowed(field: str, value: str) -> bool:
    """Return whether the field's own pattern in the model allows a value."""
    return re.fullmatch(SHAPE.members[field].metadata["pattern"], value) is not None


def test_the_request_is_valid_and_tells_the_parties_apart() -> None:
    report = ParamValidator().validate(REQUEST, SHAPE)
    assert not report.has_errors(), report.generate_report()
    assert REQUEST["Settings"] == {"ChannelIdentification": True}
    for field in ("TranscriptionJobName", "OutputKey"):
        assert is_allowed(field, REQUEST[field])


@pytest.mark.parametrize("key", ["date=2026-11-30/job.json", "two words.json", "a+b.json"])
def test_a_key_with_another_sign_is_refused(key: str) -> None:
    assert not is_allowed("OutputKey", key)


def test_the_redaction_that_is_named_is_valid() -> None:
    redaction = re.search(r'`"ContentRedaction": (\{.*?\})`', DOCUMENT)
    assert redaction is not None
    report = ParamValidator().validate({**REQUEST, "ContentRedaction": json.loads(redaction[1])}, SHAPE)
    assert not report.has_errors(), report.generate_report()
