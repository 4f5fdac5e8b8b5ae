"""Every policy document of the template, linted by parliament: actions, resources, conditions and their types
against AWS's own service authorization reference, and known ways to more rights than were meant.

Usage: lint_iam.py TEMPLATE. Prints one line a finding; exits 1 if there is any.
"""

import json
import pathlib
import re
import sys
import warnings

# It asks setuptools for the place of its own data, which setuptools no longer likes.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated")

import parliament
import yaml

# A finding is left out only with a reason: (policy, issue, what the detail contains).
EXCEPTIONS = {
    # Narrower than all alarms, DescribeAlarms says nothing about composite ones.
    ("DeployApiRole", "RESOURCE_STAR", "cloudwatch:DescribeAlarms"),
    ("MonitorRole", "RESOURCE_STAR", "cloudwatch:DescribeAlarms"),
    # Checked once for each kind of resource, and the two are granted under different conditions.
    ("DeployProvisionRole", "RESOURCE_MISMATCH", "sagemaker:UpdateEndpoint"),
    # One role of one service; a grant only where SageMaker takes it for a config's key; roles that the stack names,
    # passed to SageMaker alone.
    ("DeployProvisionRole", "PERMISSIONS_MANAGEMENT_ACTIONS", "iam:createservicelinkedrole"),
    ("TrafficShiftRole", "PERMISSIONS_MANAGEMENT_ACTIONS", "iam:createservicelinkedrole"),
    # In a key's own policy `*` is that key, and whoever may not manage it by IAM loses it.
    ("TopicKey", "RESOURCE_STAR", "kms:"),
    ("TopicKey", "PERMISSIONS_MANAGEMENT_ACTIONS", "kms:"),
}

# What stands for a parameter whose default is nothing, where a statement needs a value.
EXAMPLES = {
    "ExecutionRoleArns": "arn:aws:iam::123456789012:role/serving",
    "FinOpsTopicArn": "arn:aws:sns:eu-central-1:123456789012:finops",
    "OnCallTopicArn": "arn:aws:sns:eu-central-1:123456789012:on-call",
    "TeamTopicArn": "arn:aws:sns:eu-central-1:123456789012:ml-team",
}
PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::StackName": "canary-dev",
    "AWS::URLSuffix": "amazonaws.com",
}
HERE = "eu-central-1:123456789012"
ARNS = {
    "AWS::DynamoDB::Table": f"arn:aws:dynamodb:{HERE}:table/{{}}",
    "AWS::Events::ApiDestination": f"arn:aws:events:{HERE}:api-destination/{{}}/0123abcd",
    "AWS::Events::Rule": f"arn:aws:events:{HERE}:rule/{{}}",
    "AWS::IAM::Role": "arn:aws:iam::123456789012:role/{}",
    "AWS::KMS::Key": f"arn:aws:kms:{HERE}:key/{{}}",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{HERE}:log-group:{{}}:*",
    "AWS::SNS::Topic": f"arn:aws:sns:{HERE}:{{}}",
    "AWS::SQS::Queue": f"arn:aws:sqs:{HERE}:{{}}",
}


def load(path):
    """The template with short forms written out: `!Ref X` as {"Ref": "X"}."""

    class Loader(yaml.SafeLoader):
        pass

    def long_form(loader, suffix, node):
        if isinstance(node, yaml.ScalarNode):
            value = loader.construct_scalar(node)
        elif isinstance(node, yaml.SequenceNode):
            value = loader.construct_sequence(node, deep=True)
        else:
            value = loader.construct_mapping(node, deep=True)
        return {suffix if suffix == "Ref" else f"Fn::{suffix}": value}

    Loader.add_multi_constructor("!", long_form)
    with open(path) as file:
        return yaml.load(file, Loader)


class Substitution:
    """Values in the place of intrinsic functions, of the kind that CloudFormation would put there."""

    def __init__(self, template):
        self.resources = template["Resources"]
        self.parameters = template["Parameters"]

    def name(self, name):
        if name in PSEUDO:
            return PSEUDO[name]
        if name in EXAMPLES:
            return EXAMPLES[name]
        if name in self.parameters:
            return str(self.parameters[name]["Default"])
        logical, _, attribute = name.partition(".")
        kind = self.resources[logical]["Type"]
        if attribute == "Arn" or kind == "AWS::SNS::Topic":
            return ARNS[kind].format(logical)
        return logical

    def of(self, value):
        if isinstance(value, list):
            return [self.of(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "Ref" in value:
            return self.name(value["Ref"])
        if "Fn::GetAtt" in value:
            return self.name(value["Fn::GetAtt"])
        if "Fn::Sub" in value:
            return re.sub(r"\$\{([^}]+)\}", lambda it: self.name(it[1]), value["Fn::Sub"])
        if "Fn::Split" in value:
            separator, text = value["Fn::Split"]
            return self.of(text).split(separator)
        if "Fn::If" in value:
            # As if the parameter were given: the statement that it adds is linted too.
            return self.of(value["Fn::If"][1])
        return {key: self.of(item) for key, item in value.items()}


def documents(resources):
    """Each policy document with the resource it belongs to."""
    for name, resource in resources.items():
        properties = resource.get("Properties", {})
        for policy in properties.get("Policies", []):
            if isinstance(policy, dict) and "PolicyDocument" in policy:
                yield name, policy["PolicyDocument"]
        # Trust policies have no resource, which parliament knows no way to read; checkov looks at them.
        for key in ("PolicyDocument", "KeyPolicy"):
            if key in properties:
                yield name, properties[key]


def main(path):
    auditors = pathlib.Path(parliament.__file__).parent / "community_auditors"
    parliament.override_config(str(auditors / "config_override.yaml"))
    template = load(path)
    substitution = Substitution(template)
    found = seen = 0
    used = set()
    for name, document in documents(template["Resources"]):
        seen += 1
        policy = parliament.analyze_policy_string(
            json.dumps(substitution.of(document)), include_community_auditors=True
        )
        for finding in policy.findings:
            finding = parliament.enhance_finding(finding)
            excepted = {
                entry
                for entry in EXCEPTIONS
                if entry[:2] == (name, finding.issue) and entry[2] in f"{finding.detail} {finding.location}"
            }
            used |= excepted
            if not excepted:
                found += 1
                print(f"{path}: {name}: {finding.issue}: {finding.title}: {finding.detail} {finding.location}")
    for name, issue, detail in sorted(EXCEPTIONS - used):
        found += 1
        print(f"lint_iam.py: the exception for {name}, {issue}, {detail} is of no use any more")
    if seen < 9:
        found += 1
        print(f"{path}: {seen} policy documents are too few to be all")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
