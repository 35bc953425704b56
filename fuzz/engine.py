"""A run: one target, its properties in turn; what fails is minimized, confirmed and saved."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fuzz import campaign, ledger, regression
from fuzz.campaign import Look, Plan, Tally
from fuzz.claims import CLAIMS
from fuzz.events import (
    Found,
    KnownSeen,
    Listener,
    Notice,
    Progress,
    PropertyDone,
    RunStarted,
    Shrinking,
)
from fuzz.finding import Finding
from fuzz.isolation.errors import SetupProblem
from fuzz.isolation.supervisor import Ready, Supervisor
from fuzz.minimize import Minimized, minimize
from fuzz.target import Target
from fuzz.verdict import Kind, Outcome, Signature
from strategies.case import Case
from strategies.cases import KINDS
from strategies.cases import Kind as CaseKind
from strategies.cases import cases as draw_cases
from strategies.geometry import Geometry, geometry_from_plain

PROPERTY_KINDS: Final[Mapping[str, CaseKind]] = {kind: kind for kind in KINDS if kind in CLAIMS}
"""Which kind of case each property gets: the strategies name their kinds as we name properties."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is asked to do.

    Attributes:
        properties: ids, in the order they are run.
        cases: cases per property, 0 where ``seconds`` decides.
        seconds: wall clock for all properties together, 0 for no limit.
        seed: draws all cases.
        save_to: folder of regressions; it also holds the user's own ledger.
        confirm: fresh processes each finding is confirmed in.
        shrink_attempts: cases that may be tried to make one finding smaller.
        shrink_seconds: wall clock for the same.
        enough: new findings after which a property is left, 0 for never.
    """

    properties: tuple[str, ...] = tuple(CLAIMS)
    cases: int = 100
    seconds: float = 0.0
    seed: int = 0
    save_to: Path = Path("regressions")
    confirm: int = 3
    shrink_attempts: int = 1000
    shrink_seconds: float = 60.0
    enough: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What a run found.

    Attributes:
        findings: new findings, in the order they were met.
        known: ids of ledger entries that were met.
        counts: generated cases by verdict, per property.
        broken: messages of cases that could not be judged, each once.
        interrupted: whether Ctrl-C ended it.
        fatal: why it could not go on, "" if it could.
    """

    findings: tuple[Finding, ...]
    known: tuple[str, ...]
    counts: Mapping[str, Mapping[Kind, int]]
    broken: tuple[str, ...]
    interrupted: bool
    fatal: str

    @property
    def exit_code(self) -> int:
        """0 nothing new, 1 findings, 3 could not judge; flaky findings are not a failure."""
        if any(f.status != "flaky" for f in self.findings):
            return 1
        return 3 if self.broken or self.interrupted or self.fatal else 0


@dataclass(slots=True)
class Session:
    """A started target, and what has been found on it.

    Attributes:
        supervisor: asks the workers.
        target: what is fuzzed.
        ready: what starting it gave.
        options: what was asked for.
        listener: is told what happens.
        entries: the ledger in force.
        findings: new findings so far.
        known: ledger entries met so far, by id.
        counts: generated cases by verdict, per property.
        broken: messages of cases that could not be judged.
    """

    supervisor: Supervisor
    target: Target
    ready: Ready
    options: Options
    listener: Listener
    entries: tuple[ledger.Entry, ...]
    findings: dict[Signature, Finding] = field(default_factory=dict)
    known: dict[str, ledger.Entry] = field(default_factory=dict)
    counts: dict[str, Mapping[Kind, int]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    @property
    def geometry(self) -> Geometry:
        """The sizes at which the target changes."""
        return geometry_from_plain(self.ready.info["geometry"])


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
        until = None
        if end is not None:
            # Time is shared out evenly over the properties that are left.
            left = max(0.0, end - time.monotonic())
            until = time.monotonic() + left / (len(options.properties) - number)
        tally = fuzz_property(session, property_id, until)
        interrupted = tally.interrupted
        if tally.fatal is not None:
            fatal = str(tally.fatal)
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


def open_session(
    supervisor: Supervisor, target: Target, options: Options, listener: Listener
) -> Session:
    """Start a target; see :func:`run` for what is raised."""
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
    return Session(supervisor, target, ready, options, listener, entries)


def fuzz_property(session: Session, property_id: str, until: float | None = None) -> Tally:
    """Fuzz one property of a session's target.

    Args:
        session: a started target.
        property_id: the property.
        until: ``time.monotonic()`` at which to stop drawing cases.
    """
    options = session.options
    planned = 0 if until is not None and not options.cases else options.cases
    tally = Tally()
    look = Look(lambda case: session.supervisor.check(property_id, case), tally)
    waiting: dict[Signature, Case] = {}
    began = time.monotonic()
    before = len(session.findings)

    def wanted(case: Case, signature: Signature) -> bool:
        if _expected(session, property_id, case, signature):
            tally.known += 1
            return False
        return signature not in session.findings

    def pursue(case: Case, outcome: Outcome) -> None:
        # What else fails while one failure is made smaller waits for its turn here.
        _pursue(session, property_id, look, case, outcome, waiting)
        while waiting:
            signature, other = waiting.popitem()
            if wanted(other, signature):
                _pursue(session, property_id, look, other, look(other), waiting)

    def enough() -> bool:
        return 0 < options.enough <= len(session.findings) - before

    def progress(verdict: Kind) -> None:
        session.listener(Progress(property_id, tally.generated, planned, verdict))

    try:
        campaign.search(
            draw_cases(session.geometry, PROPERTY_KINDS[property_id]),
            Plan(planned, until, campaign.seed_of(options.seed, property_id), enough),
            look,
            pursue,
            wanted,
            progress,
        )
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
            )
        )
    return tally


