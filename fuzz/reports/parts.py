"""Parts of the page: a finding with its map, and what a gate has decided."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Final

from fuzz.events import Found, Gated, Mapped
from fuzz.finding import takes_two
from fuzz.map.draw import MIXED, SIGNS
from fuzz.outcome import CHANGES, FINE, SENTENCES
from fuzz.report import (
    finding_rows,
    headline,
    last_words,
    next_commands,
    target_in_words,
)
from strategies.words import describe

MAP: Final = ".map.svg"
"""A finding's map stands beside its file, under its name with this at the end."""

_LARGEST_MAP: Final = 500_000
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

# Okabe and Ito's colours, as in fuzz/map/plot.py, of different lightness for print.
_FILLS: Final = {
    SIGNS["fails"]: "#d55e00",
    MIXED: "#e69f00",
    SIGNS["passes"]: "#cfe8f7",
    SIGNS["refused"]: "#f0e442",
    SIGNS["other"]: "#0072b2",
    SIGNS["unjudged"]: "#999",
}
_BLANK: Final = "blank"
"""How the legend calls what is left white."""
_CELL: Final = 8


def safe(text: str) -> str:
    """Return a text that shows as it is, whatever a failing process has put into it."""
    return escape(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", text))


def finding_part(found: Found, name: str, drawn: Mapped | None = None) -> Iterable[str]:
    """Yield a finding: what broke, its case in words, its map, where it begins, its commands."""
    finding = found.finding
    flaky = finding.status == "flaky"
    label = {"confirmed": "Finding", "flaky": "Flaky", "unconfirmed": "Finding (unconfirmed)"}
    yield f'<article id="{name}"{" class=flaky" if flaky else ""}>'
    title = f"{label[finding.status]}: {headline(finding.signature, finding.message)}"
    yield f"<h3>{safe(title)}</h3><dl>"
    target = finding.target
    release = finding.versions.get("transformers", "unknown")
    on = f"{target_in_words(target)}, transformers {release}"
    rows = [("on", on), *finding_rows(finding, found.path, found.note)]
    if found.path is not None and not takes_two(finding.property, finding.signature):
        rows += next_commands(finding, found.path)
    for term, text in rows:
        shown = f"<code>{safe(text)}</code>" if term in _CODE else safe(text)
        yield f"<dt>{safe(term)}</dt><dd>{shown}</dd>"
    yield "</dl>"
    if words := last_words(finding):
        yield f"<pre>{safe(chr(10).join(words))}</pre>"
    if drawn is not None:
        yield from map_part(drawn)
    elif found.path is not None and (picture := _map(found.path)):
        about = safe(f"which cases around this one fail: {describe(finding.case)}")
        yield f'<img alt="{about}" src="{picture}">'
    if finding.details:
        yield f"<details><summary>Traceback</summary><pre>{safe(finding.details)}</pre></details>"
    yield "</article>"


_CODE: Final = (
    "see it again",
    "saved",
    "the case",
    "run under",
    "map it",
    "as a script",
    "report it",
    "since when",
)


def _map(path: Path) -> str:
    """Return a finding's map as an address that holds it whole, "" where there is none."""
    file = path.with_suffix(MAP)
    try:
        data = file.read_bytes()
    except OSError:
        return ""
    if len(data) > _LARGEST_MAP:
        return ""
    return f"data:image/svg+xml;base64,{base64.b64encode(data).decode()}"


def map_part(drawn: Mapped) -> Iterable[str]:
    """Yield a map: its picture, what it is over, what its colours mean, and its rule."""
    width, height = _CELL * max(map(len, drawn.rows)), _CELL * len(drawn.rows)
    (x0, x1), (y0, y1) = drawn.spans
    over = f"{drawn.labels[0]} {x0} to {x1} (to the right), {drawn.labels[1]} {y0} to {y1} (down)"
    yield f'<figure><svg class="map" role="img" viewBox="0 0 {width} {height}">'
    yield f"<title>{safe(f'{over}: {drawn.sentence}')}</title>"
    for y, row in enumerate(drawn.rows):
        x = 0
        for sign, run in groupby(row):
            wide = len(list(run))
            if sign in _FILLS:
                yield (
                    f'<rect x="{x * _CELL}" y="{y * _CELL}" width="{wide * _CELL}" '
                    f'height="{_CELL}" fill="{_FILLS[sign]}"/>'
                )
            x += wide
    yield "</svg><figcaption>"
    for text in drawn.legend:
        sign, _, meaning = text.partition(" ")
        fill = "#fff" if sign == _BLANK else _FILLS.get(sign)
        if fill is not None:
            box = f'<svg viewBox="0 0 9 9"><rect width="9" height="9" fill="{fill}"/></svg>'
            yield f'<span class="sign">{box}{safe(meaning)}</span>'
    yield f"<br>{safe(over)}<br><b>{safe(drawn.sentence)}</b></figcaption></figure>"


def gate_part(number: int, gate: Gated) -> Iterable[str]:
    """Yield what a gate has decided, with its findings."""
    yield f'<h2 id="gate-{number}">{safe(gate.verdict)}</h2>'
    yield f"<p>{'<br>'.join(safe(sentence) + '.' for sentence in gate.summary)}</p>"
    for n, one in enumerate(gate.differences, 1):
        found = Found(one.finding, one.path)
        yield f"<p><b>{safe(one.change)}</b>: {safe(_sentence(one.change))}</p>"
        yield from finding_part(found, f"gate-{number}-finding-{n}", one.drawn)
    for title, texts in gate.sections.items():
        yield f"<h3>{safe(title)}</h3><ul>{''.join(f'<li>{safe(t)}</li>' for t in texts)}</ul>"
    if gate.counts:
        used = [c for c in CHANGES if any(counts.get(c) for _, _, counts in gate.counts)]
        properties = list(dict.fromkeys(p for _, p, _ in gate.counts))
        yield '<div class="wide"><table><thead><tr><th scope="col">family</th>'
        yield "".join(f'<th scope="col">{safe(p)}</th>' for p in properties)
        yield "</tr></thead><tbody>"
        cells = {(f, p): counts for f, p, counts in gate.counts}
        for family in dict.fromkeys(f for f, _, _ in gate.counts):
            yield f'<tr><th scope="row">{safe(family)}</th>'
            for name in properties:
                counts = cells.get((family, name), {})
                said = "<br>".join(f"{counts[c]} {c}" for c in used if counts.get(c))
                worse = any(counts.get(c) for c in used if c not in FINE)
                kind = "new" if worse else "known" if counts.get("known") else "fine"
                yield f'<td class="{kind if said else "none"}">{said or "not run"}</td>'
            yield "</tr>"
        yield "</tbody></table></div><ul>"
        yield "".join(f"<li><b>{c}</b>: {safe(SENTENCES[c])}</li>" for c in used)
        yield "</ul>"
    yield f"<p>The same again:</p><pre>{safe(gate.again)}</pre>"


def _sentence(change: str) -> str:
    return next((text for name, text in SENTENCES.items() if name == change), "")
