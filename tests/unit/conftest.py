"""Hypothesis runs the same examples on every machine, and no slow machine fails a test by its clock."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=False)
settings.load_profile("repeatable")
