"""Frozen dataclasses become plain JSON and come back the same, by their type hints alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from cProfile import Profile
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import CodeType

import pytest

from connect_audio.core.plain import from_plain, to_plain


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    count: int
    colour: Colour | None = None


@dataclass(frozen=True)
class Left:
    inner: Inner


@dataclass(frozen=True)
class Right:
    share: float = 0.5


type Side = Left | Right


@dataclass(frozen=True)
class Outer:
    name: str
    side: Side
    maybe: Inner | None = None
    many: tuple[Inner, ...] = ()
    sides: tuple[Side, ...] = ()
    by_name: Mapping[str, Inner] = field(default_factory=dict)


FULL = Outer(
    name="x",
    side=Left(Inner(1, Colour.RED)),
    maybe=Inner(2),
    many=(Inner(3), Inner(4, Colour.RED)),
    sides=(Right(0.25), Left(Inner(5))),
    by_name={"a": Inner(6)},
)


@pytest.mark.parametrize("value", [FULL, Outer("y", Right())], ids=["full", "empty"])
def test_a_value_survives_json_text(value: Outer) -> None:
    assert from_plain(Outer, json.loads(json.dumps(to_plain(value)))) == value


@pytest.mark.parametrize("value", [Left(Inner(1)), Right()])
def test_a_member_of_a_union_carries_its_type(value: Side) -> None:
    assert to_plain(value, Side)["type"] == type(value).__name__
    assert from_plain(Side, to_plain(value, Side)) == value


def test_a_type_is_examined_once_and_not_with_every_value() -> None:
    plain = to_plain(FULL)
    assert from_plain(Outer, plain) == FULL
    with Profile() as profile:
        from_plain(Outer, plain)
    modules = {Path(entry.code.co_filename).name for entry in profile.getstats() if isinstance(entry.code, CodeType)}
    assert "plain.py" in modules
    assert "typing.py" not in modules


def test_a_dataclass_alone_carries_its_fields_and_nothing_else() -> None:
    assert to_plain(Inner(1, Colour.RED)) == {"count": 1, "colour": "red"}


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({"count": 1, "size": 2}, TypeError),
        ({"count": "1", "colour": None}, TypeError),
        ({"count": 1}, TypeError),
        ({"count": 1, "colour": "blue"}, ValueError),
        ({}, TypeError),
        ([], TypeError),
        (None, TypeError),
    ],
)
def test_data_of_another_form_is_refused(data: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        from_plain(Inner, data)


def test_an_unknown_member_of_a_union_is_refused() -> None:
    with pytest.raises(KeyError):
        from_plain(Side, {"type": "Middle"})


def test_a_value_without_a_plain_form_is_refused() -> None:
    with pytest.raises(TypeError, match="no plain form of set"):
        to_plain({1})
