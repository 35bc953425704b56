"""The body of a report to upstream, in Markdown."""

from __future__ import annotations

from fuzz import ledger
from fuzz.claims import sentence_of
from fuzz.families import family_of
from fuzz.regression import Regression
from fuzz.repro.script import seen_on, what_of
from strategies.words import describe


def issue_of(saved: Regression, entry: ledger.Entry | None, script: str) -> str:
    """Return the Markdown of a report: what, smallest case, expected, actual, and the script.

    Args:
        saved: the finding.
        entry: what the ledger says of it.
        script: its script.
    """
    target = saved.target
    what = what_of(saved, entry)
    family = family_of(target.family)
    expected = sentence_of(saved.property)
    told = dict(saved.said)
    images = f" ({told.pop('images')})" if "images" in told else ""
    parts = [
        ("What is wrong", f"{family.title} (`{family.architecture}`): {what}."),
        (
            "Smallest case",
            f"{describe(saved.case)}{images}; attention `{target.attn}`. The model is tiny and its "
            "weights are random; nothing is downloaded.",
        ),
        ("Expected", f"{expected[0].upper()}{expected[1:]}."),
        ("Actual", f"`{saved.message}`" if "`" not in saved.message else saved.message),
    ]
    if told:
        parts.append(("First divergence", "\n".join(f"- {n}: `{t}`" for n, t in told.items())))
    if entry is not None:
        parts.append(("Releases", f"transformers {entry.affects}. {_sentence(entry.evidence)}"))
        if entry.url:
            parts.append(("Related", entry.url))
    parts += [
        ("Environment", f"{seen_on(saved)}; device {target.device}"),
        (
            "Script",
            "It exits with 1 when this happens, with 0 when it is gone, and with 2 when that "
            f"cannot be told.\n\n```python\n{script}```",
        ),
    ]
    return "\n\n".join(f"### {title}\n\n{text}" for title, text in parts) + "\n"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
