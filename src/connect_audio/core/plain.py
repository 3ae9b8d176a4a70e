"""Frozen dataclasses to plain JSON and back, by their type hints: checkpoints, step results, outcomes.

Supported hints: `int`, `float`, `bool`, `str`, `None`, enums, dataclasses, `tuple[X, ...]`, `Mapping[str, X]`, and
unions of these. In a union of several dataclasses each value carries its class name under `"type"`.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAliasType, Union, get_args, get_origin, get_type_hints, overload

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_TAG: Final = "type"


@overload
def to_plain(value: DataclassInstance, hint: Any = None) -> dict[str, Any]: ...
@overload
def to_plain(value: object, hint: Any = None) -> Any: ...
def to_plain(value: object, hint: Any = None) -> Any:
    """Turn a value into what `json.dumps` takes.

    Args:
        value: a value of a supported type.
        hint: its type; needed only where that is a union.

    Raises:
        TypeError: the type is not supported.
    """
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | int | float):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        hints = _hints(type(value))
        plain = {name: to_plain(getattr(value, name), each) for name, each in hints.items()}
        return {_TAG: type(value).__name__, **plain} if len(_dataclasses(hint)) > 1 else plain
    if isinstance(value, Mapping):
        (of_value,) = {get_args(each)[1] for each in _members(hint) if get_args(each)} or {None}
        return {str(key): to_plain(each, of_value) for key, each in value.items()}
    if isinstance(value, tuple | list):
        (of_item,) = {get_args(each)[0] for each in _members(hint) if get_args(each)} or {None}
        return [to_plain(each, of_item) for each in value]
    raise TypeError(f"no plain form of {type(value).__name__}")


@overload
def from_plain[T](hint: type[T], data: Any) -> T: ...
@overload
def from_plain(hint: Any, data: Any) -> Any: ...
def from_plain(hint: Any, data: Any) -> Any:
    """Read what `to_plain` wrote.

    Args:
        hint: the type to make.
        data: plain JSON.

    Raises:
        KeyError: a union's value names no member of it.
        TypeError: a field is missing or unknown, or the data has another form than the type.
        ValueError: an enum has no such value.
    """
    members = _members(hint)
    if data is None and type(None) in members:
        return None
    dataclasses = _dataclasses(hint)
    if dataclasses:
        if len(dataclasses) == 1:
            return _from_fields(dataclasses[0], data)
        by_name = {each.__name__: each for each in dataclasses}
        return _from_fields(by_name[data[_TAG]], {name: each for name, each in data.items() if name != _TAG})
    if isinstance(data, Mapping):
        of_value = _argument(hint, 1)
        return {key: from_plain(of_value, each) for key, each in data.items()}
    if isinstance(data, list):
        of_item = _argument(hint, 0)
        return tuple(from_plain(of_item, each) for each in data)
    enum, plain = _scalars(hint)
    if enum is not None:
        return enum(data)
    if not isinstance(data, plain):
        raise TypeError(f"{type(data).__name__} where {hint} is expected")
    return data


def _from_fields(made: Any, data: Any) -> Any:
    if not isinstance(data, Mapping):
        raise TypeError(f"{type(data).__name__} where the fields of {made.__name__} are expected")
    hints = _hints(made)
    if unknown := data.keys() - hints.keys():
        raise TypeError(f"{made.__name__} has no field {min(unknown)}")
    if missing := hints.keys() - data.keys():
        raise TypeError(f"{made.__name__} lacks field {min(missing)}")
    return made(**{name: from_plain(hints[name], each) for name, each in data.items()})


@lru_cache(maxsize=64)
def _hints(made: Any) -> dict[str, Any]:
    """Field names of a dataclass and their types."""
    hints = get_type_hints(made)
    return {each.name: hints[each.name] for each in fields(made)}


@lru_cache(maxsize=256)
def _members(hint: Any) -> tuple[Any, ...]:
    """The members of a union, aliases resolved; of any other type, the type alone."""
    if isinstance(hint, TypeAliasType):
        return _members(hint.__value__)
    if get_origin(hint) in {Union, types.UnionType}:
        return tuple(member for each in get_args(hint) for member in _members(each))
    return (hint,)


@lru_cache(maxsize=256)
def _argument(hint: Any, index: int) -> Any:
    """The type of a collection's items or values."""
    (argument,) = (get_args(each)[index] for each in _members(hint) if get_args(each))
    return argument


@lru_cache(maxsize=256)
def _scalars(hint: Any) -> tuple[type[Enum] | None, tuple[Any, ...]]:
    """The enum among the members, None without one, and the types of a value that is none."""
    members = _members(hint)
    enums = [each for each in members if isinstance(each, type) and issubclass(each, Enum)]
    plain = tuple(get_origin(each) or each for each in members)
    return enums[0] if enums else None, (*plain, int) if float in plain else plain


@lru_cache(maxsize=256)
def _dataclasses(hint: Any) -> tuple[Any, ...]:
    return tuple(each for each in _members(hint) if isinstance(each, type) and is_dataclass(each))
