"""What a gate tells: one clear verdict, and what it rests on."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from fuzz.events import Differing, Gated
from fuzz.gate.changed import Reach, Statement
from fuzz.gate.result import EXIT_CODES, Difference, Result
from fuzz.outcome import CHANGES, SENTENCES, Change
from fuzz.regression import GATE
from strategies.words import describe

_SHOWN: Final = 8


def tally_line(family: str, property_id: str, counts: Mapping[Change, int], seconds: float) -> str:
    """Say in one line what the cases of a property gave."""
    cases = sum(counts.values())
    return f"{family:<15} {property_id:<20} {cases:>5} cases  {in_words(counts)}  ({seconds:.0f} s)"


def in_words(counts: Mapping[Change, int]) -> str:
    """Return counts of changes in words."""
    return ", ".join(f"{counts[c]} {c}" for c in CHANGES if counts.get(c)) or "none"


def verdict_lines(result: Result, blocking: Collection[Change], again: str) -> list[str]:
    """Return the end of a gate's report; its last line is the verdict.

    Args:
        result: what was found.
        blocking: the changes that block.
        again: the command line that does the same once more.
    """
    total = result.total()
    lines = [f"{sum(total.values())} fresh cases: {in_words(total)}"]
    if total["passing"]:
        lines.append(f"passing: {SENTENCES['passing']}")
    lines.append(reach_line(result.reach))
    lines += _some("changed, and not run", [_missed(m) for m in result.reach.missed()])
    if result.replays:
        replays = Counter(r.change for r in result.replays)
        lines.append(f"{len(result.replays)} saved regressions: {in_words(replays)}")
    lines += _some("fixed by the candidate", list(result.fixed.values()))
    lines += _some("fails in another way now", list(result.shifted.values()))
    lines += _some("left out", result.skipped)
    if result.unjudged:
        said = [f"{text} ({n} times)" if n > 1 else text for text, n in result.unjudged.items()]
        lines += _some("could not be judged", said)
    for difference in result.differences:
        lines.append(f"{difference.change:<10} {_difference(difference)}")
    lines += _since(result)
    if result.interrupted:
        lines.append("stopped by Ctrl-C or SIGTERM; what was found until then is kept")
    lines.append(f"the same again: {again}")
    lines.append(verdict_line(result, blocking))
    return lines


def reach_line(reach: Reach) -> str:
    """Say in one line how much of what changed has run."""
    if not reach.files:
        return "changed code: none was looked for, both run the same files"
    if not reach.statements:
        return f"changed code: none in the {len(reach.files)} files under test"
    total, ran = len(reach.statements), len(reach.reached)
    return (
        f"changed code: {ran} of {total} statements ran in the candidate ({100 * ran // total} %), "
        f"in {len({s.file for s in reach.statements})} of {len(reach.files)} files under test"
    )


def _missed(missed: tuple[str, str, Sequence[Statement]]) -> str:
    file, function, statements = missed
    lines: list[list[int]] = []
    for s in statements:
        if lines and s.line <= lines[-1][1] + 1:
            lines[-1][1] = max(lines[-1][1], s.end)
        else:
            lines.append([s.line, s.end])
    shown = ", ".join(f"{a}-{b}" if b > a else str(a) for a, b in lines[:_SHOWN])
    more = ", ..." if len(lines) > _SHOWN else ""
    count = f"{len(statements)} statement{'s' if len(statements) > 1 else ''}"
    word = "line" if shown.isdigit() else "lines"
    return f"{file}: {function}, {count} ({word} {shown}{more})"


def verdict_line(result: Result, blocking: Collection[Change]) -> str:
    """Return the verdict in one sentence."""
    verdict = result.verdict(blocking)
    what = f"transformers {result.baseline} -> {result.candidate}"
    reasons = result.reasons(blocking)
    if verdict == "blocked":
        return f"BLOCKED: {what}: {in_words(reasons)}"
    if verdict == "pass":
        other = Counter(d.change for d in result.differences if d.change not in blocking)
        beside = f"; not blocking: {in_words(other)}" if other else ""
        return f"PASS: {what}: nothing that blocks{beside}"
    why = "it was stopped" if result.interrupted else in_words(reasons)
    return f"COULD NOT JUDGE: {what}: {why if why != 'none' else 'nothing was checked'}"


def gated(result: Result, blocking: Collection[Change], again: str) -> Gated:
    """Return what a gate has decided, as reports are told."""
    replays = [r for r in result.replays if r.change not in ("same", "known")]
    sections = {
        "Saved regressions": [f"{r.change}: {r.path}: {r.text}" for r in replays],
        "Could not be judged": list(result.unjudged),
        "Fixed by the candidate": list(result.fixed.values()),
        "Fails in another way now": list(result.shifted.values()),
        "Left out": result.skipped,
        "Changed, and not run": [_missed(m) for m in result.reach.missed()],
    }
    total = result.total()
    return Gated(
        verdict=verdict_line(result, blocking),
        summary=(
            f"{sum(total.values())} fresh cases: {in_words(total)}",
            reach_line(result.reach).capitalize(),
        ),
        differences=tuple(
            Differing(d.change, d.finding, d.path, d.drawn) for d in result.differences
        ),
        sections={title: tuple(texts) for title, texts in sections.items() if texts},
        counts=tuple(
            (f, p, {str(c): n for c, n in counts.items()})
            for (f, p), counts in result.counts.items()
        ),
        exit_code=EXIT_CODES[result.verdict(blocking)],
        again=again,
    )


def _since(result: Result) -> list[str]:
    """Offer to look for the first release with a regression, where releases lie between."""
    for d in result.differences:
        if d.change == "regressed" and d.path is not None and d.path.parent.name != GATE:
            words = ["ropefuzz", "bisect", str(d.path)]
            words += ["--good", result.baseline, "--bad", result.candidate]
            return [f"since which release: {shlex.join(words)}"]
    return []


def _difference(difference: Difference) -> str:
    finding = difference.finding
    where = f" ({difference.path})" if difference.path else ""
    return f"{finding.property}: {finding.message}: {describe(finding.case)}{where}"


def _some(title: str, texts: Sequence[str]) -> list[str]:
    if not texts:
        return []
    more = len(texts) - _SHOWN
    end = [f"  ... and {more} more"] if more > 0 else []
    return [f"{title}:", *(f"  {text}" for text in texts[:_SHOWN]), *end]
