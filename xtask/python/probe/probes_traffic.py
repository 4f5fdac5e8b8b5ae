"""Probes of an endpoint that serves: what a request is answered with, and what CloudWatch says about requests."""

from __future__ import annotations

from endpoint import CANARY, FAILING, ONE, Burst, Session
from findings import Finding, probe

MACHINES = "/aws/sagemaker/Endpoints"
ERRORS = ("Invocation4XXErrors", "Invocation5XXErrors")
# Microseconds: between the built-in model's quick and slow answers.
LIMIT = 150_000
# Seconds: how long points are followed after the last request, and how often they are read.
FOLLOWED, EVERY = 360, 15


@probe(
    "invoke",
    "an unknown variant or endpoint is refused as wrong, a model's error comes with the model's own status",
    minutes=1,
    instances=1,
)
def invoke(session: Session) -> Finding:
    finding = Finding()
    session.exists()
    plain = session.ask()
    finding.note(plain.variant == ONE, f"an answer names its variant: {plain.variant} (HTTP {plain.status})")
    unknown = session.ask(variant="nobody")
    finding.note(unknown.status == 400, f"a variant that is not there: {unknown.code}, HTTP {unknown.status}")
    elsewhere = session.ask(endpoint=f"{session.prefix}-none")
    finding.note(elsewhere.status == 400, f"an endpoint that is not there: {elsewhere.code}, HTTP {elsewhere.status}")
    failed = session.ask(FAILING)
    if failed.code is None:
        finding.note(None, "this model answers what was to make it fail; how its errors come back was not seen")
    else:
        is_models = failed.code == "ModelError" and failed.status == 424 and failed.original_status is not None
        finding.note(
            is_models,
            f"a model's error: {failed.code}, HTTP {failed.status}, the model's status {failed.original_status}",
        )
    finding.facts = {
        "plain": vars(plain),
        "unknown_variant": vars(unknown),
        "unknown_endpoint": vars(elsewhere),
        "model_error": vars(failed),
    }
    return finding


def asked(variant: str) -> dict[str, tuple]:
    """The queries of one variant, as shared/src/app/metrics.rs asks them."""
    queries = {f"m{index}": (metric, "Sum", variant) for index, metric in enumerate(("Invocations", *ERRORS))}
    statistics = ("SampleCount", "p50", "p90", "p95", "p99", f"TC({LIMIT}:)", f"PR(:{LIMIT})")
    queries |= {f"l{index}": ("ModelLatency", statistic, variant) for index, statistic in enumerate(statistics)}
    queries["overhead"] = ("OverheadLatency", "Average", variant)
    queries["cpu"] = ("CPUUtilization", "Average", variant, MACHINES)
    return queries


def followed(session: Session, burst: Burst, variant: str) -> tuple[dict, dict, dict]:
    """The points of a burst as they are in the end; by query and minute, how long after the minute's end one was
    first seen, and when its value last changed. What the first look finds of minutes past says nothing about when
    it came."""
    first: dict = {}
    changed: dict = {}
    points: dict | None = None
    while True:
        now = session.clock.now()
        latest = session.points(asked(variant), burst.begun, burst.ended)
        for identity, found in latest.items():
            for minute, value in found.items():
                age, before = now - (minute.timestamp() + 60), (points or {}).get(identity, {})
                if minute not in before and (points is not None or age < 0):
                    first[(identity, minute)] = age
                if before.get(minute, value) != value:
                    changed[(identity, minute)] = age
        points = latest
        if now - burst.ended > FOLLOWED:
            return points, first, changed
        session.clock.sleep(EVERY)


@probe(
    "points",
    "every request is counted, errors are sent as 0 or 1 with each, and points stand at the minute's start",
    minutes=9,
    instances=1,
)
def points(session: Session) -> Finding:
    finding = Finding()
    session.exists()
    burst = session.burst()
    found, session.first_seen, session.last_changed = followed(session, burst, ONE)
    session.found = found
    tally = burst.tally()
    for index, (metric, expected) in enumerate(tally.items()):
        total = sum(found[f"m{index}"].values())
        finding.note(round(total) == expected, f"{metric}: {total:.0f} counted, {expected} answered so")
    minutes = set(found["m0"])
    for index, metric in enumerate(ERRORS, 1):
        without = len(minutes - set(found[f"m{index}"]))
        finding.note(without == 0, f"{metric}: {without} of {len(minutes)} minutes with requests have no point")
    odd = [minute.isoformat() for minute in minutes if minute.timestamp() % 60]
    finding.note(not odd, f"{len(odd)} points do not stand at the start of a minute")
    samples = sum(found["l0"].values())
    finding.note(samples > 0, f"ModelLatency has {samples:.0f} samples for {tally['Invocations']} requests")
    machine = len(found["cpu"])
    finding.note(machine > 0, f"CPUUtilization has {machine} points in {MACHINES}")
    finding.facts = {
        "tally": tally,
        "points": {name: [[at.isoformat(), value] for at, value in one.items()] for name, one in found.items()},
    }
    return finding


