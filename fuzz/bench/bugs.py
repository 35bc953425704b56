"""``ropefuzz bench bugs``: real bugs of real releases, found or not, how soon, and how small."""

from __future__ import annotations

import os
import signal
import statistics
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from fuzz import engine
from fuzz.bench.known_bugs import Bug, load
from fuzz.environments.store import Store, default_root
from fuzz.errors import CannotJudge, UsageProblem, choose
from fuzz.events import Event, Shrinking
from fuzz.files import read_json, write_json
from fuzz.isolation.errors import SetupProblem
from fuzz.isolation.supervisor import Supervisor
from fuzz.report import headline
from fuzz.session import Options
from strategies.case import to_json
from strategies.simpler import size_of
from strategies.words import describe

CASES: Final = 500
FORMAT_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Run:
    """One bug and one seed: a run on the release that has it, and one on a release that has not.

    Attributes:
        bug: its id.
        seed: draws the cases.
        found: whether it was found, confirmed in fresh processes.
        cases: generated until it was first met, or in all where it was not.
        seconds: until it was first met.
        kept: seconds until it was small, confirmed and saved.
        words: the smallest case.
        case: the same, as JSON.
        larger: whether it is larger than the smallest case that is known; None where none is.
        silent_cases: cases on the release that has it not.
        alarms: failures there that no ledger expects.
        problem: why it could not be run, "" if it could.
    """

    bug: str
    seed: int
    found: bool = False
    cases: int = 0
    seconds: float = 0.0
    kept: float = 0.0
    words: str = ""
    case: str = ""
    larger: bool | None = None
    silent_cases: int = 0
    alarms: tuple[str, ...] = ()
    problem: str = ""


def main(seeds: int, cases: int, only: Sequence[str], results: Path | None) -> int:
    """Run the catalogue and print a table; 1 if a bug was missed or an alarm was false.

    Args:
        seeds: runs of each bug.
        cases: most cases of each run.
        only: ids of bugs, none for all.
        results: a file that keeps what was run, so that a second call goes on from there.

    Raises:
        UsageProblem: a bug is unknown, or the file cannot be used.
    """
    bugs = {bug.id: bug for bug in load()}
    for name in only:
        choose("bug", name, bugs)
    wanted = [(b, s) for b in (only or bugs) for s in range(seeds)]
    done = {(r.bug, r.seed): r for r in _kept(results, cases)}
    left = [pair for pair in wanted if pair not in done]
    # Built here, so that the processes below find them.
    store = Store(default_root(), lambda text: print(text, flush=True))
    for release in sorted({r for b, _ in left for r in (bugs[b].affected, bugs[b].silent)}):
        try:
            with store.use(release):
                pass
        except (UsageProblem, CannotJudge) as problem:
            print(f"{release}: {problem}", flush=True)
    with ProcessPoolExecutor(max(1, os.cpu_count() or 1), initializer=_quiet) as pool:
        waiting = [pool.submit(run_one, bugs[b], seed, cases) for b, seed in left]
        try:
            for future in as_completed(waiting):
                run = future.result()
                done[run.bug, run.seed] = run
                print(_line(run), flush=True)
                _keep(results, cases, done.values())
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            print("stopped; what was run is kept" if results else "stopped")
    runs = [done[pair] for pair in wanted if pair in done]
    print("\n".join(table(runs, bugs)))
    return 0 if runs and all(r.found and not r.alarms and not r.problem for r in runs) else 1


def run_one(bug: Bug, seed: int, cases: int) -> Run:
    """Run one bug with one seed."""
    store = Store(default_root(), lambda _: None)
    try:
        with tempfile.TemporaryDirectory() as folder:
            first = _affected(bug, seed, cases, store, Path(folder))
            return _silent(bug, seed, cases, store, Path(folder) / "silent", first)
    except (SetupProblem, UsageProblem, CannotJudge) as problem:
        return Run(bug.id, seed, problem=str(problem))


