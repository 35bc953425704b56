"""``ropefuzz bench faults``: every fault of :mod:`fuzz.faults`, in a real model, as a table."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fuzz.faults import FAULTS, Fault
from fuzz.isolation.supervisor import Supervisor
from fuzz.report import headline
from fuzz.target import Target
from fuzz.verdict import Outcome
from strategies.case import Case, Image, Text

CASE: Final = Case(rows=((Text(3), Image(112, 28)),))
TEXT: Final = Case(rows=((Text(3),),))
"""What is asked of a target that takes no images."""
PROPERTY: Final = "no_crash"
MEMORY_LIMIT_MIB: Final = 400
WORKER: Final = "fuzz.worker.on_demand"


@dataclass(frozen=True, slots=True)
class Row:
    """What one fault gave.

    Attributes:
        fault: the fault.
        outcome: of the check it happened in.
        problem: what was not as it should be, "" if all was.
    """

    fault: Fault
    outcome: Outcome
    problem: str


def main(rounds: int) -> int:
    """Print the table in Markdown; return 1 if a row is not as it should be.

    Args:
        rounds: how often each fault is brought about; the table shows the last time.
    """
    with Supervisor(
        Target(), worker_module=WORKER, memory_limit_mib=MEMORY_LIMIT_MIB
    ) as supervisor:
        supervisor.start()
        for _ in range(rounds):
            rows = list(table(supervisor))
            for row in rows:
                if row.problem:
                    print(f"{row.fault.name}: {row.problem}", file=sys.stderr)
            if any(row.problem for row in rows):
                return 1
    print("\n".join(markdown(rows)))
    return 0


def table(supervisor: Supervisor) -> Iterator[Row]:
    """Bring about each fault once, between two cases that pass.

    Args:
        supervisor: started, with :data:`WORKER`.
    """
    for fault in FAULTS.values():
        yield row(supervisor, fault)


def row(supervisor: Supervisor, fault: Fault, case: Case = CASE) -> Row:
    """Bring about a fault between two cases that pass; see :func:`table`."""
    before = supervisor.check(PROPERTY, case)
    pid = supervisor.worker_pid
    outcome = supervisor.check(f"{PROPERTY}+{fault.name}", case)
    after = supervisor.check(PROPERTY, case)
    lived = supervisor.worker_pid == pid
    return Row(fault, outcome, _problem(fault, outcome, before, after, lived))


def attributed(fault: Fault, outcome: Outcome) -> bool:
    """Tell whether an outcome is what a fault gives."""
    what = outcome.signature.what if outcome.signature else ""
    return (outcome.verdict, what) == (fault.verdict, fault.what)


def markdown(rows: list[Row]) -> list[str]:
    """Return the rows as a Markdown table; numbers that differ from time to time are ``N``."""
    lines = [
        "| fault | what happens | verdict | worker | what a user sees |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        fate = "goes on" if row.fault.lives else "replaced"
        said = "nothing" if row.outcome.verdict == "pass" else f"`` {line_of(row.outcome)} ``"
        cells = (row.fault.name, row.fault.sentence, row.outcome.verdict, fate, said)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def line_of(outcome: Outcome) -> str:
    """Return the line a user sees, without what differs from time to time."""
    if outcome.signature is None:
        text = outcome.message
    else:
        text = f"FINDING {headline(outcome.signature, outcome.message)}"
    return without_what_varies(text)


def without_what_varies(line: str) -> str:
    """Return a line with ``N`` for the numbers that differ from time to time."""
    line = re.sub(r"within [\d.]+ s", "within N s", line)
    return re.sub(r"(request|was|of|than) \d+", r"\1 N", line)


def _problem(fault: Fault, outcome: Outcome, before: Outcome, after: Outcome, lived: bool) -> str:
    if not attributed(fault, outcome):
        return f"expected {fault.verdict} {fault.what}, got {outcome.verdict}: {outcome.message}"
    for when, other in (("before", before), ("after", after)):
        if other.verdict != "pass":
            return f"the case {when} it gave {other.verdict}: {other.message}"
    if lived != fault.lives:
        return f"the worker {'went on' if lived else 'was replaced'}"
    return ""
