"""Going after one failure: make it small, confirm it in fresh processes, keep it.

The search and the first attempt at making a failure small share processes, which is what makes
them fast, and which can blame a case for what an earlier one left behind. So nothing is believed
that fresh processes do not confirm; where they never see the failure, it is looked for again in
fresh processes alone, at the case itself and at the one that ran before it.
"""

from __future__ import annotations

import datetime
import shlex
import time
from dataclasses import dataclass, field, replace

from fuzz import regression
from fuzz.campaign import Look
from fuzz.events import Found, Shrinking
from fuzz.finding import Finding
from fuzz.interrupts import held
from fuzz.isolation.errors import SetupProblem
from fuzz.isolation.supervisor import LINGER
from fuzz.isolation.told import LateDeath, Ran
from fuzz.minimize import Minimized, minimize
from fuzz.session import Session
from fuzz.verdict import Outcome, Signature
from strategies.case import Case


@dataclass(slots=True)
class Pursuit:
    """What going after failures of one property needs.

    Attributes:
        session: the started target.
        property_id: the property.
        look: checks a case in a process that has run others.
        fresh: checks a case in a process of its own, and watches it for a while after.
        before: for each failure, what its process had run before it was first met.
        waiting: other failures met while one is made small; their turn comes.
    """

    session: Session
    property_id: str
    look: Look
    fresh: Look
    before: dict[Signature, Ran | None] = field(default_factory=dict)
    waiting: dict[Signature, tuple[Ran, Outcome]] = field(default_factory=dict)

    def wants(self, case: Case, signature: Signature) -> bool:
        """Tell whether a failure is neither known nor reported already."""
        if self.session.expects(self.property_id, case, signature):
            return False
        if self.session.is_new(signature):
            return True
        self.look.tally.again[signature] += 1
        return False


@dataclass(frozen=True, slots=True)
class _Hunted:
    """A failure made small, with the fresh processes that were asked and those that agreed."""

    smallest: Minimized
    outcome: Outcome
    runs: int
    failed: int
    said: tuple[tuple[str, str], ...] = ()


def pursue(pursuit: Pursuit, case: Case, outcome: Outcome) -> None:
    """Go after a failure, and after those met on the way.

    Stopped in the middle, everything met so far is kept, as unconfirmed.
    """
    pursuit.waiting[_signature(outcome)] = (Ran(pursuit.property_id, case), outcome)
    _pursue_waiting(pursuit)


def pursue_late(pursuit: Pursuit, late: list[LateDeath]) -> None:
    """Go after processes that died once they had answered: nobody was waiting for them then.

    Stopped in the middle, everything met so far is kept, as unconfirmed.

    Args:
        pursuit: of the property that is being fuzzed; a process may have died of another one.
        late: the deaths; the list is emptied.
    """
    try:
        while late:
            death = late.pop()
            there = _of(pursuit, death.ran)
            if there.wants(death.ran.case, _signature(death.outcome)):
                _pursue_late_one(there, death.ran.case, death.outcome)
        _pursue_waiting(pursuit)
    except BaseException:
        keep_late(pursuit, late)
        raise


def keep_late(pursuit: Pursuit, late: list[LateDeath]) -> None:
    """Keep late deaths as unconfirmed, for there is no time to go after them."""
    while late:
        death = late.pop()
        _keep_unconfirmed(pursuit, death.ran, death.outcome)


def _pursue_waiting(pursuit: Pursuit) -> None:
    try:
        while pursuit.waiting:
            signature, (met, gave) = next(reversed(pursuit.waiting.items()))
            there = _of(pursuit, met)
            if there.wants(met.case, signature):
                _pursue_one(there, met.case, gave)
            pursuit.waiting.pop(signature, None)
    except BaseException:
        # Whatever it is, what was found is worth more.
        for met, gave in pursuit.waiting.values():
            _keep_unconfirmed(pursuit, met, gave)
        pursuit.waiting.clear()
        raise


def _pursue_late_one(pursuit: Pursuit, case: Case, outcome: Outcome) -> None:
    hunted = _Hunted(Minimized(case, 0, complete=False), outcome, 0, 0)
    try:
        if pursuit.fresh(case).signature == outcome.signature:
            hunted = _hunt(pursuit, pursuit.fresh, case, outcome)
        else:
            runs, failed, gave = _confirm(pursuit, pursuit.fresh, case, outcome)
            hunted = replace(hunted, outcome=gave, runs=runs, failed=failed)
    finally:
        # Also when stopped on the way, unless it was kept there.
        if outcome.signature not in pursuit.session.findings:
            _keep(pursuit, case, hunted)


