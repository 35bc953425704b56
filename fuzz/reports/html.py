"""Runs as one page: opens from disk, asks no network, runs no script, reads well on a phone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from fuzz.claims import CLAIMS, sentence_of
from fuzz.events import Found, Gated
from fuzz.report import counted, done_in_words, versions_in_words
from fuzz.reports.parts import finding_part, gate_part, safe
from fuzz.reports.runs import Run, title_of
from strategies.words import describe

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
thead th{background:var(--soft)}
.matrix th{min-width:6rem}.matrix tbody th{position:sticky;left:0;background:var(--paper)}
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
figure{margin:.8rem 0}svg.map{width:100%;max-width:36rem;background:#fff;shape-rendering:crispEdges;
border:1px solid var(--line);display:block}figcaption{font-size:.85rem}
.sign{margin-right:1rem;white-space:nowrap}.sign svg{width:.8rem;height:.8rem;margin-right:.3rem;
border:1px solid var(--line)}
pre{background:var(--soft);padding:.6rem;overflow-x:auto;overflow-wrap:normal}
img{max-width:100%;background:#fff}
"""

_BESIDE: Final = 3
"""Runs that stand side by side in a table; more stand one below the other."""
_MANY: Final = 3
"""Findings from which on there is a list of them."""


def page(runs: Sequence[Run], gates: Sequence[Gated] = ()) -> str:
    """Return the page on some runs and gates."""
    found = [(f, f"finding-{n}") for n, f in enumerate((f for r in runs for f in r.found), 1)]
    drawn = {id(f): r.maps.get(f.finding.signature) for r in runs for f in r.found}
    new = sum(f.finding.status != "flaky" for f, _ in found)
    cases = sum(sum(r.cases.values()) for r in runs)
    said = f"{counted(cases, 'case')}, {counted(new, 'new finding')}, {len(found) - new} flaky"
    if replayed := sum(len(r.replayed) for r in runs):
        said = f"{counted(replayed, 'saved failure')} replayed, {said}"
    if gates and not runs:
        said = "; ".join(gate.verdict for gate in gates)
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>ropefuzz: {safe(said)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>ropefuzz: {safe(said)}</h1>",
        *(line for number, gate in enumerate(gates, 1) for line in gate_part(number, gate)),
        *_summary(runs),
        *_matrix(runs, {id(f): name for f, name in found}),
        "<h2>Findings</h2>" if found else "",
        *_contents(found, named=len(runs) > 1),
        *(line for f, name in found for line in finding_part(f, name, drawn[id(f)])),
        *(line for number, run in enumerate(runs, 1) for line in _details(number, run)),
        "</body></html>",
    ]
    return "\n".join(p for p in parts if p) + "\n"


def _summary(runs: Sequence[Run]) -> Iterable[str]:
    if not runs:
        return
    yield "<ul>"
    for number, run in enumerate(runs, 1):
        link = f'<a href="#run-{number}">{safe(title_of(run))}</a>'
        yield f"<li>{link}: {safe(run.headline)}</li>"
    yield "</ul>"


def _matrix(runs: Sequence[Run], names: dict[int, str]) -> Iterable[str]:
    properties = [p for p in CLAIMS if any(p in r.done or p in r.not_applicable for r in runs)]
    if not properties:
        return
    claims = [f'title="{safe(sentence_of(p))}">{safe(p)}' for p in properties]
    titles = [f'<a href="#run-{n}">{safe(title_of(run))}</a>' for n, run in enumerate(runs, 1)]
    yield "<h2>Properties</h2>"
    yield '<div class="wide"><table class="matrix"><thead><tr>'
    # Few runs stand side by side, so that a phone shows all there is.
    if len(runs) <= _BESIDE:
        yield '<th scope="col">property</th>'
        yield "".join(f'<th scope="col">{title}</th>' for title in titles)
        yield "</tr></thead><tbody>"
        for claim, name in zip(claims, properties, strict=True):
            yield f'<tr><th scope="row" {claim}</th>'
            yield from (_cell(run, name, names) for run in runs)
            yield "</tr>"
    else:
        yield '<th scope="col">run</th>'
        yield "".join(f'<th scope="col" {claim}</th>' for claim in claims)
        yield "</tr></thead><tbody>"
        for title, run in zip(titles, runs, strict=True):
            yield f'<tr><th scope="row">{title}</th>'
            yield from (_cell(run, p, names) for p in properties)
            yield "</tr>"
    yield "</tbody></table></div>"
    yield (
        "<p>In a cell: cases; new findings, flaky ones, cases with a known failure, cases that "
        "could not be judged. A finding stands with the property that it is a failure of.</p>"
    )


def _contents(found: Sequence[tuple[Found, str]], named: bool) -> Iterable[str]:
    if len(found) < _MANY:
        return
    yield "<ol>"
    for one, name in found:
        said = one.finding.signature
        title = f"{said.property} ({said.verdict}): {describe(one.finding.case)}"
        title = f"{one.finding.target.name}: {title}" if named else title
        yield f'<li><a href="#{name}">{safe(title)}</a></li>'
    yield "</ol>"


def _cell(run: Run, property_id: str, names: dict[int, str]) -> str:
    if reason := run.not_applicable.get(property_id):
        return f'<td class="none" title="{safe(reason)}">not applicable</td>'
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


def _details(number: int, run: Run) -> Iterable[str]:
    yield f'<h2 id="run-{number}">{safe(title_of(run))}</h2><p>{safe(run.headline)}.</p>'
    if run.done or run.not_applicable:
        yield from _properties(run)
    known = [
        f"{safe(e.id)}: {safe(e.reason)}" + (f" ({_link(e.url)})" if e.url else "")
        for e in run.known
    ]
    replayed = [safe(f"{r.status} {r.path}: {r.message}") for r in run.replayed]
    for title, items in (
        ("Saved failures", replayed),
        ("Could not be judged", [safe(m) for m in run.broken]),
        ("Known failures met", known),
        ("Notes", [safe(n) for n in run.notices]),
    ):
        if items:
            yield f"<h3>{title}</h3><ul>{''.join(f'<li>{i}</li>' for i in items)}</ul>"
    versions = versions_in_words(run.started.versions)
    seed = "" if run.started.seed is None else f"; seed {run.started.seed}"
    yield f"<p>{safe(versions)}{seed}</p>"
    if run.ended is not None:
        yield f"<p>The same cases again:</p><pre>{safe(run.ended.again)}</pre>"


def _properties(run: Run) -> Iterable[str]:
    yield '<div class="wide"><table><thead><tr><th scope="col">property</th>'
    yield '<th scope="col">claim</th><th scope="col">verdicts</th></tr></thead><tbody>'
    for name, done in run.done.items():
        yield f'<tr><th scope="row">{safe(name)}</th><td>{safe(sentence_of(name))}</td>'
        yield f"<td>{safe(done_in_words(done))}</td></tr>"
    for name, reason in run.not_applicable.items():
        yield f'<tr class="none"><th scope="row">{safe(name)}</th>'
        yield f"<td>{safe(sentence_of(name))}</td><td>not applicable: {safe(reason)}</td></tr>"
    yield "</tbody></table></div>"


def _link(url: str) -> str:
    # Anything else than an address of the web stays text.
    return f'<a href="{safe(url)}">{safe(url)}</a>' if url.startswith("https://") else safe(url)
