"""``ropefuzz bench isolation``: what isolation costs, measured in one run, interleaved."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

from fuzz.bench.drawing import passing
from fuzz.bench.shrinking import lines, measure
from fuzz.bench.spread import spread
from fuzz.isolation.environment import environment
from fuzz.isolation.supervisor import Supervisor
from fuzz.target import Target, target_to_plain
from strategies.case import Case, to_json

PROPERTY: Final = "cache_agreement"
BATCH = 60
SEED = 7

# The same checks without isolation: a plain process that imports the worker and loops.
IN_PROCESS = """
import json, sys, time
from fuzz.worker import serve
from strategies.case import from_json
target = json.loads(sys.argv[1])
serve.load(target)
serve.prepare(target)
print("ready", flush=True)
for line in sys.stdin:
    property_id, *cases = json.loads(line)
    cases = [from_json(text) for text in cases]
    began = time.perf_counter()
    for case in cases:
        serve.judge(property_id, case)
    print(time.perf_counter() - began, flush=True)
"""


def main(rounds: int) -> int:
    """Measure and print; returns the exit code.

    Args:
        rounds: interleaved repetitions of every measurement.
    """
    target = Target()
    print(f"{platform.machine()}, {os.cpu_count()} cores, python {platform.python_version()}")
    with Supervisor(target) as supervisor:
        ready = supervisor.start()
        versions = ", ".join(f"{k} {v}" for k, v in sorted(ready.versions.items()))
        print(f"{versions}; {rounds} rounds, median [least, most]")
        cases = passing(supervisor, ready.info, PROPERTY, rounds * BATCH, SEED)
        _throughput(supervisor, target, cases, rounds)
        _start_up(supervisor, rounds)
        _memory(supervisor)
    _shrinking(rounds)
    return 0


def _throughput(supervisor: Supervisor, target: Target, cases: Sequence[Case], rounds: int) -> None:
    isolated, plain, ratios = [], [], []
    arguments = [sys.executable, "-c", IN_PROCESS, json.dumps(target_to_plain(target))]
    with subprocess.Popen(  # noqa: S603 - our own interpreter and text
        arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment((), os.environ),
    ) as other:
        send, receive = other.stdin, other.stdout
        if send is None or receive is None or receive.readline().strip() != "ready":
            raise RuntimeError("the in-process half did not start")
        for i in range(rounds):
            batch = cases[i * BATCH : (i + 1) * BATCH]

            def in_process(batch: Sequence[Case] = batch) -> float:
                send.write(json.dumps([PROPERTY, *map(to_json, batch)]) + "\n")
                send.flush()
                return float(receive.readline())

            def in_worker(batch: Sequence[Case] = batch) -> float:
                return _timed(lambda: [supervisor.check(PROPERTY, c) for c in batch])

            # Every other round the other way round, so that drift of the machine cancels.
            if i % 2:
                a, b = in_worker(), in_process()
            else:
                b, a = in_process(), in_worker()
            isolated.append(len(batch) / a)
            plain.append(len(batch) / b)
            ratios.append(b / a)
        send.close()
    print(f"{PROPERTY}, cases/s isolated    {spread(isolated, '{:.1f}')}")
    print(f"{PROPERTY}, cases/s in-process  {spread(plain, '{:.1f}')}")
    print(f"isolated / in-process                {spread(ratios, '{:.3f}')}")


def _start_up(supervisor: Supervisor, rounds: int) -> None:
    forked, cold = [], []
    for _ in range(rounds):
        cold.append(_cold_start())
        forked.append(supervisor.fork_seconds())
    print(f"ready worker by fork, s              {spread(forked, '{:.3f}')}")
    print(f"ready worker, cold interpreter, s    {spread(cold, '{:.2f}')}")
    times = [c / f for c, f in zip(cold, forked, strict=True)]
    print(f"cold / fork                          {spread(times, '{:.0f}')}")


def _cold_start() -> float:
    program = (
        "import json, sys\n"
        "from fuzz.worker import serve\n"
        "target = json.loads(sys.argv[1])\n"
        "serve.load(target)\n"
        "serve.prepare(target)\n"
    )
    arguments = [sys.executable, "-c", program, json.dumps(target_to_plain(Target()))]
    return _timed(
        lambda: subprocess.run(arguments, env=environment((), os.environ), check=True)  # noqa: S603 - as above
    )


def _memory(supervisor: Supervisor) -> None:
    for role, memory in supervisor.memory().items():
        sizes = f"resident {memory.rss_mib:.0f}, its share {memory.pss_mib:.0f}"
        print(f"{f'memory of the {role}, MiB':<37}{sizes}")


def _shrinking(rounds: int) -> None:
    """Time a defect that kills the process, from its first failure to the saved file."""
    print("a killing failure made minimal")
    for line in lines([measure(seed, fresh_process=False) for seed in range(rounds)]):
        print(f"  {line}")


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
