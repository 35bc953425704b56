"""float16 and bfloat16: two runs held against float64 on the same weights."""

from __future__ import annotations

import re

from fuzz.errors import UsageProblem
from fuzz.repro.prompts import batch_of
from fuzz.repro.writer import Body, Writer, tidied
from fuzz.target import FLASH


def text(w: Writer) -> str:
    """Return what is written so far."""
    return "\n".join(w.lines)


def low_body(w: Writer, dtype: str) -> Body:
    """Return what is run for a finding of ``low_precision``; it sets ``truth``, too.

    Args:
        w: of the finding.
        dtype: that it is about.

    Raises:
        UsageProblem: a script cannot run it.
    """
    case, what, mine = w.saved.case, w.saved.signature.what, w.saved.target.attn
    made = f"torch.{dtype}"
    batch = batch_of(w.facts, case)
    if found := re.fullmatch(r"(\w+) = (\w+) in \w+", what):
        runs = [("got", made, found[1]), ("expected", made, found[2])]
        words = (f"{found[1]} in {dtype}", found[2])
    elif re.fullmatch(r"cast to \w+ = built in \w+(, rotary frequencies)?", what):
        runs = [("got", "torch.float32", mine), ("expected", made, mine)]
        words = (f"a model cast to {dtype}", f"one built in {dtype}")
    else:
        raise UsageProblem(f"comparing {what} is not supported in scripts")
    runs.append(("truth", "torch.float64", mine if mine != FLASH else "sdpa"))
    pixels: list[str] = []
    w.dtype = "torch.float32"  # as a processor gives them
    for number, (into, built, attn) in enumerate(runs):
        w.lines.append(f'model = build({built}, {made}, "{attn}")')
        w.built = f'build({built}, {made}, "{attn}")'
        if number == 0:
            w.inputs(case, batch)
            pixels = [n for n in ("pixel_values", "pixel_values_videos") if f'"{n}"' in text(w)]
            w.lines += [f'{n} = inputs["{n}"]' for n in pixels]
        w.lines += [f'inputs["{n}"] = {n}.to(model.dtype)' for n in pixels]
        w.call(case, batch, into)
    return Body(tidied(w.lines), *words)
