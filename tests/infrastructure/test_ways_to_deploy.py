"""The environments of samconfig.toml: each a way to deploy, whole but for the values that are yours to put in."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from infrastructure.evaluation import evaluated

ROOT: Final = Path(__file__).parents[2]
CONFIGURATION: Final = tomllib.loads((ROOT / "samconfig.toml").read_text("utf-8"))
WAYS: Final = ("instance", "existing", "record-only")
INSTANCE: Final = "arn:aws:connect:eu-west-2:111122223333:instance/9a8b7c6d-0000-4000-8000-000000000001"
KEY: Final = "arn:aws:kms:eu-west-2:111122223333:key/00000000-0000-4000-8000-0000000000ee"
YOURS: Final = {"<instance-arn>": INSTANCE, "<key-arn>": KEY, "<prefix>": "live", "<bucket>": "calls.example"}
WIRING: Final = {"MediaStreaming", "TriggerAssociation", "RecordingFlow", "StreamKey", "RecordingsBucket"}


def parameters(way: str) -> dict[str, str]:
    pairs = CONFIGURATION[way]["deploy"]["parameters"]["parameter_overrides"]
    return dict(pair.split("=", 1) for pair in pairs)


def test_there_is_an_environment_for_each_way_and_the_default_asks() -> None:
    assert set(CONFIGURATION) - {"version"} == {"default", *WAYS}
    assert "parameter_overrides" not in CONFIGURATION["default"]["deploy"]["parameters"]


@pytest.mark.parametrize(
    ("way", "made"),
    [
        ("instance", WIRING),
        ("existing", {"TriggerAssociation"}),
        ("record-only", {"TriggerAssociation", "RecordingsBucket"}),
    ],
)
def test_a_way_makes_what_it_says_once_the_values_are_put_in(
    template: dict[str, Any], way: str, made: set[str]
) -> None:
    given = {name: YOURS.get(value, value) for name, value in parameters(way).items()}
    assert WIRING & set(evaluated(template, given)["Resources"]) == made


@pytest.mark.parametrize("way", WAYS)
def test_a_value_that_was_not_put_in_is_refused_by_the_template(template: dict[str, Any], way: str) -> None:
    left = {name: value for name, value in parameters(way).items() if value in YOURS}
    assert left
    for name, value in left.items():
        # SAM CLI reads a value up to the first space.
        assert " " not in value
        assert not re.fullmatch(template["Parameters"][name]["AllowedPattern"], value), name


@pytest.mark.parametrize("way", WAYS)
def test_a_way_deploys_as_the_default_does(way: str) -> None:
    default, own = (CONFIGURATION[each]["deploy"]["parameters"] for each in ("default", way))
    assert {name: own[name] for name in default} == default
    assert CONFIGURATION[way]["global"] == CONFIGURATION["default"]["global"]
