"""What a person reads: findings and summaries as plain lines."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from fuzz.claims import CLAIMS, sentence_of
from fuzz.events import NotApplicable, PropertyDone
from fuzz.families import family_of
from fuzz.finding import Finding
from fuzz.session import Options, Report
from fuzz.target import Target
from fuzz.verdict import Kind, Signature
from strategies.case import to_json
from strategies.words import describe

_WORDS: Final = 8
_FRAMES: Final = 8
_WRAPPER: Final = "/torch/nn/modules/module.py"  # every call of a module passes through it
_DUMP_FRAME: Final = re.compile(r'^  File "(?P<file>[^"]*)", line (?P<line>\d+) in (?P<name>.+)$')


def finding_lines(finding: Finding, path: Path | None, note: str) -> list[str]:
    """Describe a finding: what broke, the smallest case, how sure it is, how to see it again."""
    lines = [f"{_label(finding)} {headline(finding.signature, finding.message)}"]
    # How to see it again stands last, below what a process has said.
    words = [f"  | {line}" for line in last_words(finding)]
    rows = finding_rows(finding, path, note)
    shown = [f"  {label:<19} {text}" for label, text in rows]
    end = next(n for n, (label, _) in enumerate(rows, 1) if label == "confirmed")
    return [*lines, *shown[:end], *words, *shown[end:]]


def counted(number: int, name: str) -> str:
    """Return a number with its noun, in the plural where it is one."""
    return f"{number} {name}{'' if number == 1 else 's'}"


def finding_rows(finding: Finding, path: Path | None, note: str) -> list[tuple[str, str]]:
    """Return what is said of a finding below its headline, as (label, text)."""
    rows = []
    if finding.signature.property != finding.property:
        rows.append(("met while checking", f"{finding.property}: {_claim(finding.property)}"))
    rows.append(("claim", _claim(finding.signature.property)))
    rows.append(("smallest case", describe(finding.case)))
    rows += finding.said
    if finding.wrap:
        rows.append(("run under", finding.wrap))
    if finding.case != finding.first:
        more = "" if finding.complete else ", stopped before nothing simpler was left to try"
        rows.append(("first seen with", describe(finding.first)))
        rows.append(("minimized in", f"{counted(finding.attempts, 'attempt')}{more}"))
    sure = f"{finding.failed} of {finding.runs} fresh processes"
    rows.append(("confirmed", sure if finding.runs else "no: the run was stopped before"))
    if path is not None:
        options = [word for p in finding.target.plants for word in ("--plant", p)]
        options += ["--wrap", finding.wrap] if finding.wrap else []
        options += ["--env", finding.env] if finding.env else []
        rows.append(("saved", f"{path} ({note})" if note else str(path)))
        rows.append(("see it again", shlex.join([*finding.again, str(path), *options])))
    elif note:
        rows.append(("not saved", note))
        rows.append(("the case", to_json(finding.case)))
    return rows


def next_commands(finding: Finding, path: Path) -> list[tuple[str, str]]:
    """Return what can be done with a saved finding next, as (label, command)."""
    file = str(path)
    plants = [word for p in finding.target.plants for word in ("--plant", p)]
    commands = [
        ("map it", ["ropefuzz", "map", file, *plants]),
        ("as a script", ["ropefuzz", "repro", file]),
        ("report it", ["ropefuzz", "repro", file, "--issue"]),
    ]
    # What is planted began in no release.
    commands += [] if plants else [("since when", ["ropefuzz", "bisect", file])]
    return [(label, shlex.join(words)) for label, words in commands]


def headline(signature: Signature, message: str) -> str:
    """Return what broke in one line."""
    return f"{signature.property} ({signature.verdict}): {message}"


def target_in_words(target: Target) -> str:
    """Return what is fuzzed, in a few words."""
    planted = f", planted: {', '.join(target.plants)}" if target.plants else ""
    return f"{target.name} ({target.attn}, {target.dtype}, {target.device}{planted})"


def versions_in_words(versions: Mapping[str, str]) -> str:
    """Return package versions in the order of their names."""
    return ", ".join(f"{k} {v}" for k, v in sorted(versions.items()))


def summary_lines(report: Report, again: str, seconds: float) -> list[str]:
    """Summarize a run: what was found, what was met, what could not be judged.

    Args:
        report: what it gave.
        again: the command that draws the same cases.
        seconds: wall clock.
    """
    total: Counter[Kind] = Counter()
    for counts in report.counts.values():
        total.update(counts)
    status = Counter(f.status for f in report.findings)
    new = status["confirmed"] + status["unconfirmed"]
    lines = [
        f"{counted(sum(total.values()), 'case')} in {seconds:.0f} s: {verdicts(total)}",
        f"new findings {new}, flaky {status['flaky']}, known {len(report.known)}",
    ]
    if new:
        lines.append(
            "next: ropefuzz map, repro or bisect FILE: what fails, as a script, since when"
        )
    if report.broken:
        lines.append(f"cases that could not be judged: {total['broken']}; please report them:")
        lines += [f"  {m}" for m in report.broken[:5]]
    if report.fatal:
        lines.append(f"stopped: {report.fatal}")
    if report.interrupted:
        lines.append("stopped by Ctrl-C or SIGTERM; what was found until then is kept")
    lines.append(f"the same cases again: {again}")
    return lines


def command(target: Target, options: Options, families: Sequence[str] = ()) -> str:
    """Return the command line of a run, its seed included; what is at its default is left out.

    Args:
        target: what is fuzzed; one of several, which differ in their families.
        options: how.
        families: of all of them, where they are several.
    """
    default = Target(attn=family_of(target.family).attention)
    words = ["ropefuzz", "run"]
    words += [word for f in families or (target.family,) for word in ("--family", f)]
    words += ["--seed", str(options.seed)]
    for name in ("model", "weights", "attn", "dtype", "device"):
        if getattr(target, name) != getattr(default, name):
            words += [f"--{name}", getattr(target, name)]
    if options.properties != tuple(CLAIMS):
        words += [word for p in options.properties for word in ("--property", p)]
    if options.seconds:
        words += ["--time", f"{options.seconds:g}s"]
    elif options.cases != Options().cases:
        words += ["--cases", str(options.cases)]
    words += ["--only-images"] if options.only_images else []
    words += ["--env", options.env] if options.env else []
    if options.wrap:
        words += ["--wrap", shlex.join(options.wrap)]
    words += [word for plant in target.plants for word in ("--plant", plant)]
    return shlex.join(words)


def tally_line(done: PropertyDone) -> str:
    """Say in one line what the cases of a property gave."""
    cases = sum(done.counts.values())
    rate = done.executed / done.seconds if done.seconds else 0.0
    return (
        f"{done.property:<20} {cases:>5} cases  {done_in_words(done)}  "
        f"({done.executed} checks, {rate:.0f}/s)"
    )


def done_in_words(done: PropertyDone) -> str:
    """Return what the cases of a property gave, and how many of them say nothing."""
    known = f", {done.known} of them known" if done.known else ""
    return f"{verdicts(done.counts)}{known}{idle_in_words(done)}"


def idle_in_words(done: PropertyDone) -> str:
    """Return how many of a property's cases say nothing, "" where all say something."""
    return f", {done.idle} with nothing to compare" if done.idle else ""


