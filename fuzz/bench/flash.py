"""``ropefuzz bench flash``: is flash_attention_2 eager, and would it show if it was not?"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Final

from fuzz import ledger
from fuzz.bench.drawing import different
from fuzz.errors import UsageProblem
from fuzz.families import FAMILIES
from fuzz.isolation.environment import environment
from fuzz.target import FLASH, Target, target_to_plain
from fuzz.verdict import outcome_from_plain
from strategies.case import Case, has_images, to_json, to_plain
from strategies.geometry import geometry_from_plain
from strategies.validity import is_generate
from strategies.words import describe

CASES: Final = 1000
CONTROLLED: Final = 100
"""Cases that each negative control is run on."""
WINDOW: Final = 8
"""Keys that a token sees in the variant with a sliding window, itself included."""
CONTROLS: Final = ("causal dropped", "scale x 1.01", "boundaries ignored", "boundaries shifted")
WINDOWED: Final = "mistral"
"""The family of the variant with a sliding window: eager has it in every release."""
WINDOW_CONTROLS: Final = ("window ignored",)
_DRAWS: Final = 3
"""Draws for each case that is wanted: some are drawn twice."""


@dataclass(slots=True)
class Tally:
    """What the cases of one model gave.

    Attributes:
        kinds: cases by kind; one case is of several.
        verdicts: ``agree``, ``refused``, ``eager cannot``, and ids of the ledger.
        largest: largest distance of a case that agrees, and the case.
        new: failures that the ledger does not have, the first case of each and how many.
        controlled: cases that agree and were run with the controls.
        noticed: controls, by those of them that fail with it.
        first: the first case that notices a control.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    largest: tuple[float, Case | None] = (0.0, None)
    new: dict[str, tuple[Case, int]] = field(default_factory=dict)
    controlled: int = 0
    noticed: Counter[str] = field(default_factory=Counter)
    first: dict[str, Case] = field(default_factory=dict)


def main(cases: int, seed: int) -> int:
    """Measure and print; returns 1 for a failure that is not known or a control not noticed.

    Args:
        cases: how many are compared.
        seed: draws them.

    Raises:
        UsageProblem: flash_attention_2 cannot be used here.
    """
    began = time.monotonic()
    target = Target(attn=FLASH)
    with _measuring(target, target) as (ready, talk):
        release = ready["versions"]["transformers"]
        said = ", ".join(f"{k} {v}" for k, v in sorted(ready["versions"].items()))
        print(f"{said}\n{FLASH} against eager, {target.dtype}, {cases} cases of seed {seed}")
        plain = _run(target, ready, talk, cases, seed, CONTROLS)
    _show(plain, target.family, CONTROLS)
    window = _with_window(replace(target, family=WINDOWED), min(CONTROLLED, cases), seed)
    print(f"{release}: {time.monotonic() - began:.0f} s")
    missed = [c for c in CONTROLS if not plain.noticed[c]]
    missed += [c for c in WINDOW_CONTROLS if not window.noticed[c]]
    return 1 if plain.new or window.new or missed else 0


def _with_window(target: Target, cases: int, seed: int) -> Tally:
    """Compare with a sliding window; eager's one wider where flash_attention_2's is."""
    with tempfile.TemporaryDirectory() as above:
        narrow, wide = (_write_with_window(Path(above) / str(n), n) for n in (WINDOW, WINDOW + 1))
        for eager, said in ((narrow, ""), (wide, f", eager's of {WINDOW + 1}: as wide in fact")):
            targets = (replace(target, model=str(folder)) for folder in (narrow, eager))
            with _measuring(*targets) as (ready, talk):
                print(f"{WINDOWED} with a sliding window of {WINDOW}{said}, {cases} cases")
                tally = _run(target, ready, talk, cases, seed, WINDOW_CONTROLS)
            _show(tally, target.family, WINDOW_CONTROLS)
            if all(tally.noticed[c] for c in WINDOW_CONTROLS):
                break
        return tally


