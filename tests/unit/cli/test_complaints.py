"""The lines of `emulate` and `cloud` about requests that got nothing."""

from __future__ import annotations

import pytest

from connect_audio_cli.emulation.streams import Complaints
from connect_audio_cli.output.reporting import Form, Report
from connect_audio_local.kvs.unanswered import Unanswered

REFUSED = Unanswered("DescribeStream", "stream a\nb", "not found")
CAUGHT_UP = Unanswered("GetMedia", "stream a", "no fragment follows 7", caught_up=True)
REFUSED_LINE = "connect-audio: DescribeStream of stream a\\nb: not found\n"
CAUGHT_UP_LINE = "connect-audio: GetMedia of stream a: no fragment follows 7\n"


@pytest.mark.parametrize(
    ("form", "caught_up", "said"),
    [
        (Form.TEXT, True, REFUSED_LINE + CAUGHT_UP_LINE + REFUSED_LINE),
        (Form.JSON, True, REFUSED_LINE + CAUGHT_UP_LINE + REFUSED_LINE),
        (Form.TEXT, False, REFUSED_LINE),
        (Form.QUIET, True, ""),
    ],
)
def test_each_is_one_printable_line_and_none_is_repeated_in_a_row(
    form: Form, *, caught_up: bool, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    complaints = Complaints(Report(form), caught_up=caught_up)

    for each in (REFUSED, REFUSED, CAUGHT_UP, CAUGHT_UP, REFUSED):
        complaints(each)

    assert capsys.readouterr() == ("", said)
