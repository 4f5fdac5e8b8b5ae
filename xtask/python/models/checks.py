"""What the code takes from the service models, held against them.

Each check is a row of docs/fidelity.md and has its name there. It yields what is wrong: nothing, as long as the
model says what the code takes for granted. A new botocore that says otherwise fails here, and not in an account.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from services import (
    enum,
    errors,
    inputs,
    limits,
    listed,
    model,
    number,
    operation,
    outputs,
    pattern,
    shape,
    snake,
    source,
    text,
)

CHECKS: dict[str, Callable[[], Iterator[str]]] = {}
SAGEMAKER, RUNTIME, SCALING = "sagemaker", "sagemaker-runtime", "application-autoscaling"
TAGGING = "resourcegroupstaggingapi"
COPY, ERRORS = "shared/src/aws/config_copy.rs", "shared/src/aws/error.rs"

# Fields of a config that botocore knows and the newest Rust SDK does not: a typed copy can't carry them over, and
# the adapter refuses a config that has one. Once the SDK knows a field it goes from here to COPIED.
UNKNOWN_TO_THE_SDK = {"cross_region_traffic_config"}
# What a variant's scalable target and policies have, and what becomes of it.
KEPT = {
    "ScalableTarget": {"MinCapacity", "MaxCapacity", "SuspendedState"},
    "SuspendedState": {"DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended"},
    "ScalingPolicy": {"PolicyName", "PolicyType", "TargetTrackingScalingPolicyConfiguration"},
    "TargetTrackingScalingPolicyConfiguration": {
        "TargetValue",
        "PredefinedMetricSpecification",
        "CustomizedMetricSpecification",
        "ScaleOutCooldown",
        "ScaleInCooldown",
        "DisableScaleIn",
    },
    "CustomizedMetricSpecification": {"Namespace", "MetricName", "Dimensions", "Statistic", "Unit"},
    "MetricDimension": {"Name", "Value"},
    "PredefinedMetricSpecification": {"PredefinedMetricType"},
}
REFUSED = {
    "ScalingPolicy": {"StepScalingPolicyConfiguration", "PredictiveScalingPolicyConfiguration"},
    "CustomizedMetricSpecification": {"Metrics"},
}
# Made by Application Auto Scaling itself, or of no meaning for a variant.
ITS_OWN = {
    "ScalableTarget": {
        "ServiceNamespace",
        "ResourceId",
        "ScalableDimension",
        "RoleARN",
        "CreationTime",
        "ScalableTargetARN",
        "PredictedCapacity",
    },
    "ScalingPolicy": {"PolicyARN", "ServiceNamespace", "ResourceId", "ScalableDimension", "Alarms", "CreationTime"},
    "PredefinedMetricSpecification": {"ResourceLabel"},
}
# Every call of the adapters, by service; `calls` holds it against their sources.
CALLS = {
    SAGEMAKER: [
        "DescribeEndpoint",
        "DescribeEndpointConfig",
        "DescribeModel",
        "DescribeModelPackage",
        "CreateModel",
        "UpdateModelPackage",
        "CreateEndpointConfig",
        "DeleteEndpointConfig",
        "UpdateEndpoint",
        "UpdateEndpointWeightsAndCapacities",
        "ListEndpoints",
        "ListEndpointConfigs",
        "ListModels",
        "ListTags",
    ],
    RUNTIME: ["InvokeEndpoint"],
    "cloudwatch": ["GetMetricData", "DescribeAlarms"],
    SCALING: [
        "DescribeScalableTargets",
        "DescribeScalingPolicies",
        "DescribeScheduledActions",
        "ListTagsForResource",
        "RegisterScalableTarget",
        "DeregisterScalableTarget",
        "PutScalingPolicy",
        "TagResource",
    ],
    "dynamodb": ["TransactWriteItems", "BatchGetItem", "GetItem", "PutItem", "Query", "DeleteItem"],
    "sns": ["Publish"],
    "events": ["PutEvents"],
    "lambda": ["Invoke"],
    TAGGING: ["GetResources"],
}


def check(name: str):
    def put(function: Callable[[], Iterator[str]]) -> Callable[[], Iterator[str]]:
        CHECKS[name] = function
        return function

    return put


def differ(what: str, found, expected) -> Iterator[str]:
    if found != expected:
        yield f"{what} is {found!r}, and {expected!r} is taken for granted"


def says(service: str, where: str, phrase: str, member: str | None = None) -> Iterator[str]:
    if phrase not in text(service, where, member):
        yield f"{service} {where} {member or ''} no longer says {phrase!r}"


# ---------------------------------------------------------------- SageMaker


@check("names")
def names() -> Iterator[str]:
    for kind in ("EndpointName", "EndpointConfigName", "VariantName"):
        yield from differ(
            kind, (limits(SAGEMAKER, kind)[1], pattern(SAGEMAKER, kind)), (63, "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
        )
    yield from differ(
        "ModelName",
        (limits(SAGEMAKER, "ModelName")[1], pattern(SAGEMAKER, "ModelName")),
        (63, r"[a-zA-Z0-9]([\-a-zA-Z0-9]*[a-zA-Z0-9])?"),
    )
    # The names the code makes up, of the longest endpoint's name.
    for made in ("a" * 47 + "-canary-0123abcd", "a" * 47 + "-former-0123abcd", "canary-0123abcd"):
        if len(made) > 63 or not re.fullmatch(pattern(SAGEMAKER, "EndpointConfigName"), made):
            yield f"{made} is no name"


@check("packages")
def packages() -> Iterator[str]:
    """What the registry is asked, and told: states, and how long a reason may be."""
    path = "shared/src/domain/registry.rs"
    states = set(re.findall(r'Self::\w+ => "(\w+)"', source(path)))
    yield from differ("ModelApprovalStatus", enum(SAGEMAKER, "ModelApprovalStatus"), states)
    whole = "Completed"
    if whole not in enum(SAGEMAKER, "ModelPackageStatus") or f'"{whole}"' not in source(path):
        yield f"ModelPackageStatus knows no {whole!r}"
    for kind in ("ApprovalDescription", "StageDescription"):
        yield from differ(kind, limits(SAGEMAKER, kind)[1], number(path, "LONGEST_DESCRIPTION"))
        # One line: any character but a line break.
        yield from differ(f"a line of {kind}", pattern(SAGEMAKER, kind) in (".*", ".{0,1024}"), True)
    yield from differ("VersionedArnOrName", limits(SAGEMAKER, "VersionedArnOrName")[1], number(path, "LONGEST_ARN"))
    arn = "arn:aws:sagemaker:eu-central-1:123456789012:model-package/" + "a" * 63 + "/999999999"
    if not re.fullmatch(pattern(SAGEMAKER, "VersionedArnOrName"), arn):
        yield f"{arn} names no package"
    stages = re.findall(r'Self::\w+ => \("(\w+)", "(\w+)"\)', source(path))
    yield from differ("the number of stages", len(stages), 2)
    for words in stages:
        for word in words:
            if not re.fullmatch(pattern(SAGEMAKER, "EntityName"), word):
                yield f"{word} is no name of a stage"


@check("package-update")
def package_update() -> Iterator[str]:
    """One call tells approval and stage, and may leave either out; a model is made of a package by its ARN."""
    shape_of = operation(SAGEMAKER, "UpdateModelPackage").input_shape
    yield from differ("what UpdateModelPackage needs", set(shape_of.required_members), {"ModelPackageArn"})
    for member in ("ModelApprovalStatus", "ApprovalDescription", "ModelLifeCycle"):
        if member not in shape_of.members:
            yield f"UpdateModelPackage takes no {member}"
    stage = shape(SAGEMAKER, "ModelLifeCycle")
    yield from differ("what a life cycle needs", set(stage.required_members), {"Stage", "StageStatus"})
    for member in ("ModelApprovalStatus", "ModelPackageStatus", "ModelLifeCycle"):
        if member not in outputs(SAGEMAKER, "DescribeModelPackage"):
            yield f"DescribeModelPackage tells no {member}"
    for member in ("ExecutionRoleArn", "VpcConfig", "EnableNetworkIsolation"):
        if member not in inputs(SAGEMAKER, "CreateModel") or member not in outputs(SAGEMAKER, "DescribeModel"):
            yield f"{member} of a model is not told, or can't be given"
    if "ModelPackageName" not in shape(SAGEMAKER, "ContainerDefinition").members:
        yield "a container names no package"
    if "Tags" not in inputs(SAGEMAKER, "CreateModel"):
        yield "a model is made without tags"


@check("statuses")
def statuses() -> Iterator[str]:
    known = set(re.findall(r"SdkStatus::(\w+) =>", source("shared/src/aws/sagemaker.rs")))
    yield from differ("EndpointStatus", enum(SAGEMAKER, "EndpointStatus"), known)
    said = text(SAGEMAKER, "DescribeEndpointOutput", "EndpointStatus")
    for phrase in (
        "cannot be updated or deleted or re-scaled",
        "DeleteEndpoint is the only operation that can be performed on a failed endpoint",
    ):
        if phrase not in said:
            yield f"EndpointStatus no longer says {phrase!r}"


@check("described")
def described() -> Iterator[str]:
    for lacking in {
        "EndpointStatus",
        "EndpointConfigName",
        "CreationTime",
        "FailureReason",
        "ProductionVariants",
    } - outputs(SAGEMAKER, "DescribeEndpoint"):
        yield f"DescribeEndpoint has no {lacking}"
    summary = shape(SAGEMAKER, "ProductionVariantSummary")
    wanted = {"VariantName", "CurrentWeight", "DesiredWeight", "CurrentInstanceCount", "DesiredInstanceCount"}
    for lacking in wanted - set(summary.members):
        yield f"a variant's summary has no {lacking}"
    if "VariantName" not in summary.required_members:
        yield "a variant's summary may lack its name"


@check("update-errors")
def update_errors() -> Iterator[str]:
    for name in ("CreateEndpointConfig", "UpdateEndpoint", "UpdateEndpointWeightsAndCapacities"):
        yield from differ(f"{name}'s errors", set(errors(SAGEMAKER, name)), {"ResourceLimitExceeded"})
    for name in ("DescribeEndpoint", "DescribeEndpointConfig", "DescribeModel", "DeleteEndpointConfig"):
        yield from differ(f"{name}'s errors", errors(SAGEMAKER, name), {})


@check("update-input")
def update_input() -> Iterator[str]:
    known = {
        "EndpointName",
        "EndpointConfigName",
        "RetainAllVariantProperties",
        "ExcludeRetainedVariantProperties",
        "DeploymentConfig",
        "RetainDeploymentConfig",
    }
    yield from differ("UpdateEndpoint's input", inputs(SAGEMAKER, "UpdateEndpoint"), known)
    yield from differ("ExcludeRetainedVariantProperties", limits(SAGEMAKER, "VariantPropertyList")[1], 3)
    yield from differ(
        "VariantPropertyType",
        enum(SAGEMAKER, "VariantPropertyType"),
        {"DesiredInstanceCount", "DesiredWeight", "DataCaptureConfig"},
    )
    # No token, version or If-Match: a late call can't be told from a current one.
    yield from differ(
        "the input of UpdateEndpointWeightsAndCapacities",
        inputs(SAGEMAKER, "UpdateEndpointWeightsAndCapacities"),
        {"EndpointName", "DesiredWeightsAndCapacities"},
    )


@check("retain-text")
def retain_text() -> Iterator[str]:
    yield from says(SAGEMAKER, "UpdateEndpointInput", "The default is false", "RetainAllVariantProperties")
    yield from says(
        SAGEMAKER, "UpdateEndpointInput", "no variant properties are overridden", "ExcludeRetainedVariantProperties"
    )


@check("fleet-text")
def fleet_text() -> Iterator[str]:
    yield from says(SAGEMAKER, "UpdateEndpoint", "to a new fleet of instances")
    yield from says(SAGEMAKER, "UpdateEndpoint", "there is no availability loss")


@check("weights-text")
def weights_text() -> Iterator[str]:
    yield from says(SAGEMAKER, "UpdateEndpointWeightsAndCapacities", "weight of one or more variants")
    yield from says(SAGEMAKER, "UpdateEndpointWeightsAndCapacities", "or capacity of one variant")
    yield from says(SAGEMAKER, "UpdateEndpointWeightsAndCapacities", "sets the endpoint status to Updating")


@check("share-text")
def share_text() -> Iterator[str]:
    yield from says(
        SAGEMAKER,
        "ProductionVariant",
        "the ratio of the VariantWeight to the sum of all VariantWeight values",
        "InitialVariantWeight",
    )
    yield from says(SAGEMAKER, "ProductionVariant", "it defaults to 1.0", "InitialVariantWeight")


@check("variant-limits")
def variant_limits() -> Iterator[str]:
    yield from differ("ProductionVariantList", limits(SAGEMAKER, "ProductionVariantList"), (1, 10))
    yield from differ(
        "VariantWeight",
        (shape(SAGEMAKER, "VariantWeight").type_name, limits(SAGEMAKER, "VariantWeight")[0]),
        ("float", 0),
    )
    yield from differ("InitialTaskCount", limits(SAGEMAKER, "InitialTaskCount")[0], 1)
    yield from says(
        SAGEMAKER,
        "CreateEndpointConfigInput",
        "only specify one variant for ProductionVariants and one variant for ShadowProductionVariants",
        "ShadowProductionVariants",
    )


@check("config-fields")
def config_fields() -> Iterator[str]:
    both = {
        snake(name) for name in inputs(SAGEMAKER, "CreateEndpointConfig") & outputs(SAGEMAKER, "DescribeEndpointConfig")
    }
    copied = set(listed(COPY, "COPIED"))
    yield from differ(
        "what a config has and a copy may take", both - {"endpoint_config_name"}, copied | UNKNOWN_TO_THE_SDK
    )
    for known in UNKNOWN_TO_THE_SDK & copied:
        yield f"{known} is copied now: take it off the list of unknown fields"


@check("variant-fields")
def variant_fields() -> Iterator[str]:
    fields = {snake(name) for name in shape(SAGEMAKER, "ProductionVariant").members}
    yield from differ("a variant's fields", fields, set(listed(COPY, "VARIANT_FIELDS")))


@check("metrics-config")
def metrics_config() -> Iterator[str]:
    yield from differ(
        "MetricsConfig",
        set(shape(SAGEMAKER, "MetricsConfig").members),
        {"EnableEnhancedMetrics", "EnableDetailedObservability", "MetricPublishFrequencyInSeconds"},
    )
    yield from says(
        SAGEMAKER,
        "MetricsConfig",
        "The default value for new endpoint configurations is True",
        "EnableDetailedObservability",
    )


@check("tags")
def tags() -> Iterator[str]:
    yield from differ(
        "TagKey and TagValue", (limits(SAGEMAKER, "TagKey"), limits(SAGEMAKER, "TagValue")), ((1, 128), (0, 256))
    )
    yield from differ("TagList", limits(SAGEMAKER, "TagList")[1], 50)
    # The model's \p{…} classes are Java's; what is sent is ASCII.
    allowed = re.compile(r"[A-Za-z0-9 _.:/=+\-@]*")
    for sent in ("canary:deployment-id", "019cad98-d3c0-7177-8e00-9f60d7bff2fc"):
        if not allowed.fullmatch(sent):
            yield f"{sent} can't be in a tag"


@check("grants")
def grants() -> Iterator[str]:
    """Names of callers stand in a tag's value, apart by spaces; a comma never does."""
    for shape in ("TagKey", "TagValue"):
        yield from differ(shape, pattern(SAGEMAKER, shape), r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)")
    yield from differ("a role's name", pattern("iam", "roleNameType"), r"[\w+=,.@-]+")
    yield from differ("a user's name", pattern("iam", "existingUserNameType"), r"[\w+=,.@-]+")


