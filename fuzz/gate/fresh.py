"""Fresh cases of one property, checked in both releases; what differs is pursued.

No verdict of the baseline makes a case worse that passes in the candidate: what it adds is what the
upgrade mends. So after the first of them only some such cases are run in the baseline too.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from fuzz import campaign
from fuzz.campaign import Look, Plan, Tally
from fuzz.events import Notice, Progress
from fuzz.gate.pair import Compared, Pair
from fuzz.gate.report import tally_line
from fuzz.gate.result import Result
from fuzz.gate.watch import Watch
from fuzz.isolation.supervisor import LINGER
from fuzz.isolation.told import LateDeath
from fuzz.outcome import Change
from fuzz.pursuit import Pursuit, keep_late, pursue, pursue_late
from fuzz.session import PROPERTY_KINDS, Session
from fuzz.verdict import Kind, Outcome
from strategies.case import Case
from strategies.cases import cases as draw_cases
from strategies.words import describe

FIRST: Final = 10
"""Cases of a property that run in the baseline whatever the candidate gives."""
THEN: Final = 10
"""Of how many later ones one does."""


def fuzz_property(result: Result, session: Session, property_id: str, until: float | None) -> Tally:
    """Draw cases of one property, and pursue what differs between the releases.

    Args:
        result: is filled in.
        session: whose supervisor is a :class:`Pair`.
        property_id: the property.
        until: ``time.monotonic()`` at which to stop drawing cases.
    """
    pair, options = pair_of(session), session.options
    tally = Tally()
    late: list[LateDeath] = []
    counts: Counter[Change] = Counter()
    result.counts[session.target.family, property_id] = counts
    began, before = time.monotonic(), pair.executed
    pursuing = False

    def check(case: Case) -> Outcome:
        outcome = pair.check(property_id, case)
        if outcome.signature is not None:
            pursuit.before.setdefault(outcome.signature, pair.predecessor)
        late.extend(pair.late_deaths())
        return outcome

    def note(case: Case) -> Callable[[Compared], None]:
        def heard(compared: Compared) -> None:
            counts[compared.change] += 1
            _remember(result, session, property_id, case, compared)

        return heard

    def generated(case: Case) -> Outcome:
        if not pursuing:
            pair.heard = note(case)
            cases = sum(counts.values())
            pair.brief = cases >= FIRST and cases % THEN > 0
        watch.before(pursuing)
        try:
            return check(case)
        finally:
            watch.after()
            pair.heard = _nobody

    watch = Watch(pair.candidate, result.reach)
    pursuit = Pursuit(
        session,
        property_id,
        look=Look(generated, tally),
        fresh=Look(lambda case: pair.check_fresh(property_id, case, LINGER), tally),
    )

    @contextmanager
    def apart() -> Iterator[None]:
        """Count none of the cases that are run inside."""
        nonlocal pursuing
        pursuing = pair.brief = True
        try:
            yield
        finally:
            pursuing = pair.brief = False

    def pursue_it(case: Case, outcome: Outcome) -> None:
        with apart():
            pursue(pursuit, case, outcome)

    def after_case(last: bool) -> None:
        late.extend(pair.late_deaths(LINGER if last else 0.0))
        if late:
            with apart():
                pursue_late(pursuit, late)

    def progress(verdict: Kind) -> None:
        planned = 0 if until is not None and not options.cases else options.cases
        session.listener(Progress(property_id, tally.generated, planned, verdict))

    kind = PROPERTY_KINDS.get(property_id, "no_crash")
    plan = Plan(
        0 if until is not None and not options.cases else options.cases,
        until,
        campaign.seed_of(options.seed, property_id),
        aim=watch.reached if result.reach.statements else None,
    )
    try:
        campaign.search(
            draw_cases(session.geometry, kind).filter(options.allows),
            plan,
            pursuit.look,
            pursue_it,
            pursuit.wants,
            progress,
            after_case,
        )
        keep_late(pursuit, late)
    finally:
        watch.end()
        pair.brief = False
        result.executed += pair.executed - before
        for message, times in tally.broken.items():
            result.unjudged[f"{session.target.family}, {property_id}: {message}"] += times
        seconds = time.monotonic() - began
        session.listener(Notice(tally_line(session.target.family, property_id, counts, seconds)))
    return tally


def pair_of(session: Session) -> Pair:
    """Return the pair that a gate's session has for a supervisor."""
    pair = session.supervisor
    if not isinstance(pair, Pair):
        raise TypeError("a gate's session has a pair of supervisors")
    return pair


def _remember(
    result: Result, session: Session, property_id: str, case: Case, compared: Compared
) -> None:
    before, after = compared.baseline, compared.candidate
    place = f"{session.target.family}, {property_id}: {describe(case)}"
    if compared.change == "fixed" and before.signature is not None:
        result.fixed.setdefault(before.signature, f"{before.message} [{place}]")
    elif compared.change == "changed" and before.failed and after.signature is not None:
        result.shifted.setdefault(
            after.signature, f"{after.message}, before: {before.message} [{place}]"
        )


def _nobody(_: Compared) -> None:
    return
