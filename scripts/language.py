"""Checks the project's language: how sentences begin, how long they are, and which words they avoid.

`python scripts/language.py PATH...` prints each offender of the given files or folders, one a line, and exits with 1
if there is any. Without a path it reads every checked file.
CONTRIBUTING.md, "How we write", explains the rules. `tests/unit/test_language.py` runs the same checks.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
MOST_WORDS: Final = 25
"""Words of the longest sentence. Text in code font counts as one word."""
OPENINGS: Final = frozenset(
    {"of", "where", "what", "whoever", "nor", "whether", "whatever", "whichever", "wherever", "whose"}
)
"""First words that no sentence has: they hide its subject."""
TEXT_WORDS: Final = (
    r"tapes?|studios?|siblings?|surroundings|tend(?:s|ed|ing)?|mend(?:s|ed|ing)?|strangers?|forg[eo]t\w*|hear[sd]?"
    r"|tells?|told|ours|theirs|those|somebody|nobody|whoever|the\sothers|again\sand\sagain|all\sthe\ssame"
)
"""Words that no text has, as a pattern: coined words, and pronouns that make a reader ask which one is meant."""
NAME_WORDS: Final = re.compile(
    r"tape|studio|feed|tend|rest|hear|heard|hears|forget|forgot|forgotten|mend|mended|strangers?|siblings?|surroundings"
    r"|tell|told"
)
"""Words that no identifier of the code has. The glossary in docs/architecture.md says which words stand instead."""
CODE: Final = ("src", "cli", "local", "scripts")
DOCUMENTS: Final = ("README.md", "CONTRIBUTING.md", "docs/*.md")
_SECTIONS: Final = re.compile(r"(?:Args|Attributes|Example|Examples|Note|Raises|Returns|Yields):$")
_ENTRY: Final = re.compile(r"[*\w.`]+(?:, [*\w.`]+)*(?: \([^)]*\))?: ")
_BANNED: Final = re.compile(rf"(?<![\w'./`-])(?:{TEXT_WORDS})(?![\w/]|[.-]\w)", re.IGNORECASE)
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])[)\"'*_]*\s+(?=[\"'(*_`\[]*[A-Z0-9`])")
_ABBREVIATION: Final = re.compile(r"\b(?:e\.g|i\.e|cf|vs|etc|approx)\.", re.IGNORECASE)
_FENCED: Final = re.compile(
    r"^( *)```.*?^ *```|<!-- language: off -->.*?<!-- language: on -->|<!--.*?-->", re.DOTALL | re.MULTILINE
)
_DIRECTIVE: Final = re.compile(r"#\s*(?:noqa\b(?::\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)?|type: ignore(?:\[[\w, -]+\])?)")


@dataclass(frozen=True, slots=True, order=True)
class Offence:
    """One breach of a rule.

    Args:
        path: the file, relative to the repository.
        line: number of the line at which the text begins, from 1.
        rule: the rule that is broken, in a few words.
        text: the sentence or the name.
    """

    path: str
    line: int
    rule: str
    text: str

    def __str__(self) -> str:
        """The offence as one line that an editor can jump to."""
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"


@dataclass(frozen=True, slots=True)
class _Text:
    """A run of prose.

    Args:
        line: number of the line at which it begins, from 1.
        words: the prose, on one line.
        message: True for a log line, an error or a label, which is no full sentence.
    """

    line: int
    words: str
    message: bool = False


def offences(path: Path) -> list[Offence]:
    """Every offence of one file, in the order of its lines.

    Args:
        path: a Python or Markdown file inside the repository.
    """
    shown = path.resolve().relative_to(ROOT).as_posix()
    source = path.read_text("utf-8")
    return code_offences(shown, source) if path.suffix == ".py" else document_offences(shown, source)


def code_offences(path: str, source: str) -> list[Offence]:
    """Every offence of Python source, in the order of its lines.

    Args:
        path: the name that the offences carry.
        source: the text of the module.
    """
    nodes = list(ast.walk(ast.parse(source)))
    return sorted([*_prose_offences(path, _python_texts(nodes, source)), *_name_offences(path, nodes)])


def document_offences(path: str, source: str) -> list[Offence]:
    """Every offence of a Markdown document, in the order of its lines.

    Args:
        path: the name that the offences carry.
        source: the text of the document.
    """
    return sorted(_prose_offences(path, _markdown_texts(source)))


def checked_files(paths: Iterable[Path] = ()) -> list[Path]:
    """The files below some paths that the rules are for; all of them if no path is given."""
    wanted = [path.resolve() for path in paths]
    every = [file for folder in CODE for file in sorted((ROOT / folder).rglob("*.py"))]
    every += [file for pattern in DOCUMENTS for file in sorted(ROOT.glob(pattern))]
    return [file for file in every if not wanted or any(file == each or each in file.parents for each in wanted)]


def _prose_offences(path: str, texts: Iterable[_Text]) -> Iterator[Offence]:
    for text in texts:
        for sentence in _sentences(text.words):
            listed = re.sub(r"(`\w+`[,;]? )+(?=`)", "", sentence)  # a list of code counts as its last item
            words = [word for word in listed.split() if re.search(r"[A-Za-z0-9]", word)]
            opening = re.sub(r"\W.*", "", words[0].lstrip("\"'(*_[")).lower() if len(words) > 1 else ""
            if opening in OPENINGS and not text.message:
                yield Offence(path, text.line, f"begins with {opening}", sentence)
            if len(words) > MOST_WORDS:
                yield Offence(path, text.line, f"{len(words)} words", sentence)
            for match in _BANNED.finditer(sentence):
                yield Offence(path, text.line, f"banned word {match[0].lower()}", sentence)


def _name_offences(path: str, nodes: Iterable[ast.AST]) -> Iterator[Offence]:
    seen = set()
    for name, line in sorted(_names(nodes), key=lambda each: each[1]):
        parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_")
        if name not in seen and any(NAME_WORDS.fullmatch(part) for part in parts):
            seen.add(name)
            yield Offence(path, line, "banned word in a name", name)


def _names(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, int]]:
    for node in nodes:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node.lineno
            case ast.Name(ctx=ast.Store()):
                yield node.id, node.lineno
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr, node.lineno
            case ast.arg():
                yield node.arg, node.lineno


def _sentences(text: str) -> list[str]:
    """The sentences of a run of prose, each without the blank that follows."""
    whole = _ABBREVIATION.sub(lambda match: match[0].replace(".", ""), text)
    return [each.strip() for each in _SENTENCE_END.split(whole) if each.strip()]


def _python_texts(nodes: Iterable[ast.AST], source: str) -> Iterator[_Text]:
    read = set()  # ids of the constants whose text is done: a parent comes before its children
    for node in nodes:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            read.add(id(node.value))
            yield from _docstring_texts(node.value.value, node.lineno)
        elif isinstance(node, ast.JoinedStr):
            read.update(id(each) for each in node.values)
            parts = [str(each.value) if isinstance(each, ast.Constant) else "X" for each in node.values]
            yield from _literal_text("".join(parts), node.lineno)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in read:
            yield from _literal_text(node.value, node.lineno)
    yield from _comments(source)


def _literal_text(value: str, line: int) -> Iterator[_Text]:
    """A text that the program shows: a sentence if it looks like one, else a message if it has words enough."""
    words = "" if "\n" in value.strip() else " ".join(value.split())  # lines are a program or a form, no sentence
    if len(re.findall(r"(?<!\S)[a-zA-Z]+[,.:;]?(?!\S)", words)) >= 3:
        sentence = bool(re.match(r"[A-Z]", words)) and words.endswith((".", "?", "!"))
        yield _Text(line, _plain(words), message=not sentence)


def _docstring_texts(docstring: str, line: int) -> Iterator[_Text]:
    """The paragraphs and entries of a docstring; not its code, drawings and tables."""
    lines = docstring.expandtabs().splitlines()
    margin = min((_indent(each) for each in lines[1:] if each.strip()), default=0)
    block: list[str] = []
    begin, inside = line, False
    for number, raw in enumerate(lines):
        text = raw if number == 0 else raw[margin:]
        depth = _indent(text)
        entry = inside and depth == 4 and _ENTRY.match(text.strip())
        literal = depth >= 4 and not (inside or block)
        section = depth == 0 and _SECTIONS.fullmatch(text.strip())
        bullet = re.match(r"\s*(?:[-*]|\d+\.) ", text)
        drawn = bool(re.search(r"\S {2,}\S", text)) or text.strip().startswith((">>>", "|", "::"))
        if not text.strip() or entry or section or bullet or drawn or literal or (inside and depth == 0):
            if block:
                yield _Text(begin, _plain(" ".join(block)))
            block = []
            inside = bool(section) or (inside and depth != 0) or (inside and not text.strip())
        if text.strip() and not (section or drawn or literal):
            if not block:
                begin = line + number
            cleaned = text.strip()[entry.end() :] if entry else text.strip()
            block.append(re.sub(r"^(?:[-*]|\d+\.) ", "", cleaned))
    if block:
        yield _Text(begin, _plain(" ".join(block)))


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def _comments(source: str) -> Iterator[_Text]:
    """The comments; whole lines of comment that follow each other are one text."""
    block: list[str] = []
    begin = last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        text = _DIRECTIVE.sub("", token.string).lstrip("#!: -").strip()
        own_line = token.line.lstrip().startswith("#")
        if block and not (own_line and token.start[0] == last + 1):
            yield _Text(begin, _plain(" ".join(block)))
            block = []
        if text and not text.startswith("/usr/"):
            begin = begin if block else token.start[0]
            block.append(text)
            last = token.start[0] if own_line else 0
    if block:
        yield _Text(begin, _plain(" ".join(block)))


def _markdown_texts(source: str) -> Iterator[_Text]:
    """The paragraphs, list items and cells of a document, and its headings as messages; not what is fenced."""
    fenced = re.sub(
        r"^( *)```.*?^ *```|<!-- language: off -->.*?<!-- language: on -->|<!--.*?-->",
        lambda match: "\n" * match[0].count("\n"),
        source,
        flags=re.DOTALL | re.MULTILINE,
    )
    block: list[str] = []
    begin = 1
    for number, raw in enumerate([*fenced.splitlines(), ""], 1):
        text = raw.strip()
        item = re.match(r"(?:[-*+]|\d+\.) ", text)
        apart = text.startswith(("#", "|")) or (re.match(r" {4,}\S", raw) and not block)
        if (not text or item or apart) and block:
            yield _Text(begin, _plain(" ".join(block)))
            block = []
        if text.startswith("#"):
            yield _Text(number, _plain(text.lstrip("# ")), message=True)
        elif text.startswith("|"):
            for cell in re.split(r"(?<!\\)\|", text.strip("|")):
                yield _Text(number, _plain(cell.strip()))
        elif text and not apart:
            begin = begin if block else number
            block.append(text[item.end() :] if item else text.lstrip("> "))


def _plain(text: str) -> str:
    """Prose without marks: code font becomes one word, a link its text."""
    text = re.sub(r"`+[^`]*`+", lambda match: "`" + re.sub(r"\W+", "_", match[0].strip("`")) + "`", text)
    text = re.sub(r"\[([\w.]*[/.][\w./]*)\]\([^)]*\)", r"`\1`", text)  # a link whose text is a path
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"</?\w+>", " ", text).replace("**", "")
    return " ".join(text.split())


def main(arguments: list[str]) -> int:
    """Prints the offenders and returns the exit code."""
    files = checked_files(map(Path, arguments))
    total = 0
    for file in files:
        found = offences(file)
        total += len(found)
        sys.stdout.writelines(f"{each}\n" for each in found)
    sys.stdout.write(f"{total} in {len(files)} files\n")
    return 1 if total else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