@check("tagged-resources")
def tagged_resources() -> Iterator[str]:
    yield from differ("ResourceARNList", limits(TAGGING, "ResourceARNListForGet"), (1, 100))
    for phrase in ("doesn't generate an error", "any of the pagination parameters"):
        yield from says(TAGGING, "GetResourcesInput", phrase, "ResourceARNList")
    yield from says(TAGGING, "GetResources", "does not return untagged resources")


@check("lists")
def lists() -> Iterator[str]:
    for kind in ("Endpoint", "EndpointConfig", "Model"):
        if "NameContains" not in inputs(SAGEMAKER, f"List{kind}s"):
            yield f"List{kind}s can't be asked for a part of a name"
    yield from differ("EndpointNameContains", pattern(SAGEMAKER, "EndpointNameContains"), "[a-zA-Z0-9-]+")


# ---------------------------------------------------------------- invoking


@check("invoke-limits")
def invoke_limits() -> Iterator[str]:
    yield from differ(
        "the largest body", limits(RUNTIME, "BodyBlob")[1], number("functions/inference/src/api.rs", "BODY_LIMIT")
    )
    yield from differ(
        "the longest header", limits(RUNTIME, "Header")[1], number("functions/inference/src/request.rs", "HEADER_LIMIT")
    )
    yield from differ(
        "the longest custom attributes",
        limits(RUNTIME, "CustomAttributesHeader")[1],
        number("functions/inference/src/request.rs", "HEADER_LIMIT"),
    )
    yield from differ("InferenceId", limits(RUNTIME, "InferenceId"), (1, 64))


