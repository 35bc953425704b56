"""``ropefuzz bench plants``: how soon each planted defect is found, and how small it gets."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

from fuzz import engine
from fuzz.bench.spread import spread
from fuzz.claims import CLAIMS
from fuzz.isolation.errors import SetupProblem
from fuzz.isolation.supervisor import Supervisor
from fuzz.plants import PLANTS, Plant
from fuzz.session import Options, Session
from fuzz.target import Target
from strategies.words import describe

CASES = 300
TOGETHER_CASES = 100
TOGETHER = ("positions-restart", "padding-leak", "mrope-axes-swapped")
"""Three defects that three properties see, each of which could hide another."""


def main(rounds: int) -> int:
    """Measure and print; returns 1 if a defect was missed.

    Args:
        rounds: seeds per defect.
    """
    missed = 0
    print(f"each defect by its own property, {rounds} seeds, at most {CASES} cases")
    print("median [least, most]")
    with tempfile.TemporaryDirectory() as folder:
        for plant in PLANTS.values():
            try:
                missed += _one(plant, rounds, Path(folder) / plant.name)
            except SetupProblem as problem:
                if problem.kind != "usage":
                    raise
                print(f"{plant.name:<24} not measured: {problem.message}", flush=True)
        missed += _together(rounds, Path(folder) / "together")
    return 1 if missed else 0


def _one(plant: Plant, rounds: int, folder: Path) -> int:
    cases: list[float] = []
    seconds: list[float] = []
    smallest: set[str] = set()
    options = Options(cases=CASES, save_to=folder, enough=1)
    target = Target(attn=plant.attn, plants=(plant.name,))
    with Supervisor(target) as supervisor:
        session = _open(supervisor, target, options)
        for seed in range(rounds):
            again = _fresh(session, replace(options, seed=seed))
            began = time.monotonic()
            tally = engine.fuzz_property(again, plant.killer)
            seconds.append(time.monotonic() - began)
            if again.findings:
                cases.append(float(tally.generated))
            smallest |= {describe(f.case) for f in again.findings.values()}
    share = f"{len(cases)} of {rounds}"
    print(
        f"{plant.name:<24} {plant.killer:<22} found {share:<8} "
        f"cases {spread(cases, '{:.0f}'):<14} s {spread(seconds, '{:.1f}')}",
        flush=True,
    )
    for words in sorted(smallest):
        print(f"    {words}")
    return rounds - len(cases)


def _together(rounds: int, folder: Path) -> int:
    """Run three defects at once over all properties: each must be found, each small."""
    expected = {PLANTS[name].killer for name in TOGETHER}
    missed = 0
    print(f"{', '.join(TOGETHER)} at once, all properties, {TOGETHER_CASES} cases each")
    options = Options(cases=TOGETHER_CASES, save_to=folder)
    target = Target(plants=TOGETHER)
    with Supervisor(target) as supervisor:
        session = _open(supervisor, target, options)
        for seed in range(rounds):
            again = _fresh(session, replace(options, seed=seed))
            began = time.monotonic()
            spent = [engine.fuzz_property(again, p).generated for p in CLAIMS]
            seconds = time.monotonic() - began
            found = [f for f in again.findings.values() if f.status == "confirmed"]
            lost = expected - {f.signature.property for f in found}
            missed += len(lost)
            print(
                f"  seed {seed}: {len(expected) - len(lost)} of {len(expected)} found, "
                f"{sum(spent)} of {TOGETHER_CASES * len(CLAIMS)} cases, {seconds:.0f} s",
                flush=True,
            )
            for finding in found:
                print(f"    {finding.signature.property}: {describe(finding.case)}")
    return missed


def _open(supervisor: Supervisor, target: Target, options: Options) -> Session:
    return engine.open_session(supervisor, target, options, lambda _: None)


def _fresh(session: Session, options: Options) -> Session:
    """Return the same started target with nothing found on it yet."""
    save_to = options.save_to / str(options.seed)
    return replace(
        session,
        options=replace(options, save_to=save_to),
        findings={},
        known={},
        counts={},
        broken=[],
    )
