"""What a probe is, and what it finds.

A probe asks the account one question of docs/fidelity.md. Its answer is what was seen, in sentences, and whether
that is what the control plane takes for granted. The facts beside it are for the record: they go to the JSON file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

HOLDS, FAILS, UNCLEAR = "holds", "DOES NOT HOLD", "unclear"


@dataclass
class Finding:
    """An answer, sentence by sentence: each is as expected, is not, or leaves it open (None)."""

    seen: list[tuple[bool | None, str]] = field(default_factory=list)
    facts: dict = field(default_factory=dict)

    def note(self, as_expected: bool | None, sentence: str) -> None:
        self.seen.append((as_expected, sentence))

    @property
    def verdict(self) -> str:
        answers = [as_expected for as_expected, _ in self.seen]
        if False in answers:
            return FAILS
        return HOLDS if answers and None not in answers else UNCLEAR


@dataclass
class Probe:
    """A question, how long asking it takes at most on AWS, and how many instances it keeps meanwhile."""

    name: str
    expects: str
    minutes: int
    instances: int
    ask: Callable


PROBES: list[Probe] = []


def probe(name: str, expects: str, minutes: int = 0, instances: int = 0):
    """Puts a function from a session to a finding on the list, in the order in which they run."""

    def put(ask: Callable) -> Callable:
        PROBES.append(Probe(name, expects, minutes, instances, ask))
        return ask

    return put