@check("invoke-headers")
def invoke_headers() -> Iterator[str]:
    asked = model(RUNTIME).operation_model("InvokeEndpoint")
    yield from differ(
        "TargetVariant's header",
        asked.input_shape.members["TargetVariant"].serialization["name"],
        "X-Amzn-SageMaker-Target-Variant",
    )
    yield from differ(
        "the answering variant's header",
        asked.output_shape.members["InvokedProductionVariant"].serialization["name"],
        "x-Amzn-Invoked-Production-Variant",
    )
    yield from says(RUNTIME, "InvokeEndpointInput", "overrides the default behavior for the endpoint", "TargetVariant")


@check("invoke-errors")
def invoke_errors() -> Iterator[str]:
    known = {
        "InternalFailure": 500,
        "ServiceUnavailable": 503,
        "ValidationError": 400,
        "ModelError": 424,
        "InternalDependencyException": 530,
        "ModelNotReadyException": 429,
    }
    yield from differ("InvokeEndpoint's errors", errors(RUNTIME, "InvokeEndpoint"), known)
    for lacking in {"OriginalStatusCode", "OriginalMessage"} - set(shape(RUNTIME, "ModelError").members):
        yield f"ModelError has no {lacking}"
    yield from says(RUNTIME, "InvokeEndpoint", "respond to requests within 60 seconds")


