"""``ropefuzz bench reports``: what a large run costs to be reported."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

from fuzz.events import Event, Found, Notice, PropertyDone, RunStarted
from fuzz.finding import Finding
from fuzz.reports.keep import SUFFIXES, open_reports
from fuzz.target import Target
from fuzz.verdict import Signature
from strategies.case import Case, Image, Text

EVENTS: Final = 10_000
FINDINGS: Final = 200
_FRAMES: Final = 60


def main(rounds: int) -> int:
    """Print how long each kind of report takes, and how large it is."""
    events = _events()
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for suffix in SUFFIXES:
                path = Path(folder) / f"run{suffix}"
                began = time.perf_counter()
                reports = open_reports([path], print)
                for event in events:
                    reports(event)
                reports.close()
                seconds = time.perf_counter() - began
                size = path.stat().st_size / 1e6
                print(
                    f"round {number + 1}: {len(events)} events, {FINDINGS} findings as {suffix}: "
                    f"{seconds:.2f} s, {size:.2f} MB"
                )
    return 0


def _events() -> list[Event]:
    events: list[Event] = [RunStarted(Target(), {"transformers": "5.23.0"}, 1, 1.0)]
    details = "\n".join(f'  File "modeling.py", line {n}, in forward' for n in range(_FRAMES))
    for number in range(FINDINGS):
        finding = Finding(
            property="no_crash",
            signature=Signature("no_crash", "error", "IndexError", f"forward_{number}"),
            message=f"index {number} passed a table of 0 rows",
            case=Case(rows=((Image(4, 1), Text(number)),)),
            first=Case(rows=((Text(12), Image(200, 90)), (Text(3),)), side="right"),
            target=Target(),
            versions={"transformers": "5.23.0"},
            runs=3,
            failed=3,
            attempts=17,
            complete=True,
            details=details,
            date="2026-01-01",
        )
        events.append(Found(finding, Path(f"regressions/{number}.json")))
        events += [Notice(f"notice {n}") for n in range(EVENTS // FINDINGS - 1)]
    return [*events, PropertyDone("no_crash", {"error": 200}, 0, 200, 1.0)]