def _pursue_one(pursuit: Pursuit, case: Case, outcome: Outcome) -> None:
    hunted = _hunt(pursuit, pursuit.look, case, outcome)
    try:
        if hunted.failed < hunted.runs:
            # Whatever it was, that process is not like a new one.
            pursuit.session.supervisor.replace()
        if hunted.failed > 0:
            return
        for suspect in _suspects(pursuit, case, outcome):
            there = _of(pursuit, suspect)
            if there.fresh(suspect.case).signature == outcome.signature:
                _keep(there, suspect.case, _hunt(there, there.fresh, suspect.case, outcome))
                return
    finally:
        # Also when stopped on the way: nothing that was met is lost.
        if outcome.signature not in pursuit.session.findings:
            _keep(pursuit, case, hunted)


def _keep_unconfirmed(pursuit: Pursuit, ran: Ran, outcome: Outcome) -> None:
    there, signature = _of(pursuit, ran), _signature(outcome)
    if pursuit.session.expects(ran.property, ran.case, signature):
        return
    if pursuit.session.is_new(signature):
        alone = Minimized(ran.case, 0, complete=False)
        _keep(there, ran.case, _Hunted(alone, outcome, 0, 0))


def _suspects(pursuit: Pursuit, case: Case, outcome: Outcome) -> list[Ran]:
    predecessor = pursuit.before.get(_signature(outcome))
    return [Ran(pursuit.property_id, case), *([predecessor] if predecessor else [])]


def _of(pursuit: Pursuit, ran: Ran) -> Pursuit:
    """Return the pursuit of the property that a case was checked against."""
    if ran.property == pursuit.property_id:
        return pursuit
    supervisor, tally = pursuit.session.supervisor, pursuit.look.tally
    return replace(
        pursuit,
        property_id=ran.property,
        look=Look(lambda c: supervisor.check(ran.property, c), tally),
        fresh=Look(lambda c: supervisor.check_fresh(ran.property, c, LINGER), tally),
    )


def _hunt(
    pursuit: Pursuit, look: Look, case: Case, outcome: Outcome, guard: bool = True
) -> _Hunted:
    """Make a failure small and confirm it; interrupted, keep the best so far and go.

    Where an index out of range costs the process, the index guard is on meanwhile, so that it
    costs an exception. What it raises stands for the failure only where it raises it for the case
    itself; the smallest one is confirmed without it, and where that does not fail in the way the
    case did, all is done again without it.
    """
    session, signature = pursuit.session, _signature(outcome)
    end = time.monotonic() + session.options.shrink_seconds
    best, gave, tried = case, outcome, 0
    guarded, aim = _under_guard(pursuit, look, case, signature) if guard else (None, signature)
    looked: set[Signature] = set()

    def fails(candidate: Case) -> bool:
        nonlocal gave
        got = (guarded or look)(candidate)
        if not got.failed or got.signature is None:
            return False
        # What the ledger expects is not a smaller form of something new.
        if session.expects(pursuit.property_id, candidate, got.signature):
            return False
        if got.signature == aim:
            gave = got if aim == signature else outcome
            return True
        if guarded is not None and got.signature not in looked:
            # What the guard raises is no failure of its own: without it, it may be another.
            looked.add(got.signature)
            got = look(candidate)
        elif guarded is not None:
            return False
        if got.signature is None or got.signature == signature:
            return False
        if got.failed and got.signature not in session.findings:
            met = Ran(pursuit.property_id, candidate)
            pursuit.waiting.setdefault(got.signature, (met, got))
            pursuit.before.setdefault(got.signature, None)
        return False

    def may_go_on(attempts: int) -> bool:
        nonlocal tried
        tried = attempts
        if attempts % 10 == 0:
            session.listener(Shrinking(pursuit.property_id, signature, best, attempts))
        return attempts < session.options.shrink_attempts and time.monotonic() < end

    def accepted(smaller: Case) -> None:
        nonlocal best
        best = smaller
        session.supervisor.in_hand = Ran(pursuit.property_id, best)

    session.supervisor.in_hand = Ran(pursuit.property_id, case)
    try:
        smallest = minimize(
            case, session.geometry, fails, may_go_on, accepted, session.options.allows
        )
        runs, failed, gave = _confirm(pursuit, look, smallest.case, gave)
        if aim != signature and failed == 0:
            return _hunt(pursuit, look, case, outcome, guard=False)
        said = _explain(pursuit, smallest.case, aim) if failed else ()
    except BaseException:
        _keep(pursuit, case, _Hunted(Minimized(best, tried, complete=False), gave, 0, 0))
        raise
    finally:
        session.supervisor.in_hand = None
    return _Hunted(smallest, gave, runs, failed, said)


