"""The shared cases whose blocks, fragments and times are out of order, replayed and held against ebmlite's reading."""

from __future__ import annotations

from pathlib import Path

import pytest

from core_support.second_opinion import structures
from support.command import recording, run

CASES = Path(__file__).parents[3] / "shared" / "cases"
CONTACT = "11111111-1111-4111-8111-111111111111"
PARTIES = ("AUDIO_FROM_CUSTOMER", "AUDIO_TO_CUSTOMER")


def case(name: str) -> Path:
    path = CASES / name
    if not path.exists():
        pytest.skip(f"the shared case {name} is not here")
    return path


def by_time(data: bytes, name: str) -> bytes:
    """One party's payloads in the order of producer timestamps and block times."""
    found: list[tuple[str, int, bytes]] = []
    for structure in structures(data):
        numbers = {number for number, _, track in structure.tracks if track == name}
        producer = dict(structure.tags)["AWS_KINESISVIDEO_PRODUCER_TIMESTAMP"]
        found += [(producer, time_ns, pcm) for track, time_ns, _, pcm in structure.blocks if track in numbers]
    return b"".join(pcm for _, _, pcm in sorted(found))


@pytest.mark.parametrize(
    ("name", "seconds"), [("reorder_both.mkv", 4.096), ("swap_two.mkv", 10.0), ("relative_session.mkv", 4.096)]
)
def test_every_sample_of_a_case_is_in_its_place_and_it_is_complete(name: str, seconds: float, tmp_path: Path) -> None:
    path = case(name)

    finished = run("replay", path, "--output", tmp_path)

    assert finished.code == 0, finished.err
    found = recording(tmp_path, CONTACT)
    assert [found.left, found.right] == [by_time(path.read_bytes(), party) for party in PARTIES]
    assert found.manifest["recording"]["durationSeconds"] == seconds
    assert (found.manifest["status"], found.manifest["timesDisagree"]["count"]) == ("complete", 0)
