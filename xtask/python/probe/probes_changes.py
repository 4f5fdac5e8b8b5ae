"""Probes of what changes an endpoint: updates, weights, and what SageMaker says and sends while they last."""

from __future__ import annotations

import json
import time

from endpoint import CANARY, ONE, TO_ONE, Session, weights_of
from findings import Finding, probe
from probes_traffic import FOLLOWED, asked


@probe(
    "retain",
    "RetainAllVariantProperties keeps live weights and counts, and a new variant starts with its config's",
    minutes=1,
    instances=2,
)
def retain(session: Session) -> Finding:
    finding = Finding()
    change = session.has_two()
    finding.note(
        change.after["EndpointStatus"] == "InService",
        f"the endpoint is {change.after['EndpointStatus']} on {change.after['EndpointConfigName']}",
    )
    shown = {one["VariantName"]: one for one in change.after["ProductionVariants"]}
    production, canary = shown.get(ONE, {}), shown.get(CANARY)
    finding.note(
        production.get("CurrentWeight") == 2.0,
        f"production has the weight {production.get('CurrentWeight')}: 2 was live, the config says 1",
    )
    if canary is None:
        finding.note(False, "the new variant is not there")
    else:
        finding.note(
            canary.get("CurrentWeight") == 0.0,
            f"the new variant has the weight {canary.get('CurrentWeight')}: its config says 0",
        )
        finding.note(
            canary.get("CurrentInstanceCount") == 1,
            f"and {canary.get('CurrentInstanceCount')} instances: its config says 1",
        )
    finding.facts = change.facts()
    return finding


@probe(
    "conflict",
    "an endpoint that is changing refuses another change as wrong, and DescribeEndpoint shows the change within 120 s",
    minutes=1,
    instances=2,
)
def conflict(session: Session) -> Finding:
    finding = Finding()
    session.has_two()
    for change in session.changes:
        if change.during is None:
            finding.note(None, f"{change.kind}: it was not seen to change")
            continue
        finding.note(
            change.shown_after < 120,
            f"{change.kind}: {change.during['EndpointStatus']} was first seen {change.shown_after:.1f} s after the call",
        )
        config = change.during["EndpointConfigName"]
        finding.note(
            config == change.before["EndpointConfigName"], f"{change.kind}: meanwhile it shows the config {config}"
        )
    # Most changes say the same: once is enough.
    told = {}
    for answer in (answer for change in session.changes for answer in change.busy_answers):
        what = f"{answer['call']} meanwhile: {answer['code']}, HTTP {answer['status']}: {answer['message']}"
        told[what] = answer.get("is_invalid", False)
    for what, is_invalid in told.items():
        finding.note(is_invalid, what)
    finding.facts = {"changes": [change.facts() for change in session.changes]}
    return finding


@probe("times", "weights change within minutes, and an update within half an hour", minutes=4, instances=2)
def times(session: Session) -> Finding:
    finding = Finding()
    session.has_two()
    if not any(change.kind.startswith("weights") and CANARY in change.kind for change in session.changes):
        session.weights({ONE: 1.0, CANARY: 0.0})
    for change in session.changes:
        most = 30 * 60 if change.kind.startswith("UpdateEndpoint") else 5 * 60
        finding.note(change.seconds < most, f"{change.kind}: {change.seconds:.0f} s")
    finding.facts = {change.kind: round(change.seconds, 1) for change in session.changes}
    return finding


@probe(
    "failed-update",
    "an update that fails comes back InService on the config before it, with a FailureReason",
    minutes=25,
    instances=4,
)
def failed_update(session: Session) -> Finding:
    finding = Finding()
    session.has_two()
    broken = session.broken_model()
    if broken is None:
        finding.note(None, "not tried: name a model that can't start with --broken-model-name")
        return finding
    config = session.config("broken", session.variant(ONE, 1.0), session.variant(CANARY, 0.0, model=broken))
    change = session.update("UpdateEndpoint to a model that can't start", config)
    back = change.after["EndpointConfigName"] == change.before["EndpointConfigName"]
    if not back and change.after["EndpointStatus"] == "InService":
        finding.note(None, "the update went through: the model started all the same")
        session.update("UpdateEndpoint back", change.before["EndpointConfigName"])
        return finding
    finding.note(
        change.after["EndpointStatus"] == "InService",
        f"after {change.seconds:.0f} s the endpoint is {change.after['EndpointStatus']}",
    )
    finding.note(back, f"it is on the config {change.after['EndpointConfigName']}")
    finding.note(bool(change.after.get("FailureReason")), f"FailureReason: {change.after.get('FailureReason')}")
    kept = weights_of(change.after) == weights_of(change.before)
    finding.note(kept, f"weights and instances before {weights_of(change.before)}, after {weights_of(change.after)}")
    finding.facts = change.facts()
    return finding


@probe(
    "finalize",
    "an update that removes a variant at weight 0 keeps the other's weight and loses no request",
    minutes=15,
    instances=3,
)
def finalize(session: Session) -> Finding:
    finding = Finding()
    change = session.has_canary_alone()
    config = f"{session.prefix}-final"
    status, on = change.after["EndpointStatus"], change.after["EndpointConfigName"]
    finding.note(status == "InService" and on == config, f"the endpoint is {status} on {on}")
    names = sorted(one["VariantName"] for one in change.after["ProductionVariants"])
    finding.note(names == [CANARY], f"it has the variants {names}")
    lost = {what: count for what, count in change.served.items() if what != "answered"}
    finding.note(not lost, f"of {sum(change.served.values())} requests meanwhile were lost: {lost or 'none'}")
    gone = session.ask(variant=ONE)
    finding.note(gone.status == 400, f"the removed variant, asked for by name: {gone.code}, HTTP {gone.status}")
    finding.facts = change.facts()
    return finding


@probe(
    "enhanced-metrics",
    "with EnableEnhancedMetrics the metrics by endpoint and variant are as they were",
    minutes=8,
    instances=1,
)
def enhanced_metrics(session: Session) -> Finding:
    finding = Finding()
    session.has_canary_alone()
    burst = session.burst(100)
    session.clock.sleep(FOLLOWED)
    found = session.points(asked(CANARY), burst.begun, burst.ended)
    for index, (metric, expected) in enumerate(burst.tally().items()):
        total = sum(found[f"m{index}"].values())
        finding.note(round(total) == expected, f"{metric}: {total:.0f} counted, {expected} answered so")
    finding.note(bool(found["l0"]), f"ModelLatency has {sum(found['l0'].values()):.0f} samples")
    return finding


@probe(
    "creation-time",
    "DescribeEndpoint shows one CreationTime, to the same fraction of a second, through every change",
    minutes=1,
    instances=2,
)
def creation_time(session: Session) -> Finding:
    finding = Finding()
    session.has_two()
    times = sorted(str(at) for at in session.creation_times)
    finding.note(
        len(times) == 1,
        f"over {session.account.calls[('sagemaker', 'DescribeEndpoint')]} readings CreationTime was {', '.join(times[:5])}",
    )
    finding.facts = {"creation_times": times}
    return finding


def listen(session: Session) -> None:
    """From now on the endpoint's events go to a queue of this run."""
    account, name = session.account, session.prefix
    region = account.session.region_name
    partition = account.session.get_partition_for_region(region)
    owner = account.call("sts", "GetCallerIdentity")["Account"]
    queue_arn = f"arn:{partition}:sqs:{region}:{owner}:{name}"
    rule_arn = f"arn:{partition}:events:{region}:{owner}:rule/{name}"
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue_arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
            }
        ],
    }
    session.queue = account.call("sqs", "CreateQueue", QueueName=name, Attributes={"Policy": json.dumps(policy)})[
        "QueueUrl"
    ]
    pattern = {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Endpoint State Change"],
        "detail": {"EndpointName": [name]},
    }
    account.call("events", "PutRule", Name=name, EventPattern=json.dumps(pattern), Tags=session.tags)
    account.call("events", "PutTargets", Rule=name, Targets=[{"Id": "queue", "Arn": queue_arn}])


@probe(
    "events",
    "every change sends a `SageMaker Endpoint State Change` event that names the endpoint, its ARN and its status",
    minutes=4,
    instances=1,
)
def events(session: Session) -> Finding:
    finding = Finding()
    if not hasattr(session, "queue"):
        listen(session)
    session.exists()
    session.weights({CANARY if session.change_of(TO_ONE) else ONE: 1.0})
    session.clock.sleep(60)
    received: list[dict] = []
    quiet = 0
    while quiet < 3:
        asked_at = time.monotonic()
        answer = session.account.call(
            "sqs", "ReceiveMessage", QueueUrl=session.queue, MaxNumberOfMessages=10, WaitTimeSeconds=5
        )
        messages = answer.get("Messages", [])
        received += [json.loads(message["Body"]) for message in messages if message["Body"].startswith("{")]
        # Nothing is deleted from the queue: a message that comes again is told by its id.
        quiet = quiet + 1 if not messages or session.account.is_dry or time.monotonic() - asked_at > 60 else 0
        if len(received) > 500:
            break
    unique = list({one["id"]: one for one in received}.values())
    statuses = [one["detail"].get("EndpointStatus") for one in sorted(unique, key=lambda one: one["time"])]
    finding.note(
        bool(unique), f"{len(unique)} events came for {len(session.changes) + 1} changes, with the statuses {statuses}"
    )
    for one in unique[:1]:
        finding.note(
            one["detail"].get("EndpointName") == session.name,
            f"detail holds {', '.join(sorted(one['detail']))}",
        )
        # The stack's rule picks by it, with a pattern in lower case.
        arn = f":endpoint/{session.name.lower()}"
        finding.note(
            any(resource.endswith(arn) for resource in one["resources"]),
            f"resources {one['resources']}",
        )
    finding.facts = {"events": unique[:20]}
    return finding
