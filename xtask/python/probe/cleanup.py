"""Deletes what a run has made, and says what could not be deleted.

What is deleted is what the run noted and what the lists of the account show under its prefix: the note knows what
no list shows yet, and the lists know what was made by a call whose answer was lost. The end is believed only when
the lists show nothing any more.
"""

from __future__ import annotations

from account import DIMENSION, NAMED_BY, Account, NotServed, Refused

# A scalable target outlives its variant, and a config should outlive its endpoint.
ORDER = [
    "DeregisterScalableTarget",
    "DeleteEndpoint",
    "DeleteEndpointConfig",
    "DeleteModel",
    "DeleteObject",
    "DeleteRule",
    "DeleteQueue",
    "DeleteEventBus",
    "DeleteTopic",
    "DeleteLogGroup",
]
# Seconds. An endpoint in the middle of an update has to come to rest before it can be deleted.
LONGEST = 45 * 60
PAUSE = 15

Step = tuple[str, str, dict]


def remove(account: Account, bucket: str | None = None) -> list[str]:
    """Deletes everything; what is left, in words. Takes as long as the endpoint needs to rest and go."""
    until = account.clock.now() + LONGEST
    account.clock.deadline = float("inf")
    steps, unlisted = found(account, bucket)
    steps += [step for step in account.made if step not in steps]
    while True:
        refused = {}
        for step in sorted(steps, key=lambda step: ORDER.index(step[1])):
            try:
                delete(account, step)
            except Refused as refusal:
                refused[in_words(step)] = refusal
            except NotServed:
                pass
        if account.is_dry:
            return []
        steps, unlisted = found(account, bucket)
        if not steps:
            break
        if account.clock.now() > until:
            return [f"{in_words(step)}: {refused.get(in_words(step), 'still there')}" for step in steps]
        account.clock.sleep(PAUSE)
    # Where nothing may be listed, the answer to the deletion is all there is to go by.
    return [
        f"{what}: {why} (and nothing may be listed to see whether it is there)"
        for what, why in refused.items()
        if what.split()[0] in unlisted
    ]


def delete(account: Account, step: Step) -> None:
    service, operation, parameters = step
    if operation == "DeleteRule":
        try:
            account.call("events", "RemoveTargets", Rule=parameters["Name"], Ids=["queue"])
        except Refused:
            pass
    account.call(service, operation, **parameters)


def in_words(step: Step) -> str:
    service, _, parameters = step
    names = [str(value) for name, value in parameters.items() if name not in ("ServiceNamespace", "ScalableDimension")]
    return f"{service} {'/'.join(names)}"


def found(account: Account, bucket: str | None) -> tuple[list[Step], set[str]]:
    """What the account's lists show under the prefix, and the services that could not be asked."""
    prefix, steps, unlisted = account.prefix, [], set()

    def ask(service: str, operation: str, member: str, step, **parameters) -> None:
        try:
            for item in account.everything(service, operation, member, **parameters):
                made = step(item)
                # A list by a part of the name shows others' things too.
                if account.is_own(made[2][NAMED_BY[made[1]]]) and not account.is_dry:
                    steps.append(made)
        except NotServed:
            pass
        except Refused:
            unlisted.add(service)

    for kind in ("Endpoint", "EndpointConfig", "Model"):
        name = f"{kind}Name"
        ask(
            "sagemaker",
            f"List{kind}s",
            f"{kind}s",
            lambda item, kind=kind, name=name: ("sagemaker", f"Delete{kind}", {name: item[name]}),
            NameContains=prefix,
            MaxResults=100,
        )
    ask(
        "application-autoscaling",
        "DescribeScalableTargets",
        "ScalableTargets",
        lambda item: (
            "application-autoscaling",
            "DeregisterScalableTarget",
            {"ServiceNamespace": "sagemaker", "ResourceId": item["ResourceId"], "ScalableDimension": DIMENSION},
        ),
        ServiceNamespace="sagemaker",
        ScalableDimension=DIMENSION,
    )
    ask(
        "events", "ListRules", "Rules", lambda item: ("events", "DeleteRule", {"Name": item["Name"]}), NamePrefix=prefix
    )
    ask(
        "events",
        "ListEventBuses",
        "EventBuses",
        lambda item: ("events", "DeleteEventBus", {"Name": item["Name"]}),
        NamePrefix=prefix,
    )
    ask("sqs", "ListQueues", "QueueUrls", lambda url: ("sqs", "DeleteQueue", {"QueueUrl": url}), QueueNamePrefix=prefix)
    ask("sns", "ListTopics", "Topics", lambda item: ("sns", "DeleteTopic", {"TopicArn": item["TopicArn"]}))
    ask(
        "logs",
        "DescribeLogGroups",
        "logGroups",
        lambda item: ("logs", "DeleteLogGroup", {"logGroupName": item["logGroupName"]}),
        logGroupNamePrefix=prefix,
    )
    if bucket:
        ask(
            "s3",
            "ListObjectsV2",
            "Contents",
            lambda item: ("s3", "DeleteObject", {"Key": item["Key"], "Bucket": bucket}),
            Bucket=bucket,
            Prefix=f"{prefix}/",
        )
    return steps, unlisted
