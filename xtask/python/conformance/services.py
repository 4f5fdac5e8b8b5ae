"""CloudWatch in its three protocols, DynamoDB, SNS, EventBridge, Lambda and STS."""

import datetime
import json

from botocore.exceptions import ClientError

MINUTE = datetime.timedelta(minutes=1)
PROTOCOLS = ("smithy-rpc-v2-cbor", "json", "query")


def parts():
    """What is checked, one by one: what breaks off in one place says nothing about the others."""
    for protocol in PROTOCOLS:
        yield f"metrics over {protocol}", lambda account, over=protocol: metrics(account, over)
        yield f"alarms over {protocol}", lambda account, over=protocol: alarms(account, over)
    for part in (endpoint_metrics, table, topics, events, functions, tagging, caller):
        yield part.__name__, part


def tagging(account):
    """What was tagged above: three models, one of them gone by now, a group of packages, and a config."""
    for protocol in account.client("resourcegroupstaggingapi").meta.service_model.protocols:
        client = account.client("resourcegroupstaggingapi", protocol)
        pages = client.get_paginator("get_resources").paginate(
            ResourceTypeFilters=["sagemaker"],
            TagFilters=[{"Key": "team", "Values": ["wine"]}],
            PaginationConfig={"PageSize": 2},
        )
        found = pages.build_full_result()["ResourceTagMappingList"]
        names = sorted(one["ResourceARN"].rpartition("/")[2] for one in found)
        account.same(f"{protocol}: what is tagged", names, ["full", "wine-quality", "wine-v1", "wine-v2"])
        refused = {"ResourceARNList": ["wine"]}
        code = "InvalidParameterException"
        account.refused(f"{protocol}: no ARN", code, 400, client.get_resources, **refused)


def caller(account):
    found = account.client("sts").get_caller_identity()
    account.same("the caller", (found["Account"], found["Arn"].split(":")[4]), ("123456789012", "123456789012"))


def virtual_now(account):
    """The simulator's clock is its own: an alarm that is made tells the time."""
    client = account.client("cloudwatch")
    client.put_metric_alarm(**alarm("clock"))
    [found] = client.describe_alarms(AlarmNames=["clock"])["MetricAlarms"]
    return found["AlarmConfigurationUpdatedTimestamp"].replace(microsecond=0, second=0)


def query(index, namespace, statistic, variant="blue"):
    dimensions = [{"Name": "EndpointName", "Value": "wine"}, {"Name": "VariantName", "Value": variant}]
    metric = {"Namespace": namespace, "MetricName": "Latency", "Dimensions": dimensions}
    return {"Id": f"q{index}", "MetricStat": {"Metric": metric, "Period": 60, "Stat": statistic}}


def metrics(account, protocol):
    client = account.client("cloudwatch", protocol)
    namespace = f"Conformance/{protocol}"
    at = virtual_now(account) - 30 * MINUTE
    dimensions = query(0, namespace, "Sum")["MetricStat"]["Metric"]["Dimensions"]
    datum = {
        "MetricName": "Latency",
        "Dimensions": dimensions,
        "Timestamp": at,
        "Unit": "Microseconds",
        "Values": [20000.0, 50000.0, 90000.0],
        "Counts": [104.0, 1.0, 45.0],
    }
    client.put_metric_data(Namespace=namespace, MetricData=[datum])
    client.put_metric_data(Namespace=namespace, MetricData=[{**datum, "Timestamp": at + MINUTE}])
    expected = {
        "SampleCount": 150.0,
        "Sum": 104 * 20000.0 + 50000.0 + 45 * 90000.0,
        "Minimum": 20000.0,
        "Maximum": 90000.0,
        "p50": 20000.0,
        "p99": 90000.0,
        "TC(50000:)": 45.0,
        "PR(:50000)": 70.0,
    }
    queries = [query(index, namespace, statistic) for index, statistic in enumerate(expected)]
    queries.append(query(99, namespace, "Sum", "nobody"))
    span = {"StartTime": at, "EndTime": at + 2 * MINUTE, "ScanBy": "TimestampAscending"}
    pages = client.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries, **span, PaginationConfig={"PageSize": 3}
    )
    found = {}
    for page in pages:
        for result in page["MetricDataResults"]:
            points = found.setdefault(result["Id"], [])
            points += zip(result["Timestamps"], result["Values"], strict=True)
    for index, (statistic, value) in enumerate(expected.items()):
        points = [(at, value), (at + MINUTE, value)]
        account.same(f"{protocol}: {statistic} page by page", found[f"q{index}"], points)
    account.same(f"{protocol}: a metric that nobody sent", found.get("q99", []), [])
    statistics = client.get_metric_statistics(
        Namespace=namespace,
        MetricName="Latency",
        Dimensions=dimensions,
        StartTime=at,
        EndTime=at + MINUTE,
        Period=60,
        Statistics=["Sum", "SampleCount"],
    )
    [point] = statistics["Datapoints"]
    account.same(f"{protocol}: statistics", (point["SampleCount"], point["Unit"]), (150.0, "Microseconds"))
    listed = client.get_paginator("list_metrics").paginate(Namespace=namespace).build_full_result()
    account.same(f"{protocol}: metrics", [one["MetricName"] for one in listed["Metrics"]], ["Latency"])
    backwards = {"MetricDataQueries": queries, "StartTime": at, "EndTime": at}
    account.refused(f"{protocol}: a span of nothing", "ValidationError", 400, client.get_metric_data, **backwards)
    own = {"Namespace": "AWS/SageMaker", "MetricData": [datum]}
    refused = "InvalidParameterValue"
    account.refused(f"{protocol}: a namespace of AWS", refused, 400, client.put_metric_data, **own)


