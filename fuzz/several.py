"""``ropefuzz run`` on several families: some at the same time, told and summed up as one run."""

from __future__ import annotations

import time
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Final

from fuzz import crowd, engine
from fuzz.errors import UsageProblem
from fuzz.events import (
    Event,
    Found,
    KnownSeen,
    Listener,
    NotApplicable,
    Notice,
    Progress,
    PropertyDone,
    RunEnded,
    RunStarted,
    Shrinking,
)
from fuzz.families import FAMILIES
from fuzz.isolation.errors import SetupProblem
from fuzz.isolation.supervisor import Supervisor
from fuzz.map.around import maps_of
from fuzz.options import target_from
from fuzz.report import command, verdicts
from fuzz.session import Options, Report
from fuzz.target import Target
from fuzz.verdict import Kind

ALL: Final = "all"
"""What stands for every family on the command line."""

Supervise = Callable[[Target, Listener], AbstractContextManager[Supervisor]]


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of one family.

    Attributes:
        report: what its run gave, None where it never started.
        problem: why it did not start.
        usage: whether that is because this release does not have the family.
    """

    report: Report | None
    problem: str = ""
    usage: bool = False


def targets_from(arguments: Namespace, names: Sequence[str]) -> list[Target]:
    """Return the targets that options name, one for each family.

    Args:
        arguments: options as :func:`fuzz.options.target_from` takes them.
        names: families, ``all`` among them for every one; none for the default one.

    Raises:
        UsageProblem: an option names nothing known, or ``--model`` stands beside several families.
    """
    if arguments.model and (len(names) > 1 or ALL in names):
        raise UsageProblem("--model is one checkpoint directory, of one --family")
    # Those that take images take longest, the newest of them most: none of these should be left
    # to run alone at the end.
    newest_first = [*reversed(FAMILIES)]
    all_of_them = sorted(newest_first, key=lambda name: not FAMILIES[name].processor)
    wanted = all_of_them if ALL in names else list(dict.fromkeys(names)) or [""]
    given = {"plant": (), **vars(arguments)}
    return [target_from(Namespace(**{**given, "family": name})) for name in wanted]


def run(
    targets: Sequence[Target],
    options: Options,
    supervise: Supervise,
    terminal: Listener,
    reports: Listener,
    named: bool,
    mapped: bool = False,
) -> tuple[Report, tuple[str, ...]]:
    """Fuzz several targets, some at a time.

    Args:
        targets: what to fuzz.
        options: for each; time is shared out.
        supervise: makes a supervisor of a target; called in a process of the target's own.
        terminal: is told findings and known failures as they come, and a line when a target is
            done.
        reports: is told everything, target by target.
        named: whether a person named the targets, so that one that this release does not have is
            a mistake.
        mapped: whether the reports are told which cases around each finding fail.

    Returns:
        All reports as one, its counts by family and property; and the mistakes.
    """
    places = crowd.places(len(targets), targets[0].device)
    if options.seconds:
        rounds = -(-len(targets) // places)
        options = replace(options, seconds=options.seconds / rounds)

    def work(number: int, listener: Listener) -> Ran:
        return _one(targets[number], options, supervise, listener, mapped)

    blocks = _Blocks(targets, crowd.Told(terminal), reports)
    names = [target.name for target in targets]
    ran, lost, interrupted = crowd.work_off(names, work, blocks, places)
    blocks.finish()
    left_out: list[str] = []
    mistakes: list[str] = []
    broken = list(lost.values())
    for result in ran.values():
        if result.report is None:
            kind = broken if not result.usage else mistakes if named else left_out
            kind.append(result.problem)
    for text in left_out:
        terminal(Notice(f"left out: {text}"))
    return _together(targets, ran, broken, interrupted), tuple(mistakes)


def _one(
    target: Target, options: Options, supervise: Supervise, listener: Listener, mapped: bool
) -> Ran:
    began = time.monotonic()
    try:
        with supervise(target, listener) as supervisor:
            report = engine.run(supervisor, target, options, listener)
            if mapped and not report.interrupted:
                maps_of(supervisor, report.findings, listener)
    except SetupProblem as problem:
        return Ran(None, f"{target.name}: {problem.message}", problem.kind == "usage")
    seconds, again = time.monotonic() - began, command(target, options)
    ended = RunEnded(seconds, report.exit_code, report.interrupted, report.fatal, again)
    listener(ended)
    return Ran(report)


@dataclass(slots=True)
class _Blocks:
    """Takes the events of targets that run at the same time apart again.

    Attributes:
        targets: the targets.
        told: a person, at once; progress and known failures as of one run.
        reports: whoever needs all events of a target in a row.
        kept: what a target has told so far and the reports were not told yet.
    """

    targets: Sequence[Target]
    told: crowd.Told
    reports: Listener
    kept: dict[int, list[Event]] = field(default_factory=dict)

    def __call__(self, number: int, event: Event) -> None:
        """Take an event of a target."""
        if isinstance(event, Progress | Shrinking | KnownSeen | Found):
            self.told(number, event)
        elif isinstance(event, Notice):
            self.told(number, Notice(f"{self.targets[number].name}: {event.text}"))
        if not isinstance(event, Progress | Shrinking):
            self.kept.setdefault(number, []).append(event)
        if isinstance(event, RunEnded):
            self._release(number)

    def finish(self) -> None:
        """Pass on what was told of targets that never got to their end."""
        for number in list(self.kept):
            self._release(number)

    def _release(self, number: int) -> None:
        events = self.kept.pop(number)
        for event in events:
            self.reports(event)
        if any(isinstance(e, RunStarted) for e in events):
            self.told(number, Notice(_line(self.targets[number], events)))


def _line(target: Target, events: Sequence[Event]) -> str:
    """Say in one line what a target's cases gave."""
    done = [e for e in events if isinstance(e, PropertyDone)]
    lacking = [e.property for e in events if isinstance(e, NotApplicable)]
    counts: Counter[Kind] = Counter()
    for event in done:
        counts.update(event.counts)
    seconds = sum(e.seconds for e in done)
    known = sum(e.known for e in done)
    idle = sum(e.idle for e in done)
    line = f"{target.name:<16} {counts.total():>6} cases in {seconds:.0f} s: {verdicts(counts)}"
    line += f", {known} of them known" if known else ""
    line += f", {idle} with nothing to compare" if idle else ""
    return line + (f"; not applicable: {', '.join(lacking)}" if lacking else "")


def _together(
    targets: Sequence[Target], ran: dict[int, Ran], broken: list[str], interrupted: bool
) -> Report:
    reports = {n: ran[n].report for n in sorted(ran)}
    there = {targets[n].name: report for n, report in reports.items() if report is not None}
    return Report(
        findings=tuple(f for r in there.values() for f in r.findings),
        known=tuple(dict.fromkeys(k for r in there.values() for k in r.known)),
        counts={f"{name}: {p}": c for name, r in there.items() for p, c in r.counts.items()},
        broken=(*broken, *(f"{name}: {m}" for name, r in there.items() for m in r.broken)),
        interrupted=interrupted or any(r.interrupted for r in there.values()),
        fatal="; ".join(f"{name}: {r.fatal}" for name, r in there.items() if r.fatal),
    )
