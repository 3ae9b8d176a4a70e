"""The packages that stand-ins are made of come with the extra `local` of this distribution."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec


@contextmanager
def extra_local() -> Iterator[None]:
    """Around the imports of these packages: say how to install a missing one.

    Raises:
        ModuleNotFoundError: a package is not installed. The text is one line for people.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise _missing(error.name or "") from error


def require(package: str) -> None:
    """Check for a package that another process is to import.

    Raises:
        ModuleNotFoundError: as `extra_local`.
    """
    if find_spec(package) is None:
        raise _missing(package)


def _missing(name: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(f"{name} is not installed: in the checkout, pip install '.[local]'", name=name)
