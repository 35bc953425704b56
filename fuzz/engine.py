"""A run: one target, its properties in turn; what fails is minimized, confirmed and saved."""

from __future__ import annotations

import time

from fuzz import campaign, ledger
from fuzz.campaign import Look, Plan, Tally
from fuzz.errors import UsageProblem
from fuzz.events import Listener, NotApplicable, Notice, Progress, PropertyDone, RunStarted
from fuzz.isolation.errors import SetupProblem
from fuzz.isolation.supervisor import LINGER, Supervisor
from fuzz.isolation.told import LateDeath
from fuzz.pursuit import Pursuit, keep_late, pursue, pursue_late
from fuzz.session import PROPERTY_KINDS, Options, Report, Session
from fuzz.target import Target
from fuzz.verdict import Kind, Outcome, Signature
from strategies.case import Case
from strategies.cases import cases as draw_cases


def run(supervisor: Supervisor, target: Target, options: Options, listener: Listener) -> Report:
    """Fuzz a target.

    Args:
        supervisor: not yet started; the caller closes it.
        target: what to fuzz.
        options: what to do.
        listener: is told what happens as it happens.

    Raises:
        SetupProblem: the target cannot be started.
        UsageProblem: a ledger cannot be read.
        OSError: the folder for findings cannot be written.
    """
    session = open_session(supervisor, target, options, listener)
    end = time.monotonic() + options.seconds if options.seconds else None
    interrupted, fatal = False, ""
    for number, property_id in enumerate(options.properties):
        if reason := session.not_applicable(property_id):
            listener(NotApplicable(property_id, reason))
            continue
        until = None
        if end is not None:
            # Time is shared out evenly over the properties that are left.
            left = max(0.0, end - time.monotonic())
            until = time.monotonic() + left / (len(options.properties) - number)
        try:
            tally = fuzz_property(session, property_id, until)
        except KeyboardInterrupt:
            interrupted = True
            break
        interrupted = tally.interrupted
        if tally.fatal is not None:
            fatal = _in_words(tally.fatal)
        if interrupted or fatal:
            break
    return Report(
        findings=tuple(session.findings.values()),
        known=tuple(session.known),
        counts=session.counts,
        broken=tuple(session.broken),
        interrupted=interrupted,
        fatal=fatal,
    )


def _in_words(error: Exception) -> str:
    if isinstance(error, SetupProblem):
        return error.message
    return f"{type(error).__name__}: {error}"


def open_session(
    supervisor: Supervisor, target: Target, options: Options, listener: Listener
) -> Session:
    """Start a target; see :func:`run` for what is raised.

    Raises:
        UsageProblem: also, only cases with images are asked for, and the target takes none.
    """
    options.save_to.mkdir(parents=True, exist_ok=True)
    entries = ledger.shipped()
    own = ledger.load(options.save_to)
    entries += tuple(e for e in own if e not in entries)
    ready = supervisor.start()
    if ready.threads != 1:
        listener(
            Notice(f"the preloaded process has {ready.threads} threads; forked workers may hang")
        )
    listener(RunStarted(target, ready.versions, options.seed, ready.seconds))
    for text in ready.info.get("unchecked", ()):
        listener(Notice(text))
    session = Session(supervisor, target, ready, options, listener, entries)
    if options.only_images and not session.geometry.images:
        raise UsageProblem(f"--only-images: {target.family} takes no images")
    return session


def fuzz_property(session: Session, property_id: str, until: float | None = None) -> Tally:
    """Fuzz one property of a session's target.

    Args:
        session: a started target.
        property_id: the property.
        until: ``time.monotonic()`` at which to stop drawing cases.
    """
    options, supervisor = session.options, session.supervisor
    planned = 0 if until is not None and not options.cases else options.cases
    tally = Tally()
    late: list[LateDeath] = []
    began = time.monotonic()
    before = len(session.findings)

    def check(case: Case) -> Outcome:
        outcome = supervisor.check(property_id, case)
        if outcome.signature is not None:
            pursuit.before.setdefault(outcome.signature, supervisor.predecessor)
        late.extend(supervisor.late_deaths())
        return outcome

    pursuit = Pursuit(
        session,
        property_id,
        look=Look(check, tally),
        fresh=Look(lambda case: supervisor.check_fresh(property_id, case, LINGER), tally),
    )

    def wanted(case: Case, signature: Signature) -> bool:
        if session.expects(property_id, case, signature):
            tally.known += 1
            return False
        return pursuit.wants(case, signature)

    def after_case(last: bool) -> None:
        late.extend(supervisor.late_deaths(LINGER if last else 0.0))
        if late:
            pursue_late(pursuit, late)

    def enough() -> bool:
        return 0 < options.enough <= len(session.findings) - before

    def progress(verdict: Kind) -> None:
        session.listener(Progress(property_id, tally.generated, planned, verdict))

    try:
        campaign.search(
            draw_cases(session.geometry, PROPERTY_KINDS[property_id]).filter(options.allows),
            Plan(planned, until, campaign.seed_of(options.seed, property_id), enough),
            pursuit.look,
            lambda case, outcome: pursue(pursuit, case, outcome),
            wanted,
            progress,
            after_case,
        )
        keep_late(pursuit, late)
    finally:
        session.counts[property_id] = dict(tally.counts)
        session.broken += [m for m in tally.broken if m not in session.broken]
        session.listener(
            PropertyDone(
                property_id,
                dict(tally.counts),
                tally.known,
                tally.executed,
                time.monotonic() - began,
                tuple(tally.broken),
                tally.idle,
            )
        )
    return tally
