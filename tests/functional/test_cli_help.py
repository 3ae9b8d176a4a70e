"""Help, its examples and exit codes, completion: the same for every command, at every width."""

from __future__ import annotations

import re
import shlex
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Final

import pytest

from connect_audio_cli.main import COMMANDS
from connect_audio_cli.output.arguments import Parser
from support.command import COMMAND, run
from support.terminal import WIDTHS, cells, on_terminal

SILENT: Final = {"completion"}
"""Commands whose output is for a program: they report nothing."""


def parser_of(command: str) -> Parser:
    parser: Parser = import_module(f"connect_audio_cli.commands.{command}").parser()
    return parser


def joined(text: str) -> str:
    """A help as it was before its lines were broken."""
    return " ".join(text.replace(" \\\n", " ").split())


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_a_help_fits_the_terminal_and_says_the_same_at_every_width(command: str, columns: int) -> None:
    arguments = [command, "--help"] if command else ["--help"]

    shown = on_terminal(*arguments, columns=columns)

    assert shown.code == 0
    assert max(map(cells, shown.lines)) <= columns
    assert joined(shown.text) == joined(run(*arguments).out)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_a_help_names_no_type_of_a_programming_language(command: str) -> None:
    text = run(*([command] if command else []), "--help").out

    assert not re.search(r"<(bool|int|str|float|path)>|\b(BOOLEAN|INTEGER|TEXT)\b", text)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_help_has_two_examples_that_the_command_takes(command: str) -> None:
    parser = parser_of(command)
    shown = joined(run(command, "--help").out)

    assert len(parser.examples) >= 2
    for line, effect in parser.examples:
        assert joined(line) in shown
        assert joined(effect) in shown
        typed = re.search(rf"connect-audio {command}\b([^)|>]*)", line)
        assert typed, line
        parser.read(shlex.split(typed[1]))


def test_the_examples_of_the_first_help_are_taken() -> None:
    for command, arguments in re.findall(r"^  connect-audio (\w+) (.+)$", run("--help").out, re.MULTILINE):
        parser_of(command).read(shlex.split(arguments))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_help_names_the_exit_codes(command: str) -> None:
    _, _, codes = run(command, "--help").out.partition("\nExit codes:\n")

    named = {int(code) for code in re.findall(r"^  (\d+) ", codes, re.MULTILINE)}
    assert {0, 2, 130} <= named
    assert named == set(parser_of(command).exit_codes)


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in SILENT])
def test_a_command_that_reports_has_json_and_quiet(command: str) -> None:
    options = {option for action in parser_of(command)._actions for option in action.option_strings}

    assert {"--json", "--quiet", "-q"} <= options


def test_json_and_quiet_exclude_each_other(tmp_path: Path) -> None:
    finished = run("replay", tmp_path / "call.mkv", "--quiet", "--json")

    assert finished.code == 2
    assert (
        finished.complaint == "Option '--json' cannot be used together with '--quiet' (see connect-audio replay --help)"
    )


def completions(line: str, folder: Path) -> list[str]:
    """What bash offers when Tab is pressed at the end of a line."""
    words = line.split(" ")
    program = f"""
eval "$({shlex.quote(str(COMMAND))} completion bash)"
COMP_WORDS=({" ".join(map(shlex.quote, words))}); COMP_CWORD={len(words) - 1}; COMP_LINE={shlex.quote(line)}
complete -p connect-audio > /dev/null || exit 1
function=$(complete -p connect-audio | sed 's/.*-F \\([^ ]*\\).*/\\1/')
"$function" connect-audio {shlex.quote(words[-1])} {shlex.quote(words[-2])}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, cwd=folder, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return sorted(each.strip() for each in done.stdout.split("\n") if each.strip())


def test_bash_completes_commands_options_and_files(tmp_path: Path) -> None:
    (tmp_path / "call.mkv").touch()

    assert completions("connect-audio in", tmp_path) == ["inspect"]
    assert completions("connect-audio inspect --t", tmp_path) == ["--tree"]
    assert "call.mkv" in completions("connect-audio inspect ca", tmp_path)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_knows_every_command_and_option(shell: str) -> None:
    script = run("completion", shell)

    assert (script.code, script.err) == (0, "")
    for command in COMMANDS:
        assert command in script.out
        for action in parser_of(command)._actions:
            for option in action.option_strings:
                assert option.lstrip("-") in script.out, (command, option)


def test_a_shell_that_is_not_known_is_told() -> None:
    finished = run("completion", "csh")

    assert (finished.code, finished.out) == (2, "")
    assert finished.complaint.startswith("Invalid value for 'SHELL': ")