def _under_guard(
    pursuit: Pursuit, look: Look, case: Case, signature: Signature
) -> tuple[Look | None, Signature]:
    """Return how to look under the index guard, and what a failure is there.

    None, and the signature itself, where the device survives an index out of range, or where the
    case fails in some other way under the guard, or not at all.
    """
    supervisor, property_id = pursuit.session.supervisor, pursuit.property_id
    if not pursuit.session.ready.info.get("fragile", False):
        return None, signature
    if look is pursuit.fresh:
        guarded = Look(lambda c: supervisor.check_fresh(property_id, c, guard=True), look.tally)
    else:
        guarded = Look(lambda c: supervisor.check(property_id, c, guard=True), look.tally)
    there = guarded(case).signature
    if there == signature:
        return guarded, signature
    if there is not None and signature.verdict == "crash" and there.what == "IndexError":
        return guarded, there
    return None, signature


def _explain(pursuit: Pursuit, case: Case, aim: Signature) -> tuple[tuple[str, str], ...]:
    """Ask what more can be said of a failure that its process lives through.

    Args:
        pursuit: of the property.
        case: the smallest case.
        aim: how it fails, under the index guard where that is how it was made small.
    """
    if aim.verdict not in ("fail", "error"):
        return ()
    return tuple(pursuit.session.supervisor.explain(pursuit.property_id, case))


def _confirm(
    pursuit: Pursuit, look: Look, case: Case, outcome: Outcome
) -> tuple[int, int, Outcome]:
    """Run a case in fresh processes.

    Returns:
        How many there were, in how many the case failed in this way, and how it failed: as a
        fresh process saw it, if one did.
    """
    linger = LINGER if look is pursuit.fresh else 0.0
    runs = pursuit.session.options.confirm
    supervisor, fragile = pursuit.session.supervisor, pursuit.session.ready.info.get("fragile")
    # Each kernel waited for: an assertion is then told where it happens.
    more = {"blocking": True} if fragile and outcome.verdict == "crash" else {}
    outcomes = [
        supervisor.check_fresh(pursuit.property_id, case, linger, **more) for _ in range(runs)
    ]
    agreed = [o for o in outcomes if o.signature == outcome.signature]
    return runs, len(agreed), agreed[-1] if agreed else outcome


def _keep(pursuit: Pursuit, first: Case, hunted: _Hunted) -> None:
    session = pursuit.session
    finding = Finding(
        property=pursuit.property_id,
        signature=_signature(hunted.outcome),
        message=hunted.outcome.message,
        case=hunted.smallest.case,
        first=first,
        target=session.target,
        versions=session.ready.versions,
        runs=hunted.runs,
        failed=hunted.failed,
        attempts=hunted.smallest.attempts,
        complete=hunted.smallest.complete,
        details=hunted.outcome.details,
        date=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        said=hunted.said,
        wrap=shlex.join(session.options.wrap),
        env=session.options.env,
        again=session.options.again,
    )

    def still_fails(case: Case) -> bool:
        if hunted.runs == 0:
            return False  # the run is being stopped
        try:
            got = session.supervisor.check_fresh(pursuit.property_id, case, LINGER)
        except SetupProblem:
            return False
        return got.signature == finding.signature

    with held():
        session.findings[finding.signature] = finding
        try:
            path, written = regression.save(finding, session.options.save_to, still_fails)
        except (OSError, ValueError) as error:
            session.listener(Found(finding, None, f"could not be saved: {error}"))
            return
        note = "" if written else "saved before, with a case no larger"
        session.listener(Found(finding, path, note))


def _signature(outcome: Outcome) -> Signature:
    if outcome.signature is None:
        raise ValueError(f"not a failure: {outcome.verdict}")
    return outcome.signature
