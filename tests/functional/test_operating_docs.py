"""What the guides for operators say is so: parameters, outputs, alarms, permissions, queries, commands and sums.

Links to files are tested for all documents in test_readme.py; here their anchors are.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import botocore.session
import pytest
import yaml
from botocore import xform_name

from connect_audio.telemetry import Metric

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
GUIDES: Final = ("deployment.md", "operations.md", "security.md", "cost.md", "quotas.md")
DOCUMENTS: Final = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")], key=str)
ARM64: Final = 0.0000133334
X86_64: Final = 0.0000166667
# Names of AWS's and of the code's that stand in the guides in code font.
OF_AWS: Final = """
    AccessDenied AccessDeniedException AsyncEventsDropped BadRequestException BucketOwnerEnforced CfnInclude
    ConnectionLimitExceededException ContactFlowErrors ContactFlowFatalErrors DeadLetterErrors
    DrainingDurableExecutions DurableExecutionFailed DurableExecutionStopped DurableExecutionTimedOut
    InvokeExternalResource LimitExceededException NoEcho NotAuthorizedException PassThrough
    ResourceNotFoundException RetentionPeriodInDays SettingsError SlowDown StorageError TemplateURL
    TooManyRequestsException
"""
TIMES: Final = "\N{MULTIPLICATION SIGN}"


class _Loader(yaml.CSafeLoader):
    """CloudFormation's short tags, each as `{tag: value}`."""