def alarm(name):
    return {
        "AlarmName": name,
        "Namespace": "Conformance",
        "MetricName": "Latency",
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1e9,
        "ComparisonOperator": "GreaterThanThreshold",
    }


def alarms(account, protocol):
    client = account.client("cloudwatch", protocol)
    name = f"loud-{protocol}"
    client.put_metric_alarm(**alarm(name))
    client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")
    pages = client.get_paginator("describe_alarms").paginate(AlarmNames=[name], AlarmTypes=["MetricAlarm"])
    [found] = pages.build_full_result()["MetricAlarms"]
    account.same(f"{protocol}: an alarm", (found["StateValue"], found["Threshold"]), ("ALARM", 1e9))
    client.delete_alarms(AlarmNames=[name])
    found = client.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    account.same(f"{protocol}: an alarm that is gone", found, [])
    missing = {"AlarmName": "missing", "StateValue": "OK", "StateReason": "a test"}
    account.refused(f"{protocol}: no such alarm", "ResourceNotFound", 404, client.set_alarm_state, **missing)


def endpoint_metrics(account):
    """What the simulated endpoint was measured with, in the units that SageMaker sends."""
    client = account.client("cloudwatch")
    now = virtual_now(account)
    dimensions = [{"Name": "EndpointName", "Value": "wine"}, {"Name": "VariantName", "Value": "production"}]
    asked = {"Invocations": "Sum", "Invocation5XXErrors": "Sum", "ModelLatency": "p50", "OverheadLatency": "Average"}
    queries = [
        {
            "Id": f"m{index}",
            "MetricStat": {
                "Metric": {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": dimensions},
                "Period": 60,
                "Stat": statistic,
            },
        }
        for index, (metric, statistic) in enumerate(asked.items())
    ]
    answer = client.get_metric_data(MetricDataQueries=queries, StartTime=now - 60 * MINUTE, EndTime=now)
    found = {result["Label"]: result["Values"] for result in answer["MetricDataResults"]}
    account.holds("requests were counted", sum(found["Invocations"]) > 0)
    account.same("none failed", sum(found["Invocation5XXErrors"]), 0.0)
    account.holds("latency is in microseconds", all(5e3 < value < 1e5 for value in found["ModelLatency"]))
    account.same("newest first", answer["MetricDataResults"][0]["Timestamps"][0] > now - 60 * MINUTE, True)


def table(account):
    client = account.client("dynamodb")
    client.create_table(
        TableName="things",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "shelf")
        ],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "active",
                "KeySchema": [{"AttributeName": "shelf", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        Tags=[{"Key": "team", "Value": "wine"}],
    )
    client.get_waiter("table_exists").wait(TableName="things", WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    arn = client.describe_table(TableName="things")["Table"]["TableArn"]
    client.update_table(TableName="things", BillingMode="PAY_PER_REQUEST")
    account.same("tables", client.list_tables()["TableNames"], ["things"])
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "stage", "Value": "test"}])
    client.untag_resource(ResourceArn=arn, TagKeys=["stage"])
    tags = client.list_tags_of_resource(ResourceArn=arn)["Tags"]
    account.same("a table's tags", tags, [{"Key": "team", "Value": "wine"}])
    expiry = {"Enabled": True, "AttributeName": "expires_at"}
    client.update_time_to_live(TableName="things", TimeToLiveSpecification=expiry)
    found = client.describe_time_to_live(TableName="things")["TimeToLiveDescription"]
    account.same("expiry", found["AttributeName"], "expires_at")
    items(account, client)
    transactions(account, client)
    missing = {"TableName": "missing", "Key": {"pk": {"S": "a"}, "sk": {"S": "b"}}}
    account.refused("no such table", "ResourceNotFoundException", 400, client.get_item, **missing)
    client.delete_table(TableName="things")


