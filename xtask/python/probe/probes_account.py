"""Probes that need no endpoint: errors, announcements, figures. They take minutes and cost next to nothing."""

from __future__ import annotations

import json
from datetime import timedelta

from account import Refused
from endpoint import Session
from findings import Finding, probe

# The parts of an announcement, as shared/src/wire/messages.rs sends them.
PROTOCOLS = ("default", "email", "email-json", "sms", "http", "https", "sqs", "lambda", "firehose")
NAMESPACE = "Canary/Probe"


@probe("missing", "what is not there is refused as wrong for good, neither as denied nor as a fault")
def missing(session: Session) -> Finding:
    finding, name = Finding(), f"{session.prefix}-none"
    calls = [
        ("DescribeEndpoint", {"EndpointName": name}),
        ("DescribeEndpointConfig", {"EndpointConfigName": name}),
        ("DescribeModel", {"ModelName": name}),
        ("DeleteEndpointConfig", {"EndpointConfigName": name}),
        ("ListTags", {"ResourceArn": session.endpoint_arn(name)}),
    ]
    for operation, parameters in calls:
        try:
            session.account.call("sagemaker", operation, **parameters)
            finding.note(operation == "DeleteEndpointConfig", f"{operation} of nothing answers 200")
        except Refused as refusal:
            finding.note(refusal.is_invalid, f"{operation}: {refusal.code}, HTTP {refusal.status}")
            finding.facts[operation] = refusal.facts()
    return finding


@probe("alarms", "an alarm that is not there is left out of the answer, which is no error")
def alarms(session: Session) -> Finding:
    finding = Finding()
    answer = session.account.call(
        "cloudwatch",
        "DescribeAlarms",
        AlarmNames=[f"{session.prefix}-none"],
        AlarmTypes=["MetricAlarm", "CompositeAlarm"],
        MaxRecords=100,
    )
    found = len(answer.get("MetricAlarms", [])) + len(answer.get("CompositeAlarms", []))
    finding.note(found == 0, f"DescribeAlarms of a name that nobody has shows {found} alarms")
    return finding


@probe("bad-query", "GetMetricData refuses the whole call for one statistic that is none, as wrong for good")
def bad_query(session: Session) -> Finding:
    finding, now = Finding(), session.clock.now()
    good = ("Invocations", "Sum", "nobody")
    for statistic in ("TC(nonsense", "PR(:)"):
        try:
            session.points({"q0": good, "q1": ("ModelLatency", statistic, "nobody")}, now - 600, now)
            finding.note(None, f"{statistic} beside a good query is answered")
        except Refused as refusal:
            finding.note(refusal.is_invalid, f"{statistic}: {refusal.code}, HTTP {refusal.status}")
            finding.facts[statistic] = refusal.facts()
    return finding


@probe("put-event", "PutEvents takes an event whose resource is a name and no ARN")
def put_event(session: Session) -> Finding:
    finding, bus = Finding(), session.prefix
    session.account.call("events", "CreateEventBus", Name=bus)
    entry = {
        "Source": "canary",
        "DetailType": "deployment.probe",
        "Detail": json.dumps({"probe": True}),
        "Resources": ["an-endpoint"],
        "Time": session.clock.at().replace(microsecond=0),
        "EventBusName": bus,
    }
    answer = session.account.call("events", "PutEvents", Entries=[entry])
    failed = answer.get("FailedEntryCount", 0)
    finding.note(
        failed == 0, f"PutEvents: {failed} of 1 entries failed {answer['Entries'][0].get('ErrorMessage') or ''}".strip()
    )
    return finding


@probe("publish", "SNS takes a subject of 99 characters, nine protocols' texts and eight attributes")
def publish(session: Session) -> Finding:
    finding, account = Finding(), session.account
    topic = account.call("sns", "CreateTopic", Name=session.prefix)["TopicArn"]
    # As shared/src/wire/messages.rs sends them; the audiences' subscriptions pick by the list.
    names = ("event", "severity", "endpoint", "deployment_id", "event_id", "signal", "signal_severity")
    attributes = {name: {"DataType": "String", "StringValue": "probe"} for name in names}
    attributes["audience"] = {"DataType": "String.Array", "StringValue": json.dumps(["on_call", "ml_team"])}
    message = {
        "TopicArn": topic,
        "MessageStructure": "json",
        "Message": json.dumps({protocol: "a probe" for protocol in PROTOCOLS}),
        "MessageAttributes": attributes,
    }
    for length in (99, 100):
        try:
            account.call("sns", "Publish", Subject="[" + "x" * (length - 1), **message)
            finding.note(True, f"a subject of {length} characters is taken")
        except Refused as refusal:
            # The control plane sends 99 at most: what becomes of 100 is for the record.
            finding.note(length == 100, f"a subject of {length} characters: {refusal.code}")
            finding.facts[f"subject of {length}"] = refusal.facts()
    return finding


@probe(
    "emf",
    "CloudWatch makes metrics of a log line in the embedded format, with and without its second dimension",
    minutes=10,
)
def emf(session: Session) -> Finding:
    finding, account, clock, group = Finding(), session.account, session.clock, f"{session.prefix}-figures"
    account.call("logs", "CreateLogGroup", logGroupName=group)
    account.call("logs", "CreateLogStream", logGroupName=group, logStreamName="probe")
    milliseconds, begun = int(clock.now() * 1000), clock.now()
    # As shared/src/aws/figures.rs writes it.
    line = {
        "_aws": {
            "Timestamp": milliseconds,
            "CloudWatchMetrics": [
                {
                    "Namespace": NAMESPACE,
                    "Dimensions": [["Stack"], ["Stack", "Class"]],
                    "Metrics": [{"Name": "Errors", "Unit": "Count"}],
                }
            ],
        },
        "Stack": session.prefix,
        "Class": "Bug",
        "operation": "probe",
        "Errors": 1,
    }
    account.call(
        "logs",
        "PutLogEvents",
        logGroupName=group,
        logStreamName="probe",
        logEvents=[{"timestamp": milliseconds, "message": json.dumps(line)}],
    )
    stack, kind = {"Name": "Stack", "Value": session.prefix}, {"Name": "Class", "Value": "Bug"}
    queries = [
        {
            "Id": name,
            "MetricStat": {
                "Metric": {"Namespace": NAMESPACE, "MetricName": "Errors", "Dimensions": dimensions},
                "Period": 60,
                "Stat": "Sum",
            },
        }
        for name, dimensions in (("stack", [stack]), ("both", [stack, kind]))
    ]
    sums: dict = {}
    while clock.now() - begun < 9 * 60:
        answer = account.call(
            "cloudwatch",
            "GetMetricData",
            MetricDataQueries=queries,
            StartTime=clock.at(begun) - timedelta(minutes=2),
            EndTime=clock.at() + timedelta(minutes=1),
        )
        sums = {result["Id"]: sum(result["Values"]) for result in answer["MetricDataResults"]}
        if all(sums.get(name, 0) > 0 for name in ("stack", "both")):
            break
        clock.sleep(15)
    waited = clock.now() - begun
    for name in ("stack", "both"):
        finding.note(sums.get(name) == 1, f"the sum of the metric of {name} is {sums.get(name)} after {waited:.0f} s")
    return finding
