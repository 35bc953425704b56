"""Cases that are trained on: one step's loss and gradients."""

from __future__ import annotations

import re
from dataclasses import replace

from fuzz.errors import UsageProblem
from fuzz.repro.layout import literal
from fuzz.repro.prompts import Batch, batch_of
from fuzz.repro.writer import Body, Writer

IGNORED = -100

TRAIN = (
    "def train(model, inputs, labels):  # one forward and its loss backward",
    "    out = model.train()(**inputs, labels=labels, use_cache=False)",
    "    out.loss.backward()",
    "    return model, out",
)


def training_body(w: Writer) -> Body:
    """Return what is run for a finding on a case that is trained on.

    Raises:
        UsageProblem: a script cannot run it.
    """
    case, what = w.saved.case, w.saved.signature.what
    leg = re.fullmatch(r"(?:(loss|gradients): )?(\w+) = (\w+)", what)
    if case.history or (w.compares and what != "finite" and leg is None):
        raise UsageProblem(f"training that fails by {what} is not supported in scripts")
    attns = leg.groups()[1:] if w.compares and leg is not None else (w.saved.target.attn,)
    kind = (leg[1] or "logits") if leg is not None else "logits"
    batch = batch_of(w.facts, case)
    pick = {"logits": ".logits.detach()", "loss": ".loss.detach()[None]"}.get(kind, "")
    for number, (attn, into) in enumerate(zip(attns, ("got", "expected"), strict=False)):
        w.model(attn)
        if number == 0:
            w.inputs(case, batch)
            w.lines.append(f"labels = torch.tensor({literal(labels_of(w, batch))})")
            w.lines += [f'name = "{_parameter(w)}"'] if kind == "gradients" else []
        call = "train(model, inputs, labels)"
        if kind == "gradients":
            w.lines.append(f"{into} = {call}[0].get_parameter(name).grad")
        elif w.compares:
            w.lines.append(f"{into} = {call}[1]{pick}")
        else:
            w.lines.append(call)
    if w.compares and what == "finite":
        w.lines.append("expected = got.nan_to_num(0, 0, 0)")
    if w.compares and kind == "logits" and batch.padded:
        w.lines += [
            'real = inputs["attention_mask"].bool()',
            "got, expected = got[real], expected[real]",
        ]
    words = [f"with {attn}" for attn in attns] if leg is not None else ["trained", "a number"]
    nouns = {"loss": "loss", "gradients": "gradient", "logits": "logit"}
    body = w.body(words[0], words[-1])
    return replace(body, functions=(TRAIN,), noun=nouns[kind], plain=True)


def labels_of(w: Writer, batch: Batch) -> list[list[int]]:
    """Return what is to be predicted: neither padding, nor an image, nor a row's first token."""
    rows = []
    for start, prompt in zip(batch.starts, batch.prompts, strict=True):
        told = [IGNORED, *(IGNORED if i == w.facts.image else i for i in prompt.ids[1:])]
        told = told[: len(prompt.ids)]
        rest = batch.width - start - len(told)
        rows.append([IGNORED] * start + told + [IGNORED] * rest)
    return rows


def _parameter(w: Writer) -> str:
    found = re.search(r"the gradient of (\S+) differs", w.saved.message)
    if found is None:
        raise UsageProblem("gradients in low precision are not supported in scripts")
    return found[1]
