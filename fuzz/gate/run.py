"""The gate at work: saved regressions in both releases, then fresh cases in both."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

from fuzz import crowd, ledger, regression
from fuzz.claims import ACROSS
from fuzz.environments.store import Environment
from fuzz.errors import UsageProblem
from fuzz.events import Event, Found, Listener, Notice
from fuzz.gate.both import both
from fuzz.gate.drawn import draw
from fuzz.gate.fresh import fuzz_property, pair_of
from fuzz.gate.pair import Compared, Pair
from fuzz.gate.result import Difference, Replay, Result
from fuzz.gate.settings import differences
from fuzz.isolation.errors import NoAnswer, SetupProblem
from fuzz.isolation.supervisor import LINGER, Supervisor
from fuzz.isolation.told import Ready
from fuzz.outcome import Change
from fuzz.regression import Regression
from fuzz.session import PROPERTY_KINDS, Options, Session
from fuzz.target import LOW, Target

WORTH_CONFIRMING: Final[frozenset[Change]] = frozenset({"regressed", "restricted", "changed"})

Supervise = Callable[[Target, Environment], Supervisor]


@dataclass(frozen=True, slots=True)
class Plans:
    """What a gate is asked to do.

    Attributes:
        targets: what to draw fresh cases for.
        named: whether a person named them, so that one that cannot be had is no detail.
        options: for each of them.
        regressions: saved failures to replay first.
    """

    targets: Sequence[Target]
    named: bool
    options: Options
    regressions: Sequence[Regression]


@dataclass(frozen=True, slots=True)
class _Task:
    """A target and what to do with it.

    Attributes:
        target: the target.
        saved: its saved failures, replayed first.
        fresh: whether fresh cases are drawn for it.
    """

    target: Target
    saved: Sequence[Regression]
    fresh: bool


@dataclass(slots=True)
class Gate:
    """Two releases, and what was found between them.

    Attributes:
        baseline: the environment before.
        candidate: the environment after.
        supervise: makes a supervisor.
        entries: the ledger in force.
        listener: is told what happens.
        result: what was found.
        known: entries of the ledger that were met, by id.
        mapped: whether it is looked which cases around each difference fail.
    """

    baseline: Environment
    candidate: Environment
    supervise: Supervise
    entries: tuple[ledger.Entry, ...]
    listener: Listener
    result: Result
    known: dict[str, ledger.Entry] = field(default_factory=dict)
    mapped: bool = False

    def run(self, plans: Plans, places: int = 1) -> None:
        """Do what was asked; everything found is in :attr:`result`, also when it is stopped.

        Args:
            plans: what was asked.
            places: how many targets to work on at the same time.
        """
        tasks = _tasks(plans)
        if places > 1 and len(tasks) > 1:
            self._run_some_at_a_time(plans, tasks, places)
            return
        end = _end(plans.options)
        try:
            for number, task in enumerate(tasks):
                self._task(plans, task, _share(end, len(tasks) - number))
        except KeyboardInterrupt:
            self.result.interrupted = True

    def _run_some_at_a_time(self, plans: Plans, tasks: Sequence[_Task], places: int) -> None:
        end = _end(plans.options)

        def work(number: int, listener: Listener) -> Result:
            result = Result(self.result.baseline, self.result.candidate)
            gate = replace(self, result=result, listener=listener)
            # As many rounds are left as it takes to give each of the rest a place.
            rounds = -(-(len(tasks) - number) // places)
            try:
                gate._task(plans, tasks[number], _share(end, rounds))
            except KeyboardInterrupt:
                result.interrupted = True
            return result

        names = [_name(task.target) for task in tasks]
        results, lost, interrupted = crowd.work_off(names, work, crowd.Told(self.listener), places)
        for number in sorted(results):
            self.result.add(results[number])
        self.result.unjudged.update(lost.values())
        self.result.interrupted = self.result.interrupted or interrupted

    def _task(self, plans: Plans, task: _Task, until: float | None) -> None:
        options = plans.options if task.fresh else replace(plans.options, properties=())
        self._target(task.target, task.saved, options, task.fresh and plans.named, until)

    def _target(
        self,
        target: Target,
        saved: Sequence[Regression],
        options: Options,
        named: bool,
        until: float | None,
    ) -> None:
        with ExitStack() as stack:
            began = time.monotonic()
            before = stack.enter_context(self.supervise(target, self.baseline))
            after = stack.enter_context(self.supervise(target, self.candidate))
            # Importing takes most of it, and each side has a process for that.
            readies = both(lambda: _start(before), lambda: _start(after), lambda: None)
            for label, ready, environment in (
                ("baseline", readies[0], self.baseline),
                ("candidate", readies[1], self.candidate),
            ):
                if isinstance(ready, SetupProblem):
                    self._cannot_start(target, saved, label, ready, named)
                    return
                runs = ready.versions["transformers"]
                if runs != environment.version:
                    text = f"workers of the {label} run transformers {runs}"
                    self.result.unjudged[f"{text}, not {environment.version}"] += 1
                    return
            sides = list(zip((before, after), cast(tuple[Ready, Ready], readies), strict=True))
            session = self._session(target, options, sides)
            seconds = time.monotonic() - began
            self.listener(
                Notice(f"{_name(target)} ({target.attn}, {target.dtype}) ready in {seconds:.1f} s")
            )
            try:
                for regression_file in saved:
                    self._replay(session, regression_file)
                self._fuzz_all(session, until)
                if self.mapped:
                    draw(self.result, target, after)
            except SetupProblem as problem:
                self.result.unjudged[f"{_name(target)}: {problem.message}"] += 1

    def _session(
        self, target: Target, options: Options, sides: Sequence[tuple[Supervisor, Ready]]
    ) -> Session:
        (before, ready_before), (after, ready) = sides
        pair = Pair(before, after, f"transformers {self.baseline.version}")
        lacking = {
            **ready_before.info.get("not_applicable", {}),
            **ready.info.get("not_applicable", {}),
        }
        if target.dtype in LOW:
            lacking[ACROSS.id] = "in low precision two releases may round differently"
        versions = {**ready.versions, "baseline transformers": self.baseline.version}
        known_of_both = replace(
            ready, versions=versions, info={**ready.info, "not_applicable": lacking}
        )

        def listener(event: Event) -> None:
            if isinstance(event, Found):
                self._keep(pair, event)
            self.listener(event)

        # Each known failure is told once, whatever it is met on.
        session = Session(
            pair, target, known_of_both, options, listener, self.entries, known=self.known
        )
        pair.expects = session.expects
        pair.mismatch = self._mismatch(target, options, before, after, ready_before, ready)
        self._look_at_sources(target, before, after)
        return session

    def _mismatch(
        self,
        target: Target,
        options: Options,
        before: Supervisor,
        after: Supervisor,
        ready_before: Ready,
        ready: Ready,
    ) -> str:
        """Return why results of the two sides cannot be compared, "" where they can."""
        try:
            found = differences(
                before.ask({"op": "settings"}), after.ask({"op": "settings"}), target.family
            )
        except NoAnswer as problem:
            found = [f"settings cannot be read back: {problem.outcome.message}"]
        sizes, sizes_before = ready.info["geometry"], ready_before.info["geometry"]
        # What a release can do may differ; what it makes of the settings may not.
        for name in ("patch", "merge", "min_pixels", "max_pixels", "max_positions", "window"):
            if sizes.get(name) != sizes_before.get(name):
                found.append(f"{name} is {sizes.get(name)}, {sizes_before.get(name)} before")
        if not found:
            return ""
        if ACROSS.id in options.properties:
            self.listener(Notice(f"{_name(target)}: set up differently, so not comparable:"))
            for text in found:
                self.listener(Notice(f"  {text}"))
        return "; ".join(found)

    def _look_at_sources(self, target: Target, before: Supervisor, after: Supervisor) -> None:
        """Find what differs in the code that this target's cases are about, and watch it run."""
        try:
            theirs, ours = before.ask({"op": "sources"}), after.ask({"op": "sources"})
            if theirs["root"] == ours["root"]:
                return
            self.result.reach.compare(Path(theirs["root"]), Path(ours["root"]), ours["files"])
        except (NoAnswer, OSError, SyntaxError) as problem:
            why = problem.outcome.message if isinstance(problem, NoAnswer) else problem
            self.listener(Notice(f"{_name(target)}: changed lines cannot be told: {why}"))
            return
        if self.result.reach.statements:
            after.watch = self.result.reach.note

    def _cannot_start(
        self,
        target: Target,
        saved: Sequence[Regression],
        label: str,
        problem: SetupProblem,
        named: bool,
    ) -> None:
        text = f"{_name(target)}: the {label} cannot be started: {problem.message}"
        if label == "baseline" and problem.kind == "usage" and not named:
            # A family that the baseline does not have cannot get worse.
            self.result.skipped.append(text)
            self.listener(Notice(f"left out: {text}"))
            return
        self.result.unjudged[text] += 1
        self.listener(Notice(f"unjudged: {text}"))
        self.result.replays += [Replay(s.path, "unjudged", text) for s in saved]

    def _keep(self, pair: Pair, event: Found) -> None:
        finding = event.finding
        found: Change = pair.changes.get(finding.signature, "regressed")
        if finding.status == "flaky":
            found = "flaky"
        self.result.differences.append(Difference(found, finding, event.path))

    def _replay(self, session: Session, saved: Regression) -> None:
        pair = pair_of(session)
        if reason := session.not_applicable(saved.property) if _is_claim(saved.property) else "":
            self.result.skipped.append(f"{saved.path}: {reason}")
            return
        began = pair.executed
        compared = pair.compare_fresh(saved.property, saved.case, LINGER)
        steady = True
        if compared.change in WORTH_CONFIRMING:
            for _ in range(session.options.confirm - 1):
                again = pair.compare_fresh(saved.property, saved.case, LINGER)
                steady = steady and again.change == compared.change
        self.result.executed += pair.executed - began
        found: Change = compared.change if steady else "flaky"
        text = _replayed(compared)
        self.result.replays.append(Replay(saved.path, found, text))
        if found == "unjudged":
            self.result.unjudged[f"{saved.path}: {text}"] += 1
        if found not in ("same", "known"):
            self.listener(Notice(f"{found:<10} {saved.path}: {text}"))

    def _fuzz_all(
        self,
        session: Session,
        until: float | None,
    ) -> None:
        properties = session.options.properties
        for number, property_id in enumerate(properties):
            if reason := _not_applicable(session, property_id):
                self.result.skipped.append(f"{_name(session.target)}: {property_id}: {reason}")
                continue
            stop = _share(until, len(properties) - number)
            tally = fuzz_property(self.result, session, property_id, stop)
            if tally.interrupted:
                raise KeyboardInterrupt
            if tally.fatal is not None:
                if isinstance(tally.fatal, SetupProblem):
                    raise tally.fatal
                name = f"{_name(session.target)}: {property_id}"
                self.result.unjudged[f"{name}: {type(tally.fatal).__name__}: {tally.fatal}"] += 1


