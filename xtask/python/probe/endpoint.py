"""The endpoint that is probed, brought into the state a probe needs, and what was seen on the way.

Every change of it is watched from the call to the rest: when the endpoint is first seen to be changing, what it
shows meanwhile, what it says to a second change, whether it goes on serving. Several probes read the same change,
because each costs minutes of two fleets.
"""

from __future__ import annotations

import io
import random
import tarfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from account import SCALABLE, Account, Refused

ONE, CANARY = "production", "canary"
TO_TWO, TO_ONE = "UpdateEndpoint to two variants", "UpdateEndpoint that removes a variant"
# Seconds between two looks at an endpoint: close together until the change shows.
SOON, LATER, SHOWS_WITHIN = 1.0, 10.0, 90.0
BUSY = ("Updating", "SystemUpdating", "RollingBack", "Creating")

# Where AWS keeps its scikit-learn image, by region: the accounts that its own Python SDK names
# (sagemaker-python-sdk, image_uri_config/sklearn.json, version 1.2-1; read 2026-11).
REGISTRIES = {
    "us-east-1": "683313688378",
    "us-east-2": "257758044811",
    "us-west-1": "746614075791",
    "us-west-2": "246618743249",
    "eu-central-1": "492215442770",
    "eu-north-1": "662702820516",
    "eu-west-1": "141502667606",
    "eu-west-2": "764974769150",
    "eu-west-3": "659782779980",
    "eu-south-1": "978288397137",
    "ap-northeast-1": "354813040037",
    "ap-northeast-2": "366743142698",
    "ap-south-1": "720646828776",
    "ap-southeast-1": "121021644041",
    "ap-southeast-2": "783357654285",
    "ca-central-1": "341280168497",
    "sa-east-1": "737474898029",
}
IMAGE = "{account}.dkr.ecr.{region}.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
# The model: takes as long as it is told, in milliseconds, and fails on a number below zero.
PROGRAM = """\
import time


def model_fn(folder):
    return None


def predict_fn(data, model):
    milliseconds = float(data[0])
    if milliseconds < 0:
        raise ValueError("asked to fail")
    time.sleep(milliseconds / 1000)
    return data
"""
FAST, SLOW, FAILING = b"[0]", b"[300]", b"[-1]"


@dataclass
class Change:
    """One change of the endpoint, from the call that asked for it to the rest after it. Times in seconds."""

    kind: str
    before: dict
    after: dict = field(default_factory=dict)
    during: dict | None = None
    shown_after: float | None = None
    seconds: float = 0.0
    busy_answers: list[dict] = field(default_factory=list)
    served: Counter = field(default_factory=Counter)

    def facts(self) -> dict:
        return {
            "change": self.kind,
            "shown_after_seconds": rounded(self.shown_after),
            "seconds": rounded(self.seconds),
            "status": [view and view["EndpointStatus"] for view in (self.before, self.during, self.after)],
            "config": [view and view["EndpointConfigName"] for view in (self.before, self.during, self.after)],
            "variants": [view and weights_of(view) for view in (self.before, self.during, self.after)],
            "failure_reason": self.after.get("FailureReason"),
            "second_change": self.busy_answers,
            "requests_meanwhile": dict(self.served),
        }


@dataclass
class Answer:
    """One request's answer: the variant that gave it, or the error."""

    status: int
    variant: str | None = None
    code: str | None = None
    original_status: int | None = None


@dataclass
class Burst:
    """Requests one after another, and the times between which they were made."""

    answers: list[Answer]
    begun: float
    ended: float

    def of(self, variant: str) -> int:
        return sum(answer.variant == variant for answer in self.answers)

    def tally(self) -> dict:
        """What CloudWatch is to count: requests, and those that the model answered 4XX and 5XX."""
        original = [answer.original_status or answer.status for answer in self.answers]
        return {
            "Invocations": len(original),
            "Invocation4XXErrors": sum(400 <= status < 500 for status in original),
            "Invocation5XXErrors": sum(status >= 500 for status in original),
        }


def rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 1)


