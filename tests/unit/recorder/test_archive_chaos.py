"""Seeded runs of many programs at once over one recording (`tests/chaos/archive.py`)."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from chaos import archive
from chaos.archive_actors import SECONDS
from chaos.stage import Actor, Stage, Trouble
from connect_audio.core.errors import StorageError


@pytest.mark.parametrize("seed", range(24))
def test_programs_at_once_leave_one_recording_the_best_that_the_stream_can_give(seed: int) -> None:
    archive.run(seed)


def test_the_seeds_reach_what_they_are_drawn_for() -> None:
    judged = [archive.run(seed) for seed in range(24, 40)]

    found = {kind for each in judged for kind in each.kinds} | {each.status for each in judged}
    drawn = {"live", "archive", "export", "repair", "late", "lost", "left out", "broken", "expires"}
    assert found >= {*drawn, "complete", "partial", "REPAIRED"}
    assert sum(each.kills for each in judged) > 8


def test_one_seed_has_one_course() -> None:
    assert archive.run(7) == archive.run(7)


def test_each_block_of_the_call_counts() -> None:
    assert len(archive.SENT) == SECONDS * 1000 // archive.BLOCK_MS


def test_actors_take_turns_at_their_calls_and_time_passes_while_all_sleep() -> None:
    stage, course = Stage(random.Random(1), 0), []

    def life(actor: Actor) -> None:
        for _ in range(20):
            actor.cross(lambda: course.append(actor.name), lambda _: StorageError("A", "drawn", retryable=True))
        actor.sleep(100)
        course.append(f"{actor.name} at {stage.now_s:.0f}")

    for name in ("a", "b"):
        stage.actor(name, life, {}, at_s=0)
    stage.run()

    assert sorted(course[-2:]) == ["a at 100", "b at 100"]
    assert 3 < sum(one != other for one, other in pairwise(course)) < 40


def test_a_killed_life_has_no_further_effect_and_another_one_follows() -> None:
    stage, effects = Stage(random.Random(1), 0), []

    def life(actor: Actor) -> None:
        def effect() -> None:
            effects.append(actor.kills)

        try:
            for _ in range(3):
                actor.cross(effect, lambda _: StorageError("A", "drawn", retryable=True))
        finally:
            # A killed process runs no clean-up.
            actor.cross(effect, lambda _: StorageError("A", "drawn", retryable=True))

    stage.actor("a", life, {2: Trouble.KILL_AFTER, 4: Trouble.KILL_BEFORE}, at_s=0)
    stage.run()

    assert effects == [0, 0, 1, 2, 2, 2, 2]
