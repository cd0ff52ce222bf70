"""Render the template as CloudFormation would, as far as its text alone decides the outcome."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tests.deploy import DEPLOY

REQUIRED = {
    "Subnets": ["subnet-1"],
    "SecurityGroups": ["sg-1"],
    "WarehouseSecretArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:redshift-AbCdEf",
    "AlarmEmail": "data@example.com",
}
PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Region": "eu-west-1",
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}
NOTHING = object()


class _Loader(yaml.SafeLoader):
    """Read the short forms (!Ref, !GetAtt …) as the long ones."""


def _intrinsic(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        scalar = loader.construct_scalar(node)
        return {name: scalar.split(".", 1) if suffix == "GetAtt" else scalar}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    raise TypeError(f"unexpected {node.tag}")


_Loader.add_multi_constructor("!", _intrinsic)


def read_template() -> dict[str, Any]:
    """Return the template with nothing resolved."""
    template: dict[str, Any] = yaml.load((DEPLOY / "template.yaml").read_text(), Loader=_Loader)
    return template


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Hold the template and the values of its parameters."""

    template: Mapping[str, Any]
    parameters: Mapping[str, Any]

    def resources(self) -> dict[str, dict[str, Any]]:
        """Return what would be created: properties by logical name."""
        return {
            name: self.resolve(resource["Properties"])
            for name, resource in self.template["Resources"].items()
            if "Condition" not in resource or self.condition(resource["Condition"])
        }

    def condition(self, name: str) -> bool:
        """Return what a named condition comes to."""
        return bool(self.resolve(self.template["Conditions"][name]))

    def accepted(self) -> bool:
        """Say whether every rule on the parameters holds."""
        return all(
            self.resolve(assertion["Assert"])
            for rule in self.template["Rules"].values()
            for assertion in rule["Assertions"]
        )

    def resolve(self, value: Any) -> Any:
        """Return the value with its functions evaluated; a resource's attribute is `<Name.Attribute>`."""
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref":
                return self._ref(argument)
            if name.startswith("Fn::"):
                return self._call(name.removeprefix("Fn::"), argument)
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not NOTHING}

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NOTHING
        return PSEUDO.get(name) or self.parameters.get(name, f"<{name}>")

    def _call(self, name: str, argument: Any) -> Any:
        if name == "If":
            condition, yes, no = argument
            return self.resolve(yes if self.condition(condition) else no)
        if name == "Sub":
            return re.sub(r"\$\{([^}]+)\}", lambda match: str(self._ref(match[1])), argument)
        given = self.resolve(argument)
        match name:
            case "GetAtt":
                return "<" + ".".join(given) + ">"
            case "Join":
                return given[0].join(given[1])
            case "Select":
                return given[1][int(given[0])]
            case "Split":
                return given[1].split(given[0])
            case "Equals":
                return given[0] == given[1]
            case "Not":
                return not given[0]
            case "And":
                return all(given)
        raise ValueError(f"the template uses Fn::{name}, which is not read here")


def stack(**parameters: Any) -> Stack:
    """Return the stack with its defaults, what has no default, and the given parameters."""
    template = read_template()
    defaults = {
        name: str(spec["Default"]).split(",") if spec["Type"] == "CommaDelimitedList" else spec["Default"]
        for name, spec in template["Parameters"].items()
        if "Default" in spec
    }
    return Stack(template=template, parameters={**defaults, **REQUIRED, **parameters})
