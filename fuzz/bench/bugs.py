"""``ropefuzz bench bugs``: real bugs of real releases, found or not, how soon, and how small.

Each is looked for by ropefuzz and by two baselines under the same budget, on a release that has
it; the same property then runs on a release that has it not, where nothing may fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from fuzz.bench import exposure
from fuzz.bench.exposure import METHODS, NATIVE, Budget, Run, Silent
from fuzz.bench.known_bugs import Bug, load
from fuzz.bench.machine import machine
from fuzz.bench.tables import lines
from fuzz.bench.together import on_all_cores
from fuzz.environments.store import Store, default_root
from fuzz.errors import CannotJudge, UsageProblem, choose
from fuzz.files import read_json, write_json

FORMAT_VERSION: Final = 2


@dataclass(slots=True)
class Results:
    """What was measured so far.

    Attributes:
        budget: of each run.
        runs: on affected releases, by bug, method and seed.
        silent: on the others, by bug, dtype and seed.
        machine: where and with what it was measured.
    """

    budget: Budget
    runs: dict[tuple[str, str, int], Run] = field(default_factory=dict)
    silent: dict[tuple[str, str, int], Silent] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)

    def add(self, measured: Iterable[Run | Silent]) -> None:
        """Take in what a job gave."""
        for one in measured:
            if isinstance(one, Run):
                self.runs[one.bug, one.method, one.seed] = one
            else:
                self.silent[one.bug, one.dtype, one.seed] = one


def main(seeds: int, budget: Budget, only: Sequence[str], path: Path | None) -> int:
    """Run the catalogue and print tables; 1 if a bug was missed or an alarm was false.

    Args:
        seeds: runs of each bug.
        budget: of each run.
        only: ids of bugs, none for all.
        path: a file that keeps what was run, so that a second call goes on from there.

    Raises:
        UsageProblem: a bug is unknown, or the file cannot be used.
    """
    bugs = {bug.id: bug for bug in load()}
    for name in only:
        choose("bug", name, bugs)
    results = kept(path, budget)
    results.machine = results.machine or machine()
    wanted = [bugs[name] for name in only or bugs]
    jobs = [*_jobs(wanted, seeds, budget, results)]
    _build(wanted if jobs else ())
    try:
        with on_all_cores(jobs) as found:
            for measured in found:
                results.add(measured)
                print("\n".join(map(_line, measured)), flush=True)
                _keep(path, results)
    except KeyboardInterrupt:
        print("stopped; what was run is kept" if path else "stopped")
    ours = [r for r in results.runs.values() if r.method == exposure.OURS]
    print("\n".join(lines(list(results.runs.values()), list(results.silent.values()), bugs)))
    fine = all(r.found for r in ours) and not any(
        s.alarms or s.problem for s in results.silent.values()
    )
    return 0 if ours and fine else 1


def _jobs(
    wanted: Sequence[Bug], seeds: int, budget: Budget, results: Results
) -> Iterable[Callable[[], Sequence[Run | Silent]]]:
    """Yield what is not yet measured."""
    for bug in wanted:
        left = [(m, s) for m in METHODS for s in range(seeds) if (bug.id, m, s) not in results.runs]
        if left:
            yield partial(exposure.on_affected, bug, left, budget)
    for dtype in ("exact", NATIVE):
        for bug in wanted:
            if dtype == "exact" and bug.target.dtype != "exact":
                continue
            again = [s for s in range(seeds) if (bug.id, dtype, s) not in results.silent]
            if again:
                yield partial(exposure.on_silent, bug, dtype, again, budget)


def _build(bugs: Sequence[Bug]) -> None:
    """Build the environments here, so that the processes find them."""
    store = Store(default_root(), lambda text: print(text, flush=True))
    for release in sorted({r for bug in bugs for r in (bug.affected, bug.silent)}):
        try:
            with store.use(release):
                pass
        except (UsageProblem, CannotJudge) as problem:
            print(f"{release}: {problem}", flush=True)


def _line(measured: Run | Silent) -> str:
    if measured.problem:
        return f"{measured.bug:<48} seed {measured.seed}  not judged: {measured.problem}"
    if isinstance(measured, Silent):
        said = f"{measured.cases} cases, {measured.known} known, {len(measured.alarms)} alarms"
        alarms = "".join(f"\n    {text}" for text in measured.alarms)
        return f"{measured.bug:<48} silent {measured.dtype} seed {measured.seed}  {said}{alarms}"
    said = "found" if measured.found else "NOT FOUND"
    return (
        f"{measured.bug:<48} {measured.method:<8} seed {measured.seed}  {said} after "
        f"{measured.cases} cases, {measured.seconds:.1f} s"
        + (f": {measured.words}" if measured.method == exposure.OURS else "")
    )


def kept(path: Path | None, budget: Budget | None = None) -> Results:
    """Read results, empty where there are none yet.

    Args:
        path: of the file, None for nowhere.
        budget: that the runs must have had; None for any.

    Raises:
        UsageProblem: they cannot be read, or had another budget.
    """
    if path is None or not path.exists():
        return Results(budget or Budget())
    data = read_json(path, "results of ropefuzz bench bugs", FORMAT_VERSION)
    had = Budget(**data["budget"])
    if budget is not None and had != budget:
        raise UsageProblem(f"{path}: was run with {asdict(had)}, not {asdict(budget)}")
    results = Results(had, machine=data["machine"])
    results.add(Run(**run) for run in data["runs"])
    results.add(Silent(**{**run, "alarms": tuple(run["alarms"])}) for run in data["silent"])
    return results


def _keep(path: Path | None, results: Results) -> None:
    if path is None:
        return
    write_json(
        path,
        {
            "format_version": FORMAT_VERSION,
            "machine": results.machine,
            "budget": asdict(results.budget),
            "runs": _sorted(results.runs),
            "silent": _sorted(results.silent),
        },
    )


def _sorted(measured: Mapping[tuple[str, str, int], Run | Silent]) -> list[dict[str, Any]]:
    return [asdict(measured[key]) for key in sorted(measured)]
