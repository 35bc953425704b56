"""A run as Markdown, for the summary of a CI job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fuzz.events import Found, Gated, Mapped
from fuzz.ledger import Entry
from fuzz.outcome import CHANGES, SENTENCES
from fuzz.report import finding_lines, headline, idle_in_words, verdicts, versions_in_words
from fuzz.reports.runs import Run, title_of
from strategies.words import describe

LIMIT: Final = 50
"""Findings shown in full; a job's summary may hold a megabyte."""


def markdown(runs: Sequence[Run], gates: Sequence[Gated] = ()) -> str:
    """Return the report on some runs and gates."""
    return "\n".join([*map(gate_markdown, gates), *(line for run in runs for line in _run(run))])


def gate_markdown(gate: Gated) -> str:
    """Return the report on a gate."""
    lines = [f"## {escaped(gate.verdict)}", ""]
    for sentence in gate.summary:
        lines += [f"{escaped(sentence)}.", ""]
    if gate.differences:
        lines += ["| change | property | what | smallest case | file |", "|---|---|---|---|---|"]
        for d in gate.differences:
            f = d.finding
            cells = (d.change, f.property, f.message, describe(f.case), str(d.path or "not saved"))
            lines.append(f"| {' | '.join(escaped(c) for c in cells)} |")
        lines.append("")
    for title, texts in gate.sections.items():
        lines += [f"### {title}", "", *(f"- {escaped(t)}" for t in texts), ""]
    if gate.counts:
        lines += ["| family | property | " + " | ".join(CHANGES) + " |"]
        lines += ["|---|---|" + "---|" * len(CHANGES)]
        for family, prop, counts in gate.counts:
            numbers = " | ".join(str(counts.get(c, 0)) for c in CHANGES)
            lines.append(f"| {escaped(family)} | {escaped(prop)} | {numbers} |")
        lines.append("")
    lines += [f"- **{c}**: {SENTENCES[c]}" for c in CHANGES]
    return "\n".join([*lines, "", *_block([gate.again]), ""])


def escaped(text: str) -> str:
    """Return a text as one line that Markdown shows as it is, in a table, too."""
    line = " ".join(text.split())
    for sign in ("\\", "|", "`", "*", "_", "[", "]", "#"):
        line = line.replace(sign, f"\\{sign}")
    return line.replace("&", "&amp;").replace("<", "&lt;")


def _run(run: Run) -> list[str]:
    lines = [f"## ropefuzz: {escaped(title_of(run))}", "", f"**{escaped(run.headline)}.**", ""]
    for found in run.found[:LIMIT]:
        lines += _finding(found, run.maps.get(found.finding.signature))
    if len(run.found) > LIMIT:
        lines += [f"... and {len(run.found) - LIMIT} more findings, all saved.", ""]
    if run.done:
        lines += ["| property | cases | verdicts | known |", "|---|---|---|---|"]
        for name, done in run.done.items():
            gave = f"{verdicts(done.counts)}{idle_in_words(done)}"
            cells = (name, str(sum(done.counts.values())), gave, str(done.known))
            lines.append(f"| {' | '.join(escaped(c) for c in cells)} |")
        lines.append("")
    replayed = [f"{r.status} {r.path}: {r.message}" for r in run.replayed]
    for heading, said in (
        ("Saved failures", replayed),
        ("Could not be judged", run.broken),
        ("Known failures met", [_known(e) for e in run.known]),
        ("Not applicable", [f"{name}: {why}" for name, why in run.not_applicable.items()]),
        ("Notes", run.notices),
    ):
        if said:
            lines += [f"### {heading}", "", *(f"- {escaped(text)}" for text in said), ""]
    versions = versions_in_words(run.started.versions)
    seed = "" if run.started.seed is None else f"; seed {run.started.seed}"
    lines += [f"{escaped(versions)}{seed}", ""]
    if run.ended is not None:
        lines += ["The same cases again:", "", *_block([run.ended.again]), ""]
    return lines


def _finding(found: Found, drawn: Mapped | None) -> list[str]:
    finding = found.finding
    label = "flaky" if finding.status == "flaky" else "finding"
    title = f"{label}: {headline(finding.signature, finding.message)}"
    shown = finding_lines(finding, found.path, found.note)
    shown += [f"  {'map':<19} {drawn.sentence}"] if drawn is not None else []
    return [
        "<details open>",
        f"<summary>{escaped(title)}: {escaped(describe(finding.case))}</summary>",
        "",
        *_block(shown),
        "",
        "</details>",
        "",
    ]


def _block(lines: Sequence[str]) -> list[str]:
    """Return lines as they are; the fence is longer than any in them."""
    fence = "```"
    while any(fence in line for line in lines):
        fence += "`"
    return [fence, *lines, fence]


def _known(entry: Entry) -> str:
    return f"{entry.id}: {entry.reason}{f' ({entry.url})' if entry.url else ''}"
