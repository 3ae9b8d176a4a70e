"""The quick `dataclass` makes what the standard one makes; a frozen value alone is held by mypy, not at run time."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from connect_audio.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    name: str
    at: tuple[int, ...] = ()
    note: str = dataclasses.field(default="", compare=False)
    size: int = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", len(self.at))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StandardPlace:
    name: str
    at: tuple[int, ...] = ()
    note: str = dataclasses.field(default="", compare=False)
    size: int = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", len(self.at))


@dataclass(slots=True)
class Count:
    seen: int = 0


@dataclass(slots=True, eq=False)
class Handle:
    number: int


@dataclass(frozen=True, slots=True)
class Nothing:
    pass


@dataclass(frozen=True, slots=True)
class Named:
    name: str

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Named) and other.name.lower() == self.name.lower()

    def __hash__(self) -> int:
        return hash(self.name.lower())


VALUES: list[dict[str, Any]] = [
    {"name": "a"},
    {"name": "b"},
    {"name": "a", "at": (1, 2)},
    {"name": "a", "note": "x"},
]


@pytest.mark.parametrize("one", VALUES)
@pytest.mark.parametrize("other", VALUES)
def test_values_are_equal_and_hash_alike_as_the_standard_ones_do(one: dict[str, Any], other: dict[str, Any]) -> None:
    same = StandardPlace(**one) == StandardPlace(**other)
    assert (Place(**one) == Place(**other)) is same
    assert (hash(Place(**one)) == hash(Place(**other))) is same


@pytest.mark.parametrize("given", VALUES)
def test_a_value_is_shown_copied_and_replaced_as_the_standard_one(given: dict[str, Any]) -> None:
    value, standard = Place(**given), StandardPlace(**given)

    assert f"Standard{value!r}" == repr(standard)
    assert dataclasses.asdict(value) == dataclasses.asdict(standard)
    assert dataclasses.replace(value, name="c") == Place(**{**given, "name": "c"})
    for made in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):  # noqa: S301 - our own
        assert made == value
        assert made is not value
    assert not hasattr(value, "__dict__")


def test_a_value_equals_no_value_of_another_class_and_takes_no_unknown_argument() -> None:
    others: tuple[object, ...] = (StandardPlace(name="a"), "a", None)
    assert Place(name="a") not in others
    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(Nothing())
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        Place(name="a", colour="red")  # type: ignore[call-arg]


def test_what_changes_has_no_hash_and_what_compares_by_identity_has_its_own() -> None:
    count = Count()
    count.seen += 1
    assert count == Count(1)
    with pytest.raises(TypeError, match="unhashable type: 'Count'"):
        hash(count)
    assert Handle(1) != Handle(1)
    assert len({Handle(1), Handle(1)}) == 2


def test_a_class_s_own_methods_stay() -> None:
    assert repr(Named("a")) == "<a>"
    assert Named("a") == Named("A")
    assert len({Named("a"), Named("A")}) == 1
