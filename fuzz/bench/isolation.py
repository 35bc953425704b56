"""``ropefuzz bench isolation``: what isolation costs, measured in one run, interleaved."""

from __future__ import annotations

import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from fuzz import engine
from fuzz.bench.spread import spread
from fuzz.events import Event, Found, Shrinking
from fuzz.finding import Finding
from fuzz.isolation.supervisor import Supervisor
from fuzz.target import Target, target_to_plain
from strategies.case import Case, to_json
from strategies.cases import cases as draw_cases
from strategies.geometry import geometry_from_plain

PROPERTY = "cache_agreement"
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
    with tempfile.TemporaryDirectory() as folder, Supervisor(target) as supervisor:
        ready = supervisor.start()
        versions = ", ".join(f"{k} {v}" for k, v in sorted(ready.versions.items()))
        print(f"{versions}; {rounds} rounds, median [least, most]")
        cases = _draw(supervisor, ready.info, rounds * BATCH)
        _throughput(supervisor, target, cases, rounds)
        _start_up(supervisor, rounds)
        _memory(supervisor)
        _shrinking(Path(folder), rounds)
    return 0


def _draw(supervisor: Supervisor, info: dict[str, object], count: int) -> list[Case]:
    """Draw distinct cases that the property passes."""
    geometry = geometry_from_plain(dict(info["geometry"]))  # type: ignore[call-overload]  # plain data off the wire
    drawn: dict[str, Case] = {}

    @seed(SEED)
    @settings(
        max_examples=4 * count,
        phases=(Phase.generate,),
        database=None,
        deadline=None,
        derandomize=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(draw_cases(geometry, "cache_agreement"))
    def one(case: Case) -> None:
        drawn[to_json(case)] = case

    one()
    passing = (c for c in drawn.values() if supervisor.check(PROPERTY, c).verdict == "pass")
    return list(itertools.islice(passing, count))


def _throughput(supervisor: Supervisor, target: Target, cases: Sequence[Case], rounds: int) -> None:
    isolated, plain, ratios = [], [], []
    arguments = [sys.executable, "-c", IN_PROCESS, json.dumps(target_to_plain(target))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(  # noqa: S603 - our own interpreter and text
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
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
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return _timed(
        lambda: subprocess.run(arguments, env=environment, check=True)  # noqa: S603 - as above
    )


def _memory(supervisor: Supervisor) -> None:
    for role, memory in supervisor.memory().items():
        sizes = f"resident {memory.rss_mib:.0f}, its share {memory.pss_mib:.0f}"
        print(f"{f'memory of the {role}, MiB':<37}{sizes}")


def _shrinking(folder: Path, rounds: int) -> None:
    """Time a defect that kills the process, from its first failure to the saved file."""
    seconds, attempts, forks = [], [], []
    target = Target(plants=("abort",))
    for i in range(rounds):
        times: list[float] = []
        found: list[Finding] = []

        def hear(event: Event, times: list[float] = times, found: list[Finding] = found) -> None:
            if isinstance(event, Shrinking | Found):
                times.append(time.perf_counter())
            if isinstance(event, Found):
                found.append(event.finding)

        with Supervisor(target) as supervisor:
            options = engine.Options(cases=60, seed=i, save_to=folder / str(i), enough=1)
            session = engine.open_session(supervisor, target, options, hear)
            before = supervisor.forks
            engine.fuzz_property(session, "no_crash")
            forks.append(float(supervisor.forks - before))
        if found:
            seconds.append(times[-1] - times[0])
            attempts.append(float(found[0].attempts))
    print(f"a killing failure made minimal, s    {spread(seconds, '{:.1f}')}")
    print(f"  attempts                           {spread(attempts, '{:.0f}')}")
    print(f"  forks, confirmation included       {spread(forks, '{:.0f}')}")


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