def _run(
    target: Target,
    ready: dict[str, Any],
    talk: subprocess.Popen[str],
    cases: int,
    seed: int,
    controls: Sequence[str],
) -> Tally:
    entries = ledger.shipped()
    release = ready["versions"]["transformers"]
    geometry = geometry_from_plain(ready["geometry"])
    tally = Tally()
    drawn = different(geometry, "attention_agreement", _DRAWS * cases, seed)[:cases]
    for case in drawn:
        wanted = controls if tally.controlled < CONTROLLED else ()
        answer = _ask(talk, {"case": to_plain(case), "controls": list(wanted)})
        for kind in kinds_of(case, answer["padded"]):
            tally.kinds[kind] += 1
        outcome = outcome_from_plain(answer["outcome"])
        signature = outcome.signature
        if outcome.verdict == "pass":
            tally.verdicts["agree"] += 1
            tally.largest = max(tally.largest, (answer["distance"], case), key=lambda x: x[0])
        else:
            if signature and outcome.verdict == "reject":
                # Only cases that have to run are drawn.
                signature = replace(signature, verdict="error")
            window = geometry.sliding_window
            entry = signature and ledger.known(entries, target, signature, case, release, window)
            where = " (in eager, too)" if answer["eager"] else ""
            if entry:
                tally.verdicts[f"known: {entry.id}{where}"] += 1
            else:
                told = (
                    f"{outcome.message}{where}" if outcome.verdict == "broken" else str(signature)
                )
                first, count = tally.new.get(told, (case, 0))
                tally.new[told] = (first, count + 1)
        tally.controlled += bool(answer["noticed"])
        for control in (c for c, shows in answer["noticed"].items() if shows):
            tally.noticed[control] += 1
            tally.first.setdefault(control, case)
    return tally


def kinds_of(case: Case, padded: bool) -> Iterator[str]:
    """Yield what kinds of case this is; the first two and the next three exclude each other.

    Args:
        case: the case.
        padded: whether any of its rows is.
    """
    yield "with an image" if has_images(case) else "text only"
    yield f"{case.side}-padded" if padded else "not padded"
    if case.decode and not is_generate(case.entry):
        yield "token by token at the end"
    if is_generate(case.entry):
        yield "generate"
    if case.chunks:
        yield "prefill in chunks"
    if case.cache == "static":
        yield "static cache"


def _show(tally: Tally, family: str, controls: Sequence[str]) -> None:
    print("  cases: " + ", ".join(f"{n} {kind}" for kind, n in tally.kinds.most_common()))
    gap, case = tally.largest
    if case is not None:
        print(f"  largest difference: {gap:.1e} ({family}: {describe(case)})")
    for verdict, n in tally.verdicts.most_common():
        print(f"  {n:>5} {verdict}")
    for told, (first, n) in tally.new.items():
        print(f"  {n:>5} NOT KNOWN: {told}\n        first: {to_json(first)}")
    for control in controls:
        noticed = f"noticed by {tally.noticed[control]} of {tally.controlled} cases"
        if control in tally.first:
            noticed += f", first {describe(tally.first[control])}"
        print(f"  {control}: {noticed}", flush=True)


@contextlib.contextmanager
def _measuring(
    target: Target, eager: Target
) -> Iterator[tuple[dict[str, Any], subprocess.Popen[str]]]:
    """Start the program that compares, and end it."""
    targets = (json.dumps(target_to_plain(t)) for t in (target, eager))
    words = [sys.executable, "-m", "fuzz.worker.flash.measure", *targets]
    with subprocess.Popen(  # noqa: S603 - our own interpreter and module
        words,
        env=environment((), os.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as talk:
        try:
            ready = _heard(talk)
            if "unusable" in ready:
                raise UsageProblem(ready["unusable"])
            yield ready, talk
        finally:
            talk.kill()


def _ask(talk: subprocess.Popen[str], request: dict[str, Any]) -> dict[str, Any]:
    _stream(talk.stdin).write(json.dumps(request) + "\n")
    _stream(talk.stdin).flush()
    return _heard(talk)


def _heard(talk: subprocess.Popen[str]) -> dict[str, Any]:
    line = _stream(talk.stdout).readline()
    if not line:
        raise ChildProcessError(f"the comparing process died with {talk.wait()}")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _stream(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise ValueError("not a pipe")
    return stream


def _write_with_window(folder: Path, window: int) -> Path:
    """Write a checkpoint's config: the family's own, with a sliding window of so many tokens."""
    folder.mkdir()
    config = {**FAMILIES[WINDOWED].config, "model_type": WINDOWED, "sliding_window": window}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder
