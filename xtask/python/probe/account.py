"""The one way to AWS: every call passes `Account.call`.

Three promises are kept here and nowhere else. A call that changes something names a thing that begins with this
run's prefix, or it is not made. What a call makes is noted before it is made, so that it is deleted even when the
answer is lost. And in a dry run nothing is sent: the parameters are checked against the service's own model, the
call is printed, and an answer of the right shape is made up.
"""

from __future__ import annotations

import io
import json
import os
import re
import time
from collections import Counter
from datetime import datetime, timezone

import boto3
import botocore.exceptions
import botocore.validate
from botocore.config import Config

PREFIX = re.compile(r"canary-probe-[0-9a-f]{8}")
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
SCALABLE = {"ServiceNamespace": "sagemaker", "ScalableDimension": DIMENSION}

# What a changing call names, by which it is held to be this run's own.
NAMED_BY = {
    "CreateModel": "ModelName",
    "DeleteModel": "ModelName",
    "CreateEndpointConfig": "EndpointConfigName",
    "DeleteEndpointConfig": "EndpointConfigName",
    "CreateEndpoint": "EndpointName",
    "DeleteEndpoint": "EndpointName",
    "UpdateEndpoint": "EndpointName",
    "UpdateEndpointWeightsAndCapacities": "EndpointName",
    "InvokeEndpoint": "EndpointName",
    "RegisterScalableTarget": "ResourceId",
    "DeregisterScalableTarget": "ResourceId",
    "PutScalingPolicy": "ResourceId",
    "CreateEventBus": "Name",
    "DeleteEventBus": "Name",
    "PutEvents": "Entries",
    "PutRule": "Name",
    "DeleteRule": "Name",
    "PutTargets": "Rule",
    "RemoveTargets": "Rule",
    "CreateQueue": "QueueName",
    "DeleteQueue": "QueueUrl",
    "CreateTopic": "Name",
    "Publish": "TopicArn",
    "DeleteTopic": "TopicArn",
    "CreateLogGroup": "logGroupName",
    "CreateLogStream": "logGroupName",
    "PutLogEvents": "logGroupName",
    "DeleteLogGroup": "logGroupName",
    "PutObject": "Key",
    "DeleteObject": "Key",
}
READS = ("Describe", "List", "Get", "Receive")

# Whatever is made, and the call that removes it with the parameters it takes over.
UNDONE_BY = {
    "CreateModel": ("DeleteModel", ["ModelName"]),
    "CreateEndpointConfig": ("DeleteEndpointConfig", ["EndpointConfigName"]),
    "CreateEndpoint": ("DeleteEndpoint", ["EndpointName"]),
    "RegisterScalableTarget": (
        "DeregisterScalableTarget",
        ["ServiceNamespace", "ResourceId", "ScalableDimension"],
    ),
    "CreateEventBus": ("DeleteEventBus", ["Name"]),
    "PutRule": ("DeleteRule", ["Name"]),
    "CreateLogGroup": ("DeleteLogGroup", ["logGroupName"]),
    "PutObject": ("DeleteObject", ["Bucket", "Key"]),
}

# How the simulator says that it does not play a service or an operation.
UNPLAYED = {"UnknownOperationException", "InvalidAction"}


class Refused(Exception):
    """AWS answered with an error."""

    def __init__(self, operation: str, code: str, status: int, message: str):
        message = " ".join(message.split())[:300]
        super().__init__(f"{operation}: {code} (HTTP {status}): {message}")
        self.operation, self.code, self.status, self.message = operation, code, status, message

    def facts(self) -> dict:
        return {"call": self.operation, "code": self.code, "status": self.status, "message": self.message}

    @property
    def is_invalid(self) -> bool:
        """Whether the control plane sorts it as wrong for good: neither denied, nor throttled, nor a fault."""
        passing = "Throttl" in self.code or "LimitExceeded" in self.code
        return 400 <= self.status < 500 and self.status not in (403, 429) and not passing


class NotServed(Exception):
    """The simulator does not play this."""


class OutOfTime(Exception):
    """The run has lasted as long as it may."""


class NotOwn(Exception):
    """A call would have changed what this run has not made: a bug in this program."""


class Clock:
    """The account's time: the wall clock, or the simulator's virtual one, which runs faster."""

    def __init__(self, speed: float = 1.0, is_dry: bool = False):
        self.speed, self.is_dry, self.skipped = speed, is_dry, 0.0
        self.base, self.origin = time.time(), time.monotonic()
        self.deadline = float("inf")

    def now(self) -> float:
        return self.base + (time.monotonic() - self.origin) * self.speed + self.skipped

    def is_now(self, moment: datetime) -> None:
        """Sets the clock by a time that the account has just told."""
        if self.speed != 1.0:
            late = self.now() - moment.timestamp()
            self.base -= late
            self.deadline -= late

    def sleep(self, seconds: float) -> None:
        if self.now() + seconds > self.deadline:
            raise OutOfTime("the time this run may take is used up")
        if self.is_dry:
            self.skipped += seconds
        else:
            time.sleep(seconds / self.speed)

    def at(self, seconds: float | None = None) -> datetime:
        return datetime.fromtimestamp(self.now() if seconds is None else seconds, timezone.utc)


