"""Kills, hand-overs and dying sessions at any moment: each word stands once, and what lacks is told."""

from __future__ import annotations

import os
import random

import pytest

from support.examples import few_of
from support.scripted_recognizer import random_script
from support.words_chaos import WordsCallUnderFire, faults

SEEDS = range(int(os.environ.get("WORDS_CHAOS_SEEDS", "24")))


@pytest.mark.parametrize("seed", few_of(SEEDS))
def test_each_word_stands_once_and_what_lacks_is_told(seed: int) -> None:
    random_ = random.Random(seed)
    script = random_script(random_, random_.randint(20, 200))
    call = WordsCallUnderFire(
        script, random_, trouble=random_.choice([0.0, 0.0, 0.3, 0.7]), is_corrected=random_.random() < 0.3
    )
    outcome = call.run()
    assert not faults(script, outcome)
