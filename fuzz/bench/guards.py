"""``ropefuzz bench guards``: what the guards cost on a forward of the tiny model."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from typing import Final

from fuzz.bench.spread import spread
from fuzz.isolation.environment import environment

MOST: Final = {"contract guard": 1.2, "shadow oracle": 2.0, "index guard": 2.0}
"""How many times as long a forward may take, median; the contract guard is in both times of the
shadow oracle, which is on with real kernels alone."""
ROUNDS: Final = 8
"""Interleaved pairs of measurements for each repetition."""


def main(rounds: int) -> int:
    """Measure and print; returns 1 if a guard costs more than it may.

    Args:
        rounds: repetitions, of several pairs of measurements each.
    """
    print(f"{platform.machine()}, {os.cpu_count()} cores, python {platform.python_version()}")
    done = subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", "fuzz.worker.overhead", str(rounds * ROUNDS)],
        env=environment((), os.environ),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    measured = json.loads(done.stdout.splitlines()[-1])
    versions = ", ".join(f"{k} {v}" for k, v in sorted(measured["versions"].items()))
    print(f"{versions}; {rounds * ROUNDS} interleaved pairs, median [least, most]")
    too_much = 0
    for name, most in MOST.items():
        pairs = measured["milliseconds"].get(name)
        if pairs is None:
            print(f"{name:<15} not measured: flash_attention_2 cannot be used")
            continue
        without, guarded = zip(*pairs, strict=True)
        ratios = sorted(b / a for a, b in pairs)
        too_much += ratios[len(ratios) // 2] > most
        print(
            f"{name:<15} forward {spread(without, '{:.1f}')} ms, guarded "
            f"{spread(guarded, '{:.1f}')} ms, {spread(ratios, '{:.2f}')} times "
            f"(at most {most:g})"
        )
    return 1 if too_much else 0
