"""Probes of Application Auto Scaling: floors, what deregistering takes along, updates that remove a target."""

from __future__ import annotations

from account import Refused
from endpoint import CANARY, ONE, TO_TWO, Change, Session
from findings import Finding, probe

TRACKING = {
    "TargetValue": 1000.0,
    "ScaleInCooldown": 300,
    "ScaleOutCooldown": 60,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
}
# Seconds that a floor may take to be kept.
LONGEST = 12 * 60


@probe(
    "floor",
    "a floor above the instances there are brings more by itself, refuses other changes meanwhile, and is kept against a lower count",
    minutes=30,
    instances=4,
)
def floor(session: Session) -> Finding:
    finding, account = Finding(), session.account
    session.has_two()
    scaling = "application-autoscaling"
    account.call(scaling, "RegisterScalableTarget", **session.target(MinCapacity=2, MaxCapacity=2))
    try:
        grown = wait_for_two(session)
        finding.note(
            grown.seconds < LONGEST,
            f"a floor of 2 over 1 instance: {instances(session)} instances after {grown.seconds:.0f} s",
        )
        for answer in grown.busy_answers:
            finding.note(
                answer.get("is_invalid"), f"{answer['call']} while it grew: {answer['code']}, HTTP {answer['status']}"
            )
        try:
            session.capacity(CANARY, 1)
            finding.note(
                None, f"1 instance, asked for below the floor of 2, is taken: {instances(session)} instances then"
            )
            again = wait_for_two(session)
            finding.note(
                again.seconds < LONGEST,
                f"the floor brought back {instances(session)} instances within {again.seconds:.0f} s",
            )
        except Refused as refusal:
            finding.note(
                refusal.is_invalid, f"1 instance, asked for below the floor of 2: {refusal.code}: {refusal.message}"
            )
            finding.facts["below the floor"] = refusal.facts()
        finding.facts |= {"grown": grown.facts()}
    finally:
        account.call(scaling, "DeregisterScalableTarget", **session.target())
    # Instances cost: back to one for what follows.
    session.rests()
    if instances(session) > 1:
        session.capacity(CANARY, 1)
    return finding


def instances(session: Session) -> int:
    shown = {one["VariantName"]: one.get("CurrentInstanceCount", 0) for one in session.view()["ProductionVariants"]}
    return shown.get(CANARY, 0)


def wait_for_two(session: Session) -> Change:
    """Looks until scaling has brought the canary to two instances, or has had time enough."""
    change, begun = Change("scaling to 2 instances", session.view()), session.clock.now()
    while True:
        view, waited = session.view(), session.clock.now() - begun
        if view["EndpointStatus"] == "Updating" and change.during is None:
            change.during, change.shown_after = view, waited
            change.busy_answers = session.try_meanwhile(view)
        rests = view["EndpointStatus"] == "InService"
        if (rests and instances(session) >= 2) or waited >= LONGEST:
            change.after, change.seconds = view, waited
            return change
        session.clock.sleep(5)


@probe(
    "deregister",
    "policies of one name stand at two targets, go with their target, and a target that is registered anew takes one at once",
    minutes=5,
    instances=2,
)
def deregister(session: Session) -> Finding:
    finding, account, scaling = Finding(), session.account, "application-autoscaling"
    session.has_two()
    policy = {
        "PolicyName": session.prefix,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": TRACKING,
    }

    def has_policy(variant: str) -> bool:
        found = account.everything(scaling, "DescribeScalingPolicies", "ScalingPolicies", **session.target(variant))
        return session.prefix in [one["PolicyName"] for one in found]

    for attempt, variants in (("first", (CANARY, ONE)), ("again", (CANARY,))):
        try:
            for variant in variants:
                account.call(scaling, "RegisterScalableTarget", **session.target(variant, MinCapacity=1, MaxCapacity=1))
                try:
                    account.call(scaling, "PutScalingPolicy", **session.target(variant), **policy)
                    finding.note(True, f"{variant}, registered ({attempt}), takes a policy at once")
                except Refused as refusal:
                    finding.note(
                        False,
                        f"{variant}, registered ({attempt}): the policy right after: {refusal.code}: {refusal.message}",
                    )
                    finding.facts[f"{variant} {attempt}"] = refusal.facts()
            having = [variant for variant in variants if has_policy(variant)]
            finding.note(having == list(variants), f"a policy of the same name is at {having}")
        finally:
            for variant in variants:
                account.call(scaling, "DeregisterScalableTarget", **session.target(variant))
        left = [variant for variant in variants if has_policy(variant)]
        finding.note(not left, f"deregistered, policies are left at {left}")
    try:
        account.call(scaling, "DeregisterScalableTarget", **session.target())
        finding.note(None, "deregistering what is not registered answers 200")
    except Refused as refusal:
        finding.note(
            refusal.code == "ObjectNotFoundException",
            f"deregistering what is not registered: {refusal.code}, HTTP {refusal.status}",
        )
    return finding


@probe(
    "registered-removed",
    "an update that removes a registered variant fails and leaves the endpoint in service on its config",
    minutes=20,
    instances=3,
)
def registered_removed(session: Session) -> Finding:
    finding, account, scaling = Finding(), session.account, "application-autoscaling"
    session.has_two()
    account.call(scaling, "RegisterScalableTarget", **session.target(MinCapacity=1, MaxCapacity=1))
    try:
        config = session.config("without", session.variant(ONE, 1.0))
        change = session.update("UpdateEndpoint that removes a registered variant", config)
        failed = change.after["EndpointConfigName"] == change.before["EndpointConfigName"]
        finding.note(
            failed,
            f"after {change.seconds:.0f} s it is {change.after['EndpointStatus']} on {change.after['EndpointConfigName']}",
        )
        finding.note(
            bool(change.after.get("FailureReason")) if failed else None,
            f"FailureReason: {change.after.get('FailureReason')}",
        )
        finding.facts = change.facts()
        if not failed:
            # It went through: what follows needs the second variant again.
            session.changes = [one for one in session.changes if one.kind != TO_TWO]
    except Refused as refusal:
        finding.note(refusal.is_invalid, f"refused at once: {refusal.code}, HTTP {refusal.status}: {refusal.message}")
        finding.facts = refusal.facts()
    finally:
        account.call(scaling, "DeregisterScalableTarget", **session.target())
    return finding
