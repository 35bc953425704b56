"""visibility and image_independence: what a token, or an image, leaves in others."""

from __future__ import annotations

import re
from dataclasses import replace

from fuzz.errors import UsageProblem
from fuzz.repro.layout import literal
from fuzz.repro.prompts import batch_of, collate, prompt_of
from fuzz.repro.writer import DECODER, Body, Writer
from strategies.case import Case

COOL = 0.3
"""Gain of the weights that ``visibility`` looks at, whatever a case says."""

FIRST_LAYER = (
    "def look(model, inputs):  # what attention of the first layer gives",
    "    seen = []",
    f"    text = {DECODER}",
    "    text.layers[0].self_attn.register_forward_hook(lambda m, a, out: seen.append(out[0]))",
    "    model(**inputs, use_cache=False)",
    '    return seen[0].reshape(len(inputs["input_ids"][0]), -1)',
)


def visibility_body(w: Writer) -> Body:
    """Return what is run for a finding of ``visibility``.

    Raises:
        UsageProblem: the message names no token.
    """
    facts, saved = w.facts, w.saved
    case = Case(entry="forward-implicit", gain=COOL)
    prompt = prompt_of(facts, saved.case.rows[0], saved.case.seed)
    said = re.search(
        r"(text token|image) (\d+) changed, and the (\w+) of token (\d+)", saved.message
    )
    if saved.signature.verdict != "fail":
        w.model()
        batch = collate(facts, [prompt])
        w.inputs(case, batch)
        w.call(case, batch, split=False)
        return w.body()
    if said is None:
        raise UsageProblem(f"visibility of {saved.signature.what} is not supported in scripts")
    changed, token = int(said[2]), int(said[4])
    w.model()
    w.inputs(case, collate(facts, [prompt]))
    if said[1] == "image":
        rows = [p.shape[0] for p in prompt.pictures]
        span = f"{sum(rows[:changed])}:{sum(rows[: changed + 1])}"
        w.lines += [
            'other = inputs["pixel_values"].clone()',
            f"other[{span}] = torch.randn_like(other[{span}])",
            'changed = {**inputs, "pixel_values": other}',
        ]
    else:
        ids = list(prompt.ids)
        ids[changed] = (ids[changed] + 1) % facts.limit
        w.lines.append(f'changed = {{**inputs, "input_ids": torch.tensor([{literal(ids)}])}}')
    first = said[3] == "attention"
    pick = f"[{token}:{token + 1}]"
    for into, name in (("expected", "inputs"), ("got", "changed")):
        w.model()
        call = f"look(model, {name})" if first else f"model(**{name}, use_cache=False).logits[0]"
        w.lines.append(f"{into} = {call}{pick}")
    what = f"of token {token} with another {said[1]} {changed}"
    return replace(
        w.body(what, "before the change"),
        functions=(FIRST_LAYER,) if first else (),
        noun="value" if first else "logit",
        moves="did not move" in saved.message,
        plain=True,
    )


def image_body(w: Writer) -> Body:
    """Return what is run for a finding of ``image_independence``.

    Raises:
        UsageProblem: the message names no image.
    """
    facts, saved = w.facts, w.saved
    case = Case(entry="forward-implicit", gain=saved.case.gain)
    w.again = True
    together = batch_of(facts, replace(saved.case, extra_padding=0, side="left"))
    alone = [
        replace(prompt, ids=_ids_of(w, picture.cells), pictures=(picture,), end=0)
        for prompt in together.prompts
        for picture in prompt.pictures
    ]
    found = re.search(r"features of image (\d+)", saved.message)
    if w.compares and found is None:
        raise UsageProblem(f"comparing {saved.signature.what} is not supported in scripts")
    number = int(found[1]) if found else 0
    start = sum(p.pictures[0].cells for p in alone[:number])
    end = start + alone[number].pictures[0].cells
    w.model()
    w.inputs(case, together)
    w.lines.append(f"got = features(model, inputs)[{start}:{end}]")
    w.model()
    w.inputs(case, collate(facts, [alone[number]]), "alone")
    w.lines.append("expected = features(model, alone)")
    return replace(
        w.body(f"of image {number} beside others", "of the image alone"),
        functions=(_features(w),),
        noun="feature",
        plain=True,
    )


def _ids_of(w: Writer, cells: int) -> tuple[int, ...]:
    marks = w.facts.marks
    return (*marks[:1], *([w.facts.image] * cells), *marks[1:])


def _features(w: Writer) -> tuple[str, ...]:
    """Return the function that gives what leaves the vision tower, image after image."""
    if w.facts.family.placing == "grid":
        find = 'n.endswith("visual.merger")'
    elif w.facts.family.placing.startswith("grid"):
        find = 'hasattr(m, "patch_merger")'
    else:
        find = 'n.endswith("multi_modal_projector")'
    return (
        "def features(model, inputs):  # what leaves the vision tower",
        "    seen = []",
        f"    merger = next(m for n, m in model.named_modules() if {find})",
        '    note = lambda m, a, x: seen.append(getattr(x, "pooler_output", x))',
        "    merger.register_forward_hook(note)",
        "    model(**inputs, use_cache=False)",
        "    return torch.cat(seen).flatten(0, -2)",
    )
