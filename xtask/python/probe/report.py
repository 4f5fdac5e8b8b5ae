"""What a run costs, said before it begins, and what it found, as a table and as JSON."""

from __future__ import annotations

import json
import textwrap
from datetime import datetime, timezone

from findings import PROBES, Finding, Probe

# USD an hour for one ml.m5.large behind an endpoint in us-east-1, the smallest family that scales. No price list was
# at hand: public notes name 0.230 to 0.269 for ml.m5.xlarge (read 2026-11-22), and half of the highest is counted.
PRICE, PRICED = 0.135, "half of the highest figure in public notes for ml.m5.xlarge in us-east-1, read 2026-11-22"
# Two fleets of two instances stand side by side while an update runs; a floor adds one to each.
MOST_INSTANCES = 6
# A run ends by itself after these many minutes, unless it is told otherwise.
MOST_MINUTES = 240
# Minutes with one instance, to create the endpoint; and with a second fleet beside it, to add a second variant.
CREATION, SECOND = 12, (15, 3)
# Everything beside instances: metrics read at 0.01 USD a thousand, a custom metric for an hour, messages, logs.
BESIDE = 0.05


def chosen(names: list[str] | None) -> list[Probe]:
    unknown = set(names or []) - {one.name for one in PROBES}
    if unknown:
        raise SystemExit(f"there is no probe {', '.join(sorted(unknown))}; --list shows them all")
    return [one for one in PROBES if names is None or one.name in names]


def figures(probes: list[Probe], price: float, most_minutes: int) -> tuple[int, float, float]:
    """Minutes and USD that are expected, and the most USD it can be."""
    steps = [(CREATION, 1), *((one.minutes, one.instances) for one in probes)]
    if any(one.instances > 1 for one in probes):
        steps.append(SECOND)
    expected = sum(lasts * instances for lasts, instances in steps) * price / 60 + BESIDE
    most = MOST_INSTANCES * most_minutes * price / 60 + BESIDE
    return sum(lasts for lasts, _ in steps), min(expected, most), most


def cost(probes: list[Probe], price: float, most_minutes: int) -> str:
    """How long it takes, what is expected and what is the most."""
    if not any(one.instances for one in probes):
        return f"About {BESIDE:.2f} USD: no endpoint is made."
    minutes, expected, most = figures(probes, price, most_minutes)
    return (
        f"about {minutes} minutes and {expected:.2f} USD; never more than {most:.2f}: at most {MOST_INSTANCES} instances "
        f"for at most {most_minutes} minutes at {price} USD an hour each, and {BESIDE:.2f} for all else. Deleting comes after that."
    )


def table(findings: dict[str, Finding | str]) -> str:
    lines = [f"{'probe':<19}{'verdict':<14}  what was seen", "-" * 100]
    for name, finding in findings.items():
        if isinstance(finding, str):
            lines.append(f"{name:<19}{finding.split(':')[0]:<14}  {finding.partition(': ')[2]}")
            continue
        first = f"{name:<19}{finding.verdict:<14}"
        for as_expected, sentence in finding.seen:
            mark = {True: "+", False: "!", None: "?"}[as_expected]
            wrapped = textwrap.wrap(sentence, 100, subsequent_indent=" " * 37)
            lines.append(f"{first:<33}{mark}  " + "\n".join(wrapped))
            first = ""
    return "\n".join(lines)


def document(findings: dict[str, Finding | str], about: dict) -> str:
    expects = {one.name: one.expects for one in PROBES}
    results = {}
    for name, finding in findings.items():
        told = (
            {"verdict": finding}
            if isinstance(finding, str)
            else {
                "verdict": finding.verdict,
                "seen": [[as_expected, sentence] for as_expected, sentence in finding.seen],
                "facts": finding.facts,
            }
        )
        results[name] = {"expects": expects[name]} | told
    at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return json.dumps(about | {"finished": at, "probes": results}, indent=2, default=str)
