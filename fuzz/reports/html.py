"""Runs as one page: opens from disk, asks no network, runs no script, reads well on a phone."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Final

from fuzz.claims import CLAIMS, sentence_of
from fuzz.events import Found
from fuzz.report import done_in_words, finding_rows, headline, last_words, versions_in_words
from fuzz.reports.runs import Run, counted, title_of
from strategies.words import describe

MAP: Final = ".map.svg"
"""A finding's map stands beside its file, under its name with this at the end."""

_LARGEST_MAP: Final = 500_000
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--soft:#f3f4f6;--line:#d0d4da;
--new:#b3261e;--new-paper:#fde8e6;--known:#7a5200;--known-paper:#fff3d6;--fine:#14507a;
--fine-paper:#e5f1fa;--flaky:#5b3a8c;--flaky-paper:#f0e8fa}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--paper:#15181c;--soft:#1f2329;--line:#3a4048;
--new:#ffb4ab;--new-paper:#4a1512;--known:#ffd98a;--known-paper:#3d2e06;--fine:#9ccaf0;
--fine-paper:#10293d;--flaky:#d3bcf6;--flaky-paper:#2d1f45}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:75rem;color:var(--ink);background:var(--paper);
font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2rem}h3{font-size:1rem;margin:0}
a{color:inherit}.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.85rem}
th,td{border:1px solid var(--line);padding:.3rem .5rem;text-align:left;vertical-align:top;
overflow-wrap:normal}
thead th{background:var(--soft);white-space:nowrap}
.new{color:var(--new);background:var(--new-paper)}.known{color:var(--known);
background:var(--known-paper)}.fine{color:var(--fine);background:var(--fine-paper)}
.flaky{color:var(--flaky);background:var(--flaky-paper)}.none{color:inherit;opacity:.75}
article{border:1px solid var(--line);border-left:.4rem solid var(--new);border-radius:.3rem;
padding:.8rem;margin:1rem 0}article.flaky{color:inherit;background:none;
border-left-color:var(--flaky)}
dl{display:grid;grid-template-columns:minmax(8rem,max-content) 1fr;gap:.2rem 1rem;margin:.6rem 0 0}
dt{font-weight:600}dd{margin:0}
@media(max-width:40rem){dl{display:block}dd{margin-bottom:.4rem}}
code,pre{font:.85rem/1.45 ui-monospace,monospace}
pre{background:var(--soft);padding:.6rem;overflow-x:auto;overflow-wrap:normal}
img{max-width:100%;background:#fff}
"""


def page(runs: Sequence[Run]) -> str:
    """Return the page on some runs."""
    found = [(f, f"finding-{n}") for n, f in enumerate((f for r in runs for f in r.found), 1)]
    new = sum(f.finding.status != "flaky" for f, _ in found)
    cases = sum(sum(r.cases.values()) for r in runs)
    said = f"{cases} cases, {counted(new, 'new finding')}, {len(found) - new} flaky"
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>ropefuzz: {_safe(said)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>ropefuzz: {_safe(said)}</h1>",
        *_summary(runs),
        *_matrix(runs, {id(f): name for f, name in found}),
        "<h2>Findings</h2>" if found else "",
        *(line for f, name in found for line in _finding(f, name)),
        *(line for number, run in enumerate(runs, 1) for line in _details(number, run)),
        "</body></html>",
    ]
    return "\n".join(p for p in parts if p) + "\n"


def _safe(text: str) -> str:
    """Return a text that shows as it is, whatever a failing process has put into it."""
    return escape(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", text))


def _summary(runs: Sequence[Run]) -> Iterable[str]:
    yield "<ul>"
    for number, run in enumerate(runs, 1):
        link = f'<a href="#run-{number}">{_safe(title_of(run))}</a>'
        yield f"<li>{link}: {_safe(run.headline)}</li>"
    yield "</ul>"


def _matrix(runs: Sequence[Run], names: dict[int, str]) -> Iterable[str]:
    properties = [p for p in CLAIMS if any(p in r.done or p in r.not_applicable for r in runs)]
    yield "<h2>Properties</h2>"
    yield '<div class="wide"><table><thead><tr><th scope="col">run</th>'
    yield "".join(
        f'<th scope="col" title="{_safe(sentence_of(p))}">{_safe(p)}</th>' for p in properties
    )
    yield "</tr></thead><tbody>"
    for number, run in enumerate(runs, 1):
        yield f'<tr><th scope="row"><a href="#run-{number}">{_safe(title_of(run))}</a></th>'
        yield from (_cell(run, p, names) for p in properties)
        yield "</tr>"
    yield "</tbody></table></div>"
    yield (
        "<p>In a cell: cases; new findings, flaky ones, cases with a known failure, cases that "
        "could not be judged. A finding stands with the property that it is a failure of.</p>"
    )


def _cell(run: Run, property_id: str, names: dict[int, str]) -> str:
    if reason := run.not_applicable.get(property_id):
        return f'<td class="none" title="{_safe(reason)}">not applicable</td>'
    done = run.done.get(property_id)
    mine = [f for f in run.found if f.finding.signature.property == property_id]
    if done is None and not mine:
        return '<td class="none">not run</td>'
    cases = sum(done.counts.values()) if done else 0
    said = [str(cases)]
    kind = "fine" if cases else "none"
    if done is not None and done.known:
        said.append(f"{done.known} known")
        kind = "known"
    if done is not None and (broken := done.counts.get("broken", 0)):
        said.append(f"{broken} not judged")
        kind = "new"
    for status, label in (("flaky", "flaky"), ("new", "new")):
        some = [f for f in mine if (f.finding.status == "flaky") == (status == "flaky")]
        if some:
            said.append(f'<a href="#{names[id(some[0])]}">{len(some)} {label}</a>')
            kind = status
    return f'<td class="{kind}">{"<br>".join(said)}</td>'


def _finding(found: Found, name: str) -> Iterable[str]:
    finding = found.finding
    flaky = finding.status == "flaky"
    label = {"confirmed": "Finding", "flaky": "Flaky", "unconfirmed": "Finding (unconfirmed)"}
    yield f'<article id="{name}"{" class=flaky" if flaky else ""}>'
    title = f"{label[finding.status]}: {headline(finding.signature, finding.message)}"
    yield f"<h3>{_safe(title)}</h3><dl>"
    target = finding.target
    release = finding.versions.get("transformers", "unknown")
    on = f"{target.name} ({target.attn}, {target.dtype}), transformers {release}"
    for term, text in [("on", on), *finding_rows(finding, found.path, found.note)]:
        shown = f"<code>{_safe(text)}</code>" if term in _CODE else _safe(text)
        yield f"<dt>{_safe(term)}</dt><dd>{shown}</dd>"
    yield "</dl>"
    if words := last_words(finding):
        yield f"<pre>{_safe(chr(10).join(words))}</pre>"
    if found.path is not None and (picture := _map(found.path)):
        about = _safe(f"which cases around this one fail: {describe(finding.case)}")
        yield f'<img alt="{about}" src="{picture}">'
    if finding.details:
        yield f"<details><summary>Traceback</summary><pre>{_safe(finding.details)}</pre></details>"
    yield "</article>"


_CODE: Final = ("see it again", "saved", "the case", "run under")


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


def _details(number: int, run: Run) -> Iterable[str]:
    yield f'<h2 id="run-{number}">{_safe(title_of(run))}</h2><p>{_safe(run.headline)}.</p>'
    yield '<div class="wide"><table><thead><tr><th scope="col">property</th>'
    yield '<th scope="col">claim</th><th scope="col">verdicts</th></tr></thead><tbody>'
    for name, done in run.done.items():
        yield f'<tr><th scope="row">{_safe(name)}</th><td>{_safe(sentence_of(name))}</td>'
        yield f"<td>{_safe(done_in_words(done))}</td></tr>"
    for name, reason in run.not_applicable.items():
        yield f'<tr class="none"><th scope="row">{_safe(name)}</th>'
        yield f"<td>{_safe(sentence_of(name))}</td><td>not applicable: {_safe(reason)}</td></tr>"
    yield "</tbody></table></div>"
    known = [
        f"{_safe(e.id)}: {_safe(e.reason)}" + (f" ({_link(e.url)})" if e.url else "")
        for e in run.known
    ]
    for title, items in (
        ("Could not be judged", [_safe(m) for m in run.broken]),
        ("Known failures met", known),
        ("Notes", [_safe(n) for n in run.notices]),
    ):
        if items:
            yield f"<h3>{title}</h3><ul>{''.join(f'<li>{i}</li>' for i in items)}</ul>"
    versions = versions_in_words(run.started.versions)
    yield f"<p>{_safe(versions)}; seed {run.started.seed}</p>"
    if run.ended is not None:
        yield f"<p>The same cases again:</p><pre>{_safe(run.ended.again)}</pre>"


def _link(url: str) -> str:
    # Anything else than an address of the web stays text.
    return f'<a href="{_safe(url)}">{_safe(url)}</a>' if url.startswith("https://") else _safe(url)
