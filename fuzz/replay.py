"""Replaying saved regressions: does each still fail?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from fuzz import ledger, regression
from fuzz.errors import UsageProblem
from fuzz.finding import takes_two
from fuzz.isolation.errors import SetupProblem
from fuzz.isolation.supervisor import LINGER, Supervisor
from fuzz.regression import Regression
from fuzz.target import Target

Status: TypeAlias = Literal["FIXED", "FAILED", "KNOWN", "ERROR"]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a regression file does now.

    Attributes:
        path: the file.
        status: ``FIXED`` it passes (or is refused in words), ``FAILED`` it still fails,
            ``KNOWN`` it fails and the ledger expects it, ``ERROR`` it could not be judged.
        message: one sentence.
        usage: whether the file itself is at fault.
    """

    path: Path
    status: Status
    message: str
    usage: bool = False


def replay(
    files: Sequence[Path],
    plants: tuple[str, ...],
    entries: tuple[ledger.Entry, ...],
    supervise: Callable[[Target], Supervisor],
) -> Iterable[Replayed]:
    """Replay files one after the other; a bad one does not stop the others.

    Args:
        files: regression files.
        plants: defects to plant, none to see whether a file's failure is gone.
        entries: the ledger in force.
        supervise: makes a supervisor for a target.

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
        with supervise(target) as supervisor:
            try:
                ready = supervisor.start()
            except SetupProblem as problem:
                for saved in group:
                    usage = problem.kind == "usage"
                    yield Replayed(saved.path, "ERROR", problem.message, usage)
                continue
            for saved in group:
                release = ready.versions["transformers"]
                window = ready.info["geometry"]["sliding_window"]
                yield judge(saved, supervisor, entries, release, window)


def judge(
    saved: Regression,
    supervisor: Supervisor,
    entries: tuple[ledger.Entry, ...],
    release: str,
    window: int = 0,
) -> Replayed:
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
        return Replayed(saved.path, "ERROR", problem.message)
    if outcome.verdict == "broken":
        return Replayed(saved.path, "ERROR", outcome.message)
    entry = None
    if outcome.signature is not None and outcome.failed:
        entry = ledger.known(entries, saved.target, outcome.signature, saved.case, release, window)
        if entry is not None:
            return Replayed(saved.path, "KNOWN", f"{entry.id}: {entry.reason}")
        other = "" if outcome.signature == saved.signature else "in another way: "
        return Replayed(saved.path, "FAILED", f"{other}{outcome.message}")
    expected = ledger.known(entries, saved.target, saved.signature, saved.case, release, window)
    if expected is not None:
        return Replayed(
            saved.path,
            "FIXED",
            f"no longer fails, though the ledger expects it on transformers {release} "
            f"({expected.id}); narrow its 'affects'",
        )
    return Replayed(saved.path, "FIXED", outcome.message or "passes")
