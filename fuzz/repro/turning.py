"""rotary_reference: the positions that reach the rotary code, and what far ones change."""

from __future__ import annotations

import re
from dataclasses import replace

from fuzz.errors import UsageProblem
from fuzz.repro.blocks import DECODER
from fuzz.repro.prompts import batch_of
from fuzz.repro.rotations import images_body, text_body
from fuzz.repro.writer import Body, Writer

POSITIONS = (
    "def positions_in(model, call):  # as they reach the rotary module, over all calls",
    "    seen = []",
    f"    text = {DECODER}",
    '    note = lambda m, args, more: seen.append(more.get("position_ids", args[-1]))',
    "    text.rotary_emb.register_forward_pre_hook(note, with_kwargs=True)",
    "    call()",
    "    return torch.cat([p.expand(AXES, -1, -1) for p in seen], dim=-1)",
)


def rotary_body(w: Writer) -> Body:
    """Return what is run for a finding of ``rotary_reference``.

    Raises:
        UsageProblem: what differs is not shown by scripts.
    """
    what = w.saved.signature.what
    if what.startswith("position ids"):
        return _positions(w)
    if what == "far out = at 0":
        return _far_out(w)
    if what == "text rotation":
        return text_body(w)
    if what == "vision rotation":
        return images_body(w)
    raise UsageProblem(f"rotary_reference of {what} is not supported in scripts")


def _positions(w: Writer) -> Body:
    case, axes = w.saved.case, max(w.facts.axes, 3)
    told = re.search(r"row (\d+), token (\d+): .* expected \((.*?)\)", w.saved.message)
    # A model whose layers are of two kinds asks for its rotations once for each.
    text = w.facts.family.config.get("text_config", w.facts.family.config)
    if told is None or "rope_local_base_freq" in text:
        raise UsageProblem(f"{w.saved.signature.what} like this are not supported in scripts")
    w.model()
    batch = batch_of(w.facts, case)
    w.inputs(case, batch)
    row = int(told[1])
    column = batch.starts[row] + int(told[2])
    before = len(w.lines)
    w.call(case, batch)
    source = w.lines.pop(before)
    w.lines.append(f"seen = positions_in(model, lambda: {source})")
    w.lines += [
        f"got = seen[:, {row}, {column}]",
        f"expected = torch.tensor([{told[3]}])  # by the published rule",
    ]
    return replace(
        w.body(f"of token {told[2]} of row {row}", "by the published rule"),
        functions=(tuple(x.replace("AXES", str(axes)) for x in POSITIONS),),
        equal=True,
        plain=True,
    )


def _far_out(w: Writer) -> Body:
    case = replace(w.saved.case, decode=0, chunks=())
    near = replace(case, offset=0, gap=0, gap_at=0)
    batch = batch_of(w.facts, case)
    w.model()
    w.inputs(near, batch)
    w.call(near, batch, "expected", split=False)
    w.model()
    w.lines.append(f'inputs["position_ids"] = inputs["position_ids"] + {case.offset}')
    w.call(near, batch, "got", split=False)
    if len(batch.prompts) > 1:
        lengths = [len(p.ids) for p in batch.prompts]
        pick = f".split({lengths})[{w.row()}]"
        w.lines.append(f"got, expected = got{pick}, expected{pick}")
    # Rounding of the angles alone: half a unit of float64 of the position, carried on.
    slack = 50 * 2 * 2.0**-52 * case.offset
    body = w.body(f"with positions from {case.offset} on", "with positions from 0 on")
    return replace(body, slack=slack, plain=True)
