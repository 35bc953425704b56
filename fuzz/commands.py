"""What the commands do."""

from __future__ import annotations

import argparse
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from fuzz import engine, ledger, regression
from fuzz import replay as replaying
from fuzz.claims import CLAIMS
from fuzz.cli import plants_of
from fuzz.errors import UsageProblem, choose
from fuzz.families import FAMILIES
from fuzz.isolation.deadline import Deadline
from fuzz.isolation.journal import Journal, JournalError, left_behind
from fuzz.isolation.supervisor import Supervisor
from fuzz.plants import PLANTS
from fuzz.report import summary_lines
from fuzz.target import Target
from fuzz.terminal import Terminal, print_error
from strategies.case import CaseError

JOURNALS = Path(".ropefuzz")


def run(target: Target, arguments: argparse.Namespace) -> int:
    """``ropefuzz run``."""
    for name in arguments.property:
        choose("property", name, CLAIMS)
    low, high = arguments.deadline
    if low > high:
        raise UsageProblem(f"--deadline: expected MIN <= MAX, got {low:g} and {high:g}")
    options = engine.Options(
        properties=tuple(dict.fromkeys(arguments.property)) or tuple(CLAIMS),
        cases=0 if arguments.time else arguments.cases or 100,
        seconds=arguments.time or 0.0,
        seed=secrets.randbelow(2**32) if arguments.seed is None else arguments.seed,
        save_to=arguments.save_to,
    )
    terminal = Terminal()
    began = time.monotonic()
    try:
        with (
            Journal(JOURNALS) as journal,
            Supervisor(
                target, journal=journal, deadline=Deadline(floor=low, ceiling=high)
            ) as supervisor,
        ):
            _say_left_behind(terminal)
            terminal.open()
            report = engine.run(supervisor, target, options, terminal)
    except OSError as error:
        where = error.filename or options.save_to
        raise UsageProblem(f"{where}: cannot be made or written: {error.strerror}") from None
    finally:
        terminal.close()
    for line in summary_lines(report, target, options, time.monotonic() - began):
        terminal.line(line)
    return report.exit_code


def replay(arguments: argparse.Namespace) -> int:
    """``ropefuzz replay``."""
    plants = plants_of(arguments.plant)
    paths: Sequence[Path] = arguments.files or [Path("regressions")]
    files: list[Path] = []
    for path in paths:
        files += regression.regressions_in(path) if path.is_dir() else [path]
    if not files:
        raise UsageProblem(f"no regression files in {', '.join(str(p) for p in paths)}")
    folder = next((p for p in paths if p.is_dir()), Path("regressions"))
    entries = ledger.shipped() + ledger.load(folder)
    codes = set()
    for result in replaying.replay(files, plants, entries, Supervisor):
        text = result.message if result.usage else f"{result.path}: {result.message}"
        print(f"{result.status:<6} {text}", flush=True)
        if result.status == "ERROR":
            codes.add(2 if result.usage else 3)
        elif result.status == "FAILED":
            codes.add(1)
    # Wrong use first: what could not even be read is the user's to mend before anything else.
    return next((code for code in (2, 1, 3) if code in codes), 0)


def list_names() -> int:
    """``ropefuzz list``."""
    print("families")
    for family in FAMILIES.values():
        print(f"  {family.name:<24} {family.title}, since transformers {family.since}")
    print("properties")
    for claim in CLAIMS.values():
        print(f"  {claim.id:<24} {claim.sentence}")
    print("plants")
    for plant in PLANTS.values():
        print(f"  {plant.name:<24} {plant.sentence} [{plant.killer}]")
    return 0


def bench(arguments: argparse.Namespace) -> int:
    """``ropefuzz bench``."""
    from fuzz.bench import isolation, plants

    measure = {"isolation": isolation.main, "plants": plants.main}[arguments.what]
    return measure(arguments.rounds)


def _say_left_behind(terminal: Terminal) -> None:
    try:
        records = left_behind(JOURNALS)
    except JournalError as error:
        print_error(str(error))
        return
    for record in records:
        kept = record.path.with_name(f"died-{record.pid}.json")
        try:
            regression.save_unjudged(record.property, record.case, record.target, kept)
        except (CaseError, UsageProblem) as error:
            print_error(f"{record.path}: {error}")
            continue
        record.path.unlink()
        terminal.line(
            f"an earlier run (process {record.pid}) died while checking {record.property}; its "
            f"case is kept: ropefuzz replay {kept}"
        )
