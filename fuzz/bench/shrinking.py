"""``ropefuzz bench shrinking``: a failure that kills its process, made small in two ways."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fuzz import engine
from fuzz.bench.spread import spread
from fuzz.events import Event, Found, Shrinking
from fuzz.finding import Finding
from fuzz.isolation.supervisor import Supervisor
from fuzz.session import Options
from fuzz.target import Target
from strategies.words import describe

PLANT: Final = "abort"
PATIENCE: Final = 3600.0
"""Seconds that making one failure small may take here; the point is how long it does take."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One failure, from first met to saved.

    Attributes:
        seconds: wall clock.
        finding: what was kept.
        processes: workers started meanwhile.
    """

    seconds: float
    finding: Finding
    processes: int


def main(rounds: int) -> int:
    """Measure and print; returns 1 if the two do not find the same smallest case.

    Args:
        rounds: repetitions, each with another seed.
    """
    print(f"plant {PLANT}, seeds 0 to {rounds - 1}, median [least, most]")
    forked: list[Measured] = []
    cold: list[Measured] = []
    for seed in range(rounds):
        forked.append(measure(seed, fresh_process=False))
        cold.append(measure(seed, fresh_process=True))
    for name, measured in (("forked processes", forked), ("--fresh-process", cold)):
        print(name)
        for line in lines(measured):
            print(f"  {line}")
        for words in sorted({describe(m.finding.case) for m in measured}):
            print(f"  smallest case                      {words}")
    times = [c.seconds / f.seconds for c, f in zip(cold, forked, strict=True)]
    print(f"--fresh-process takes as many times as long: {spread(times, '{:.0f}')}")
    same = all(c.finding.case == f.finding.case for c, f in zip(cold, forked, strict=True))
    return 0 if same else 1


def lines(measured: list[Measured]) -> list[str]:
    """Return what was measured, one line a number."""
    return [
        f"first failure to saved file, s     {spread([m.seconds for m in measured], '{:.1f}')}",
        f"attempts                           "
        f"{spread([float(m.finding.attempts) for m in measured], '{:.0f}')}",
        f"processes, confirmation included   "
        f"{spread([float(m.processes) for m in measured], '{:.0f}')}",
    ]


def measure(seed: int, fresh_process: bool) -> Measured:
    """Fuzz until the failure is found, made small, confirmed and saved.

    Raises:
        RuntimeError: it was not found.
    """
    target = Target(plants=(PLANT,))
    met: list[tuple[float, int]] = []
    kept: list[tuple[float, Finding]] = []

    def hear(event: Event) -> None:
        if isinstance(event, Shrinking):
            met.append((time.perf_counter(), supervisor.forks))
        elif isinstance(event, Found):
            kept.append((time.perf_counter(), event.finding))

    with (
        tempfile.TemporaryDirectory() as folder,
        Supervisor(target, fresh_process=fresh_process) as supervisor,
    ):
        options = Options(
            cases=60, seed=seed, save_to=Path(folder), enough=1, shrink_seconds=PATIENCE
        )
        session = engine.open_session(supervisor, target, options, hear)
        engine.fuzz_property(session, "no_crash")
        processes = supervisor.forks
    if not kept:
        raise RuntimeError(f"seed {seed}: nothing found")
    return Measured(kept[0][0] - met[0][0], kept[0][1], processes - met[0][1])
