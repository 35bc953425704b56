"""``ropefuzz bench soak``: cases with faults injected at random, and what became of each."""

from __future__ import annotations

import os
import random
import secrets
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fuzz.bench.drawing import passing
from fuzz.bench.faults import MEMORY_LIMIT_MIB, PROPERTY, WORKER, attributed
from fuzz.faults import FAULTS, Fault
from fuzz.isolation.kernel import carrying
from fuzz.isolation.memory import resident
from fuzz.isolation.supervisor import Supervisor
from fuzz.target import Target
from fuzz.verdict import Outcome

SHARE: Final = 0.2
"""How many of the cases carry a fault."""

RARE: Final = {"preload-killed": 0.1}
"""Faults that come less often than the others: this one costs a whole start."""

CASES: Final = 100
FRESH: Final = 0.1  # of the cases are checked in a process of their own, as confirmations are
LOOK: Final = 5.0  # seconds between two looks at the driver's memory
BEAT: Final = 30.0  # seconds between two lines of progress
MARK: Final = "ROPEFUZZ_SOAK"
_MIB: Final = 2**20


@dataclass(slots=True)
class Soaked:
    """What a soak has seen.

    Attributes:
        clean: cases without a fault.
        injected: faults by name.
        detected: faults that gave what they should, by name.
        misattributed: what was blamed on the wrong thing, in words.
        lost: faults that were told as a pass, in words.
        memory: seconds since the start, and bytes that the driver held then.
        descriptors: open file descriptors of the driver, first and last.
    """

    clean: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    detected: Counter[str] = field(default_factory=Counter)
    misattributed: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)


def main(seconds: float, seed: int) -> int:
    """Soak, print, and return 1 if anything was lost, misattributed or left behind.

    Args:
        seconds: wall clock.
        seed: decides which cases carry which faults.
    """
    token = secrets.token_hex(8)
    os.environ[MARK] = token  # every process that comes of this one carries it
    soaked = Soaked()
    with Supervisor(
        Target(), worker_module=WORKER, memory_limit_mib=MEMORY_LIMIT_MIB, notify=print
    ) as supervisor:
        began = time.monotonic()
        try:
            _soak(supervisor, soaked, seconds, seed)
        except KeyboardInterrupt:
            print("stopped; what follows is of the time until then")
        elapsed = time.monotonic() - began
        started, preloads = supervisor.forks, supervisor.preloads
        unkillable = supervisor.unkillable
    time.sleep(1.0)  # the last ones may still be ending
    left = carrying(MARK, token)
    for line in _lines(soaked, elapsed, started, preloads):
        print(line)
    print(f"processes left behind  {len(left)}, unkillable {len(unkillable)}")
    for text in [*soaked.lost, *soaked.misattributed][:20]:
        print(f"  {text}")
    return 1 if soaked.lost or soaked.misattributed or left else 0


def _soak(supervisor: Supervisor, soaked: Soaked, seconds: float, seed: int) -> None:
    rng = random.Random(seed)
    cases = passing(supervisor, supervisor.start().info, PROPERTY, CASES, seed)
    names = list(FAULTS)
    weights = [RARE.get(name, 1.0) for name in names]
    print(f"{len(cases)} different cases, every fifth with one of {len(names)} faults, seed {seed}")
    began = time.monotonic()
    look = beat = 0.0
    while (now := time.monotonic() - began) < seconds:
        if now >= look:
            look = now + LOOK
            soaked.memory.append((now, resident(os.getpid())))
            soaked.descriptors.append(len(list(Path("/proc/self/fd").iterdir())))
        if now >= beat:
            beat = now + BEAT
            print(f"... {now:.0f} s: {_count(soaked)}", flush=True)
        case = rng.choice(cases)
        fault = FAULTS[rng.choices(names, weights)[0]] if rng.random() < SHARE else None
        name = f"{PROPERTY}+{fault.name}" if fault else PROPERTY
        check = supervisor.check_fresh if rng.random() < FRESH else supervisor.check
        _judge(soaked, fault, check(name, case))
        soaked.misattributed += [
            f"after an answer, {late.ran.property}: {late.outcome.message}"
            for late in supervisor.late_deaths()
        ]


def _judge(soaked: Soaked, fault: Fault | None, outcome: Outcome) -> None:
    said = f"{outcome.verdict}: {outcome.message}"
    if fault is None:
        soaked.clean += 1
        if outcome.verdict != "pass":
            soaked.misattributed.append(f"a case without a fault gave {said}")
        return
    soaked.injected[fault.name] += 1
    if attributed(fault, outcome):
        soaked.detected[fault.name] += 1
    elif outcome.verdict == "pass":
        soaked.lost.append(f"{fault.name} was not noticed")
    else:
        soaked.misattributed.append(f"{fault.name} gave {said}")


def _count(soaked: Soaked) -> str:
    injected, detected = soaked.injected.total(), soaked.detected.total()
    return (
        f"{soaked.clean + injected} cases, {injected} faults, {detected} detected, "
        f"{len(soaked.misattributed)} misattributed, {len(soaked.lost)} lost"
    )


def _lines(soaked: Soaked, seconds: float, started: int, preloads: int) -> list[str]:
    lines = [f"{seconds:.0f} s: {_count(soaked)}"]
    lines += [f"  {name:<28} {soaked.detected[name]} of {soaked.injected[name]}" for name in FAULTS]
    lines.append(
        f"workers started        {started}, {started / seconds:.2f} per second; preloads {preloads}"
    )
    if len(soaked.memory) > 3:
        # The first quarter is warm-up.
        settled = soaked.memory[len(soaked.memory) // 4 :]
        slope = statistics.linear_regression(*zip(*settled, strict=True)).slope
        lines.append(
            f"driver's memory, MiB   {settled[0][1] / _MIB:.1f} after warm-up, "
            f"{settled[-1][1] / _MIB:.1f} at the end, {slope * 3600 / _MIB:+.1f} per hour"
        )
        lines.append(
            f"driver's descriptors   {soaked.descriptors[0]} at the beginning, "
            f"{soaked.descriptors[-1]} at the end"
        )
    return lines