class Account:
    """An account in one region, and what this run has made in it."""

    def __init__(self, prefix: str, clock: Clock, is_dry: bool = False):
        if not PREFIX.fullmatch(prefix):
            raise NotOwn(f"{prefix!r} is no prefix of this program: it makes and deletes canary-probe-XXXXXXXX only")
        self.prefix, self.clock, self.is_dry = prefix, clock, is_dry
        # As the other SDKs read it; boto3 knows AWS_DEFAULT_REGION alone.
        self.session = boto3.session.Session(region_name=os.environ.get("AWS_REGION") or None)
        self.clients: dict = {}
        self.made: list[tuple[str, str, dict]] = []
        self.calls: Counter = Counter()

    def client(self, service: str, attempts: int = 1):
        if (service, attempts) not in self.clients:
            config = Config(
                retries={"mode": "standard", "total_max_attempts": attempts}, connect_timeout=10, read_timeout=70
            )
            self.clients[(service, attempts)] = self.session.client(service, config=config)
        return self.clients[(service, attempts)]

    @property
    def is_loopback(self) -> bool:
        address = self.client("sagemaker").meta.endpoint_url
        return re.match(r"https?://(127\.0\.0\.1|localhost)(:|/|$)", address) is not None

    def call(self, service: str, operation: str, **parameters) -> dict:
        """Makes a call. Raises `Refused` for an error of AWS, `NotServed` where nobody plays it."""
        self._hold(operation, parameters)
        self.calls[(service, operation)] += 1
        if operation in UNDONE_BY:
            undo, names = UNDONE_BY[operation]
            step = (service, undo, {name: parameters[name] for name in names})
            if step not in self.made:
                self.made.append(step)
        if self.is_dry:
            answer = self._pretend(service, operation, parameters)
            self._note_what_was_named_in(service, operation, answer)
            return answer
        # What changes something is called once: no repetition hides an answer that a probe is here to see.
        client = self.client(service, 5 if operation.startswith(READS) else 1)
        try:
            answer = getattr(client, botocore.xform_name(operation))(**parameters)
        except botocore.exceptions.ClientError as error:
            told = error.response.get("Error", {})
            code, status = told.get("Code", "?"), error.response["ResponseMetadata"]["HTTPStatusCode"]
            if self.is_loopback and code in UNPLAYED:
                raise NotServed(f"{service} {operation}") from None
            refused = Refused(operation, code, status, told.get("Message", ""))
            refused.answer = error.response
            raise refused from None
        except botocore.parsers.ResponseParserError:
            if self.is_loopback:
                raise NotServed(f"{service} {operation}") from None
            raise
        self._note_what_was_named_in(service, operation, answer)
        return answer

    def everything(self, service: str, operation: str, member: str, **parameters) -> list:
        """All pages of a list."""
        found: list = []
        while True:
            page = self.call(service, operation, **parameters)
            found += page.get(member, [])
            token = page.get("NextToken") or page.get("nextToken")
            if not token:
                return found
            parameters["NextToken" if "NextToken" in page else "nextToken"] = token

    def _hold(self, operation: str, parameters: dict) -> None:
        if operation.startswith(READS):
            return
        if operation not in NAMED_BY:
            raise NotOwn(f"{operation} is not on the list of calls that this program may make")
        value = parameters[NAMED_BY[operation]]
        names = [entry["EventBusName"] for entry in value] if operation == "PutEvents" else [value]
        for name in names:
            if not self.is_own(name):
                raise NotOwn(f"{operation} names {name}, which does not begin with {self.prefix}")

    def is_own(self, name: str) -> bool:
        # endpoint/NAME/variant/V, arn:…:NAME, https://…/NAME, PREFIX/key, or the name itself.
        first = re.sub(r"^(endpoint/|arn:.*:|https?://.*/)", "", name)
        return re.match(re.escape(self.prefix) + r"($|[-/])", first) is not None

    def _note_what_was_named_in(self, service: str, operation: str, answer: dict) -> None:
        # Only the answer tells by what name these can be removed; the list at the end finds lost ones.
        for maker, undo, name in (
            ("CreateQueue", "DeleteQueue", "QueueUrl"),
            ("CreateTopic", "DeleteTopic", "TopicArn"),
        ):
            step = (service, undo, {name: answer.get(name)})
            if operation == maker and step not in self.made:
                self.made.append(step)

    def _pretend(self, service: str, operation: str, parameters: dict) -> dict:
        model = self.client(service).meta.service_model.operation_model(operation)
        if model.input_shape is not None:
            report = botocore.validate.ParamValidator().validate(parameters, model.input_shape)
            if report.has_errors():
                raise botocore.exceptions.ParamValidationError(report=report.generate_report())
        if self.calls[(service, operation)] == 1 or operation not in (
            "InvokeEndpoint",
            "DescribeEndpoint",
            "GetMetricData",
        ):
            print(f"  {service} {operation} {json.dumps(parameters, default=str)}")
        return example(model.output_shape, self) if model.output_shape is not None else {}


def example(shape, account: Account, name: str = "", depth: int = 0):
    """An answer of this shape, with values that are made up."""
    if shape.type_name == "structure":
        if depth > 5:
            return {}
        left_out = ("NextToken", "nextToken", "FailureReason")
        return {
            member: example(inner, account, member, depth + 1)
            for member, inner in shape.members.items()
            if member not in left_out
        }
    if shape.type_name == "list":
        return [] if depth > 5 else [example(shape.member, account, name, depth + 1)]
    if shape.type_name == "string":
        if name == "EndpointStatus":
            return "InService"
        return shape.enum[0] if getattr(shape, "enum", None) else f"{account.prefix}-made-up"
    made_up = {
        "timestamp": account.clock.at(),
        "integer": 1,
        "long": 1,
        "float": 1.0,
        "double": 1.0,
        "boolean": False,
        "map": {},
    }
    return made_up.get(shape.type_name, io.BytesIO(b"[]"))