def _tagged(loader: yaml.CSafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {suffix: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _tagged)
# A SafeLoader with tags of its own.
TEMPLATE: Final[dict[str, Any]] = yaml.load((ROOT / "template.yaml").read_text("utf-8"), Loader=_Loader)  # noqa: S506
RESOURCES: Final[dict[str, dict[str, Any]]] = TEMPLATE["Resources"]
ALARMS: Final = {name: one for name, one in RESOURCES.items() if one["Type"] == "AWS::CloudWatch::Alarm"}


def _text(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def _prose(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def _anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to a document's headings."""
    headings = re.findall(r"^#+ (.+)$", _prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _table(text: str, head: str) -> list[list[str]]:
    """The cells of the table that begins so, without its head."""
    lines = text[text.index(head) :].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]


def _commands(text: str) -> list[list[str]]:
    """The `aws …` commands of a document, in fences and in the text."""
    fenced = "\n".join(re.findall(r"```\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    lines = [line.strip() for line in fenced.splitlines()] + re.findall(r"`([^`\n]+)`", _prose(text))
    return [shlex.split(line)[1:] for line in lines if line.startswith("aws ")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_anchor_that_is_linked_to_is_a_heading(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(document.read_text("utf-8"))):
        path, _, anchor = target.partition("#")
        if anchor and not target.startswith("https://"):
            linked = document if not path else document.parent / path
            assert anchor in _anchors(linked.read_text("utf-8")), f"{document.name} links to {target}"


def test_the_table_of_parameters_is_the_templates() -> None:
    expected = {}
    for name, one in TEMPLATE["Parameters"].items():
        default = one.get("Default", "required")
        expected[f"`{name}`"] = {"": "empty", "required": "required"}.get(default, f"`{default}`")

    assert {name: default for name, default, _ in _table(_text("deployment.md"), "| parameter |")} == expected


@pytest.mark.parametrize("guide", GUIDES)
def test_every_parameter_and_output_that_is_named_is_in_the_template(guide: str) -> None:
    # Names in CamelCase, with a value or without, may also be metrics, resources and what OF_AWS lists.
    others = {*(metric.title for metric in Metric), *RESOURCES, *OF_AWS.split(), *_parameters_of_the_package()}
    named = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][A-Za-z]*)+)(?:=[^`]*)?`", _prose(_text(guide))))

    assert named - set(TEMPLATE["Parameters"]) - set(TEMPLATE["Outputs"]) <= others


def _parameters_of_the_package() -> list[str]:
    """Names of the parameters that the packaged template has besides the template's."""
    return re.findall(r'^    "(\w+)": \{$', (ROOT / "scripts" / "package_template.py").read_text("utf-8"), re.MULTILINE)


def test_every_alarm_links_to_a_heading_that_names_it_and_every_such_heading_has_its_alarm() -> None:
    runbook = _text("operations.md")
    linked = {}
    for name, alarm in ALARMS.items():
        description = alarm["Properties"]["AlarmDescription"]["Sub"]
        found = re.search(r"\$\{RunbookUrl\}#([a-z-]+)$", description)
        assert found, description
        linked[found[1]] = name

    named = {}
    sections: list[str] = re.split(r"^## ", _prose(runbook), flags=re.MULTILINE)[1:]
    for heading, _, body in (section.partition("\n") for section in sections):
        if about := re.match(r"\s*`(\w+Alarm)`:", body):
            named[heading.lower().replace(" ", "-")] = about[1]
    assert named == linked


OWNERS: Final = {
    "TriggerRole": "trigger",
    "ConsumerRole": "consumer",
    "ContactEndedRole": "contact-ended",
    "ExecutionEndedRole": "execution-ended",
}


def test_the_table_of_permissions_is_what_the_roles_may_do() -> None:
    table: dict[str, list[str]] = {each: [] for each in OWNERS.values()}
    for role, named, _, _ in _table(_text("security.md"), "| role |"):
        table[role].append(" ".join(sorted(re.findall(r"`([a-z0-9]+:\w+)`", named))))

    allowed: dict[str, list[str]] = {each: [] for each in OWNERS.values()}
    for role, statement in _statements():
        actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        allowed[role].append(" ".join(sorted(actions)))

    assert {role: sorted(each) for role, each in table.items()} == {
        role: sorted(each) for role, each in allowed.items()
    }


def _statements() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, one in RESOURCES.items():
        properties = one.get("Properties", {})
        if one["Type"] == "AWS::IAM::Role":
            documents = [each["PolicyDocument"] for each in properties["Policies"]]
            owner = OWNERS[name]
        elif one["Type"] == "AWS::IAM::RolePolicy":
            documents, owner = [properties["PolicyDocument"]], OWNERS[properties["RoleName"]["Ref"]]
        else:
            continue
        for document in documents:
            for statement in document["Statement"]:
                yield owner, statement["If"][1] if "If" in statement else statement


@pytest.mark.parametrize("guide", GUIDES)
def test_every_aws_command_is_one_that_the_cli_has(guide: str) -> None:
    session = botocore.session.get_session()
    of_the_cli = {"query", "output", "cli-binary-format"}
    for service, operation, *arguments in _commands(_text(guide)):
        if service == "s3":
            assert operation in {"ls", "cp"}
            continue
        model = session.get_service_model({"s3api": "s3"}.get(service, service))
        operations = {xform_name(name, "-"): name for name in model.operation_names}
        assert operation in operations, f"aws {service} {operation}"
        shape = model.operation_model(operations[operation]).input_shape
        known = {xform_name(name, "-") for name in shape.members} if shape else set()
        options = {each.removeprefix("--") for each in arguments if each.startswith("--")}
        assert options <= known | of_the_cli, f"aws {service} {operation}"


def test_the_queries_look_for_messages_that_the_code_writes() -> None:
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    text = _text("operations.md")
    queried = re.findall(r"message (?:=|in) (\[.*?\]|\".*?\")", text)
    messages = {message for each in queried for message in re.findall(r'"(.*?)"', each)}
    assert messages >= {"recording finished", "recording rejected", "recording not announced"}
    for message in messages | {"stream cannot be read: GetMedia is tried again"}:
        assert f'"{message}"' in code, message
        assert message in text


def test_metrics_in_the_queries_exist() -> None:
    titles = {metric.title for metric in Metric}
    assert set(re.findall(r"\b([A-Z]\w+)\.0\b", _text("operations.md"))) <= titles


def test_lambdas_cost_by_memory_is_its_arithmetic() -> None:
    rows = _table(_text("cost.md"), "| memory (MB) |")
    assert [int(row[0]) for row in rows] == [128, 256, 512, 1024, 1769]
    for memory, gb_seconds, arm64, x86_64 in rows:
        used = int(memory) / 1024 * 3600
        assert gb_seconds == f"{used:.1f}"
        assert arm64 == f"{used * ARM64:.4f}"
        assert x86_64 == f"{used * X86_64:.4f}"


def test_the_cost_of_an_hour_is_the_sum_of_its_rows() -> None:
    rows = _table(_text("cost.md"), "| what | arithmetic |")
    exact = 0.0
    for what, arithmetic, shown in rows[:-1]:
        sum_ = arithmetic.rpartition(":")[2] if ":" in arithmetic else arithmetic
        numbers = re.sub(r"(?<=\d) (?=\d{3}\b)", "", sum_)
        value = 1.0
        for sign, number in re.findall(rf"([{TIMES}/]?)\s*([\d.]+)", re.sub(r"[A-Za-z]+", "", numbers)):
            value = value / float(number) if sign == "/" else value * float(number)
        assert shown == f"{value:.4f}", what
        exact += value
    assert rows[-1][2] == f"**{exact:.4f}**"


def test_the_cost_of_segments_is_their_number_of_writes() -> None:
    rows = _table(_text("cost.md"), "| segments | writes an hour |")
    assert len(rows) == 4
    for what, writes, dollars in rows:
        seconds, layout = what.split(" s, ")
        # Objects, and a page of the index each time.
        assert int(writes) == 3600 / int(seconds) * ({"stereo": 1, "tracks": 2}[layout] + 1)
        assert dollars == f"{int(writes) * 0.005 / 1000:.4f}"


def test_the_monthly_cost_counts_what_the_template_and_the_code_have() -> None:
    metrics = sum(len(metric.services) for metric in Metric)
    watched = sum(
        len([each for each in one["Properties"].get("Metrics", [1]) if _is_metric(each)]) for one in ALARMS.values()
    )
    text = " ".join(_text("cost.md").split())
    assert f"{metrics} custom metrics {metrics * 0.3:.2f}" in text
    plain = [name for name, one in ALARMS.items() if one["Condition"] == "HasAlarms"]
    assert f"{len(plain)} alarms over {watched} metrics {watched * 0.1:.2f}" in text


def _is_metric(entry: Any) -> bool:
    return entry == 1 or "MetricStat" in entry


def test_the_default_memory_is_the_one_whose_cost_is_told() -> None:
    assert f"\n{TEMPLATE['Parameters']['ConsumerMemory']['Default']} MB, arm64" in _text("cost.md")
    assert TEMPLATE["Parameters"]["Architecture"]["Default"] == "arm64"
