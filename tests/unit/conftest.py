"""Hypothesis runs the same examples on every machine, and no slow machine fails a test by its clock."""

from __future__ import annotations

from hypothesis import settings

from support.examples import examples

settings.register_profile(
    "repeatable", derandomize=True, deadline=None, print_blob=False, max_examples=examples(settings().max_examples)
)
settings.load_profile("repeatable")