def weights_of(view: dict) -> dict:
    """Weights and instances by variant: in force, then asked for."""
    return {
        one["VariantName"]: [
            one.get(name) for name in ("CurrentWeight", "DesiredWeight", "CurrentInstanceCount", "DesiredInstanceCount")
        ]
        for one in view.get("ProductionVariants", [])
    }


class Session:
    """One run's endpoint, models and configs."""

    def __init__(self, account: Account, options):
        self.account, self.clock, self.options = account, account.clock, options
        self.prefix = account.prefix
        self.tags = [{"Key": "canary:probe", "Value": self.prefix}]
        self.changes: list[Change] = []
        self.creation_times: set = set()
        self.bursts: list[Burst] = []
        self._models: dict[str, str] = {}
        self._configs: set[str] = set()
        self._exists = False

    # ------------------------------------------------------------ models and configs

    def model(self) -> str:
        """The model that serves."""
        return self._model("model", self.options.model_name, archive(PROGRAM))

    def broken_model(self) -> str | None:
        """A model that can't start: its artifact is no archive. None where the person gave a model, and no broken one."""
        if self.options.broken_model_name:
            return self.options.broken_model_name
        if self.options.model_name or not (self.options.bucket or self.account.is_loopback):
            return None
        return self._model("broken", None, b"this is no archive")

    def _model(self, name: str, given: str | None, artifact: bytes) -> str:
        if given:
            return given
        if name not in self._models:
            self._models[name] = self._create_model(f"{self.prefix}-{name}", artifact)
        return self._models[name]

    def _create_model(self, name: str, artifact: bytes) -> str:
        options, region = self.options, self.account.session.region_name
        container: dict = {"Image": options.image or IMAGE.format(account=REGISTRIES.get(region, "?"), region=region)}
        if options.bucket:
            key = f"{self.prefix}/{name}.tar.gz"
            self.account.call("s3", "PutObject", Bucket=options.bucket, Key=key, Body=artifact)
            container["ModelDataUrl"] = f"s3://{options.bucket}/{key}"
            container["Environment"] = {
                "SAGEMAKER_PROGRAM": "inference.py",
                "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
                "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
                "SAGEMAKER_REGION": region,
            }
        self.account.call(
            "sagemaker",
            "CreateModel",
            ModelName=name,
            PrimaryContainer=container,
            ExecutionRoleArn=options.role,
            Tags=self.tags,
        )
        told = self.account.call("sagemaker", "DescribeModel", ModelName=name)
        self.clock.is_now(told["CreationTime"])
        return name

    def config(self, name: str, *variants: dict, **parts: dict) -> str:
        """A config of this name, made once."""
        full = f"{self.prefix}-{name}"
        if full not in self._configs:
            self.account.call(
                "sagemaker",
                "CreateEndpointConfig",
                EndpointConfigName=full,
                ProductionVariants=list(variants),
                Tags=self.tags,
                **parts,
            )
            self._configs.add(full)
        return full

    def variant(self, name: str, weight: float, instances: int = 1, model: str | None = None) -> dict:
        return {
            "VariantName": name,
            "ModelName": model or self.model(),
            "InstanceType": self.options.instance_type,
            "InitialInstanceCount": instances,
            "InitialVariantWeight": weight,
            # A model that does not start is to be found out soon.
            "ContainerStartupHealthCheckTimeoutInSeconds": 300,
        }

    # ------------------------------------------------------------ the endpoint's states

    @property
    def name(self) -> str:
        return self.prefix

    def view(self) -> dict:
        view = self.account.call("sagemaker", "DescribeEndpoint", EndpointName=self.name)
        self.creation_times.add(view["CreationTime"])
        return view

    def exists(self) -> None:
        """The endpoint with one variant of one instance, in service."""
        if self._exists:
            return
        config = self.config("one", self.variant(ONE, 1.0))
        self.account.call(
            "sagemaker", "CreateEndpoint", EndpointName=self.name, EndpointConfigName=config, Tags=self.tags
        )
        self._exists = True
        print("    the endpoint is being made", flush=True)
        while (view := self.view())["EndpointStatus"] == "Creating":
            self.clock.sleep(LATER)
        if view["EndpointStatus"] != "InService":
            raise RuntimeError(f"the endpoint did not come up: {view['EndpointStatus']}: {view.get('FailureReason')}")

    def rests(self) -> None:
        """Waits until nothing changes the endpoint."""
        while self.view()["EndpointStatus"] in BUSY:
            self.clock.sleep(LATER)

    def has_two(self) -> Change:
        """Beside production a canary at weight 0: the config that the control plane deploys first."""
        if change := self.change_of(TO_TWO):
            return change
        self.exists()
        # A live weight and a config's count that differ from one another show which of them is kept.
        self.weights({ONE: 2.0})
        two = self.config("two", self.variant(ONE, 1.0), self.variant(CANARY, 0.0))
        return self.update(TO_TWO, two)

    def has_canary_alone(self) -> Change:
        """The canary without production, on a config with enhanced metrics: the end of a rollout."""
        if change := self.change_of(TO_ONE):
            return change
        self.has_two()
        self.weights({ONE: 0.0, CANARY: 1.0})
        metrics = {
            "EnableEnhancedMetrics": True,
            "EnableDetailedObservability": False,
            "MetricPublishFrequencyInSeconds": 60,
        }
        return self.update(TO_ONE, self.config("final", self.variant(CANARY, 1.0), MetricsConfig=metrics))

    def change_of(self, kind: str) -> Change | None:
        return next((change for change in self.changes if change.kind == kind), None)

    def update(self, kind: str, config: str) -> Change:
        return self._change(kind, "UpdateEndpoint", EndpointConfigName=config, RetainAllVariantProperties=True)

    def weights(self, weights: dict[str, float]) -> Change:
        desired = [{"VariantName": name, "DesiredWeight": weight} for name, weight in weights.items()]
        return self._change(
            f"weights {weights}", "UpdateEndpointWeightsAndCapacities", DesiredWeightsAndCapacities=desired
        )

    def capacity(self, variant: str, instances: int) -> Change:
        desired = [{"VariantName": variant, "DesiredInstanceCount": instances}]
        return self._change(
            f"{instances} instances of {variant}",
            "UpdateEndpointWeightsAndCapacities",
            DesiredWeightsAndCapacities=desired,
        )

    def _change(self, kind: str, operation: str, **parameters) -> Change:
        change = Change(kind, self.view())
        begun = self.clock.now()
        self.account.call("sagemaker", operation, EndpointName=self.name, **parameters)
        self.watch(change, begun)
        self.changes.append(change)
        return change

    def watch(self, change: Change, begun: float) -> None:
        """Looks until the endpoint rests: after it was seen to change, or when that has not shown for long."""
        while True:
            view = self.view()
            waited = self.clock.now() - begun
            if view["EndpointStatus"] in BUSY:
                if change.during is None:
                    change.during, change.shown_after = view, waited
                    change.busy_answers = self.try_meanwhile(view)
                answer = self.ask()
                change.served["answered" if answer.code is None else f"{answer.status} {answer.code}"] += 1
            elif change.during is not None or waited > SHOWS_WITHIN:
                change.after, change.seconds = view, waited
                return
            self.clock.sleep(SOON if waited < 30 else LATER)

    def try_meanwhile(self, view: dict) -> list[dict]:
        """What a second change is told. It asks for what is so already, so nothing is changed if it is taken."""
        same = [
            {"VariantName": one["VariantName"], "DesiredWeight": one.get("DesiredWeight", 1.0)}
            for one in view["ProductionVariants"]
        ]
        tries = [
            ("UpdateEndpointWeightsAndCapacities", {"DesiredWeightsAndCapacities": same}),
            ("UpdateEndpoint", {"EndpointConfigName": view["EndpointConfigName"], "RetainAllVariantProperties": True}),
        ]
        answers = []
        for operation, parameters in tries:
            try:
                self.account.call("sagemaker", operation, EndpointName=self.name, **parameters)
                answers.append({"call": operation, "code": None, "status": 200, "message": "accepted"})
            except Refused as refusal:
                answers.append(refusal.facts() | {"is_invalid": refusal.is_invalid})
        return answers

    def endpoint_arn(self, name: str) -> str:
        """An endpoint's ARN, whether it is there or not."""
        region = self.account.session.region_name
        partition = self.account.session.get_partition_for_region(region)
        owner = self.account.call("sts", "GetCallerIdentity")["Account"]
        return f"arn:{partition}:sagemaker:{region}:{owner}:endpoint/{name}"

    def target(self, variant: str = CANARY, **parameters) -> dict:
        """A variant as a scalable target."""
        return SCALABLE | {"ResourceId": f"endpoint/{self.name}/variant/{variant}"} | parameters

    # ------------------------------------------------------------ requests

    def ask(self, body: bytes = FAST, variant: str | None = None, endpoint: str | None = None) -> Answer:
        """One request, to a variant by name or by the weights."""
        named = {"TargetVariant": variant} if variant else {}
        if self.options.payload:
            body = self.options.payload
        try:
            answer = self.account.call(
                "sagemaker-runtime",
                "InvokeEndpoint",
                EndpointName=endpoint or self.name,
                Body=body,
                ContentType=self.options.content_type,
                InferenceId=f"{self.prefix}-1",
                **named,
            )
        except Refused as refusal:
            status = getattr(refusal, "answer", {}).get("OriginalStatusCode")
            return Answer(refusal.status, None, refusal.code, status)
        answer["Body"].read()
        return Answer(200, answer.get("InvokedProductionVariant"))

    def burst(self, requests: int = 200, variant: str | None = None) -> Burst:
        """Requests one after another; of the built-in model one in ten is slow and three in a hundred fail."""
        dice = random.Random(1)
        # In minutes of its own: requests made before would be counted with these.
        self.clock.sleep(60 - self.clock.now() % 60)
        begun = self.clock.now()
        answers = []
        for _ in range(requests):
            draw = dice.random()
            body = FAILING if draw < 0.03 else SLOW if draw < 0.13 else FAST
            answers.append(self.ask(body, variant))
            if self.clock.now() > self.clock.deadline:
                self.clock.sleep(0)
        burst = Burst(answers, begun, self.clock.now())
        self.bursts.append(burst)
        return burst

    # ------------------------------------------------------------ metrics

    def points(
        self, queries: dict[str, tuple], begun: float, ended: float, period: int = 60
    ) -> dict[str, dict[datetime, float]]:
        """Points by query and minute. A query is a metric, a statistic, a variant and, where it is another, a namespace."""
        minute = lambda seconds: datetime.fromtimestamp(seconds // 60 * 60, timezone.utc)
        asked = []
        for identity, (metric, statistic, variant, *namespace) in queries.items():
            dimensions = [{"Name": "EndpointName", "Value": self.name}, {"Name": "VariantName", "Value": variant}]
            asked.append(
                {
                    "Id": identity,
                    "ReturnData": True,
                    "MetricStat": {
                        "Metric": {
                            "Namespace": namespace[0] if namespace else "AWS/SageMaker",
                            "MetricName": metric,
                            "Dimensions": dimensions,
                        },
                        "Period": period,
                        "Stat": statistic,
                    },
                }
            )
        results = self.account.everything(
            "cloudwatch",
            "GetMetricData",
            "MetricDataResults",
            MetricDataQueries=asked,
            StartTime=minute(begun),
            EndTime=minute(ended) + timedelta(minutes=1),
            ScanBy="TimestampAscending",
        )
        found: dict[str, dict[datetime, float]] = {identity: {} for identity in queries}
        for result in results:
            if result["Id"] in found:
                found[result["Id"]] |= dict(zip(result["Timestamps"], result["Values"]))
        return found


def archive(program: str) -> bytes:
    """A model's artifact that holds nothing but the program."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("code/inference.py")
        entry.size = len(program)
        archive.addfile(entry, io.BytesIO(program.encode()))
    return packed.getvalue()
