"""One bug of the catalogue, looked for on a release that has it, and on one that has it not."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from fuzz import engine, ledger
from fuzz.bench.grid import DTYPES, grid
from fuzz.bench.known_bugs import Bug, elements
from fuzz.bench.uniform import uniform
from fuzz.environments.store import Store, default_root
from fuzz.errors import CannotJudge, UsageProblem
from fuzz.events import Event, Shrinking
from fuzz.isolation.errors import SetupProblem
from fuzz.isolation.supervisor import Supervisor
from fuzz.report import headline
from fuzz.session import PROPERTY_KINDS, Options, Session
from strategies.case import Case, to_json
from strategies.words import describe

OURS: Final = "ropefuzz"
UNIFORM: Final = "uniform"
GRID: Final = "grid"
METHODS: Final = (OURS, UNIFORM, GRID)
NATIVE: Final = "float16"


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may spend.

    Attributes:
        cases: most cases of a run on an affected release.
        seconds: most seconds of it, the model built and nothing yet made small.
        silent: cases of a run on a release without the bug.
        native: cases of such a run in low precision.
    """

    cases: int = 500
    seconds: float = 120.0
    silent: int = 210
    native: int = 30


@dataclass(frozen=True, slots=True)
class Run:
    """One way of looking for one bug under one seed.

    Attributes:
        bug: its id.
        method: of :data:`METHODS`.
        seed: draws the cases.
        found: whether it was found; ours also confirms it in fresh processes.
        cases: checked until it was first met, or in all where it was not.
        seconds: until it was first met, or in all.
        kept: seconds until it was small, confirmed and saved; 0 where nothing was.
        words: the smallest case.
        case: the same, as JSON.
        over: by how many elements it is larger than the smallest case that is known.
        problem: why it could not be run, "" if it could.
    """

    bug: str
    method: str
    seed: int
    found: bool = False
    cases: int = 0
    seconds: float = 0.0
    kept: float = 0.0
    words: str = ""
    case: str = ""
    over: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Silent:
    """A run on a release without the bug.

    Attributes:
        bug: its id.
        dtype: what the run computed in.
        seed: draws the cases.
        cases: checked.
        known: of these, failures that the ledger expects.
        alarms: failures that it does not.
        problem: why it could not be run, "" if it could.
    """

    bug: str
    dtype: str
    seed: int
    cases: int = 0
    known: int = 0
    alarms: tuple[str, ...] = ()
    problem: str = ""


def on_affected(bug: Bug, wanted: Sequence[tuple[str, int]], budget: Budget) -> list[Run]:
    """Look for a bug on the release that has it.

    Args:
        bug: the bug.
        wanted: methods and seeds.
        budget: of each run.
    """
    try:
        return list(_on_affected(bug, wanted, budget))
    except (SetupProblem, UsageProblem, CannotJudge) as problem:
        return [Run(bug.id, method, seed, problem=str(problem)) for method, seed in wanted]


def _on_affected(bug: Bug, wanted: Sequence[tuple[str, int]], budget: Budget) -> Iterator[Run]:
    gridded = [seed for method, seed in wanted if method == GRID]
    drawn = [(method, seed) for method, seed in wanted if method != GRID]
    done: dict[int, Run] = {seed: Run(bug.id, GRID, seed) for seed in gridded}
    for dtype in DTYPES if gridded else (bug.target.dtype,):
        if all(run.found for run in done.values()) and not drawn:
            continue
        with started(bug, bug.affected, dtype) as fresh:
            # What is known is what is looked for here, but for what only looks like it.
            apart = tuple(e for e in ledger.shipped() if e.id in bug.apart_from)
            session = replace(fresh, entries=apart)
            if dtype == bug.target.dtype:
                if reason := session.not_applicable(bug.property):
                    raise CannotJudge(f"{bug.property} is not applicable: {reason}")
                for method, seed in drawn:
                    session.supervisor.replace()
                    look = _ours if method == OURS else _uniform
                    yield look(session, bug, seed, budget)
                drawn = []
            if session.not_applicable(bug.property):
                continue
            for seed, before in done.items():
                if not before.found:
                    cases = grid(session.geometry, PROPERTY_KINDS[bug.property], seed)
                    done[seed] = _through(session, bug, cases, before, budget)
    yield from done.values()
    if drawn:
        # The grid has not the dtype that the bug shows in.
        yield from _on_affected(bug, drawn, budget)