# ---------------------------------------------------------------- CloudWatch


@check("metric-data")
def metric_data() -> Iterator[str]:
    yield from says(
        "cloudwatch",
        "GetMetricDataInput",
        f"as many as {number('shared/src/app/observe.rs', 'QUERIES_A_CALL')} MetricDataQuery",
        "MetricDataQueries",
    )
    yield from says("cloudwatch", "GetMetricDataInput", "The value specified is exclusive", "EndTime")
    yield from says("cloudwatch", "GetMetricDataInput", "default of 100,800 is used", "MaxDatapoints")
    yield from says("cloudwatch", "MetricDataQuery", "The first character must be a lowercase letter", "Id")
    yield from says("cloudwatch", "MetricStat", "any CloudWatch statistic or extended statistic", "Stat")
    yield from says("cloudwatch", "GetMetricData", "(1-minute) are available for 15 days")
    yield from differ(
        "StatusCode", enum("cloudwatch", "StatusCode"), {"Complete", "InternalError", "PartialData", "Forbidden"}
    )


@check("alarm-states")
def alarm_states() -> Iterator[str]:
    yield from differ("StateValue", enum("cloudwatch", "StateValue"), {"OK", "ALARM", "INSUFFICIENT_DATA"})
    yield from differ("AlarmType", enum("cloudwatch", "AlarmType"), {"MetricAlarm", "CompositeAlarm", "LogAlarm"})
    yield from says(
        "cloudwatch", "DescribeAlarmsInput", "If you omit this parameter, only metric alarms are returned", "AlarmTypes"
    )
    yield from differ("the most alarms of a policy", limits("cloudwatch", "AlarmNames")[1], 100)
    if "at most 100 names" not in source("shared/src/wire/specification/check/policy.rs"):
        yield "a policy may name more alarms than one call can ask for"


@check("metric-names")
def metric_names() -> Iterator[str]:
    path = "shared/src/wire/specification/check/checks.rs"
    longest = number(path, "LONGEST_IN_CLOUDWATCH")
    for kind in ("Namespace", "MetricName", "DimensionName"):
        yield from differ(kind, limits("cloudwatch", kind)[1], longest)
    yield from differ("DimensionValue", limits("cloudwatch", "DimensionValue")[1], number(path, "LONGEST_VALUE"))
    yield from differ("Dimensions", limits("cloudwatch", "Dimensions")[1], number(path, "MOST_DIMENSIONS") + 2)


# ---------------------------------------------------------------- autoscaling


@check("scaling-names")
def scaling_names() -> Iterator[str]:
    for kind, value in (
        ("ServiceNamespace", "sagemaker"),
        ("ScalableDimension", "sagemaker:variant:DesiredInstanceCount"),
        ("MetricType", "SageMakerVariantInvocationsPerInstance"),
        ("PolicyType", "TargetTrackingScaling"),
    ):
        if value not in enum(SCALING, kind):
            yield f"{kind} has no {value}"


@check("scaling-kept")
def scaling_kept() -> Iterator[str]:
    for kind, kept in KEPT.items():
        accounted = kept | REFUSED.get(kind, set()) | ITS_OWN.get(kind, set())
        yield from differ(f"the members of {kind}", set(shape(SCALING, kind).members), accounted)


@check("scaling-text")
def scaling_text() -> Iterator[str]:
    yield from says(SCALING, "DeregisterScalableTarget", "deletes the scaling policies and the scheduled actions")
    yield from says(SCALING, "RegisterScalableTarget", "Any parameters that you don't specify are not changed")
    yield from says(
        SCALING, "RegisterScalableTarget", "adjusts the capacity of the scalable target to place it within these bounds"
    )
    yield from says(
        SCALING, "RegisterScalableTarget", "a brief delay until the operation achieves eventual consistency"
    )
    if "ObjectNotFoundException" not in errors(SCALING, "DeregisterScalableTarget"):
        yield "deregistering what is not registered is no ObjectNotFoundException"


# ---------------------------------------------------------------- records, announcements, functions


@check("transactions")
def transactions() -> Iterator[str]:
    yield from differ("TransactWriteItemList", limits("dynamodb", "TransactWriteItemList"), (1, 100))
    # Two parts of the record, a lock, and two rows for each of a pass's entries fit beside the minutes.
    minutes = number("shared/src/app/observe.rs", "MINUTES_A_PASS")
    if minutes > 60:
        yield f"{minutes} minutes leave too little room for a pass's other rows"
    yield from says("dynamodb", "TransactWriteItems", "cannot exceed 4 MB")
    yield from says("dynamodb", "TransactWriteItems", "no two actions can target the same item")
    yield from says("dynamodb", "TransactWriteItems", "bigger than 400 KB")
    if number("shared/src/wire/items.rs", "PAST_LIMIT") > 400_000:
        yield "the past may be larger than an item"
    for lacking in {"Item", "Code"} - set(shape("dynamodb", "CancellationReason").members):
        yield f"a reason of a cancelled transaction has no {lacking}"
    yield from says("dynamodb", "TransactWriteItemsInput", "valid for 10 minutes", "ClientRequestToken")


@check("batch-get")
def batch_get() -> Iterator[str]:
    yield from differ("KeyList", limits("dynamodb", "KeyList")[1], 100)
    yield from says("dynamodb", "BatchGetItem", "a value for UnprocessedKeys")


@check("publish-text")
def publish_text() -> Iterator[str]:
    yield from says(
        "sns",
        "PublishInput",
        f"less than {number('shared/src/wire/messages.rs', 'SUBJECT_LIMIT') + 1} characters long",
        "Subject",
    )
    yield from says("sns", "PublishInput", "no line breaks or control characters", "Subject")
    yield from says("sns", "PublishInput", 'at least a top-level JSON key of "default"', "MessageStructure")
    yield from says("sns", "PublishInput", "262,144 bytes", "Message")


@check("put-events")
def put_events() -> Iterator[str]:
    yield from differ("PutEventsRequestEntryList", limits("events", "PutEventsRequestEntryList"), (1, 10))
    for lacking in {"ErrorCode", "ErrorMessage"} - set(shape("events", "PutEventsResultEntry").members):
        yield f"a failed entry has no {lacking}"
    if limits("events", "EventResource")[1] < 63:
        yield "an endpoint's name is too long for a resource"
    if not re.fullmatch(pattern("events", "NonPartnerEventBusNameOrArn"), "default"):
        yield "default is no bus's name"


@check("invokes")
def invokes() -> Iterator[str]:
    if "Event" not in enum("lambda", "InvocationType"):
        yield "there is no asynchronous invoke"
    yield from differ("MaximumRetryAttempts", limits("lambda", "MaximumRetryAttempts"), (0, 2))
    yield from differ("MaximumEventAgeInSeconds", limits("lambda", "MaximumEventAgeInSeconds"), (60, 21600))
    for phrase in ("up to two more times", "events may be lost", "may receive the same event multiple times"):
        yield from says("lambda", "Invoke", phrase)
    if "OFF" not in enum("scheduler", "FlexibleTimeWindowMode"):
        yield "the scheduler's flexible window can't be off"


@check("error-classes")
def error_classes() -> Iterator[str]:
    """Errors that pass by themselves are sorted as such: nothing is given up, rolled back or sent elsewhere for one."""
    lists = {kind: listed(ERRORS, kind) for kind in ("RETRYABLE", "CONFLICT", "DENIED")}

    def sorted_as(code: str, status: int) -> str:
        if code in lists["DENIED"] or status == 403:
            return "Denied"
        if code in lists["RETRYABLE"] or status == 429:
            return "Retryable"
        if code in lists["CONFLICT"]:
            return "Conflict"
        return "InDoubt" if status >= 500 else "Invalid"

    passing = re.compile(
        "Throttl|TooMany(?!Tags)|RequestLimit|ThroughputExceeded|ConcurrentUpdate|InProgress|TransactionConflict"
    )
    for service, operations in CALLS.items():
        for name in operations:
            for code, status in errors(service, name).items():
                kind = sorted_as(code, status)
                if passing.search(code) and kind not in ("Retryable", "Conflict", "InDoubt"):
                    yield f"{service} {name}: {code} (HTTP {status}) passes by itself and is sorted as {kind}"
                if "AccessDenied" in code and status < 500 and kind != "Denied":
                    yield f"{service} {name}: {code} (HTTP {status}) is a missing permission and is sorted as {kind}"


@check("calls")
def calls() -> Iterator[str]:
    """The list of calls above is that of the adapters."""
    from services import ROOT

    code = "".join(
        path.read_text(encoding="utf-8")
        for path in sorted((ROOT / "shared/src/aws").rglob("*.rs"))
        if path.name != "loopback.rs"
    )
    known = {snake(name) for names in CALLS.values() for name in names}
    made = set(re.findall(r"\.(\w+)\(\)", code))
    every = {snake(name) for service in CALLS for name in model(service).operation_names}
    for lacking in sorted(known - made):
        yield f"{lacking} is on the list, and no adapter calls it"
    for unlisted in sorted((made & every) - known):
        yield f"an adapter calls {unlisted}, which is not on the list"
