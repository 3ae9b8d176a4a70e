from __future__ import annotations

from pathlib import Path

import pytest
from mutation.live_functions import NotInAFunctionError, loaded_functions, put_into_functions
from mutation.mutants import mutants_of
from mutation.reach import Reach, naming_tests
from mutation.survivors import listed

_PACKAGE = Path(__file__).parents[3] / "src" / "connect_audio"


def changes(tmp_path: Path, source: str) -> list[str]:
    path = tmp_path / "module.py"
    path.write_text(source)
    return [mutant.change for mutant in mutants_of(path)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", ["a < b -> a <= b"]),
        ("a and b", ["a and b -> a or b"]),
        ("a + 1", ["a + 1 -> a - 1", "a + 1 -> a + 2"]),
        ("a if not b else c", ["not b -> b"]),
        ("a if b else c", ["b -> not b"]),
        ("[a for a in b if a]", ["a -> not a"]),
        ("-a", ["-a -> a"]),
        ("a.b = c", ["a.b = c -> removed"]),
        ("a(b)", ["a(b) -> removed"]),
        ("a += b", ["a += b -> removed", "a += b -> a -= b"]),
        ("while a:\n    continue", ["a -> not a", "continue -> break"]),
        ("def f():\n    return a", ["return a -> return None"]),
        ("def f():\n    raise a", ["raise a -> removed"]),
        ("a = True", ["a = True -> a = False"]),
        ("a = 'NO_AUDIO'", ["a = 'NO_AUDIO' -> a = 'XXNO_AUDIO'"]),
        ("class A(StrEnum):\n    B = 'b'", ["B = 'b' -> B = 'XXb'"]),
        ("a = Reason(B, 'words')", ["Reason(B, 'words') -> Reason(B, 'XXwords')"]),
    ],
)
def test_each_kind_of_change_is_made(tmp_path: Path, source: str, expected: list[str]) -> None:
    assert changes(tmp_path, source) == expected


@pytest.mark.parametrize(
    "source",
    [
        "a: Literal[1] | None = b",
        "def f(a: int | None) -> Literal[1]: ...",
        "@dataclass(frozen=True)\nclass A:\n    '''Words 1.'''",
        "assert a < 1",
        "zip(a, b, strict=True)\n".replace("zip", "c = zip"),
        "if TYPE_CHECKING:\n    a = 1",
        "def __repr__(self):\n    return a + 1",
        "type A = B | C",
        "a = 'words of a message'",
        "a = isinstance(b, A | B)",
    ],
)
def test_types_texts_and_checks_are_left_alone(tmp_path: Path, source: str) -> None:
    assert changes(tmp_path, source) == []


def test_the_text_of_a_log_line_is_left_alone(tmp_path: Path) -> None:
    assert changes(tmp_path, "self.logger.info('NO_AUDIO')") == ["self.logger.info('NO_AUDIO') -> removed"]


def test_the_same_change_in_one_scope_has_a_number(tmp_path: Path) -> None:
    assert changes(tmp_path, "a < b\na < b") == ["a < b -> a <= b", "a < b -> a <= b #2"]


def test_a_loaded_function_and_its_closures_get_the_change(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("def maker(a):\n    def inner(b):\n        return a + b\n    return inner\n")
    names: dict[str, object] = {}
    exec(compile(path.read_text(), str(path), "exec", dont_inherit=True), names)  # noqa: S102 - the module above
    maker = names["maker"]
    assert callable(maker)
    made_before = maker(5)
    (mutant,) = (each for each in mutants_of(path) if each.change == "a + b -> a - b")

    assert put_into_functions(mutant, loaded_functions(str(tmp_path))[str(path)]) == 2
    assert (made_before(3), maker(5)(3)) == (2, 2)


def test_a_change_outside_every_function_needs_an_import(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("A = 1\n")
    with pytest.raises(NotInAFunctionError):
        put_into_functions(mutants_of(path)[0], [])


def test_each_listed_survivor_has_a_reason_and_a_file() -> None:
    assert all((_PACKAGE / file).is_file() for file, _, _ in listed())


def test_a_survivor_without_a_reason_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "survivors.toml"
    path.write_text('[[survivor]]\nfile = "core/wav.py"\nscope = "f"\nchanges = ["a"]\nreason = " "\n')
    with pytest.raises(ValueError, match="survivor without a reason of its own"):
        listed(path)


def test_the_tests_of_a_file_that_names_a_constant_are_found_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text('assert named("order.MAX_HELD") == 3')
    (tmp_path / "test_b.py").write_text("assert MAX_HELD_BYTES == 3")

    found = naming_tests({"MAX_HELD", "FAR"}, ["test_a.py::test_1", "test_a.py::test_2", "test_b.py::test_3"], tmp_path)

    assert found == {"MAX_HELD": {"test_a.py::test_1", "test_a.py::test_2"}}


def test_the_tests_of_a_rare_branch_are_those_that_reach_the_line_fewest_tests_reach(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("def f(a, b):\n    if a and b:\n        return 1\n    c = a\n    return c\n")
    (mutant,) = (each for each in mutants_of(path) if each.change == "a and b -> a or b")
    every = frozenset({"test_1", "test_2", "test_3"})
    lines = {2: every, 3: frozenset({"test_2", "test_of_another_place"}), 4: frozenset({"test_1", "test_3"})}
    reach = Reach({}, {str(path): lines})

    assert reach.of_rarest_neighbour(mutant) == {"test_2"}
    assert Reach({}, {}).of_rarest_neighbour(mutant) == frozenset()
