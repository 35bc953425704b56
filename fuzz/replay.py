"""Replaying saved regressions: does each still fail?"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fuzz import ledger, regression
from fuzz.errors import UsageProblem
from fuzz.events import Event, Found, KnownSeen, Listener, Replayed, RunEnded, RunStarted
from fuzz.finding import Finding, takes_two
from fuzz.isolation.errors import SetupProblem
from fuzz.isolation.supervisor import LINGER, Supervisor
from fuzz.map.around import maps_of
from fuzz.regression import Regression
from fuzz.target import Target
from fuzz.verdict import Outcome


@dataclass(frozen=True, slots=True)
class Judged:
    """A replay and what it shows.

    Attributes:
        replayed: what is told of it.
        outcome: what the check gave, None where it could not be run.
        entry: what the ledger says of the failure, None where it says nothing.
    """

    replayed: Replayed
    outcome: Outcome | None = None
    entry: ledger.Entry | None = None


def replay(
    files: Sequence[Path],
    plants: tuple[str, ...],
    entries: tuple[ledger.Entry, ...],
    supervise: Callable[[Target], Supervisor],
    tell: Listener = lambda _: None,
    *,
    paged: bool = False,
) -> Iterable[Replayed]:
    """Replay files one after the other; a bad one does not stop the others.

    Args:
        files: regression files.
        plants: defects to plant, none to see whether a file's failure is gone.
        entries: the ledger in force.
        supervise: makes a supervisor for a target.
        tell: is told what happens, as of one run for each target.
        paged: whether it is also told which cases around each that failed do so, too.

    Yields:
        One result a file, in the order of the files' targets.
    """
    loaded: dict[Target, list[Regression]] = {}
    for path in files:
        try:
            saved = regression.load(path)
        except UsageProblem as problem:
            yield Replayed(path, "ERROR", str(problem), usage=True)
            continue
        if takes_two(saved.property, saved.signature):
            text = f"{path}: compares two releases; replay it with ropefuzz gate {path}"
            yield Replayed(path, "ERROR", text, usage=True)
            continue
        loaded.setdefault(replace(saved.target, plants=plants), []).append(saved)
    for target, group in loaded.items():
        began = time.monotonic()
        with supervise(target) as supervisor:
            try:
                ready = supervisor.start()
            except SetupProblem as problem:
                for saved in group:
                    usage = problem.kind == "usage"
                    yield Replayed(saved.path, "ERROR", problem.message, usage)
                continue
            tell(RunStarted(target, ready.versions, None, time.monotonic() - began))
            codes = {0}
            failed: list[Finding] = []
            for saved in group:
                release = ready.versions["transformers"]
                window = ready.info["geometry"]["sliding_window"]
                judged = look(saved, supervisor, entries, release, window)
                for event in _events(saved, judged, target, ready.versions):
                    tell(event)
                    failed += [event.finding] if isinstance(event, Found) else []
                codes.add({"FAILED": 1, "ERROR": 3}.get(judged.replayed.status, 0))
                yield judged.replayed
            if paged and not maps_of(supervisor, failed, tell):
                raise KeyboardInterrupt
            again = shlex.join(["ropefuzz", "replay", *(str(s.path) for s in group)])
            again += "".join(f" --plant {p}" for p in plants)
            code = 1 if 1 in codes else max(codes)
            tell(RunEnded(time.monotonic() - began, code, False, "", again))


def _events(
    saved: Regression, judged: Judged, target: Target, versions: Mapping[str, str]
) -> Iterator[Event]:
    """Yield what a replay is told as: one that failed is a finding, too."""
    yield judged.replayed
    outcome = judged.outcome
    if judged.entry is not None and judged.replayed.status == "KNOWN":
        yield KnownSeen(saved.property, judged.entry)
    if judged.replayed.status == "FAILED" and outcome is not None and outcome.signature is not None:
        finding = Finding(
            property=saved.property,
            signature=outcome.signature,
            message=outcome.message,
            case=saved.case,
            first=saved.case,
            target=target,
            versions=versions,
            runs=1,
            failed=1,
            attempts=0,
            complete=True,
            details=outcome.details,
            date="",
            said=saved.said,
        )
        yield Found(finding, saved.path)


def judge(
    saved: Regression,
    supervisor: Supervisor,
    entries: tuple[ledger.Entry, ...],
    release: str,
    window: int = 0,
) -> Replayed:
    """Replay one regression; see :func:`look`."""
    return look(saved, supervisor, entries, release, window).replayed


def look(
    saved: Regression,
    supervisor: Supervisor,
    entries: tuple[ledger.Entry, ...],
    release: str,
    window: int = 0,
) -> Judged:
    """Replay one regression in a fresh process of a started supervisor.

    Args:
        saved: the regression.
        supervisor: started with its target.
        entries: the ledger in force.
        release: transformers' version.
        window: the target's sliding window in tokens, 0 if there is none.
    """
    try:
        # A death that comes late was confirmed by waiting for it.
        outcome = supervisor.check_fresh(saved.property, saved.case, LINGER)
    except SetupProblem as problem:
        return Judged(Replayed(saved.path, "ERROR", problem.message))
    if outcome.verdict == "broken":
        return Judged(Replayed(saved.path, "ERROR", outcome.message), outcome)
    entry = None
    if outcome.signature is not None and outcome.failed:
        entry = ledger.known(entries, saved.target, outcome.signature, saved.case, release, window)
        if entry is not None:
            known = Replayed(saved.path, "KNOWN", f"{entry.id}: {entry.reason}")
            return Judged(known, outcome, entry)
        other = "" if outcome.signature == saved.signature else "in another way: "
        return Judged(Replayed(saved.path, "FAILED", f"{other}{outcome.message}"), outcome)
    expected = ledger.known(entries, saved.target, saved.signature, saved.case, release, window)
    if expected is not None:
        text = (
            f"no longer fails, though the ledger expects it on transformers {release} "
            f"({expected.id}); narrow its 'affects'"
        )
        return Judged(Replayed(saved.path, "FIXED", text), outcome)
    return Judged(Replayed(saved.path, "FIXED", outcome.message or "passes"), outcome)