@probe("slow-counts", "ModelLatency serves TC(limit:), or PR(:limit), and the two agree", minutes=1, instances=1)
def slow_counts(session: Session) -> Finding:
    finding = Finding()
    session.exists()
    if not hasattr(session, "found"):
        session.found, session.first_seen, session.last_changed = followed(session, session.burst(), ONE)
    samples, counted, ranked = (session.found[name] for name in ("l0", "l5", "l6"))
    finding.note(
        bool(counted) or bool(ranked),
        f"TC has {len(counted)} points, PR {len(ranked)}, of {len(samples)} minutes with samples",
    )
    both = samples.keys() & counted.keys() & ranked.keys()
    apart = [round(samples[at] * (1 - ranked[at] / 100)) - round(counted[at]) for at in both]
    if both:
        finding.note(
            not any(apart), f"in {sum(map(bool, apart))} of {len(both)} minutes the two ways count differently"
        )
    missing = len(samples.keys() - counted.keys()) if counted else None
    if missing is not None:
        # A minute without any slow request has to be told from one that was not counted.
        finding.note(missing == 0, f"{missing} minutes with samples have no point of TC")
    finding.facts = {"samples": sum(samples.values()), "slow_by_tc": sum(counted.values()), "limit_microseconds": LIMIT}
    return finding


@probe("late-points", "a minute's points are there, and final, two minutes after its end", minutes=1, instances=1)
def late_points(session: Session) -> Finding:
    finding = Finding()
    session.exists()
    if not hasattr(session, "found"):
        session.found, session.first_seen, session.last_changed = followed(session, session.burst(), ONE)
    if not session.first_seen:
        finding.note(None, "no point was seen to come: all were there when they were first looked for")
        return finding
    # A minute's point may show while the minute lasts: then it was there at its end.
    first, changed = (max(max(ages.values(), default=0.0), 0.0) for ages in (session.first_seen, session.last_changed))
    finding.note(
        first <= 120, f"the last point was first seen {first:.0f} s after its minute's end (looked every {EVERY} s)"
    )
    finding.note(changed <= 120, f"the last change of a value was seen {changed:.0f} s after its minute's end")
    finding.facts = {
        "first_seen_seconds": round(first),
        "last_changed_seconds": round(changed),
        "points": len(session.first_seen),
    }
    return finding


@probe(
    "weight-zero",
    "a variant at weight 0 gets nothing by the weights, emits no points, and serves whoever asks for it by name",
    minutes=9,
    instances=2,
)
def weight_zero(session: Session) -> Finding:
    finding = Finding()
    session.has_two()
    burst = session.burst()
    reached = burst.of(CANARY)
    finding.note(reached == 0, f"{reached} of {len(burst.answers)} requests by weight reached the variant at weight 0")
    session.clock.sleep(FOLLOWED)
    found = session.points(asked(CANARY), burst.begun, burst.ended)
    emitted = {name: sum(found[name].values()) for name in ("m0", "m1", "m2", "l0") if found[name]}
    finding.note(not found["m0"], f"the idle variant's Invocations have {len(found['m0'])} points in those minutes")
    finding.facts = {"points_of_the_idle_variant": emitted, "its_cpu_points": len(found["cpu"])}
    named = [session.ask(variant=CANARY) for _ in range(5)]
    served = sum(answer.variant == CANARY for answer in named)
    finding.note(served == len(named), f"asked for by name it served {served} of {len(named)} requests")
    return finding


@probe("split", "requests are spread by weight, each for itself", minutes=6, instances=2)
def split(session: Session) -> Finding:
    finding = Finding()
    session.has_two()
    change = session.weights({ONE: 0.8, CANARY: 0.2})
    shown = {one["VariantName"]: one.get("CurrentWeight") for one in change.after["ProductionVariants"]}
    close = abs((shown.get(CANARY) or 0) / (sum(filter(None, shown.values())) or 1) - 0.2) < 1e-4
    finding.note(close, f"in service again, DescribeEndpoint shows the weights {shown}")
    burst = session.burst(600)
    answered = [answer.variant for answer in burst.answers if answer.variant in (ONE, CANARY)]
    count = sum(name == CANARY for name in answered)
    if not answered:
        finding.note(None, "no request was answered by either variant")
        return finding
    deviation = (count - 0.2 * len(answered)) / (0.16 * len(answered)) ** 0.5
    finding.note(
        abs(deviation) < 4,
        f"{count} of {len(answered)} requests on a weight of 0.2: {deviation:+.1f} standard deviations",
    )
    # How often neighbours differ tells turns and stickiness from chance.
    share = count / len(answered)
    changes = sum(a != b for a, b in zip(answered, answered[1:]))
    expected = 2 * share * (1 - share) * (len(answered) - 1)
    odd = (changes - expected) / max(expected, 1) ** 0.5
    finding.note(
        abs(odd) < 4,
        f"the variant changed {changes} times from one request to the next; by chance about {expected:.0f}",
    )
    finding.facts = {
        "canary": count,
        "requests": len(answered),
        "changes": changes,
        "seconds_to_change_weights": round(change.seconds, 1),
    }
    return finding


@probe("all-zero", "with every weight at 0, the traffic is split evenly and not refused", minutes=4, instances=2)
def all_zero(session: Session) -> Finding:
    finding = Finding()
    session.has_two()
    session.weights({ONE: 0.0, CANARY: 0.0})
    try:
        burst = session.burst(100)
        served = {name: burst.of(name) for name in (ONE, CANARY)}
        finding.note(
            all(served.values()), f"with both weights at 0, {served} of {len(burst.answers)} requests were served"
        )
        finding.facts = served
    finally:
        session.weights({ONE: 1.0, CANARY: 0.0})
    return finding
