"""`docs/observability.md` says what the code does: metrics, log lines, the event's fields and its examples."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator

from connect_audio.telemetry import Metric

ROOT: Final = Path(__file__).parents[2]
DOCUMENT: Final = (ROOT / "docs" / "observability.md").read_text("utf-8")
SCHEMA: Final[dict[str, Any]] = json.loads((ROOT / "docs" / "recording-event.schema.json").read_text("utf-8"))
LEVELS: Final = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error"}


def table(header: str) -> list[list[str]]:
    """Cells of the table whose header line begins like this."""
    lines = DOCUMENT[DOCUMENT.index(f"\n{header}") + 1 :].splitlines()[2:]
    rows = lines[: next(at for at, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_the_table_of_metrics_is_the_code_s() -> None:
    assert table("| metric |") == [
        [f"`{metric.title}`", metric.unit.value, ", ".join(metric.services), metric.meaning] for metric in Metric
    ]


def test_metric_names_are_unique_and_cloudwatch_takes_them() -> None:
    titles = [metric.title for metric in Metric]
    assert len(set(titles)) == len(titles)
    assert all(re.fullmatch(r"[A-Z][A-Za-z]{2,60}", title) for title in titles)
    # What is measured in seconds says so in its name.
    assert all((metric.unit.value == "Seconds") == metric.title.endswith("Seconds") for metric in Metric)


def logged() -> Iterator[tuple[str, str, set[str]]]:
    """Message, level and keys of each call of a logger in the package."""
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS):
                continue
            if not ast.unparse(node.func.value).endswith("logger"):
                continue
            (message,) = node.args
            assert isinstance(message, ast.Constant), f"{path}:{node.lineno}: the message is one text, values are keys"
            keys = {keyword.arg for keyword in node.keywords if keyword.arg and keyword.arg != "extra"}
            for keyword in node.keywords:
                if keyword.arg == "extra" and isinstance(keyword.value, ast.Dict):
                    keys |= {ast.literal_eval(key) for key in keyword.value.keys if key}
            yield str(message.value), LEVELS[node.func.attr], keys | ({"exception"} & {node.func.attr})


def test_the_table_of_messages_is_what_the_code_logs() -> None:
    documented = {row[0].strip("`"): (row[1], set(re.findall("`([^`]+)`", row[3]))) for row in table("| message |")}
    found = {message: (level, keys) for message, level, keys in logged()}
    # The outcome is logged as it is.
    found["recording finished"][1].update({"status", "recording", "manifest", "duration_s", "reasons", "end_reason"})
    # Both tell the same of a failure.
    for message in ("refused audio", "paused after several failures in a row"):
        found[f"live sink {message}"][1].update({"sink", "code", "retryable"})
    assert documented == found


def test_the_table_of_the_event_is_the_schema_s() -> None:
    assert [row[0].strip("`") for row in table("| field |")] == list(SCHEMA["properties"])
    statuses = next(row[1] for row in table("| field |") if row[0] == "`status`")
    assert set(re.findall(r"`(\w+)`", statuses)) == set(SCHEMA["properties"]["status"]["enum"])


def test_the_example_is_an_event_that_the_example_s_rule_matches() -> None:
    rule, event = (
        json.loads(block) for block in re.findall(r"^    \{\n(?:    .*\n)+?    \}\n", DOCUMENT, re.MULTILINE)
    )
    Draft202012Validator(SCHEMA).validate(event["detail"])
    assert all(event[field] in allowed for field, allowed in rule.items())
