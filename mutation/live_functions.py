"""Put a mutant into functions that are loaded already: no module is imported again."""

from __future__ import annotations

import ast
import gc
from collections import defaultdict
from collections.abc import Iterable, Iterator
from inspect import CO_OPTIMIZED
from types import CodeType, FunctionType

from mutation.mutants import Mutant, mutated


class NotInAFunctionError(Exception):
    """The change is outside every function, or changes what a function closes over."""


def loaded_functions(folder: str) -> dict[str, list[FunctionType]]:
    """Return every function that is loaded, by file, of the files whose name begins with `folder`."""
    found = defaultdict(list)
    for each in gc.get_objects():
        if type(each) is FunctionType and each.__code__.co_filename.startswith(folder):
            found[each.__code__.co_filename].append(each)
    return found


def put_into_functions(mutant: Mutant, functions: Iterable[FunctionType]) -> int:
    """Give every loaded function that holds the change its new code.

    Args:
        mutant: the change.
        functions: those of the mutant's file.

    Returns:
        How many functions were changed.

    Raises:
        NotInAFunctionError: the module must be imported with the change.
    """
    file = str(mutant.path)
    before = compile(mutant.path.read_text(), file, "exec", dont_inherit=True)
    after = compile(mutated(mutant), file, "exec", dont_inherit=True)
    old, new = list(code_inside(before)), list(code_inside(after))
    if [_name(each) for each in old] != [_name(each) for each in new]:
        raise NotInAFunctionError
    changed = [(one, other) for one, other in zip(old, new, strict=True) if one != other]
    for one, other in changed:
        if not one.co_flags & CO_OPTIMIZED and _own(one) != _own(other):
            raise NotInAFunctionError
        if one.co_freevars != other.co_freevars:
            raise NotInAFunctionError
    count = 0
    for function in functions:
        for one, other in changed:
            if function.__code__ == one:
                function.__code__ = other
                count += 1
                break
    return count


def code_inside(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and all within it."""
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from code_inside(each)


def _name(code: CodeType) -> tuple[str, int]:
    return code.co_qualname, code.co_firstlineno


def _own(code: CodeType) -> object:
    """Return what a code object does itself, apart from the functions within it."""
    constants = [(type(each), repr(each)) for each in code.co_consts if not isinstance(each, CodeType)]
    return code.co_code, constants, code.co_names


def module_code(mutant: Mutant) -> CodeType:
    """Return the code of the whole module with the change."""
    tree: ast.Module = mutated(mutant)
    return compile(tree, str(mutant.path), "exec", dont_inherit=True)
