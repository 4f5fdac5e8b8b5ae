"""Holds docs/fidelity.md and the code against botocore's models, both ways.

A row that names a check has one that passes, and every check is a row. The same holds for the probes of
`cargo xtask probe-aws`. Every place a row names exists, and so does every test.
"""

from __future__ import annotations

import sys

import botocore

import document
from checks import CHECKS
from services import ROOT


def main() -> int:
    faults = [f"{name}: {fault}" for name, function in CHECKS.items() for fault in function()]
    table = document.rows()
    faults += both_ways(table, "model", set(CHECKS), "check")
    faults += both_ways(table, "probe", probes(), "probe")
    for row in table:
        faults += [
            f"docs/fidelity.md:{row.line}: there is no {place}" for place in row.where if not document.is_there(place)
        ]
        faults += [
            f"docs/fidelity.md:{row.line}: there is no test {test}"
            for test in row.named("test")
            if not document.is_test(test)
        ]
        if not row.where:
            faults.append(f"docs/fidelity.md:{row.line}: the row names no place in the code")
        if not any(way in row.checked for way in document.WAYS):
            faults.append(f"docs/fidelity.md:{row.line}: the row does not say how it was checked")
    sentence = document.counts(table)
    written = " ".join(document.DOCUMENT.read_text(encoding="utf-8").split())
    faults += [f"docs/fidelity.md should say: {what}" for what in (sentence, *costs()) if what not in written]
    for fault in faults:
        print(fault)
    if not faults:
        print(f"botocore {botocore.__version__}: {len(CHECKS)} checks pass. {sentence}")
    return 1 if faults else 0


def both_ways(table: list[document.Row], way: str, known: set[str], what: str) -> list[str]:
    named = {name for row in table for name in row.named(way)}
    return [f"docs/fidelity.md names the {what} {name}, which is not there" for name in sorted(named - known)] + [
        f"the {what} {name} is not a row of docs/fidelity.md" for name in sorted(known - named)
    ]


def probes() -> set[str]:
    """The names of all probes, of the program itself."""
    sys.path.insert(0, str(ROOT / "xtask" / "python" / "probe"))
    import findings
    import probes_account  # noqa: F401
    import probes_changes  # noqa: F401
    import probes_scaling  # noqa: F401
    import probes_traffic  # noqa: F401

    return {one.name for one in findings.PROBES}


def costs() -> list[str]:
    """What the document says about the probes' cost, computed by the probes' own program."""
    import findings
    import report

    minutes, expected, most = report.figures(findings.PROBES, report.PRICE, report.MOST_MINUTES)
    return [
        f"computed at {minutes} minutes and {expected:.2f} USD",
        f"ends by itself after {report.MOST_MINUTES} minutes, at {most:.2f} USD at most",
        f"the price of {report.PRICE} USD an hour",
    ]


if __name__ == "__main__":
    sys.exit(main())
