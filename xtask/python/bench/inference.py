"""What `inference` does, in Python: the record's route, kept for five seconds, then the model.

It does less than the function it is measured against: no checks of the body beyond JSON, no problem
documents, no second attempt, no reading of the record beyond whether there is one.
"""

import base64
import json
import os
import time
import uuid

import boto3
from botocore.config import Config

ONCE = Config(retries={"total_max_attempts": 1})
TABLE = os.environ["CANARY_TABLE"]
RUNTIME = boto3.client("sagemaker-runtime", config=ONCE)
DYNAMODB = boto3.client("dynamodb")
LIFETIME = 5.0
routes = {}


def route(endpoint):
    """The endpoint's lock, or else its last deployment."""
    known = routes.get(endpoint)
    if known and time.monotonic() - known[0] < LIFETIME:
        return known[1]
    lock = DYNAMODB.get_item(
        TableName=TABLE,
        Key={"pk": {"S": f"EP#{endpoint}"}, "sk": {"S": "LOCK"}},
        ConsistentRead=True,
    ).get("Item")
    last = lock or DYNAMODB.query(
        TableName=TABLE,
        IndexName="endpoint",
        KeyConditionExpression="endpoint_name = :e",
        ExpressionAttributeValues={":e": {"S": endpoint}},
        ScanIndexForward=False,
        Limit=1,
    ).get("Items")
    routes[endpoint] = (time.monotonic(), last)
    return last


def handler(event, _context):
    started = time.perf_counter()
    body = event["body"]
    if event.get("isBase64Encoded"):
        body = base64.b64decode(body)
    request = json.loads(body)
    route(request["endpoint"])
    inference_id = str(uuid.uuid4())
    answer = RUNTIME.invoke_endpoint(
        EndpointName=request["endpoint"],
        ContentType="application/json",
        Body=json.dumps({"instances": [request["features"]]}),
        InferenceId=inference_id,
    )
    predictions = json.loads(answer["Body"].read())
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(
            {
                "predictions": predictions.get("predictions", predictions),
                "variant": answer["InvokedProductionVariant"],
                "inference_id": inference_id,
                "latency_ms": round((time.perf_counter() - started) * 1000, 3),
            }
        ),
        "isBase64Encoded": False,
    }
