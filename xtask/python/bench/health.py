"""`GET /health` of the API, in Python, with the clients that the API holds."""

import json

import boto3

CLIENTS = [
    boto3.client(service)
    for service in (
        "dynamodb",
        "sagemaker",
        "cloudwatch",
        "application-autoscaling",
        "sns",
        "events",
        "lambda",
    )
]


def handler(event, _context):
    if (event["httpMethod"], event["path"]) != ("GET", "/health"):
        return {"statusCode": 404, "headers": {}, "body": "", "isBase64Encoded": False}
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/json"},
        "body": json.dumps({"status": "ok"}),
        "isBase64Encoded": False,
    }
