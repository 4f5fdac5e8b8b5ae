"""Asks a real AWS account the questions that docs/fidelity.md leaves open, on an endpoint of its own.

`cargo xtask probe-aws` runs it. It makes a small endpoint under a name of its own, changes it, sends it requests,
reads its metrics, and deletes everything it has made, also after Ctrl-C and after a failure. It says what that costs
and asks before it begins. What it has seen it prints with the account it has seen it in: against the simulator it
shows that the questions can be asked, and nothing about AWS.
"""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import traceback

import botocore.exceptions

import cleanup
import probes_account  # noqa: F401  (the order of these lines is the order in which probes run)
import probes_traffic  # noqa: F401
import probes_scaling  # noqa: F401
import probes_changes
import report
from account import PREFIX, Account, Clock, NotServed, OutOfTime, Refused
from endpoint import REGISTRIES, Session
from findings import PROBES, Finding, Probe

# Where a permission is not named as its call is, and permissions that no call names.
SERVICES, ACTIONS = {"sagemaker-runtime": "sagemaker"}, {"s3:ListObjectsV2": "s3:ListBucket"}
UNNAMED = {"iam:PassRole", "sagemaker:AddTags", "events:TagResource"}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="cargo xtask probe-aws", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="show the probes and stop")
    parser.add_argument(
        "--dry-run", action="store_true", help="print the calls and the permissions they need; nothing is sent"
    )
    parser.add_argument("--only", metavar="PROBE,…", help="these probes alone")
    parser.add_argument("--cleanup", metavar="PREFIX", help="delete what an earlier run has left, and stop")
    parser.add_argument("--role", help="the execution role (ARN) that SageMaker pulls the image and the artifact with")
    parser.add_argument(
        "--bucket", help="a bucket in the region that the built-in model's artifact of 1 kB is put into"
    )
    parser.add_argument(
        "--image", help="another image than AWS's scikit-learn; without --bucket it holds its own model"
    )
    parser.add_argument("--model-name", help="a model that is there already, in place of the built-in one")
    parser.add_argument("--broken-model-name", help="a model that can't start, for the update that is to fail")
    parser.add_argument(
        "--payload", type=lambda path: open(path, "rb").read(), help="a file with a request for that model"
    )
    parser.add_argument("--content-type", default="application/json")
    parser.add_argument("--instance-type", default="ml.m5.large", help="one that scales: no ml.t2 (default ml.m5.large)")
    parser.add_argument(
        "--price",
        type=float,
        default=report.PRICE,
        help=f"USD an hour for one instance (default {report.PRICE}: {report.PRICED})",
    )
    parser.add_argument(
        "--max-minutes",
        type=int,
        default=report.MOST_MINUTES,
        help=f"after these many minutes everything is deleted (default {report.MOST_MINUTES})",
    )
    parser.add_argument("--yes", action="store_true", help="don't ask")
    parser.add_argument("--json", metavar="FILE", help="put the findings here too")
    parser.add_argument("--speed", type=float, default=1.0, help="of the simulator's clock; on loopback only")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if options.list:
        for one in PROBES:
            print(f"{one.name:<19}{one.expects}")
        return 0
    prefix = options.cleanup or f"canary-probe-{secrets.token_hex(4)}"
    if not PREFIX.fullmatch(prefix):
        sys.exit("a prefix to clean up looks like canary-probe-0123abcd; nothing else is ever deleted")
    account = Account(prefix, Clock(options.speed, options.dry_run), options.dry_run)
    if account.session.region_name is None:
        sys.exit("no region is set: give AWS_REGION")
    if options.speed != 1.0 and not account.is_loopback:
        sys.exit("--speed is for the simulator; AWS's clock runs as it runs")
    if options.cleanup:
        return clean(account, options)
    probes = report.chosen(options.only.split(",") if options.only else None)
    if any(one.instances for one in probes):
        check_model(account, options)
    about = introduce(account, probes, options)
    if not (options.yes or options.dry_run or agreed(prefix)):
        print("nothing was done")
        return 1
    return run(account, probes, options, about)


def check_model(account: Account, options: argparse.Namespace) -> None:
    """Whether the model can be made, before anything is."""
    if options.model_name or options.dry_run:
        options.role = options.role or "arn:aws:iam::123456789012:role/the-execution-role"
        options.bucket = options.bucket or (None if options.model_name else "the-bucket")
        return
    if not options.role:
        sys.exit("--role ARN is needed: the execution role of the model (or --model-name of one that is there)")
    if not options.image and not options.bucket:
        sys.exit("--bucket NAME is needed for the built-in model (or --image of one that holds its own)")
    if not options.image and account.session.region_name not in REGISTRIES:
        sys.exit(
            f"the image's registry in {account.session.region_name} is not known here: give --image, or another region"
        )


