"""What CloudFormation makes of a template for given parameters: conditions decided, intrinsic functions resolved.

Used by the template's tests, so that each condition is tested both ways by what comes out of it. A reference to a
resource becomes `<Name>`, an attribute `<Name.Attribute>`; a reference to something that is not there is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

type Json = dict[str, Any]

PSEUDO_PARAMETERS = {
    "AWS::AccountId": "111122223333",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-2",
    "AWS::StackName": "calls",
    "AWS::URLSuffix": "amazonaws.com",
}
NO_VALUE = object()


def evaluated(template: Json, parameters: Mapping[str, object] | None = None) -> Json:
    """The template's resources and outputs as they would be deployed.

    Raises:
        AssertionError: a parameter breaks its bounds, a rule's assertion fails, or a name is not there.
    """
    return _Evaluation(template, parameters or {}).result()


def decided(template: Json, condition: str, parameters: Mapping[str, object]) -> bool:
    """Whether a condition is true for these parameters."""
    return _Evaluation(template, parameters).decide(template["Conditions"][condition])


class _Evaluation:
    def __init__(self, template: Json, parameters: Mapping[str, object]) -> None:
        self._template = template
        unknown = set(parameters) - set(template["Parameters"])
        assert not unknown, f"no such parameters: {unknown}"
        self._values = {name: _value(name, one, parameters) for name, one in template["Parameters"].items()}
        conditions = template.get("Conditions", {})
        self._there = {
            name
            for name, one in template["Resources"].items()
            if "Condition" not in one or self.decide(conditions[one["Condition"]])
        }

    def result(self) -> Json:
        for name, rule in self._template.get("Rules", {}).items():
            if self.decide(rule.get("RuleCondition", True)):
                for each in rule["Assertions"]:
                    assert self.decide(each["Assert"]), f"{name}: {each['AssertDescription']}"
        conditions = self._template.get("Conditions", {})
        outputs = {
            name: self._resolve(one)
            for name, one in self._template.get("Outputs", {}).items()
            if "Condition" not in one or self.decide(conditions[one["Condition"]])
        }
        resources = {name: self._resolve(self._with_globals(name)) for name in sorted(self._there)}
        for one in (*outputs.values(), *resources.values()):
            one.pop("Condition", None)
        return {"Resources": resources, "Outputs": outputs}

    def _with_globals(self, name: str) -> Json:
        """A resource with what SAM fills in of the globals, if it is a function."""
        resource: Json = self._template["Resources"][name]
        globally: Json = self._template.get("Globals", {}).get("Function", {})
        if resource.get("Type") != "AWS::Serverless::Function" or not globally:
            return resource
        own = resource["Properties"]
        variables = {
            **globally["Environment"]["Variables"],
            **own.get("Environment", {}).get("Variables", {}),
        }
        return {**resource, "Properties": {**globally, **own, "Environment": {"Variables": variables}}}

    def decide(self, condition: Any) -> bool:
        if isinstance(condition, bool):
            return condition
        ((function, argument),) = condition.items()
        if function == "Condition":
            return self.decide(self._template["Conditions"][argument])
        if function == "Fn::Equals":
            # Parameters of type Number are text to CloudFormation.
            left, right = (str(self._resolve(one)) for one in argument)
            return left == right
        if function == "Fn::Contains":
            among, wanted = (self._resolve(one) for one in argument)
            assert isinstance(among, list)
            return wanted in among
        if function == "Fn::EachMemberEquals":
            among, wanted = (self._resolve(one) for one in argument)
            assert isinstance(among, list)
            return all(one == wanted for one in among)
        if function == "Fn::Not":
            return not self.decide(argument[0])
        assert function in {"Fn::And", "Fn::Or"}, f"unknown condition function {function}"
        decided = [self.decide(one) for one in argument]
        return all(decided) if function == "Fn::And" else any(decided)

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [one for one in map(self._resolve, value) if one is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((function, argument),) = value.items()
            if function == "Ref":
                return self._ref(argument)
            if function.startswith("Fn::"):
                return self._call(function, argument)
        resolved = {key: self._resolve(one) for key, one in value.items()}
        return {key: one for key, one in resolved.items() if one is not NO_VALUE}

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in PSEUDO_PARAMETERS:
            return PSEUDO_PARAMETERS[name]
        if name in self._values:
            return self._values[name]
        # SAM's own references, such as `ConsumerFunction.Alias`.
        assert name.partition(".")[0] in self._there, f"{name} is not there"
        return f"<{name}>"

    def _call(self, function: str, argument: Any) -> Any:
        if function == "Fn::If":
            condition, then, otherwise = argument
            decided = self.decide(self._template["Conditions"][condition])
            return self._resolve(then if decided else otherwise)
        if function == "Fn::GetAtt":
            name, attribute = argument
            assert name in self._there, f"{name} is not there"
            return f"<{name}.{attribute}>"
        if function == "Fn::Select":
            index, among = argument
            return self._resolve(among)[int(index)]
        if function == "Fn::Split":
            separator, text = argument
            return self._resolve(text).split(separator)
        if function == "Fn::Join":
            delimiter, parts = argument
            return delimiter.join(self._resolve(parts))
        assert function == "Fn::Sub", f"unknown function {function}"
        text, names = (argument, {}) if isinstance(argument, str) else argument
        known = {name: self._resolve(one) for name, one in names.items()}

        def replace(match: re.Match[str]) -> str:
            name = match[1]
            if name in known:
                return str(known[name])
            if "." in name:
                return str(self._call("Fn::GetAtt", name.split(".", 1)))
            return str(self._ref(name))

        return re.sub(r"\$\{([A-Za-z0-9:.]+)\}", replace, text)


def _value(name: str, parameter: Json, given: Mapping[str, object]) -> object:
    assert name in given or "Default" in parameter, f"{name} has no default and none is given"
    value = given.get(name, parameter.get("Default"))
    allowed = parameter.get("AllowedValues")
    assert allowed is None or value in allowed, f"{name} may not be {value}"
    if parameter["Type"] == "CommaDelimitedList":
        value = [one.strip() for one in str(value).split(",")]
    if "AllowedPattern" in parameter:
        for one in value if isinstance(value, list) else [value]:
            assert re.fullmatch(parameter["AllowedPattern"], str(one)), f"{name} {parameter['ConstraintDescription']}"
    if parameter["Type"] == "Number":
        low, high = parameter.get("MinValue"), parameter.get("MaxValue")
        assert low is None or low <= float(str(value)), f"{name} is below {low}"
        assert high is None or float(str(value)) <= high, f"{name} is above {high}"
    return value
