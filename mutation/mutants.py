"""Mutants of one module: each changes one place of its syntax tree.

The kinds: comparisons, boolean and arithmetic operators, numbers, booleans, `not`, negated conditions, values returned,
removed statements, `continue` and `break`, and the strings of codes, enumerations and reasons. No mutant is in an
annotation, a decorator, a docstring, a log line, an assertion, a `__repr__` or a block under TYPE_CHECKING.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

_COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OPERATORS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
_LEVELS: Final = frozenset({"debug", "info", "warning", "error", "exception"})
_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{3,}")
_REASONS: Final = frozenset({"Reason", "Rule"})
"""Classes whose strings a person reads as the reason of a status."""
_UNTOUCHED: Final = frozenset({"annotation", "returns", "type_params", "decorator_list", "bases"})
_LONGEST_TEXT: Final = 110
"""Longest text of a change, characters; a longer one is shown by its innermost expression."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one module.

    Args:
        path: the module's file.
        index: which change of the module, from 0.
        scope: qualified name of the function or class around the change; empty at the module's level.
        change: the source text before and after, and the number of the change where a scope has the same one again.
        line: of the place, from 1; for a reader alone.
        lines: those that a test has to reach, the narrowest first.
        names: what the module defines with the statement, at its own level or a class's; None inside a function.
    """

    path: Path
    index: int
    scope: str
    change: str
    line: int
    lines: tuple[range, ...]
    names: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class _Around:
    """What lies around a node: names of the scopes, whether one is a function or an enumeration, and the statement."""

    scopes: tuple[str, ...] = ()
    in_function: bool = False
    in_enumeration: bool = False
    in_reason: bool = False
    statement: ast.stmt | None = None
    parent: ast.AST | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    node: ast.expr | ast.stmt
    around: _Around
    apply: Callable[[], ast.AST | None]
    """Changes the tree; returns the new node, or None for a statement that is gone."""
    undo: Callable[[], None]


type _Put = Callable[[ast.AST], None]


def mutants_of(path: Path) -> list[Mutant]:
    """Return every mutant of a module, in the order of its syntax tree."""
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for index, place in enumerate(_places(ast.parse(path.read_text()))):
        around = place.around
        scope = ".".join(around.scopes)
        change = _text(place)
        seen[scope, change] += 1
        if seen[scope, change] > 1:
            change += f" #{seen[scope, change]}"
        names = None if around.in_function else frozenset({*around.scopes, *_defined(around.statement)})
        lines = (_lines(place.node), _header(around.statement or place.node))
        found.append(Mutant(path, index, scope, change, place.node.lineno, lines, names))
    return found


def mutated(mutant: Mutant) -> ast.Module:
    """Return the module's syntax tree with the change. Every node keeps its line."""
    tree = ast.parse(mutant.path.read_text())
    _places(tree)[mutant.index].apply()
    return ast.fix_missing_locations(tree)


def _text(place: _Place) -> str:
    """Return a change as text: the node around it before and after, or the node alone where that is long."""
    shown: ast.AST = place.node
    parent = place.around.parent
    if isinstance(place.node, ast.Constant) and isinstance(parent, ast.expr | ast.keyword | ast.Assign | ast.AnnAssign):
        shown = parent
    before, own = ast.unparse(shown), ast.unparse(place.node)
    new = place.apply()
    if new is None:
        place.undo()
        return f"{_short(own)} -> removed"
    new_own = ast.unparse(new)
    after = new_own if shown is place.node else ast.unparse(shown)
    place.undo()
    if max(len(before), len(after)) > _LONGEST_TEXT and shown is not place.node:
        before, after = own, new_own
    return f"{_short(before)} -> {_short(after)}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 3] + "..."


def _lines(node: ast.expr | ast.stmt) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _header(node: ast.expr | ast.stmt) -> range:
    """Return the lines of a statement without its body."""
    body = getattr(node, "body", None)
    if isinstance(body, list) and body:
        return range(node.lineno, max(node.lineno + 1, body[0].lineno))
    return _lines(node)


def _defined(statement: ast.stmt | None) -> Iterator[str]:
    """Yield the names that a statement binds."""
    if isinstance(statement, ast.Assign):
        yield from (each.id for each in statement.targets if isinstance(each, ast.Name))
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        yield statement.target.id
    elif isinstance(statement, ast.FunctionDef):
        yield statement.name


# --- places ----------------------------------------------------------------------------------------------------------


def _places(tree: ast.Module) -> list[_Place]:
    return list(_below(tree, _Around()))


def _below(node: ast.AST, around: _Around) -> Iterator[_Place]:
    """Yield the places of a node's children."""
    for field, value in ast.iter_fields(node):
        if field in _UNTOUCHED or (field == "keywords" and isinstance(node, ast.ClassDef)):
            continue
        if isinstance(value, ast.AST):
            yield from _at(value, _put_field(node, field), replace(around, parent=node))
        elif isinstance(value, list):
            for at, each in enumerate(value):
                if isinstance(each, ast.AST):
                    yield from _at(each, _put_item(value, at), replace(around, parent=node))


def _put_field(node: ast.AST, field: str) -> _Put:
    return lambda new: setattr(node, field, new)


def _put_item(items: list[Any], at: int) -> _Put:
    def put(new: ast.AST) -> None:
        items[at] = new

    return put


