"""One property of one target: draw cases, check them, pursue every new failure at once.

Hypothesis generates; it does not shrink. A failure is minimized on the spot, by
:mod:`fuzz.minimize`, from inside the test that Hypothesis runs, and the test then passes. So a run
spends exactly the cases it was given, goes on after the first failure, and never slips from one
failure to another.
"""

from __future__ import annotations

import contextlib
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings, target
from hypothesis.strategies import SearchStrategy

from fuzz.verdict import Kind, Outcome, Signature
from strategies.case import Case, to_json
from strategies.independent import INDEPENDENT
from strategies.variety import most_varied

UNLIMITED = 10_000_000
DRAWS_PER_CASE = 20
AIMED = 200
"""Examples to climb with where time decides how many there are."""
REMEMBERED = 10_000
POOL = 120
"""The first cases that are drawn, before any is checked."""
VARIED = 12
"""Of these, how many that bring together the most of what can go wrong come first, with seed 0:
such cases are compared in every way that there is, others in some."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a campaign may spend.

    Attributes:
        cases: different cases to check, 0 where time decides.
        until: ``time.monotonic()`` at which generation stops, None for never.
        seed: draws the cases.
        enough: asked before each case; True ends generation.
        aim: how much was wanted of what the latest case did, None where nobody looked; cases that
            do more of it are then varied first. None where all are equally welcome.
    """

    cases: int
    until: float | None
    seed: int
    enough: Callable[[], bool] = lambda: False
    aim: Callable[[], float | None] | None = None


@dataclass(slots=True)
class Tally:
    """What a campaign has done so far.

    Attributes:
        counts: generated cases by verdict.
        executed: checks run, those of minimization included.
        known: generated cases whose failure the ledger expects.
        idle: generated cases that passed with nothing to compare.
        again: cases whose failure is reported already, here or elsewhere.
        broken: messages of cases that could not be judged.
        interrupted: whether Ctrl-C ended it.
        fatal: why no case can be judged any more, "" while they can.
    """

    counts: Counter[Kind] = field(default_factory=Counter)
    executed: int = 0
    known: int = 0
    idle: int = 0
    again: Counter[Signature] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    interrupted: bool = False
    fatal: Exception | None = None

    @property
    def generated(self) -> int:
        """Cases generated so far."""
        return sum(self.counts.values())


class _Stop(BaseException):
    """Ends generation at once; not an Exception, so that Hypothesis does not catch it."""


@dataclass(slots=True)
class Look:
    """Checks cases and remembers the answers.

    Attributes:
        check: asks the worker.
        tally: counts what was executed.
        memory: outcomes by the case's JSON text.
    """

    check: Callable[[Case], Outcome]
    tally: Tally
    memory: dict[str, Outcome] = field(default_factory=dict)

    def knows(self, case: Case) -> bool:
        """Tell whether the case was checked before."""
        return to_json(case) in self.memory

    def __call__(self, case: Case) -> Outcome:
        """Return the outcome of a case, from memory where it was checked before."""
        text = to_json(case)
        if text not in self.memory:
            if len(self.memory) >= REMEMBERED:
                self.memory.clear()
            self.tally.executed += 1
            self.memory[text] = self.check(case)
        return self.memory[text]


def search(
    strategy: SearchStrategy[Case],
    plan: Plan,
    look: Look,
    pursue: Callable[[Case, Outcome], None],
    wanted: Callable[[Case, Signature], bool],
    progress: Callable[[Kind], None],
    after_case: Callable[[bool], None] = lambda _: None,
) -> None:
    """Generate cases and check them, until the plan is spent.

    Args:
        strategy: draws the cases.
        plan: what may be spent.
        look: checks a case; its tally is filled in.
        pursue: called for each failure with a wanted signature.
        wanted: whether a failure is new; asked again after each pursuit.
        progress: told of every generated case.
        after_case: called once a case is done with, with False, and at the end, with True.
    """
    tally = look.tally
    pool: dict[str, Case] = {}

    def check(case: Case) -> None:
        if len(pool) == size:
            judge(case, None)
        else:
            pool.setdefault(to_json(case), case)
            if len(pool) == size:
                judge_pool()

    def judge_pool() -> None:
        drawn = list(pool.values())
        first = most_varied([replace(case, seed=0) for case in drawn], VARIED)
        for case in (*first, *drawn):
            judge(case, None)  # which looks at none twice

    def judge(case: Case, aim: Callable[[], float | None] | None) -> None:
        if plan.until is not None and time.monotonic() >= plan.until:
            raise _Stop
        if (plan.cases and tally.generated >= plan.cases) or plan.enough():
            raise _Stop
        if look.knows(case):
            # Many choices of Hypothesis's are one case of ours: only different cases count.
            return
        try:
            outcome = look(case)
            if aim is not None and (much := aim()) is not None:
                target(much, label="aim")
            tally.counts[outcome.verdict] += 1
            tally.idle += outcome.idle
            if outcome.verdict == "broken":
                tally.broken[outcome.message] += 1
            signature = outcome.signature
            if outcome.failed and signature is not None and wanted(case, signature):
                pursue(case, outcome)
            after_case(False)
            progress(outcome.verdict)
        except Exception as error:
            tally.fatal = error
            raise _Stop from error

    try:
        with contextlib.suppress(_Stop):
            if plan.aim is not None:
                # Hypothesis climbs once half of its examples are spent, so it is given only so
                # many; what is left, since some of them were one case of ours, is drawn without.
                aim = plan.aim
                _draw(strategy, plan.seed, plan.cases or AIMED, lambda c: judge(c, aim), climb=True)
            # Of the pool no more is drawn than there are cases left.
            size = min(POOL, plan.cases - tally.generated) if plan.cases else POOL
            examples = plan.cases * DRAWS_PER_CASE or UNLIMITED
            again = plan.seed + (plan.aim is not None)
            _draw(strategy, again, examples, check)
            if len(pool) < size:
                judge_pool()
        if tally.fatal is None:
            after_case(True)
    except KeyboardInterrupt:
        tally.interrupted = True
    except Exception as error:
        tally.fatal = error


def _draw(
    strategy: SearchStrategy[Case],
    first: int,
    examples: int,
    check: Callable[[Case], None],
    climb: bool = False,
) -> None:
    """Have Hypothesis draw cases under a seed, and climb towards what ``target`` is told."""

    # Every setting is written out: with CI=1 Hypothesis loads a profile that would make every
    # night draw the same cases.
    @seed(first)
    @settings(
        max_examples=examples,
        phases=(Phase.generate, Phase.target) if climb else (Phase.generate,),
        database=None,
        deadline=None,
        derandomize=False,
        report_multiple_bugs=False,
        print_blob=False,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
        stateful_step_count=50,
        backend="hypothesis" if climb else INDEPENDENT,
    )
    @given(strategy)
    def one(case: Case) -> None:
        check(case)

    one()


def seed_of(seed_of_run: int, name: str) -> int:
    """Derive a seed that differs between properties from the seed of a run."""
    return zlib.crc32(f"{seed_of_run}:{name}".encode())