def _tasks(plans: Plans) -> list[_Task]:
    """Return what there is to do; saved failures of a target that is fuzzed share its processes."""
    waiting: dict[Target, list[Regression]] = {}
    for saved in plans.regressions:
        waiting.setdefault(replace(saved.target, plants=()), []).append(saved)
    others = [t for t in waiting if t not in plans.targets]
    return [
        *(_Task(target, waiting[target], fresh=False) for target in others),
        *(_Task(target, waiting.get(target, []), fresh=True) for target in plans.targets),
    ]


def _end(options: Options) -> float | None:
    return time.monotonic() + options.seconds if options.seconds else None


def _share(end: float | None, parts: int) -> float | None:
    """Return when one of the parts that are left has had its time."""
    if end is None:
        return None
    return time.monotonic() + max(0.0, end - time.monotonic()) / parts


def regressions_of(
    folders: Iterable[Path], families: Sequence[str]
) -> tuple[list[Regression], list[str]]:
    """Return the saved regressions below folders, of some families, each file once.

    Returns:
        The regressions, and what is wrong with files that cannot be used.
    """
    seen: set[Path] = set()
    found, wrong = [], []
    for folder in folders:
        for path in regression.regressions_in(folder, gate=True):
            if path.resolve() in seen:
                continue
            seen.add(path.resolve())
            try:
                saved = regression.load(path)
            except UsageProblem as problem:
                wrong.append(str(problem))
                continue
            if saved.target.family in families:
                found.append(saved)
    return found, wrong


def _replayed(compared: Compared) -> str:
    before, after = compared.baseline, compared.candidate
    if compared.change == "unjudged":
        return before.message if before.verdict == "broken" else after.message
    said = after.message or before.message
    text = f"{before.verdict} before, {after.verdict} after"
    return f"{text}: {said}" if said else text


def _not_applicable(session: Session, property_id: str) -> str:
    if _is_claim(property_id):
        return session.not_applicable(property_id)
    table: Mapping[str, Any] = session.ready.info.get("not_applicable", {})
    return str(table.get(property_id, ""))


def _start(supervisor: Supervisor) -> Ready | SetupProblem:
    try:
        return supervisor.start()
    except SetupProblem as problem:
        return problem


def _is_claim(property_id: str) -> bool:
    return property_id in PROPERTY_KINDS


def _name(target: Target) -> str:
    return target.name
