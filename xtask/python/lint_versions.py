"""Whether a parameter that is changed reaches the functions that run: the template is transformed as SAM does it,
once as it stands and once with another value for each parameter, and the ids of the versions are compared.

Functions are invoked through an alias that points to a published version, whose settings never change. SAM
publishes the next one when the logical id of AWS::Lambda::Version changes; Lambda refuses to publish a function that
is as it was. So another id is wanted for just those functions that a parameter changes.

Usage: lint_versions.py TEMPLATE. Prints one line a finding; exits 1 if there is any.
"""

import copy
import logging
import re
import sys

import boto3
from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

# What is known of every function when it is hashed, and what `sam deploy` puts there.
CODE = "s3://bucket/code"
OTHER_CODE = "s3://bucket/other-code"


def transformed(template, values, code=CODE):
    """The resources that CloudFormation would get."""
    template = copy.deepcopy(template)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = code
    session = boto3.Session(region_name="eu-central-1")
    values = {name: str(value) for name, value in values.items()}
    return Translator({}, Parser(), boto_session=session).translate(template, values)["Resources"]


def functions(resources):
    """Each function's properties beside its code, which are what Lambda compares."""
    for name, resource in resources.items():
        if resource["Type"] == "AWS::Lambda::Function":
            properties = dict(resource["Properties"])
            del properties["Code"]
            yield name, properties


def versions(resources):
    """The logical id of each function's version."""
    ids = {}
    for name, resource in resources.items():
        if resource["Type"] == "AWS::Lambda::Version":
            ids[resource["Properties"]["FunctionName"]["Ref"]] = name
    return ids


def named(value, conditions):
    """What a value refers to, directly and by way of conditions."""
    if isinstance(value, list):
        return set().union(*(named(item, conditions) for item in value))
    if not isinstance(value, dict):
        return set()
    found = set()
    for key, item in value.items():
        if key == "Ref":
            found.add(item)
        elif key == "Fn::Sub":
            text = item if isinstance(item, str) else item[0]
            found |= set(re.findall(r"\$\{([^}!]+)\}", text))
        elif key == "Fn::If":
            found |= named(conditions[item[0]], conditions)
        elif key == "Condition":
            found |= named(conditions[item], conditions)
        found |= named(item, conditions)
    return found


def other(parameter):
    """Another value than the default."""
    default = parameter.get("Default")
    for allowed in parameter.get("AllowedValues", []):
        if allowed != default:
            return allowed
    return default + 1 if parameter["Type"] == "Number" else f"{default}other"


def findings(template):
    conditions = template["Conditions"]
    values = {name: parameter["Default"] for name, parameter in template["Parameters"].items()}
    now = transformed(template, values)
    before = versions(now)
    changed_by = {name: named(properties, conditions) for name, properties in functions(now)}
    environment = {name: named(properties["Environment"], conditions) for name, properties in functions(now)}
    if set(before) != set(changed_by) or len(before) < 6:
        yield f"versions of {sorted(before)}, functions {sorted(changed_by)}"
    reached = 0
    for name, parameter in template["Parameters"].items():
        after = versions(transformed(template, {**values, name: other(parameter)}))
        for function, version in before.items():
            publishes = after[function] != version
            reached += publishes
            if publishes != (name in changed_by[function]):
                is_published = "a version is published" if publishes else "no version is published"
                yield f"{function}: {is_published} when {name} changes"
            if publishes and name not in environment[function]:
                yield f"{function}: {name} may change nothing, and Lambda would refuse to publish: not in its environment"
    if reached < 20:
        yield f"only {reached} changes of a parameter publish a version"
    with_other_code = versions(transformed(template, values, OTHER_CODE))
    for function, version in before.items():
        if with_other_code[function] == version:
            yield f"{function}: no version is published when the code changes"


def main(path):
    # SAM logs what it counts for itself.
    logging.disable(logging.CRITICAL)
    with open(path) as file:
        template = yaml_parse(file.read())
    found = list(findings(template))
    for finding in found:
        print(f"{path}: {finding}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
