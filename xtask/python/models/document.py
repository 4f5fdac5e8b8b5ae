"""docs/fidelity.md as a table: every row's place in the code and how it was checked."""

from __future__ import annotations

import re
from dataclasses import dataclass

from services import ROOT

DOCUMENT = ROOT / "docs" / "fidelity.md"
HEADING = "| assumption | where | if it is wrong | checked by |"
WAYS = ("model", "probe", "test", "documentation", "unchecked")


@dataclass
class Row:
    line: int
    assumption: str
    where: list[str]
    checked: str

    def named(self, way: str) -> list[str]:
        """The names that a way of checking is given with: model `names`."""
        return re.findall(rf"\b{way} `([^`]+)`", self.checked)

    @property
    def is_seen(self) -> bool:
        """Whether a probe has been answered by an account."""
        return re.search(r"probe `[^`]+` seen \d{4}-", self.checked) is not None

    @property
    def is_open(self) -> bool:
        """Whether the answer is still to come: no document and no model settles it."""
        return "unchecked" in self.checked or (bool(self.named("probe")) and not self.is_seen)


def rows() -> list[Row]:
    found, inside = [], False
    for number, line in enumerate(DOCUMENT.read_text(encoding="utf-8").splitlines(), 1):
        if line == HEADING:
            inside = True
        elif not line.startswith("|"):
            inside = False
        elif inside and not line.startswith("|---"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            if len(cells) != 4:
                raise SystemExit(f"docs/fidelity.md:{number}: a row has four cells, and this one {len(cells)}")
            found.append(Row(number, cells[0], re.findall(r"`([^`]+)`", cells[1]), cells[3]))
    return found


def is_there(place: str) -> bool:
    """A path from the root, or from shared/src."""
    return any((ROOT / root / place).exists() for root in ("", "shared/src"))


def is_test(name: str) -> bool:
    """file::test, where the file is one of Rust by its stem or by its folder."""
    file, _, test = name.partition("::")
    for path in ROOT.glob("**/*.rs"):
        if "target" in path.parts or file not in (path.stem, path.parent.name):
            continue
        if re.search(rf"\bfn {re.escape(test)}\b", path.read_text(encoding="utf-8")):
            return True
    return False


def counts(table: list[Row]) -> str:
    """The sentence at the head of the document. What is open counts as open, whatever else speaks for it."""
    closed = [row for row in table if not row.is_open]
    seen = sum(row.is_seen for row in closed)
    held = sum(bool(row.named("model")) and not row.is_seen for row in closed)
    probed = sum(row.is_open and bool(row.named("probe")) for row in table)
    parts = {
        "seen in an account": seen,
        "held by the service models": held,
        "read in documentation": len(closed) - seen - held,
        "open with a probe": probed,
        "open without one": len(table) - len(closed) - probed,
    }
    return f"{len(table)} assumptions: {', '.join(f'{number} {what}' for what, number in parts.items())}."