def _affected(bug: Bug, seed: int, cases: int, store: Store, folder: Path) -> Run:
    met: list[float] = []

    def listener(event: Event) -> None:
        if isinstance(event, Shrinking) and not met:
            met.append(time.monotonic())

    options = Options(cases=cases, seed=seed, save_to=folder, enough=1)
    with (
        store.use(bug.affected) as environment,
        Supervisor(bug.target, pythonpath=environment.pythonpath) as supervisor,
    ):
        session = engine.open_session(supervisor, bug.target, options, lambda _: None)
        # What is known is what is looked for here, and nothing else is gone after.
        session = replace(session, entries=(), listener=listener, claim=bug.matches)
        if reason := session.not_applicable(bug.property):
            return Run(bug.id, seed, problem=f"{bug.property} is not applicable: {reason}")
        began = time.monotonic()
        tally = engine.fuzz_property(session, bug.property)
        ended = time.monotonic()
    found = [f for f in session.findings.values() if f.status == "confirmed"]
    if not found:
        broken = next(iter(tally.broken), "")
        return Run(bug.id, seed, cases=tally.generated, kept=ended - began, problem=broken)
    case = found[0].case
    return Run(
        bug=bug.id,
        seed=seed,
        found=True,
        cases=tally.generated,
        seconds=(met[0] if met else ended) - began,
        kept=ended - began,
        words=describe(case),
        case=to_json(case),
        larger=None if bug.smallest is None else size_of(case) > size_of(bug.smallest),
    )


def _silent(bug: Bug, seed: int, cases: int, store: Store, folder: Path, first: Run) -> Run:
    options = Options(cases=cases, seed=seed, save_to=folder)
    with (
        store.use(bug.silent) as environment,
        Supervisor(bug.target, pythonpath=environment.pythonpath) as supervisor,
    ):
        session = engine.open_session(supervisor, bug.target, options, lambda _: None)
        tally = engine.fuzz_property(session, bug.property)
    alarms = [
        headline(f.signature, f.message) for f in session.findings.values() if f.status != "flaky"
    ]
    return replace(first, silent_cases=tally.generated, alarms=tuple(alarms))


def table(runs: Sequence[Run], bugs: Mapping[str, Bug]) -> list[str]:
    """Return the runs as a Markdown table with a summary below it."""
    lines = [
        "| bug | release | found | cases, median [most] | s to meet | s to keep | smallest case |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(r.bug for r in runs):
        mine = [r for r in runs if r.bug == name]
        found = [r for r in mine if r.found]
        bug = bugs[name]
        if found:
            cases = [r.cases for r in found]
            cells = [
                f"{statistics.median(cases):.0f} [{max(cases)}]",
                f"{statistics.median(r.seconds for r in found):.1f}",
                f"{statistics.median(r.kept for r in found):.1f}",
                min((r.words for r in found), key=len),
            ]
        else:
            cells = ["", "", "", mine[0].problem]
        lines.append(
            f"| {bug.title} (`{bug.target.family}`) | {bug.affected} | {len(found)} of {len(mine)} "
            f"| {' | '.join(cells)} |"
        )
    found = [r for r in runs if r.found]
    silent = sum(r.silent_cases for r in runs)
    whole = {r.bug for r in runs} - {r.bug for r in runs if not r.found}
    lines += [
        "",
        f"{len(whole)} of {len({r.bug for r in runs})} bugs found with every seed; cases to meet "
        f"one, median {statistics.median(r.cases for r in found):.0f}"
        if found
        else "nothing found",
        f"{silent} cases on releases without the bug, failures there that no ledger expects: "
        f"{sum(len(r.alarms) for r in runs)}",
    ]
    lines += [f"  {r.bug}, seed {r.seed}: {text}" for r in runs for text in r.alarms]
    return lines


def _line(run: Run) -> str:
    if run.problem:
        return f"{run.bug:<48} seed {run.seed}  could not be run: {run.problem}"
    said = (
        f"found after {run.cases} cases, {run.seconds:.1f} s: {run.words}"
        if run.found
        else (f"NOT FOUND in {run.cases} cases")
    )
    return f"{run.bug:<48} seed {run.seed}  {said}; elsewhere {len(run.alarms)} alarms"


def _kept(path: Path | None, cases: int) -> list[Run]:
    if path is None or not path.exists():
        return []
    data = read_json(path, "results of ropefuzz bench bugs", FORMAT_VERSION)
    if data.get("cases") != cases:
        raise UsageProblem(f"{path}: was run with {data.get('cases')} cases, not {cases}")
    return [Run(**{**r, "alarms": tuple(r["alarms"])}) for r in data["runs"]]


def _keep(path: Path | None, cases: int, runs: Iterable[Run]) -> None:
    if path is not None:
        plain = [asdict(r) for r in runs]
        plain.sort(key=lambda r: (r["bug"], r["seed"]))
        write_json(path, {"format_version": FORMAT_VERSION, "cases": cases, "runs": plain})


def _quiet() -> None:
    # Ctrl-C is for the process that collects; it ends these.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