def key(sort):
    return {"pk": {"S": "a"}, "sk": {"S": sort}}


def items(account, client):
    everything = {
        **key("1"),
        "shelf": {"S": "0"},
        "n": {"N": "12.5"},
        "b": {"B": b"\x00\xff"},
        "yes": {"BOOL": True},
        "none": {"NULL": True},
        "list": {"L": [{"S": "x"}, {"N": "1"}]},
        "map": {"M": {"inner": {"S": "y"}}},
        "set": {"SS": ["p", "q"]},
    }
    put = {"TableName": "things", "Item": everything, "ConditionExpression": "attribute_not_exists(pk)"}
    client.put_item(**put)
    failed = account.refused(
        "an item that is there",
        "ConditionalCheckFailedException",
        400,
        client.put_item,
        **put,
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
    )
    account.same("the item in the way", failed.get("Item", {}).get("n"), {"N": "12.5"})
    found = client.get_item(TableName="things", Key=key("1"), ConsistentRead=True)["Item"]
    account.same("an item", found, everything)
    updated = client.update_item(
        TableName="things",
        Key=key("1"),
        UpdateExpression="SET n = n + :one REMOVE yes",
        ExpressionAttributeValues={":one": {"N": "1"}},
        ReturnValues="UPDATED_NEW",
    )
    account.same("an update", updated["Attributes"], {"n": {"N": "13.5"}})
    more = [{"PutRequest": {"Item": {**key(str(n)), "shelf": {"S": "0"}}}} for n in range(2, 9)]
    account.same("a batch", client.batch_write_item(RequestItems={"things": more})["UnprocessedItems"], {})
    wanted = {"things": {"Keys": [key("1"), key("8"), key("nothing")]}}
    got = client.batch_get_item(RequestItems=wanted)["Responses"]["things"]
    account.same("a batch read", sorted(item["sk"]["S"] for item in got), ["1", "8"])
    pages = client.get_paginator("query").paginate(
        TableName="things",
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "a"}},
        ScanIndexForward=False,
        PaginationConfig={"PageSize": 3},
    )
    found = [item["sk"]["S"] for page in pages for item in page["Items"]]
    account.same("a query, page by page", found, list("87654321"))
    by_index = client.query(
        TableName="things",
        IndexName="active",
        KeyConditionExpression="shelf = :shelf",
        ExpressionAttributeValues={":shelf": {"S": "0"}},
        ReturnConsumedCapacity="TOTAL",
    )
    account.same("an index", by_index["Count"], 8)
    pages = client.get_paginator("scan").paginate(TableName="things", PaginationConfig={"PageSize": 5})
    account.same("a scan, page by page", sum(page["Count"] for page in pages), 8)
    client.delete_item(TableName="things", Key=key("8"))
    account.same("an item that is gone", "Item" in client.get_item(TableName="things", Key=key("8")), False)
    malformed = {"TableName": "things", "Key": key("1"), "UpdateExpression": "SET"}
    account.refused("a malformed expression", "ValidationException", 400, client.update_item, **malformed)


