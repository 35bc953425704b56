"""``ropefuzz known``: the upkeep of the ledger."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from fuzz import ledger, regression
from fuzz.errors import UsageProblem
from fuzz.files import locked
from fuzz.isolation.supervisor import LINGER, Supervisor
from fuzz.ledger import Entry
from fuzz.regression import Regression
from fuzz.target import Target
from fuzz.verdict import Outcome


def main(arguments: argparse.Namespace, supervise: Callable[[Target], Supervisor]) -> int:
    """Do what was asked.

    Raises:
        UsageProblem: an argument, the ledger or a regression file cannot be used.
        SetupProblem: a target cannot be started.
    """
    if arguments.action == "add":
        return _add(arguments)
    if arguments.action == "prune":
        return prune(arguments.folder, supervise)
    return _list(arguments.folder)


def _list(folder: Path) -> int:
    own = ledger.load(folder)
    shipped = tuple(e for e in ledger.shipped() if e not in own)
    if not own and not shipped:
        print("no known failures")
    for title, entries in ((f"{folder / regression.LEDGER}", own), ("shipped", shipped)):
        if not entries:
            continue
        print(f"{title}: {len(entries)} known failures")
        for entry in entries:
            until = f", expires {entry.expires}" if entry.expires else ""
            over = " (EXPIRED: counts as new)" if ledger.expired(entry) else ""
            print(f"  {entry.id}{over}")
            print(f"    {entry.reason}")
            print(f"    transformers {entry.affects}; {', '.join(entry.families)}{until}")
            if entry.url:
                print(f"    {entry.url}")
    return 0


def _add(arguments: argparse.Namespace) -> int:
    saved = regression.load(arguments.file)
    entry = _entry_of(saved, arguments)
    try:
        with locked(arguments.folder):
            entries = ledger.load(arguments.folder)
            if any(e.id == entry.id for e in (*entries, *ledger.shipped())):
                raise UsageProblem(f"--id: {entry.id} is in the ledger; choose another one")
            ledger.save(arguments.folder, (*entries, entry))
    except OSError as error:
        raise UsageProblem(f"{arguments.folder}: cannot be written: {error.strerror}") from None
    print(f"{entry.id} stands in {arguments.folder / regression.LEDGER}")
    return 0


def _entry_of(saved: Regression, arguments: argparse.Namespace) -> Entry:
    if saved.target.plants:
        raise UsageProblem(f"{saved.path}: fails of a planted defect, which no release has")
    try:
        affected = SpecifierSet(arguments.affects)
    except InvalidSpecifier:
        raise UsageProblem(
            f"--affects: expected a range such as '>=5.3,<5.5.4', got {arguments.affects!r}"
        ) from None
    release = saved.versions.get("transformers", "")
    if release and not affected.contains(release, prereleases=True):
        raise UsageProblem(
            f"--affects: {arguments.affects!r} leaves out {release}, in which {saved.path} failed"
        )
    if arguments.expires:
        try:
            date.fromisoformat(arguments.expires)
        except ValueError:
            raise UsageProblem(
                f"--expires: expected a date such as 2027-01-31, got {arguments.expires!r}"
            ) from None
    today = date.today().isoformat()
    return Entry(
        id=arguments.id or saved.path.stem,
        families=(saved.target.family,),
        signatures=(saved.signature,),
        reason=arguments.reason,
        evidence=arguments.evidence,
        url=arguments.url,
        affects=arguments.affects,
        first_seen=today,
        last_seen=today,
        expires=arguments.expires,
    )


def prune(folder: Path, supervise: Callable[[Target], Supervisor]) -> int:
    """Take out of a folder's ledger what was exercised and did not fail.

    Returns 3 if a regression could not be judged, else 0.

    Raises:
        UsageProblem: the ledger or a regression file cannot be used.
        SetupProblem: a target cannot be started.
    """
    entries = ledger.load(folder)
    if not entries:
        raise UsageProblem(f"{folder / regression.LEDGER}: no known failures to prune")
    files = [regression.load(path) for path in regression.regressions_in(folder)]
    seen: dict[str, list[Outcome]] = {entry.id: [] for entry in entries}
    for target in dict.fromkeys(s.target for s in files if not s.target.plants):
        group = [s for s in files if s.target == target]
        if any(s.signature in entry.signatures for s in group for entry in entries):
            with supervise(target) as supervisor:
                _exercise(entries, group, supervisor, seen)
    gone = {entry.id for entry in entries if prunable(seen[entry.id])}
    for entry in entries:
        print(f"{entry.id}: {_became(seen[entry.id])}")
    if gone:
        with locked(folder):
            ledger.save(folder, [e for e in ledger.load(folder) if e.id not in gone])
    return 3 if any(o.verdict == "broken" for outcomes in seen.values() for o in outcomes) else 0


def _exercise(
    entries: Sequence[Entry],
    group: Sequence[Regression],
    supervisor: Supervisor,
    seen: Mapping[str, list[Outcome]],
) -> None:
    """Replay what the entries are about, where the installed release is one that they affect."""
    ready = supervisor.start()
    release = ready.versions["transformers"]
    window = int(ready.info["geometry"]["sliding_window"])
    for entry in entries:
        if ledger.affects(entry, release):
            seen[entry.id].extend(
                supervisor.check_fresh(s.property, s.case, LINGER)
                for s in group
                if ledger.covers(entry, s.target, s.signature, s.case, window)
            )


def prunable(outcomes: Sequence[Outcome]) -> bool:
    """Tell whether replays show that a failure is gone: there are some, and all were judged."""
    return bool(outcomes) and not any(o.failed or o.verdict == "broken" for o in outcomes)


def _became(outcomes: Sequence[Outcome]) -> str:
    if not outcomes:
        return "kept, not exercised: no regression file fails so, or it affects another release"
    if prunable(outcomes):
        return f"taken out: {len(outcomes)} replayed, none of them fails"
    if any(o.failed for o in outcomes):
        return "kept: it still fails"
    return "kept: could not be judged"
