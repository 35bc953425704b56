"""``ropefuzz gate`` and ``ropefuzz bisect``: from options to an exit code."""

from __future__ import annotations

import argparse
import secrets
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from fuzz import crowd, ledger, regression, several
from fuzz.claims import ACROSS, CLAIMS
from fuzz.environments.store import Environment, Store, default_root
from fuzz.errors import UsageProblem, choose
from fuzz.events import Event, Notice
from fuzz.files import check_place, write_text
from fuzz.gate.report import gated, verdict_lines
from fuzz.gate.result import Result
from fuzz.gate.run import Gate, Plans, regressions_of
from fuzz.isolation.supervisor import Supervisor
from fuzz.options import deadline_from, setup_seconds_from, wrap_from
from fuzz.outcome import BLOCKING, CHANGES, Change
from fuzz.reports.keep import open_reports
from fuzz.reports.markdown import gate_markdown
from fuzz.session import Options
from fuzz.target import Target
from fuzz.terminal import Terminal

_DEFAULTS: Final = (
    ("model", ""),
    ("weights", "random"),
    ("attn", ""),
    ("dtype", "exact"),
    ("device", "cpu"),
)
SHIPPED: Final = Path(__file__).resolve().parents[2] / "regressions"


def main(arguments: argparse.Namespace, supervisor: Callable[..., Supervisor]) -> int:
    """Do what was asked.

    Args:
        arguments: the options.
        supervisor: makes a supervisor, as :class:`Supervisor` does.

    Raises:
        UsageProblem: an option is wrong, or names a release that cannot be had.
        CannotJudge: an environment cannot be built now.
    """
    terminal = Terminal()

    def supervise(target: Target, environment: Environment) -> Supervisor:
        return supervisor(
            target,
            pythonpath=environment.pythonpath,
            deadline=deadline_from(arguments),
            memory_limit_mib=arguments.memory_limit,
            fresh_process=arguments.fresh_process,
            wrap=wrap_from(arguments),
            setup_seconds=setup_seconds_from(arguments),
            notify=lambda text: terminal(Notice(text)),
        )

    # A mistake in these is told before anything is built.
    deadline_from(arguments)
    wrap_from(arguments)
    store = Store(default_root(), lambda text: terminal(Notice(text)))
    if arguments.command == "bisect":
        from fuzz.gate.bisect import main as bisecting

        return bisecting(arguments, store, supervise, terminal)
    return _gate(arguments, store, supervise, terminal)


def _gate(
    arguments: argparse.Namespace,
    store: Store,
    supervise: Callable[[Target, Environment], Supervisor],
    terminal: Terminal,
) -> int:
    names = arguments.family or ([] if arguments.model else [several.ALL])
    targets = several.targets_from(arguments, names)
    properties = _properties(arguments)
    blocking = (BLOCKING | _changes(arguments.block)) - _changes(arguments.allow)
    options = Options(
        properties=properties,
        cases=0 if arguments.time else arguments.cases or 100,
        seconds=arguments.time or 0.0,
        seed=secrets.randbelow(2**32) if arguments.seed is None else arguments.seed,
        save_to=arguments.save_to,
        only_images=arguments.only_images,
        wrap=wrap_from(arguments),
    )
    own = ledger.load(arguments.save_to)
    entries = ledger.shipped()
    entries += tuple(e for e in own if e not in entries)
    if arguments.files:
        saved = [regression.load(path) for path in _files(arguments.files)]
        wrong: list[str] = []
        targets = []
    else:
        families = [t.family for t in targets]
        saved, wrong = regressions_of((arguments.save_to, SHIPPED), families)
    try:
        options.save_to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageProblem(f"{options.save_to}: cannot be made: {error.strerror}") from None
    if arguments.summary is not None:
        check_place(arguments.summary)
    reports = open_reports(arguments.report, terminal.line)

    def listener(event: Event) -> None:
        terminal(event)
        reports(event)

    try:
        with store.use(arguments.baseline) as baseline, store.use(arguments.candidate) as candidate:
            pair = ["--baseline", baseline.again, "--candidate", candidate.again]
            again = ("ropefuzz", "gate", *pair)
            plans = Plans(
                targets,
                bool(arguments.family or arguments.model),
                replace(options, again=again),
                saved,
            )
            result = Result(baseline.version, candidate.version)
            for text in wrong:
                result.unjudged[text] += 1
            terminal(Notice(f"baseline transformers {baseline.version}, {_where(baseline)}"))
            terminal(Notice(f"candidate transformers {candidate.version}, {_where(candidate)}"))
            if baseline.version == candidate.version:
                terminal(Notice("both are the same release: whatever differs is a false alarm"))
            terminal(Notice(f"seed {options.seed}, {len(saved)} saved regressions first"))
            places = crowd.places(len(targets), arguments.device, sides=2)
            terminal.open()
            try:
                gate = Gate(
                    *(baseline, candidate, supervise, entries, listener, result),
                    mapped=reports.paged,
                )
                gate.run(plans, places)
            finally:
                terminal.close()
        command = _command(arguments, pair, options)
        decided = gated(result, blocking, command)
        reports(decided)
    finally:
        reports.close()
    for line in verdict_lines(result, blocking, command):
        terminal.line(line)
    if arguments.summary is not None:
        try:
            write_text(arguments.summary, gate_markdown(decided))
        except OSError as error:
            raise UsageProblem(
                f"{arguments.summary}: cannot be written: {error.strerror}"
            ) from None
    return decided.exit_code or (3 if reports.failed else 0)


def _properties(arguments: argparse.Namespace) -> tuple[str, ...]:
    known = (*CLAIMS, ACROSS.id)
    for name in arguments.property:
        choose("property", name, known)
    return tuple(dict.fromkeys(arguments.property)) or known


def _changes(names: list[str]) -> frozenset[Change]:
    for name in names:
        choose("change", name, CHANGES)
    return frozenset(c for c in CHANGES if c in names)


def _files(paths: list[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        files += regression.regressions_in(path, gate=True) if path.is_dir() else [path]
    if not files:
        raise UsageProblem(f"no regression files in {', '.join(str(p) for p in paths)}")
    return files


def _where(environment: Environment) -> str:
    return "as installed" if environment.folder is None else f"in {environment.folder}"


def _command(arguments: argparse.Namespace, pair: list[str], options: Options) -> str:
    """Return the command line that does the same; what is at its default is left out."""
    words = ["ropefuzz", "gate", *pair]
    words += [word for f in arguments.family for word in ("--family", f)]
    for name, default in _DEFAULTS:
        if (value := getattr(arguments, name)) != default:
            words += [f"--{name}", value]
    words += [word for p in arguments.property for word in ("--property", p)]
    for name in ("allow", "block"):
        words += [word for c in getattr(arguments, name) for word in (f"--{name}", c)]
    if arguments.files:
        return shlex.join([*words, *(str(f) for f in arguments.files)])
    if options.seconds:
        words += ["--time", f"{options.seconds:g}s"]
    elif options.cases != Options().cases:
        words += ["--cases", str(options.cases)]
    words += ["--only-images"] if options.only_images else []
    words += ["--wrap", shlex.join(options.wrap)] if options.wrap else []
    return shlex.join([*words, "--seed", str(options.seed)])