def transactions(account, client):
    new = {"Put": {"TableName": "things", "Item": key("t"), "ConditionExpression": "attribute_not_exists(pk)"}}
    check = {
        "ConditionCheck": {
            "TableName": "things",
            "Key": key("1"),
            "ConditionExpression": "n = :n",
            "ExpressionAttributeValues": {":n": {"N": "13.5"}},
        }
    }
    drop = {"Delete": {"TableName": "things", "Key": key("7")}}
    client.transact_write_items(TransactItems=[new, check, drop])
    again = account.refused(
        "a transaction that is cancelled",
        "TransactionCanceledException",
        400,
        client.transact_write_items,
        TransactItems=[check, new, drop],
    )
    reasons = [reason.get("Code") for reason in again.get("CancellationReasons", [])]
    account.same("its reasons, in order", reasons, ["None", "ConditionalCheckFailed", "None"])
    got = client.transact_get_items(
        TransactItems=[{"Get": {"TableName": "things", "Key": key(sort)}} for sort in ("t", "7")]
    )
    account.same("read together", ["Item" in answer for answer in got["Responses"]], [True, False])


def topics(account):
    client = account.client("sns")
    topic = client.create_topic(Name="alerts")["TopicArn"]
    listed = client.get_paginator("list_topics").paginate().build_full_result()["Topics"]
    account.same("topics", listed, [{"TopicArn": topic}])
    client.subscribe(TopicArn=topic, Protocol="email", Endpoint="people@example.com")
    texts = json.dumps({"default": "all", "sqs": "{}"})
    published = client.publish(
        TopicArn=topic,
        Subject="Canary rolled back",
        Message=texts,
        MessageStructure="json",
        MessageAttributes={"severity": {"DataType": "String", "StringValue": "high"}},
    )
    account.holds("a message id", published["MessageId"])
    bare = {"TopicArn": topic, "Message": '{"sqs": "x"}', "MessageStructure": "json"}
    account.refused("no text for the others", "InvalidParameter", 400, client.publish, **bare)
    bad = {"TopicArn": "alerts", "Message": "x"}
    account.refused("no topic", "InvalidParameter", 400, client.publish, **bad)
    client.delete_topic(TopicArn=topic)
    account.same("topics that are left", client.list_topics()["Topics"], [])


def events(account):
    client = account.client("events")
    good = {"Source": "canary", "DetailType": "deployment.started", "Detail": "{}", "Resources": ["wine"]}
    answer = client.put_events(Entries=[good, {**good, "Detail": "no json"}])
    found = (answer["FailedEntryCount"], answer["Entries"][1]["ErrorCode"])
    account.same("one of two events", found, (1, "MalformedDetail"))
    account.holds("an event's id", answer["Entries"][0]["EventId"])
    many = {"Entries": [good] * 11}
    account.refused("more events than a call takes", "ValidationException", 400, client.put_events, **many)


def functions(account):
    client = account.client("lambda")
    answer = client.invoke(FunctionName="work", Payload=b'{"n": 1}')
    found = (answer["StatusCode"], answer["ExecutedVersion"], json.loads(answer["Payload"].read()))
    account.same("an answer", found, (200, "$LATEST", {"got": {"n": 1}}))
    answer = client.invoke(FunctionName="work", InvocationType="Event", Payload=b"{}")
    account.same("an event", (answer["StatusCode"], answer["Payload"].read()), (202, b""))
    answer = client.invoke(FunctionName="work", InvocationType="DryRun")
    account.same("a dry run", answer["StatusCode"], 204)
    answer = client.invoke(FunctionName="fails", Payload=b"{}")
    error = json.loads(answer["Payload"].read())
    account.same("a failure", (answer["FunctionError"], error["errorMessage"]), ("Unhandled", "as it was told to"))
    account.refused("no function", "ResourceNotFoundException", 404, client.invoke, FunctionName="missing")
    malformed = {"FunctionName": "work", "Payload": b"{"}
    refused = "InvalidRequestContentException"
    account.refused("no JSON", refused, 400, client.invoke, **malformed)
    try:
        client.invoke(FunctionName="work", InvocationType="Event", Payload=b"1" * 1_100_000)
        account.complain("an event of more than 1 MB was taken")
    except ClientError as error:
        account.same("a large event", error.response["Error"]["Code"], "RequestTooLargeException")