def _expected(session: Session, property_id: str, case: Case, signature: Signature) -> bool:
    """Tell whether the ledger expects this failure; the first time, say so."""
    release = session.ready.versions["transformers"]
    entry = ledger.known(session.entries, session.target.family, signature, case, release)
    if entry is not None and entry.id not in session.known:
        session.known[entry.id] = entry
        session.listener(KnownSeen(property_id, entry))
    return entry is not None


def _pursue(
    session: Session,
    property_id: str,
    look: Look,
    case: Case,
    outcome: Outcome,
    waiting: dict[Signature, Case],
) -> None:
    signature = outcome.signature
    if signature is None:
        return
    options = session.options
    end = time.monotonic() + options.shrink_seconds
    best = case
    tried = 0

    def fails(candidate: Case) -> bool:
        got = look(candidate)
        if not got.failed or got.signature is None:
            return False
        # What the ledger expects is not a smaller form of something new.
        if _expected(session, property_id, candidate, got.signature):
            return False
        if got.signature != signature and got.signature not in session.findings:
            waiting.setdefault(got.signature, candidate)
        return got.signature == signature

    def may_go_on(attempts: int) -> bool:
        nonlocal tried
        tried = attempts
        if attempts % 10 == 0:
            session.listener(Shrinking(property_id, signature, best, attempts))
        return attempts < options.shrink_attempts and time.monotonic() < end

    def accepted(smaller: Case) -> None:
        nonlocal best
        best = smaller

    try:
        smallest = minimize(case, session.geometry, fails, may_go_on, accepted)
        failed = _confirm(session, property_id, smallest.case, signature)
        runs = options.confirm
    except (KeyboardInterrupt, SetupProblem):
        # Stopped in the middle: what was found so far is kept, and said to be unconfirmed.
        _keep(session, property_id, look(best), case, Minimized(best, tried, False), 0, 0)
        raise
    _keep(session, property_id, look(smallest.case), case, smallest, runs, failed)


def _confirm(session: Session, property_id: str, case: Case, signature: Signature) -> int:
    """Count the fresh processes in which the case fails in the same way."""
    outcomes = [
        session.supervisor.check_fresh(property_id, case) for _ in range(session.options.confirm)
    ]
    return sum(o.signature == signature for o in outcomes)


def _keep(
    session: Session,
    property_id: str,
    outcome: Outcome,
    first: Case,
    smallest: Minimized,
    runs: int,
    failed: int,
) -> None:
    if outcome.signature is None:
        return
    finding = Finding(
        property=property_id,
        signature=outcome.signature,
        message=outcome.message,
        case=smallest.case,
        first=first,
        target=session.target,
        versions=session.ready.versions,
        runs=runs,
        failed=failed,
        attempts=smallest.attempts,
        complete=smallest.complete,
        details=outcome.details,
        date=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    )
    session.findings[outcome.signature] = finding
    try:
        path, written = regression.save(finding, session.options.save_to)
    except OSError as error:
        session.listener(Found(finding, None, f"could not be saved: {error}"))
        return
    note = "" if written else "saved before, with a case no larger"
    session.listener(Found(finding, path, note))
