"""A small version of `make export-many`: its judge, and an export that is killed and goes on within all quotas."""

from __future__ import annotations

from pathlib import Path

from benchmarks.export_many import run


def test_a_killed_export_records_each_call_once_within_the_services_quotas(tmp_path: Path) -> None:
    figures = run(12, 4, tmp_path, every=4)

    assert (figures.recorded, figures.twice) == (12, 0)
    assert figures.killed_after == 4
    # The second process does not know what the killed one asked for in the same second.
    assert figures.refused <= 8
    # Calls in flight at the kill are read again, eight at most.
    assert figures.read <= 2 * 8
