"""What this program may change is its own; what it makes it can delete. Nothing is sent here."""

import contextlib
import io
import unittest

import cleanup
from account import NAMED_BY, UNDONE_BY, Account, Clock, NotOwn
from findings import FAILS, HOLDS, UNCLEAR, Finding

PREFIX = "canary-probe-0123abcd"


def dry() -> Account:
    return Account(PREFIX, Clock(is_dry=True), is_dry=True)


class Own(unittest.TestCase):
    def test_what_another_made_is_never_changed(self):
        others = ["fraud", "canary", f"x-{PREFIX}", f"{PREFIX}ef", "canary-probe-0123abce", f"my/{PREFIX}"]
        for name in others:
            with self.subTest(name), self.assertRaises(NotOwn):
                dry().call("sagemaker", "UpdateEndpoint", EndpointName=name, EndpointConfigName=f"{PREFIX}-one")
        for service, operation, parameters in [
            ("sagemaker", "DeleteEndpoint", {"EndpointName": "fraud"}),
            ("application-autoscaling", "DeregisterScalableTarget", {"ResourceId": f"endpoint/fraud/variant/{PREFIX}"}),
            ("events", "PutEvents", {"Entries": [{"EventBusName": PREFIX}, {"EventBusName": "default"}]}),
            ("sns", "Publish", {"TopicArn": "arn:aws:sns:eu-central-1:111122223333:alarms"}),
            ("s3", "DeleteObject", {"Bucket": "b", "Key": "models/fraud.tar.gz"}),
            ("dynamodb", "DeleteTable", {"TableName": PREFIX}),
        ]:
            with self.subTest(operation), self.assertRaises(NotOwn):
                dry().call(service, operation, **parameters)

    def test_what_is_its_own_is_told_by_every_kind_of_name(self):
        account = dry()
        for name in [
            PREFIX,
            f"{PREFIX}-two",
            f"{PREFIX}/model.tar.gz",
            f"endpoint/{PREFIX}/variant/canary",
            f"arn:aws:sns:eu-central-1:111122223333:{PREFIX}",
            f"https://sqs.eu-central-1.amazonaws.com/111122223333/{PREFIX}",
        ]:
            self.assertTrue(account.is_own(name), name)

    def test_only_a_prefix_of_this_program_is_cleaned_up(self):
        for prefix in ["", "canary", "canary-probe-", "canary-probe-*", "fraud", f"{PREFIX}x"]:
            with self.subTest(prefix), self.assertRaises(NotOwn):
                Account(prefix, Clock())

    def test_whatever_is_made_has_a_call_that_removes_it(self):
        makers = {name for name in NAMED_BY if name.startswith(("Create", "Register")) and name != "CreateLogStream"}
        self.assertLessEqual(makers - {"CreateQueue", "CreateTopic"}, set(UNDONE_BY))
        for undo, _ in UNDONE_BY.values():
            self.assertIn(undo, NAMED_BY)
            self.assertIn(undo, cleanup.ORDER)

    def test_what_is_made_is_noted_before_it_is_made(self):
        account = dry()
        account._pretend = lambda *_: (_ for _ in ()).throw(ConnectionError("the answer is lost"))
        with self.assertRaises(ConnectionError), contextlib.redirect_stdout(io.StringIO()):
            account.call("sagemaker", "CreateEndpoint", EndpointName=PREFIX, EndpointConfigName=f"{PREFIX}-one")
        self.assertEqual(account.made, [("sagemaker", "DeleteEndpoint", {"EndpointName": PREFIX})])


class Verdicts(unittest.TestCase):
    def test_one_sentence_that_is_not_so_is_enough(self):
        for answers, verdict in [
            ([], UNCLEAR),
            ([True], HOLDS),
            ([True, None], UNCLEAR),
            ([True, None, False], FAILS),
        ]:
            finding = Finding()
            for as_expected in answers:
                finding.note(as_expected, "seen")
            self.assertEqual(finding.verdict, verdict, answers)


if __name__ == "__main__":
    unittest.main()
