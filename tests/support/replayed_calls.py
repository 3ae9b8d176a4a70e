"""Calls to replay, and what a folder holds after it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from connect_audio_local.synthesis.calls import SyntheticCall
from connect_audio_local.synthesis.speech import two_party_conversation

SHARED = Path(__file__).parents[3] / "shared" / "captures"
REAL_CALL = SHARED / "connect-call-61s.mkv"
needs_captures = pytest.mark.skipif(not REAL_CALL.exists(), reason="the shared captures are not here")


SPEECH = two_party_conversation(5)
CALL = SyntheticCall(customer=SPEECH.customer, agent=SPEECH.agent)
OTHER_SPEECH = two_party_conversation(5, seed=1)
OTHER_ID = "00000000-0000-4000-8000-000000000002"
OTHER_CALL = SyntheticCall(customer=OTHER_SPEECH.customer, agent=OTHER_SPEECH.agent, contact_id=OTHER_ID)


needs_a_mortal = pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may do everything, and setpriv is not here"
)
MORTAL = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if os.geteuid() == 0 else ()


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []
