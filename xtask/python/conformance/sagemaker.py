"""SageMaker, its runtime and Application Auto Scaling."""

import json

from shapes import complaints_about_answer

IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/wine:1"
ROLE = "arn:aws:iam::123456789012:role/serving"
INSTANCE = "ml.m5.large"
QUICK = {"Delay": 1, "MaxAttempts": 60}
DIMENSION = "sagemaker:variant:DesiredInstanceCount"


def variant(name, model, weight, count=2):
    return {
        "VariantName": name,
        "ModelName": model,
        "InstanceType": INSTANCE,
        "InitialInstanceCount": count,
        "InitialVariantWeight": weight,
    }


def check(account):
    client = account.client("sagemaker")
    strictness(account, client)
    models(account, client)
    packages(account, client)
    configs(account, client)
    endpoint(account, client)
    invocations(account, client)
    scaling(account)
    listings(account, client)
    endings(account, client)


def strictness(account, client):
    """What is held against the model can fail: answers made wrong are complained of, each for its own fault."""
    operation = client.meta.service_model.operation_model("DescribeEndpoint")
    good = {
        "EndpointName": "wine",
        "EndpointArn": "arn:aws:sagemaker:eu-central-1:123456789012:endpoint/wine",
        "EndpointConfigName": "base",
        "EndpointStatus": "InService",
        "ProductionVariants": [{"VariantName": "production", "CurrentInstanceCount": 2, "CurrentWeight": 1.0}],
        "CreationTime": 1.7e9,
        "LastModifiedTime": 1.7e9,
    }

    def complaints(change):
        answer = {name: value for name, value in (good | change).items() if value is not ...}
        return complaints_about_answer(operation, "json", {}, json.dumps(answer).encode())

    account.same("a good answer", complaints({}), [])
    for change, fault in [
        ({"EndpointName": ...}, "required and not there"),
        ({"EndpointName": "-wine"}, "does not match"),
        ({"EndpointName": 7}, "no text"),
        ({"EndpointStatus": "Resting"}, "none of its enumeration"),
        ({"Colour": "red"}, "unknown to the model"),
        ({"FailureReason": None}, "is null"),
        ({"FailureReason": "x" * 1025}, "above its most"),
        ({"CreationTime": "2026-03-02"}, "no number of seconds"),
        ({"CreationTime": 1.7e12}, "no time of this age"),
        ({"ProductionVariants": []}, "below its least"),
        ({"ProductionVariants": {}}, "no list"),
        ({"ProductionVariants": [{"VariantName": "a", "CurrentWeight": "1"}]}, "no number"),
        ({"ProductionVariants": [{"VariantName": "a", "CurrentInstanceCount": 1.5}]}, "no whole number"),
    ]:
        found = complaints(change)
        account.holds(f"{change} is complained of: {found}", len(found) == 1 and fault in found[0])


def models(account, client):
    for name in ("wine-v1", "wine-v2", "broken-model"):
        made = client.create_model(
            ModelName=name,
            ExecutionRoleArn=ROLE,
            PrimaryContainer={"Image": IMAGE, "Environment": {"LEVEL": "info"}},
            Tags=[{"Key": "team", "Value": "wine"}],
        )
        account.same("a model's ARN", made["ModelArn"].rpartition("/")[2], name)
    found = client.describe_model(ModelName="wine-v1")
    account.same("a model's image", found["PrimaryContainer"]["Image"], IMAGE)
    account.same("a model's role", found["ExecutionRoleArn"], ROLE)
    taken = {"ModelName": "wine-v1", "ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": IMAGE}}
    account.refused("a model made twice", "ValidationException", 400, client.create_model, **taken)
    account.refused(
        "no such model", "ValidationException", 400, client.describe_model, ModelName="missing"
    )


def model_of(package):
    container = {"ModelPackageName": package}
    return {"ModelName": "of-a-package", "ExecutionRoleArn": ROLE, "PrimaryContainer": container}


def packages(account, client):
    group = client.create_model_package_group(
        ModelPackageGroupName="wine-quality",
        ModelPackageGroupDescription="wines by their chemistry",
        Tags=[{"Key": "team", "Value": "wine"}],
    )["ModelPackageGroupArn"]
    account.holds("a group's ARN", group.endswith(":model-package-group/wine-quality"))
    made_of = {"Containers": [{"Image": IMAGE}], "SupportedContentTypes": ["text/csv"]}
    versions = [
        client.create_model_package(
            ModelPackageGroupName=name, InferenceSpecification=made_of, **given
        )["ModelPackageArn"]
        for name, given in (
            ("wine-quality", {"ModelApprovalStatus": "Approved", "ModelPackageDescription": "the first"}),
            (group, {"ModelLifeCycle": {"Stage": "Development", "StageStatus": "InProgress"}}),
        )
    ]
    account.same("versions", [arn.rpartition("/")[2] for arn in versions], ["1", "2"])
    first, second = (client.describe_model_package(ModelPackageName=arn) for arn in versions)
    account.same("the first version's approval", first["ModelApprovalStatus"], "Approved")
    account.same("a version's approval at first", second["ModelApprovalStatus"], "PendingManualApproval")
    account.same("a version's stage", second["ModelLifeCycle"]["Stage"], "Development")
    account.same("a version's status", second["ModelPackageStatus"], "Completed")
    account.same("a version's image", first["InferenceSpecification"]["Containers"][0]["Image"], IMAGE)
    stage = {"Stage": "Production", "StageStatus": "Approved", "StageDescription": "it serves"}
    client.update_model_package(
        ModelPackageArn=versions[1], ModelApprovalStatus="Approved", ApprovalDescription="fine", ModelLifeCycle=stage
    )
    found = client.describe_model_package(ModelPackageName=versions[1])
    told = (found["ModelApprovalStatus"], found["ApprovalDescription"], found["ModelLifeCycle"])
    account.same("what a version was told", told, ("Approved", "fine", stage))
    client.update_model_package(ModelPackageArn=versions[1], ModelApprovalStatus="Rejected")
    found = client.describe_model_package(ModelPackageName=versions[1])
    account.same("what was not told again", found["ModelLifeCycle"], stage)
    alone = client.create_model_package(ModelPackageName="alone", InferenceSpecification=made_of)["ModelPackageArn"]
    client.create_model(**model_of(versions[0]))
    container = client.describe_model(ModelName="of-a-package")["PrimaryContainer"]
    account.same("a model's package", container["ModelPackageName"], versions[0])
    client.delete_model(ModelName="of-a-package")
    update, make = client.update_model_package, client.create_model_package
    missing = versions[0] + "9"
    for what, call, arguments in [
        ("a group made twice", client.create_model_package_group, {"ModelPackageGroupName": "wine-quality"}),
        ("a version of no group", make, {"ModelPackageGroupName": "missing"}),
        ("a package of a group and a name", make, {"ModelPackageGroupName": "wine-quality", "ModelPackageName": "b"}),
        ("a package of neither", make, {}),
        ("a package made twice", make, {"ModelPackageName": "alone"}),
        ("an unknown approval", make, {"ModelPackageGroupName": "wine-quality", "ModelApprovalStatus": "Fine"}),
        ("no such version", client.describe_model_package, {"ModelPackageName": missing}),
        ("an update of no version", update, {"ModelPackageArn": missing, "ModelApprovalStatus": "Approved"}),
        ("an update of no package", update, {"ModelPackageArn": group, "ModelApprovalStatus": "Approved"}),
        ("an approval of no version", update, {"ModelPackageArn": alone, "ModelApprovalStatus": "Approved"}),
        ("a reason of two lines", update, {"ModelPackageArn": versions[0], "ApprovalDescription": "a\nb"}),
        (
            "a stage that is no name",
            update,
            {"ModelPackageArn": versions[0], "ModelLifeCycle": {"Stage": "a b", "StageStatus": "c"}},
        ),
        ("a model of no package", client.create_model, model_of(missing)),
        ("a model of a version that is rejected", client.create_model, model_of(versions[1])),
    ]:
        account.refused(what, "ValidationException", 400, call, **arguments)
    client.delete_model_package(ModelPackageName=versions[1])
    for what, call, arguments in [
        ("a version that was deleted", client.describe_model_package, {"ModelPackageName": versions[1]}),
        ("a version deleted twice", client.delete_model_package, {"ModelPackageName": versions[1]}),
    ]:
        account.refused(what, "ValidationException", 400, call, **arguments)


def full_config():
    """Every member that goes with weighted traffic."""
    production = {
        **variant("production", "wine-v1", 1.0),
        "CoreDumpConfig": {"DestinationS3Uri": "s3://bucket/dumps", "KmsKeyId": "dump-key"},
        "VolumeSizeInGB": 64,
        "ModelDataDownloadTimeoutInSeconds": 900,
        "ContainerStartupHealthCheckTimeoutInSeconds": 450,
        "EnableSSMAccess": True,
        "ManagedInstanceScaling": {"Status": "ENABLED", "MinInstanceCount": 1, "MaxInstanceCount": 4},
        "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
        "InferenceAmiVersion": "al2-ami-sagemaker-inference-gpu-2",
    }
    return {
        "ProductionVariants": [production, variant("canary", "wine-v2", 0.0, 1)],
        "DataCaptureConfig": {
            "EnableCapture": True,
            "InitialSamplingPercentage": 25,
            "DestinationS3Uri": "s3://bucket/capture",
            "KmsKeyId": "capture-key",
            "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
        },
        "KmsKeyId": "volume-key",
        "ExplainerConfig": {
            "ClarifyExplainerConfig": {
                "EnableExplanations": "`true`",
                "ShapConfig": {
                    "ShapBaselineConfig": {"MimeType": "text/csv", "ShapBaseline": "1,2"},
                    "NumberOfSamples": 10,
                },
            }
        },
        "ExecutionRoleArn": ROLE,
        "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
        "EnableNetworkIsolation": True,
        "MetricsConfig": {
            "EnableEnhancedMetrics": True,
            "EnableDetailedObservability": True,
            "MetricPublishFrequencyInSeconds": 60,
        },
    }


def configs(account, client):
    wanted = full_config()
    made = client.create_endpoint_config(
        EndpointConfigName="full", Tags=[{"Key": "team", "Value": "wine"}], **wanted
    )
    found = client.describe_endpoint_config(EndpointConfigName="full")
    for member, value in wanted.items():
        account.same(f"a config's {member}", found.get(member), value)
    account.same("a config's ARN", found["EndpointConfigArn"], made["EndpointConfigArn"])
    client.create_endpoint_config(
        EndpointConfigName="base", ProductionVariants=[variant("production", "wine-v1", 1.0)]
    )
    client.create_endpoint_config(
        EndpointConfigName="broken", ProductionVariants=[variant("production", "broken-model", 1.0)]
    )
    describe = client.describe_endpoint_config
    account.refused("no such config", "ValidationException", 400, describe, EndpointConfigName="missing")
    arn = made["EndpointConfigArn"]
    added = client.add_tags(ResourceArn=arn, Tags=[{"Key": "stage", "Value": "test"}])["Tags"]
    account.holds("a tag that was added", {"Key": "stage", "Value": "test"} in added)
    client.delete_tags(ResourceArn=arn, TagKeys=["stage"])
    pages = client.get_paginator("list_tags").paginate(ResourceArn=arn)
    account.same("tags", pages.build_full_result()["Tags"], [{"Key": "team", "Value": "wine"}])


def endpoint(account, client):
    client.create_endpoint(EndpointName="broken", EndpointConfigName="broken")
    client.create_endpoint(EndpointName="wine", EndpointConfigName="full")
    account.same(
        "an endpoint that is made",
        client.describe_endpoint(EndpointName="wine")["EndpointStatus"],
        "Creating",
    )
    in_service = client.get_waiter("endpoint_in_service")
    in_service.wait(EndpointName="wine", WaiterConfig=QUICK)
    in_service.wait(EndpointName="broken", WaiterConfig=QUICK)
    shares = [{"VariantName": "production", "DesiredWeight": 0.75}, {"VariantName": "canary", "DesiredWeight": 0.25}]
    move = client.update_endpoint_weights_and_capacities
    move(EndpointName="wine", DesiredWeightsAndCapacities=shares)
    account.same(
        "an endpoint whose weights move",
        client.describe_endpoint(EndpointName="wine")["EndpointStatus"],
        "Updating",
    )
    busy = {"EndpointName": "wine", "DesiredWeightsAndCapacities": shares}
    account.refused("an update during another", "ValidationException", 400, move, **busy)
    in_service.wait(EndpointName="wine", WaiterConfig=QUICK)
    capacity = [{"VariantName": "canary", "DesiredInstanceCount": 3}]
    move(EndpointName="wine", DesiredWeightsAndCapacities=capacity)
    in_service.wait(EndpointName="wine", WaiterConfig=QUICK)
    found = client.describe_endpoint(EndpointName="wine")
    seen = {
        one["VariantName"]: (one["CurrentWeight"], one["DesiredWeight"], one["CurrentInstanceCount"])
        for one in found["ProductionVariants"]
    }
    account.same("weights and counts", seen, {"production": (0.75, 0.75, 2), "canary": (0.25, 0.25, 3)})
    capture = found["DataCaptureConfig"]
    account.same("data capture", (capture["CaptureStatus"], capture["CurrentSamplingPercentage"]), ("Started", 25))
    unknown = {"EndpointName": "wine", "DesiredWeightsAndCapacities": [{"VariantName": "nobody", "DesiredWeight": 1.0}]}
    account.refused("weights of no variant", "ValidationException", 400, move, **unknown)
    account.refused("no such endpoint", "ValidationException", 400, client.describe_endpoint, EndpointName="missing")
    account.refused(
        "an update to no config",
        "ValidationException",
        400,
        client.update_endpoint,
        EndpointName="wine",
        EndpointConfigName="missing",
    )


def invocations(account, client):
    runtime = account.client("sagemaker-runtime")
    body = b'{"features": [1, 2]}'
    counts = {"production": 0, "canary": 0}
    for _ in range(60):
        answer = runtime.invoke_endpoint(EndpointName="wine", Body=body, ContentType="application/json")
        answer["Body"].read()
        counts[answer["InvokedProductionVariant"]] += 1
    # 60 at 25 %: outside of these less than once in a million runs.
    account.holds(f"traffic is split by weight: {counts}", 1 <= counts["canary"] <= 35)
    answer = runtime.invoke_endpoint(
        EndpointName="wine",
        Body=body,
        ContentType="application/json",
        TargetVariant="canary",
        InferenceId="one",
        CustomAttributes="trace=1",
    )
    account.same("a variant by name", answer["InvokedProductionVariant"], "canary")
    account.same("its media type", answer["ContentType"], "application/json")
    account.same("attributes that pass through", answer["CustomAttributes"], "trace=1")
    account.holds("a prediction", b"predictions" in answer["Body"].read())
    invoke = runtime.invoke_endpoint
    account.refused("no endpoint to ask", "ValidationError", 400, invoke, EndpointName="missing", Body=body)
    target = {"EndpointName": "wine", "Body": body, "TargetVariant": "nobody"}
    account.refused("no variant to ask", "ValidationError", 400, invoke, **target)
    failed = account.refused("a model that fails", "ModelError", 424, invoke, EndpointName="broken", Body=body)
    account.same("the model's own status", failed.get("OriginalStatusCode"), 500)


def scaling(account):
    client = account.client("application-autoscaling")
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/wine/variant/production",
        "ScalableDimension": DIMENSION,
    }
    made = client.register_scalable_target(MinCapacity=2, MaxCapacity=10, **target)
    tracking = {
        "TargetValue": 70000.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
        "ScaleInCooldown": 300,
        "ScaleOutCooldown": 60,
    }
    policy = {"PolicyName": "keep-up", "PolicyType": "TargetTrackingScaling"}
    client.put_scaling_policy(**policy, **target, TargetTrackingScalingPolicyConfiguration=tracking)
    pages = client.get_paginator("describe_scalable_targets").paginate(
        ServiceNamespace="sagemaker", ResourceIds=[target["ResourceId"]]
    )
    [found] = pages.build_full_result()["ScalableTargets"]
    bounds = (found["MinCapacity"], found["MaxCapacity"], found["ScalableTargetARN"])
    account.same("a target", bounds, (2, 10, made["ScalableTargetARN"]))
    pages = client.get_paginator("describe_scaling_policies").paginate(**target)
    [found] = pages.build_full_result()["ScalingPolicies"]
    account.same("a policy", found["TargetTrackingScalingPolicyConfiguration"], tracking)
    actions = client.describe_scheduled_actions(**target)["ScheduledActions"]
    account.same("scheduled actions", actions, [])
    night = {"ScheduledActionName": "night", "Schedule": "cron(0 22 * * ? *)"}
    client.put_scheduled_action(**night, **target, ScalableTargetAction={"MinCapacity": 1, "MaxCapacity": 2})
    [found] = client.describe_scheduled_actions(**target)["ScheduledActions"]
    account.same("a scheduled action", found["Schedule"], night["Schedule"])
    client.delete_scheduled_action(ScheduledActionName="night", **target)
    account.same("none left", client.describe_scheduled_actions(**target)["ScheduledActions"], [])
    arn = made["ScalableTargetARN"]
    client.tag_resource(ResourceARN=arn, Tags={"team": "wine"})
    account.same("tags of a target", client.list_tags_for_resource(ResourceARN=arn)["Tags"], {"team": "wine"})
    client.delete_scaling_policy(PolicyName="keep-up", **target)
    gone = "ObjectNotFoundException"
    account.refused("a policy that is gone", gone, 400, client.delete_scaling_policy, PolicyName="keep-up", **target)
    client.deregister_scalable_target(**target)
    account.refused("a target that is gone", gone, 400, client.deregister_scalable_target, **target)
    bad = {**target, "MinCapacity": 3, "MaxCapacity": 2}
    account.refused("a floor above its ceiling", "ValidationException", 400, client.register_scalable_target, **bad)


def listings(account, client):
    pages = client.get_paginator("list_models").paginate(PaginationConfig={"PageSize": 2}, SortBy="Name")
    names = [model["ModelName"] for model in pages.build_full_result()["Models"]]
    account.same("models by name, page by page", sorted(names), ["broken-model", "wine-v1", "wine-v2"])
    pages = client.get_paginator("list_endpoint_configs").paginate(PaginationConfig={"PageSize": 1})
    names = [config["EndpointConfigName"] for config in pages.build_full_result()["EndpointConfigs"]]
    account.same("configs, page by page", sorted(names), ["base", "broken", "full"])
    pages = client.get_paginator("list_endpoints").paginate(NameContains="win", StatusEquals="InService")
    found = pages.build_full_result()["Endpoints"]
    account.same("endpoints in service", [one["EndpointName"] for one in found], ["wine"])


def endings(account, client):
    client.update_endpoint(EndpointName="wine", EndpointConfigName="base", RetainAllVariantProperties=True)
    updating = client.describe_endpoint(EndpointName="wine")
    account.same("the config that comes", updating["PendingDeploymentSummary"]["EndpointConfigName"], "base")
    client.get_waiter("endpoint_in_service").wait(EndpointName="wine", WaiterConfig=QUICK)
    found = client.describe_endpoint(EndpointName="wine")
    names = [one["VariantName"] for one in found["ProductionVariants"]]
    account.same("the endpoint afterwards", (found["EndpointConfigName"], names), ("base", ["production"]))
    client.delete_endpoint(EndpointName="broken")
    client.get_waiter("endpoint_deleted").wait(EndpointName="broken", WaiterConfig=QUICK)
    client.delete_endpoint_config(EndpointConfigName="broken")
    delete = client.delete_endpoint_config
    account.refused("a config that is gone", "ValidationException", 400, delete, EndpointConfigName="broken")
    client.delete_model(ModelName="broken-model")
    account.refused("a model that is gone", "ValidationException", 400, client.delete_model, ModelName="broken-model")