def _at(node: ast.AST, put: _Put, around: _Around) -> Iterator[_Place]:
    """Yield the places of a node and below it."""
    if _is_left_alone(node):
        return
    inside = around
    if isinstance(node, ast.stmt):
        inside = around = replace(around, statement=node)
        yield from _of_statement(node, put, around)
    elif isinstance(node, ast.expr):
        yield from _of_expression(node, put, around)
    if isinstance(node, ast.FunctionDef | ast.Lambda):
        name = node.name if isinstance(node, ast.FunctionDef) else "<lambda>"
        # A default is evaluated where the function is defined.
        yield from _below(node.args, replace(around, parent=node))
        inside = replace(around, scopes=(*around.scopes, name), in_function=True)
        body = node.body if isinstance(node.body, list) else [node.body]
        for at, each in enumerate(body):
            put_body = _put_item(body, at) if isinstance(node.body, list) else _put_field(node, "body")
            yield from _at(each, put_body, replace(inside, parent=node))
        return
    if isinstance(node, ast.ClassDef):
        bases = [ast.unparse(each) for each in node.bases]
        inside = replace(
            around, scopes=(*around.scopes, node.name), in_enumeration=any("Enum" in base for base in bases)
        )
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _REASONS:
        inside = replace(around, in_reason=True)
    yield from _below(node, inside)


def _is_left_alone(node: ast.AST) -> bool:
    match node:
        case ast.Assert() | ast.TypeAlias() | ast.Import() | ast.ImportFrom():
            return True
        case ast.If(test=ast.Name("TYPE_CHECKING")):
            return True
        case ast.FunctionDef(name="__repr__"):
            return True
        case ast.Expr(value=ast.Constant()):
            return True  # a docstring, or an ellipsis
        case ast.keyword(arg="strict"):
            return True  # zip's check of ourselves
        case _:
            return False


def _is_log_line(node: ast.AST) -> bool:
    match node:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=value, attr=attr))):
            return attr in _LEVELS and ast.unparse(value).lower().endswith(("logger", "log"))
        case _:
            return False


def _replacing(node: ast.expr | ast.stmt, put: _Put, around: _Around, new: ast.AST) -> _Place:
    def apply() -> ast.AST:
        ast.copy_location(new, node)
        put(new)
        return new

    return _Place(node, around, apply, lambda: put(node))


def _changing(node: ast.expr | ast.stmt, around: _Around, field: str, new: object) -> _Place:
    old = getattr(node, field)

    def apply() -> ast.AST:
        setattr(node, field, new)
        return node

    return _Place(node, around, apply, lambda: setattr(node, field, old))


def _of_statement(node: ast.stmt, put: _Put, around: _Around) -> Iterator[_Place]:
    match node:
        case ast.Continue():
            yield _replacing(node, put, around, ast.Break())
        case ast.Break():
            yield _replacing(node, put, around, ast.Continue())
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield _changing(node, around, "value", ast.copy_location(ast.Constant(None), value))
        case ast.AugAssign(op=op):
            yield _removed(node, put, around)
            if type(op) in _OPERATORS:
                yield _changing(node, around, "op", _OPERATORS[type(op)]())
        case ast.Raise() | ast.Delete():
            yield _removed(node, put, around)
        case ast.Expr(value=ast.Call()):
            yield _removed(node, put, around)
        case ast.Assign(targets=targets):
            if any(isinstance(each, ast.Attribute | ast.Subscript) for each in targets):
                yield _removed(node, put, around)
        case ast.AnnAssign(target=ast.Attribute() | ast.Subscript(), value=ast.expr()):
            yield _removed(node, put, around)
        case ast.If(test=test) | ast.While(test=test):
            yield from _negated(test, _put_field(node, "test"), around)
        case _:
            pass


def _removed(node: ast.stmt, put: _Put, around: _Around) -> _Place:
    def apply() -> None:
        put(ast.copy_location(ast.Pass(), node))

    return _Place(node, around, apply, lambda: put(node))


def _negated(test: ast.expr, put: _Put, around: _Around) -> Iterator[_Place]:
    """Yield the negation of a condition that no other kind of change turns round."""
    if isinstance(test, ast.Name | ast.Attribute | ast.Call | ast.NamedExpr | ast.Subscript):
        yield _replacing(test, put, around, ast.UnaryOp(ast.Not(), test))


def _of_expression(node: ast.expr, put: _Put, around: _Around) -> Iterator[_Place]:
    match node:
        case ast.Compare(ops=ops):
            for at, each in enumerate(ops):
                yield _changing(node, around, "ops", [*ops[:at], _COMPARISONS[type(each)](), *ops[at + 1 :]])
        case ast.BoolOp(op=op):
            yield _changing(node, around, "op", ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.BinOp(op=op) if type(op) in _OPERATORS and not _is_union(node):
            yield _changing(node, around, "op", _OPERATORS[type(op)]())
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield _replacing(node, put, around, operand)
        case ast.IfExp(test=test):
            yield from _negated(test, _put_field(node, "test"), around)
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            for loop in node.generators:
                for at, test in enumerate(loop.ifs):
                    yield from _negated(test, _put_item(loop.ifs, at), around)
        case ast.Constant():
            yield from _of_constant(node, around)
        case _:
            pass


def _of_constant(node: ast.Constant, around: _Around) -> Iterator[_Place]:
    match node.value:
        case bool() as value:
            yield _changing(node, around, "value", not value)
        case int() | float() as value:
            yield _changing(node, around, "value", value + 1)
        case str() as value if _is_code(value, around):
            yield _changing(node, around, "value", f"XX{value}")
        case _:
            pass


def _is_code(value: str, around: _Around) -> bool:
    return (
        (around.in_enumeration and not around.in_function) or around.in_reason or _CODE.fullmatch(value) is not None
    ) and not _is_log_line(around.statement or ast.Pass())


def _is_union(node: ast.BinOp) -> bool:
    """Return whether a `|` joins types, as in `isinstance(x, A | B)`."""
    return isinstance(node.op, ast.BitOr) and all(
        isinstance(each, ast.BinOp | ast.Constant) or ast.unparse(each).split(".")[-1][:1].isupper()
        for each in (node.left, node.right)
    )
