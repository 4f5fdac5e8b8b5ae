"""boto3 and the AWS CLI take the simulator at this address for AWS: `python xtask/python/conformance URL`.

Calls every operation that the simulator serves, and says what is wrong: an answer that AWS's service
model does not allow, a value that is not the expected one, an operation that is served and was not
called. It wants an empty account with the functions `work` and `fails`, a backend that always fails
for `broken-model`, and traffic on the endpoint `wine`.
"""

import json
import sys
import traceback

import command_line
import sagemaker
import services
from account import Account

# Autoscaling looks at these before it looks at the operation; nobody else minds them.
SCALABLE = json.dumps(
    {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/a/variant/b",
        "ScalableDimension": sagemaker.DIMENSION,
    }
)


def uncalled(account):
    """Operations that the simulator serves and that were not called above, by asking for each there is."""
    targets = {
        "sagemaker": "SageMaker",
        "application-autoscaling": "AnyScaleFrontendService",
        "events": "AWSEvents",
        "dynamodb": "DynamoDB_20120810",
        "cloudwatch": "GraniteServiceVersion20100801",
        "resourcegroupstaggingapi": "ResourceGroupsTaggingAPI_20170126",
    }
    for service, target in targets.items():
        model = account.client(service).meta.service_model
        for operation in set(model.operation_names) - account.called[service]:
            headers = {"x-amz-target": f"{target}.{operation}", "content-type": "application/x-amz-json-1.1"}
            if account.serves(headers, "/", SCALABLE):
                account.complain(f"{service} {operation} is served and was not called")
    for service, version in {"sns": "2010-03-31", "sts": "2011-06-15"}.items():
        model = account.client(service).meta.service_model
        for operation in set(model.operation_names) - account.called[service]:
            headers = {"content-type": "application/x-www-form-urlencoded"}
            if account.serves(headers, "/", f"Action={operation}&Version={version}".encode()):
                account.complain(f"{service} {operation} is served and was not called")


def main():
    account = Account(sys.argv[1])
    account.now = services.virtual_now(account)
    parts = [
        ("SageMaker", sagemaker.check),
        *services.parts(),
        ("operations that were not called", uncalled),
        ("the AWS CLI", command_line.check),
    ]
    for name, part in parts:
        try:
            part(account)
        except Exception:
            account.complain(f"{name} broke off: {traceback.format_exc(limit=-4)}")
    account.close()
    for complaint in account.complaints:
        print(complaint)
    operations = sum(len(names) for names in account.called.values())
    print(
        f"{account.answers} answers to {operations} operations held against the service models, "
        f"{account.checks} values against what is expected: {len(account.complaints)} complaints"
    )
    return 1 if account.complaints else 0


sys.exit(main())
