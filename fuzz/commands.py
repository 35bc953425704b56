"""What the commands do."""

from __future__ import annotations

import argparse
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from fuzz import engine, ledger, regression, several
from fuzz import replay as replaying
from fuzz.claims import CLAIMS
from fuzz.environments.cli import import_path
from fuzz.errors import UsageProblem, choose, print_error
from fuzz.events import Event, Listener, Notice, RunEnded
from fuzz.families import FAMILIES
from fuzz.faults import FAULTS, PREFIX
from fuzz.files import check_place, write_text
from fuzz.isolation.idle import Idle
from fuzz.isolation.journal import Journal, Record, left_behind
from fuzz.isolation.supervisor import Supervisor
from fuzz.map.around import maps_of
from fuzz.options import deadline_from, plants_of, setup_seconds_from, wrap_from
from fuzz.plants import PLANTS
from fuzz.report import command, counted, summary_lines
from fuzz.reports.keep import open_reports
from fuzz.session import Options, Report
from fuzz.target import Target
from fuzz.terminal import Terminal
from strategies.reading import CaseError

JOURNALS = Path(".ropefuzz")


def run(arguments: argparse.Namespace) -> int:
    """``ropefuzz run``."""
    targets = several.targets_from(arguments, arguments.family)
    for name in arguments.property:
        choose("property", name, CLAIMS)
    # A mistake in it is told before anything is started.
    deadline_from(arguments)
    options = Options(
        properties=tuple(dict.fromkeys(arguments.property)) or tuple(CLAIMS),
        cases=0 if arguments.time else arguments.cases or 100,
        seconds=arguments.time or 0.0,
        seed=secrets.randbelow(2**32) if arguments.seed is None else arguments.seed,
        save_to=arguments.save_to,
        only_images=arguments.only_images,
        wrap=wrap_from(arguments),
        env=arguments.env,
    )
    try:
        options.save_to.mkdir(parents=True, exist_ok=True)
        Journal(JOURNALS).close()
    except OSError as error:
        where = error.filename or options.save_to
        raise UsageProblem(f"{where}: cannot be made or written: {error.strerror}") from None
    terminal = Terminal()
    reports = open_reports(arguments.report, terminal.line)

    def listener(event: Event) -> None:
        terminal(event)
        reports(event)

    began = time.monotonic()
    report: Report | None = None
    mistakes: tuple[str, ...] = ()
    again = command(targets[0], options, arguments.family if len(targets) > 1 else ())
    try:
        with import_path(arguments.env) as path, Idle() as idle:

            @contextmanager
            def supervise(target: Target, told: Listener) -> Iterator[Supervisor]:
                def notify(text: str) -> None:
                    told(Notice(text))

                with (
                    Journal(JOURNALS) as journal,
                    _supervisor(target, arguments, notify, journal, path, idle) as supervisor,
                ):
                    yield supervisor

            _say_left_behind(terminal)
            if len(targets) > 1:
                terminal.open()
                named = several.ALL not in arguments.family
                report, mistakes = several.run(
                    targets, options, supervise, terminal, reports, named, reports.paged
                )
            else:
                with supervise(targets[0], listener) as supervisor:
                    terminal.open()
                    report = engine.run(supervisor, targets[0], options, listener)
                    if reports.paged and not report.interrupted:
                        maps_of(supervisor, report.findings, listener, terminal.status)
    except KeyboardInterrupt:
        if report is None:
            raise
        # It came while everything was being closed: what the run gave stands.
    finally:
        terminal.close()
        seconds = time.monotonic() - began
        if report is not None and len(targets) == 1:
            code = report.exit_code
            reports(RunEnded(seconds, code, report.interrupted, report.fatal, again))
        reports.close()
    for line in summary_lines(report, again, seconds):
        terminal.line(line)
    for mistake in mistakes:
        print_error(mistake)
    return 2 if mistakes else report.exit_code or (3 if reports.failed else 0)


def report(arguments: argparse.Namespace) -> int:
    """``ropefuzz report``."""
    from fuzz.reports.keep import MAKERS
    from fuzz.reports.lines import read_all
    from fuzz.reports.runs import gates_in, gather

    check_place(arguments.output, tuple(MAKERS))
    events = read_all(arguments.files)
    runs, gates = gather(events), gates_in(events)
    try:
        write_text(arguments.output, MAKERS[arguments.output.suffix](runs, gates))
    except OSError as error:
        raise UsageProblem(f"{arguments.output}: cannot be written: {error.strerror}") from None
    print(f"{arguments.output}: {counted(len(runs) + len(gates), 'run')}")
    return 0


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
    reports = open_reports(arguments.report, partial(print, flush=True))
    try:
        with _supervising(arguments) as supervise:
            for result in replaying.replay(
                files, plants, entries, supervise, reports, paged=reports.paged
            ):
                text = result.message if result.usage else f"{result.path}: {result.message}"
                print(f"{result.status:<6} {text}", flush=True)
                if result.usage:
                    reports(Notice(text))
                if result.status == "ERROR":
                    codes.add(2 if result.usage else 3)
                elif result.status == "FAILED":
                    codes.add(1)
    finally:
        reports.close()
    if reports.failed:
        codes.add(3)
    # Wrong use first: what could not even be read is the user's to mend before anything else.
    return next((code for code in (2, 1, 3) if code in codes), 0)