def not_applicable_line(event: NotApplicable) -> str:
    """Say in one line why a property is left out."""
    return f"{event.property:<20} not applicable: {event.reason}"


def verdicts(counts: Mapping[Kind, int]) -> str:
    """Return counts by verdict in words, failures last."""
    order: tuple[Kind, ...] = (
        "pass",
        "reject",
        "fail",
        "error",
        "crash",
        "hang",
        "oom",
        "broken",
    )
    return ", ".join(f"{counts[k]} {k}" for k in order if counts.get(k)) or "none"


def _label(finding: Finding) -> str:
    if finding.status == "flaky":
        return "FLAKY"
    return "FINDING" if finding.status == "confirmed" else "FINDING (unconfirmed)"


def _claim(property_id: str) -> str:
    return sentence_of(property_id)


def last_words(finding: Finding) -> list[str]:
    """Return the lines of stderr or of a stack that say most: only where no exception says it."""
    if finding.signature.verdict not in ("crash", "hang", "oom"):
        return []
    lines = [line.rstrip() for line in finding.details.splitlines() if line.strip()]
    # A line of a flood is no line anybody reads.
    shown = [line[:160] for line in lines if _DUMP_FRAME.match(line) is None]
    if len(shown) == len(lines):
        return shown[:_WORDS]
    return _stacks(lines)


def _stacks(lines: list[str]) -> list[str]:
    """Shorten a dumped stack: what was printed before it, and the inner frames of each thread."""
    shown: list[str] = []
    frames = 0
    for line in [*lines, ""]:
        frame = _DUMP_FRAME.match(line)
        if frame is None:
            if frames > _FRAMES:
                shown.append(f"  ... and {frames - _FRAMES} more")
            frames = 0
            if line and not line.startswith("Extension modules:"):
                shown.append(line[:160])
            continue
        if frame["file"].endswith(_WRAPPER):
            continue
        frames += 1
        if frames <= _FRAMES:
            file = re.split(r"/(?:site|dist)-packages/", frame["file"])[-1]
            shown.append(f"  {file}:{frame['line']} in {frame['name']}")
    return shown