def _ours(session: Session, bug: Bug, seed: int, budget: Budget) -> Run:
    met: list[float] = []

    def listener(event: Event) -> None:
        if isinstance(event, Shrinking) and not met:
            met.append(time.monotonic())

    with tempfile.TemporaryDirectory() as folder:
        options = Options(cases=budget.cases, seed=seed, save_to=Path(folder), enough=1)
        # Nothing else is gone after.
        session = replace(_fresh(session, options), listener=listener, claim=bug.matches)
        began = time.monotonic()
        tally = engine.fuzz_property(session, bug.property, began + budget.seconds)
        spent = time.monotonic() - began
    run = Run(bug.id, OURS, seed, cases=tally.generated, seconds=spent)
    found = [f for f in session.findings.values() if f.status == "confirmed"]
    if not found:
        return replace(run, problem=next(iter(tally.broken), ""))
    case = found[0].case
    return replace(
        run,
        found=True,
        seconds=(met[0] - began) if met else spent,
        kept=spent,
        words=describe(case),
        case=to_json(case),
        over=elements(case) - elements(bug.smallest),
    )


def _uniform(session: Session, bug: Bug, seed: int, budget: Budget) -> Run:
    cases = uniform(session.geometry, PROPERTY_KINDS[bug.property], seed)
    return _through(session, bug, cases, Run(bug.id, UNIFORM, seed), budget)


def _through(session: Session, bug: Bug, cases: Iterable[Case], before: Run, budget: Budget) -> Run:
    """Check cases one by one until one fails as the bug does; nothing is made small."""
    began = time.monotonic() - before.seconds
    checked, seconds = before.cases, before.seconds
    for case in itertools.islice(cases, budget.cases - before.cases):
        outcome = session.supervisor.check(bug.property, case)
        checked, seconds = checked + 1, time.monotonic() - began
        if (
            outcome.failed
            and outcome.signature is not None
            and bug.matches(outcome.signature)
            and not session.expects(bug.property, case, outcome.signature)
        ):
            return replace(
                before,
                found=True,
                cases=checked,
                seconds=seconds,
                words=describe(case),
                case=to_json(case),
                over=elements(case) - elements(bug.smallest),
            )
        if seconds > budget.seconds:
            break
    return replace(before, cases=checked, seconds=seconds)


def on_silent(bug: Bug, dtype: str, seeds: Sequence[int], budget: Budget) -> list[Silent]:
    """Run the same property on the release that has the bug not, and count what fails there.

    Args:
        bug: the bug.
        dtype: what is computed in.
        seeds: draw the cases, a run each.
        budget: of each run.
    """
    try:
        return list(_on_silent(bug, dtype, seeds, budget))
    except (SetupProblem, UsageProblem, CannotJudge) as problem:
        return [Silent(bug.id, dtype, seed, problem=str(problem)) for seed in seeds]


def _on_silent(bug: Bug, dtype: str, seeds: Sequence[int], budget: Budget) -> Iterator[Silent]:
    cases = budget.silent if dtype == "exact" else budget.native
    with started(bug, bug.silent, dtype) as session:
        if session.not_applicable(bug.property):
            # There is nothing to be wrong about.
            yield from (Silent(bug.id, dtype, seed) for seed in seeds)
            return
        for seed in seeds:
            session.supervisor.replace()
            with tempfile.TemporaryDirectory() as folder:
                own = _fresh(session, Options(cases=cases, seed=seed, save_to=Path(folder)))
                tally = engine.fuzz_property(own, bug.property)
            yield Silent(
                bug.id,
                dtype,
                seed,
                tally.generated,
                tally.known,
                tuple(
                    f"{headline(f.signature, f.message)} ({describe(f.case)})"
                    for f in own.findings.values()
                    if f.status != "flaky"
                ),
                problem=next(iter(tally.broken), ""),
            )


@contextmanager
def started(bug: Bug, release: str, dtype: str) -> Iterator[Session]:
    """Give a session of a bug's target on a release."""
    target = replace(bug.target, dtype=dtype)
    with (
        Store(default_root(), lambda _: None).use(release) as environment,
        Supervisor(target, pythonpath=environment.pythonpath) as supervisor,
        tempfile.TemporaryDirectory() as folder,
    ):
        options = Options(save_to=Path(folder))
        yield engine.open_session(supervisor, target, options, lambda _: None)


def _fresh(session: Session, options: Options) -> Session:
    """Return the same started target with nothing found on it yet."""
    return replace(session, options=options, findings={}, known={}, counts={}, broken=[])