def repro(arguments: argparse.Namespace) -> int:
    """``ropefuzz repro``."""
    from fuzz.repro import main as reproducing

    return reproducing.main(arguments.file, arguments.issue)


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
    print("faults, which strike on every image with one merged row, as plants")
    for fault in FAULTS.values():
        print(f"  {PREFIX + fault.name:<33} {fault.sentence} [{fault.verdict}]")
    return 0


def list_families() -> int:
    """``ropefuzz families``."""
    from fuzz import families_table

    print("\n".join(families_table.lines()))
    return 0


def gate(arguments: argparse.Namespace) -> int:
    """``ropefuzz gate`` and ``ropefuzz bisect``."""
    from fuzz.gate import main as gating

    with Idle() as idle:
        return gating.main(arguments, partial(Supervisor, idle=idle))


def draw_map(arguments: argparse.Namespace) -> int:
    """``ropefuzz map``."""
    from fuzz.map import main as mapping

    with _supervising(arguments) as supervise:
        return mapping.main(arguments, plants_of(arguments.plant), supervise)


def envelope(target: Target, arguments: argparse.Namespace) -> int:
    """``ropefuzz envelope``."""
    from fuzz.map import envelope as enveloping

    with _supervising(arguments) as supervise:
        return enveloping.main(arguments, target, supervise)


def known(arguments: argparse.Namespace) -> int:
    """``ropefuzz known``."""
    from fuzz import known as upkeep

    with Idle() as idle:
        return upkeep.main(arguments, partial(Supervisor, idle=idle))


def selfcheck(target: Target) -> int:
    """``ropefuzz selfcheck``."""
    from fuzz import selfcheck as checking

    return checking.main(target, Supervisor)


def bench(arguments: argparse.Namespace) -> int:
    """``ropefuzz bench``."""
    from fuzz.bench import (
        bugs,
        faults,
        flash,
        guards,
        isolation,
        maps,
        mutants,
        plants,
        reports,
        shrinking,
        soak,
        tables_of,
        verify,
    )
    from fuzz.bench.exposure import Budget

    if arguments.what == "soak":
        return soak.main(arguments.time, arguments.seed)
    if arguments.what == "bugs":
        budget = Budget(cases=arguments.cases or 500, silent=arguments.silent)
        return bugs.main(arguments.rounds or 5, budget, arguments.bug, arguments.results)
    if arguments.what == "mutants":
        return mutants.main(arguments.family, arguments.results)
    if arguments.what == "tables":
        return tables_of.main(arguments.results)
    if arguments.what == "catalogue":
        return verify.main(arguments.bug)
    if arguments.what == "flash":
        return flash.main(arguments.cases or flash.CASES, arguments.seed)
    measure = {
        "faults": faults.main,
        "guards": guards.main,
        "isolation": isolation.main,
        "map": maps.main,
        "plants": plants.main,
        "reports": reports.main,
        "shrinking": shrinking.main,
    }[arguments.what]
    once = arguments.what in ("faults", "map", "reports", "shrinking")
    return measure(arguments.rounds or (1 if once else 5))


@contextmanager
def _supervising(arguments: argparse.Namespace) -> Iterator[Callable[[Target], Supervisor]]:
    """Give a maker of supervisors in the environment that was asked for, as the options say."""
    # A mistake in these is told before anything is started.
    deadline_from(arguments)
    wrap_from(arguments)
    with import_path(arguments.env) as first, Idle() as idle:
        yield partial(
            _supervisor, arguments=arguments, notify=print_error, pythonpath=first, idle=idle
        )


def _supervisor(
    target: Target,
    arguments: argparse.Namespace,
    notify: Callable[[str], None],
    journal: Journal | None = None,
    pythonpath: Sequence[str] = (),
    idle: Idle | None = None,
) -> Supervisor:
    return Supervisor(
        target,
        journal=journal,
        deadline=deadline_from(arguments),
        memory_limit_mib=arguments.memory_limit,
        fresh_process=arguments.fresh_process,
        wrap=wrap_from(arguments),
        setup_seconds=setup_seconds_from(arguments),
        pythonpath=pythonpath,
        notify=notify,
        idle=idle,
    )


def _say_left_behind(terminal: Terminal) -> None:
    records, unreadable = left_behind(JOURNALS)
    for line in unreadable:
        print_error(line)
    for record in records:
        kept = record.path.with_name(record.path.name.replace("running-", "died-", 1))
        try:
            said = _keep_left_behind(record, kept)
        except (CaseError, UsageProblem, OSError, KeyError, TypeError, ValueError) as error:
            # Whatever an earlier run has left, it must not keep this one from starting.
            print_error(f"{record.path}: cannot be kept: {type(error).__name__}: {error}")
            continue
        record.path.unlink(missing_ok=True)
        for line in said:
            terminal.line(line)


def _keep_left_behind(record: Record, kept: Path) -> list[str]:
    regression.save_unjudged(record.property, record.case, record.target, kept)
    said = [
        f"an earlier run (process {record.pid}) ended in the middle of checking "
        f"{record.property}; its case is kept: ropefuzz replay {kept}"
    ]
    if record.in_hand is not None:
        held = kept.with_name(kept.name.replace("died-", "failed-", 1))
        name, case = record.in_hand["property"], record.in_hand["case"]
        regression.save_unjudged(name, case, record.target, held)
        said.append(
            "it was making a failure smaller; the smallest case so far is kept: ropefuzz replay "
            f"{held}"
        )
    return said