def introduce(account: Account, probes: list[Probe], options: argparse.Namespace) -> dict:
    """Says where, under which name, what and for how much."""
    address = account.client("sagemaker").meta.endpoint_url
    about = {
        "prefix": account.prefix,
        "region": account.session.region_name,
        "sagemaker": address,
        "instance_type": options.instance_type,
    }
    if options.dry_run:
        about |= {"account": "none", "caller": "nobody"}
    else:
        caller = account.call("sts", "GetCallerIdentity")
        about |= {"account": caller["Account"], "caller": caller["Arn"]}
    print(f"account {about['account']} as {about['caller']}, {about['region']}, {address}")
    if account.is_loopback:
        print("THIS IS A SIMULATOR ON LOOPBACK: what is found here is about it, and nothing about AWS.")
    print(f"everything is named {account.prefix}… and tagged canary:probe={account.prefix}; nothing else is changed")
    print(f"probes: {', '.join(one.name for one in probes)}")
    print(f"{options.instance_type}: {report.cost(probes, options.price, options.max_minutes)}")
    if options.price == report.PRICE:
        print(f"The price is {report.PRICED}; --price takes your own.")
    return about


def agreed(prefix: str) -> bool:
    if not sys.stdin.isatty():
        sys.exit("there is nobody to ask: --yes agrees to the cost")
    return input(f"Type {prefix[-8:]} to begin: ").strip() == prefix[-8:]


def run(account: Account, probes: list[Probe], options: argparse.Namespace, about: dict) -> int:
    session = Session(account, options)
    findings: dict[str, Finding | str] = {}
    # Whoever stops the program stops it like Ctrl-C does: what was made is deleted. A shell starts what it
    # leaves in the background with SIGINT ignored, and Python would leave it so.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.default_int_handler)
    account.clock.deadline = account.clock.now() + options.max_minutes * 60
    stopped = False
    try:
        if any(one.name == "events" for one in probes) and len(probes) > 1:
            print("--- from now on the endpoint's events are kept", flush=True)
            attempt(session, probes_changes.listen)
        for one in probes:
            print(f"--- {one.name}: {one.expects}", flush=True)
            findings[one.name] = attempt(session, one.ask)
    except (KeyboardInterrupt, OutOfTime) as end:
        stopped = True
        print(f"\nstopped: {str(end) or 'by hand'}")
    finally:
        is_clean = clean(account, options) == 0
    if options.dry_run:
        return dry_end(account, findings)
    print()
    print(report.table(findings))
    if account.is_loopback:
        print("All of this is about a simulator on loopback, and nothing about AWS.")
    else:
        print(f"Seen in account {about['account']}, {about['region']}. Put it into docs/fidelity.md, with the date.")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            file.write(report.document(findings, about))
    broken = [name for name, finding in findings.items() if isinstance(finding, str) and finding.startswith("broken")]
    return 0 if is_clean and not stopped and not broken else 1


def attempt(session: Session, ask) -> Finding | str:
    """A probe's finding, or in a word why there is none: no probe keeps the next one from being asked."""
    try:
        return ask(session)
    except NotServed as error:
        return f"not served: {error}"
    except Refused as refusal:
        return f"refused: {refusal}"
    except (KeyboardInterrupt, OutOfTime):
        raise
    except Exception as error:  # noqa: BLE001  (a bug of one probe costs that probe)
        traceback.print_exc()
        return f"broken: {type(error).__name__}: {error}"


def dry_end(account: Account, findings: dict) -> int:
    broken = [
        f"{name}: {finding}"
        for name, finding in findings.items()
        if isinstance(finding, str) and finding.startswith("broken")
    ]
    print("\nNothing was sent. The calls need these permissions:")
    actions = {f"{SERVICES.get(service, service)}:{operation}" for service, operation in account.calls}
    for action in sorted({ACTIONS.get(action, action) for action in actions} | UNNAMED):
        print(f"  {action}")
    print("\n".join(broken))
    return 1 if broken else 0


def clean(account: Account, options: argparse.Namespace) -> int:
    """Deletes everything. Ctrl-C does not stop it: what would be left costs money."""
    signal.signal(signal.SIGINT, lambda *_: print("still deleting; what is left now would go on costing"))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(f"--- deleting everything under {account.prefix}", flush=True)
    again = f"cargo xtask probe-aws --cleanup {account.prefix}" + (
        f" --bucket {options.bucket}" if options.bucket else ""
    )
    try:
        left = cleanup.remove(account, options.bucket)
    except Exception as error:  # noqa: BLE001  (whatever it is, the person has to know what to do)
        print(f"NOT EVERYTHING WAS DELETED ({error}). Run: {again}")
        return 1
    if left:
        print("COULD NOT BE DELETED:\n  " + "\n  ".join(left) + f"\nTry again with: {again}")
        return 1
    print("nothing is left")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except botocore.exceptions.BotoCoreError as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit("nothing was done")
