"""boto3's clients of the simulator, with every raw answer held against the service model."""

import http.client
import urllib.parse

import boto3
import botocore.model
from botocore.config import Config
from botocore.exceptions import ClientError
from shapes import complaints_about_answer, complaints_about_error

REGION = "eu-central-1"
# CloudWatch's model names several protocols, and botocore takes the first of its own list.
PROTOCOLS = botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS

# What the embedded DynamoDB answers against the model, with the reason why it stays. Each must be seen:
# one that is not seen any more has to go.
KNOWN = {
    "TableThroughputModeSummary is unknown to the model": "a member of the engine's own; every SDK passes over it",
    "NumberOfDecreasesToday is below its least of 1: 0": "0 is what the API reference's own examples show",
    "UnprocessedItems is below its least of 1: 0": "an empty map is what the API reference's own examples show",
    "UnprocessedKeys is below its least of 1: 0": "the same",
}


class Account:
    """One simulated account, and what was found out about it."""

    def __init__(self, url):
        self.url = url
        self.complaints = []
        # The operations that were called, by service, and how many answers were held against a shape.
        self.called = {}
        self.answers = 0
        self.checks = 0
        self.known = set()

    def client(self, service, protocol=None):
        """A client that makes each call once. A protocol that is named is used, if the service has it."""
        if protocol is not None:
            botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS = (protocol,)
        try:
            made = boto3.session.Session().client(
                service,
                region_name=REGION,
                endpoint_url=self.url,
                aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
                aws_secret_access_key="loopback-only",
                config=Config(retries={"total_max_attempts": 1}, read_timeout=20),
            )
            # Settled while the list is the one that was asked for.
            used = made.meta.service_model.resolved_protocol
        finally:
            botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS = PROTOCOLS
        if protocol not in (None, used):
            raise AssertionError(f"{service} speaks {used}, not {protocol}")
        made.meta.events.register("response-received.*.*", lambda **event: self._hear(made, **event))
        return made

    def _hear(self, client, response_dict, parsed_response, event_name, **_):
        if response_dict is None:
            self.complain(f"{event_name}: no answer that can be read")
            return
        name = event_name.rpartition(".")[2]
        model = client.meta.service_model
        operation, protocol = model.operation_model(name), model.resolved_protocol
        self.called.setdefault(model.service_name, set()).add(name)
        self.answers += 1
        headers, body = response_dict["headers"], response_dict["body"]
        body = body if isinstance(body, bytes) else b""
        where = f"{model.service_name} {name} ({protocol})"
        if not (headers.get("x-amzn-requestid") or protocol == "query"):
            self.complain(f"{where}: no request id")
        if response_dict["status_code"] >= 300:
            code = (parsed_response or {}).get("Error", {}).get("Code", "")
            shape = headers.get("x-amzn-errortype", code).split(":")[0] if protocol != "query" else code
            found = complaints_about_error(operation, protocol, shape.rpartition("#")[2] or code, body)
        else:
            found = complaints_about_answer(operation, protocol, headers, body)
        for complaint in found:
            known = [words for words in KNOWN if protocol == "json" and complaint.endswith(words)]
            self.known.update(known)
            if not known:
                self.complain(f"{where}: {complaint}")

    def complain(self, what):
        """Notes something that is wrong, once."""
        if what not in self.complaints:
            self.complaints.append(what)

    def close(self):
        """Complains of what is known and was not seen."""
        for words in KNOWN.keys() - self.known:
            self.complain(f"known, and not seen any more: {words}")

    def same(self, what, found, expected):
        """Holds a value against the one that is expected."""
        self.checks += 1
        if found != expected:
            self.complain(f"{what}: {found!r}, not {expected!r}")

    def holds(self, what, truth):
        """Holds something to be true."""
        self.same(what, bool(truth), True)

    def refused(self, what, code, status, call, **arguments):
        """Holds a call to be refused with this code and HTTP status; gives the error back."""
        try:
            call(**arguments)
        except ClientError as error:
            answer = error.response
            found = (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"])
            self.same(what, found, (code, status))
            self.holds(f"{what} says why", answer["Error"].get("Message"))
            return answer
        self.same(what, "taken", code)
        return {}

    def serves(self, headers, path, body):
        """Whether a raw request is answered by an operation, well or badly."""
        address = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        unknown = (b"is not simulated", b"in this simulator", b"Could not find operation")
        return not any(words in text for words in unknown)
