"""The AWS CLI on the simulator: what a person would type, in one process after the first call."""

import contextlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

SETTINGS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "loopback-only",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_DEFAULT_OUTPUT": "json",
    "AWS_MAX_ATTEMPTS": "1",
    "AWS_PAGER": "",
}


class CommandLine:
    """`aws`, pointed at one address."""

    def __init__(self, url):
        os.environ.update(SETTINGS, AWS_ENDPOINT_URL=url)

    def program(self, *words):
        """The installed program itself."""
        aws = pathlib.Path(sys.executable).with_name("aws")
        done = subprocess.run([sys.executable, aws, *words], capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, json.loads(done.stdout or "null"), done.stderr

    def __call__(self, *words):
        """The same without a new process: exit code, answer and what was said on standard error."""
        # It brings a botocore of its own, which must not take the place of boto3's before this.
        from awscli.clidriver import create_clidriver

        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = create_clidriver().main(list(words))
        return code, json.loads(output.getvalue() or "null"), errors.getvalue()


def check(account):
    aws = CommandLine(account.url)

    def answer(*words):
        code, found, errors = aws(*words)
        account.same(f"aws {' '.join(words[:2])} {errors}", code, 0)
        return found or {}

    code, caller, errors = aws.program("sts", "get-caller-identity")
    account.same(f"aws sts get-caller-identity {errors}", (code, (caller or {}).get("Account")), (0, "123456789012"))
    wine = ("--endpoint-name", "wine")
    found = answer("sagemaker", "describe-endpoint", *wine)
    account.same("aws describe-endpoint", found.get("EndpointStatus"), "InService")
    found = answer("sagemaker", "describe-endpoint-config", "--endpoint-config-name", "full")
    account.same("aws describe-endpoint-config", len(found.get("ProductionVariants", [])), 2)
    found = answer("sagemaker", "list-endpoints", "--name-contains", "wine")
    account.same("aws list-endpoints", [one["EndpointName"] for one in found.get("Endpoints", [])], ["wine"])
    weights = ("--desired-weights-and-capacities", "VariantName=production,DesiredWeight=0.5")
    answer("sagemaker", "update-endpoint-weights-and-capacities", *wine, *weights)
    # Its waiter asks every 30 seconds: it is only called once there is nothing left to wait for.
    deadline = time.monotonic() + 60
    while answer("sagemaker", "describe-endpoint", *wine).get("EndpointStatus") == "Updating":
        if time.monotonic() > deadline:
            raise TimeoutError("the update did not end")
        time.sleep(0.3)
    answer("sagemaker", "wait", "endpoint-in-service", *wine)
    found = answer("sagemaker", "describe-endpoint", *wine)
    account.same("aws: the weight", found["ProductionVariants"][0]["CurrentWeight"], 0.5)
    code, _, errors = aws("sagemaker", "describe-endpoint", "--endpoint-name", "missing")
    account.holds(f"aws says what is wrong: {errors}", code != 0 and "Could not find endpoint" in errors)
    invoke(account, answer)
    rest(account, answer)


def invoke(account, answer):
    with tempfile.TemporaryDirectory() as folder:
        body, prediction = pathlib.Path(folder, "body.json"), pathlib.Path(folder, "prediction.json")
        body.write_text('{"features": [1]}')
        found = answer(
            "sagemaker-runtime",
            "invoke-endpoint",
            *("--endpoint-name", "wine", "--content-type", "application/json"),
            *("--body", f"fileb://{body}", str(prediction)),
        )
        account.same("aws invoke-endpoint", found.get("InvokedProductionVariant"), "production")
        account.holds("its prediction", "predictions" in json.loads(prediction.read_text()))
        found = answer("lambda", "invoke", "--function-name", "work", "--invocation-type", "Event", str(prediction))
        account.same("aws lambda invoke", found.get("StatusCode"), 202)


def rest(account, answer):
    at = account.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    answer("cloudwatch", "put-metric-data", *("--namespace", "Shell", "--metric-name", "n", "--value", "7", "--timestamp", at))
    query = json.dumps(
        [{"Id": "a", "MetricStat": {"Metric": {"Namespace": "Shell", "MetricName": "n"}, "Period": 60, "Stat": "Sum"}}]
    )
    end = account.now.replace(hour=23, minute=59).strftime("%Y-%m-%dT%H:%M:%SZ")
    span = ("--start-time", at, "--end-time", end)
    found = answer("cloudwatch", "get-metric-data", "--metric-data-queries", query, *span)
    account.same("aws get-metric-data", found["MetricDataResults"][0]["Values"], [7.0])
    table = ("--table-name", "shell")
    answer(
        "dynamodb",
        "create-table",
        *table,
        *("--attribute-definitions", "AttributeName=pk,AttributeType=S"),
        *("--key-schema", "AttributeName=pk,KeyType=HASH", "--billing-mode", "PAY_PER_REQUEST"),
    )
    put = {"Put": {"TableName": "shell", "Item": {"pk": {"S": "a"}, "n": {"N": "1"}}}}
    answer("dynamodb", "transact-write-items", "--transact-items", json.dumps([put]))
    found = answer("dynamodb", "get-item", *table, "--key", '{"pk": {"S": "a"}}')
    account.same("aws get-item", found.get("Item", {}).get("n"), {"N": "1"})
    answer("dynamodb", "delete-table", *table)
    topic = answer("sns", "create-topic", "--name", "shell").get("TopicArn", "")
    found = answer("sns", "publish", "--topic-arn", topic, "--message", "hello")
    account.holds("aws sns publish", found.get("MessageId"))
    event = json.dumps([{"Source": "shell", "DetailType": "test", "Detail": "{}"}])
    found = answer("events", "put-events", "--entries", event)
    account.same("aws put-events", found.get("FailedEntryCount"), 0)
    found = answer("application-autoscaling", "describe-scalable-targets", "--service-namespace", "sagemaker")
    account.same("aws describe-scalable-targets", found.get("ScalableTargets"), [])
