"""Docstrings, comments, messages, names and documents follow the rules of CONTRIBUTING.md, "How we write".

`python scripts/language.py PATH` prints what breaks them, one line each.
"""

from __future__ import annotations

import pytest
from scripts import language


def test_no_file_breaks_the_rules() -> None:
    files = language.checked_files()
    assert len(files) > 100
    assert [offence for file in files for offence in language.offences(file)] == []


@pytest.mark.parametrize("opening", ["Of", "Where", "What", "Whoever", "Nor", "Whether", "Whose"])
def test_a_sentence_that_hides_its_subject_is_an_offence(opening: str) -> None:
    assert f"begins with {opening.lower()}" in _rules(f'"""Reads bytes. {opening} the stream ends."""')


def test_an_entry_of_args_and_a_field_comment_are_sentences_too() -> None:
    source = '''
def read(start: int) -> None:
    """Read on.

    Args:
        start: whether to begin.
    """
    end = 1  # of the block
'''
    assert _rules(source) == ["begins with whether", "begins with of"]


def test_a_sentence_has_25_words_at_most() -> None:
    assert _rules(f'"""{"word " * 25}."""') == []
    assert _rules(f'"""{"word " * 26}."""') == ["26 words"]
    assert _rules(f'"""{"word " * 20}. {"Word " * 20}."""') == []


def test_a_sentence_goes_on_over_lines_of_comment() -> None:
    assert _rules(f"# {'word ' * 20}\n# {'word ' * 6}\n") == ["26 words"]


def test_code_font_counts_as_one_word() -> None:
    assert _rules(f'"""{"word " * 24} `make chaos N=200 SEED=1`."""') == []


@pytest.mark.parametrize("message", ['logger.warning("the tape ends")', 'raise StorageError(f"{n} of a tape")'])
def test_the_message_of_a_log_line_or_an_error_avoids_the_banned_words(message: str) -> None:
    assert _rules(message) == ["banned word tape"]


def test_the_help_of_an_option_is_a_sentence() -> None:
    assert _rules('Option(help="What to read.")') == ["begins with what"]


@pytest.mark.parametrize(
    "code", ["class LiveTape: ...", "def hear(): ...", "strangers = 1", "self.told_again = 1", "def f(feed): ..."]
)
def test_a_banned_word_in_a_name_is_an_offence(code: str) -> None:
    assert _rules(code) == ["banned word in a name"]


def test_a_name_that_only_contains_the_letters_of_a_banned_word_is_none() -> None:
    assert _rules("restart = intended = commander = 1") == []


def test_a_literal_block_and_a_drawing_in_a_docstring_are_no_sentences() -> None:
    assert _rules(f'"""How it works.\n\n    What {"word " * 30}\n\nidle     What comes\n"""') == []


def test_items_cells_and_headings_of_a_document_are_apart() -> None:
    document = (
        f"# What it is\n\n| what | what it does |\n\n- {'word ' * 20}\n- {'word ' * 20}\n\n```\nWhat it prints\n```\n"
    )
    assert [each.rule for each in language.document_offences("x.md", document)] == ["begins with what"]


def _rules(source: str) -> list[str]:
    return [each.rule for each in language.code_offences("x.py", source)]
