"""What a property runs and compares, as the lines of a script."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from fuzz.errors import UsageProblem
from fuzz.regression import Regression
from fuzz.repro import calls
from fuzz.repro.blocks import PROCESSOR
from fuzz.repro.facts import Facts, processor_class, processor_settings
from fuzz.repro.generating import generation_body
from fuzz.repro.layout import indented, literal
from fuzz.repro.looking import image_body, visibility_body
from fuzz.repro.prompts import Batch, batch_of, collate, prompts_of
from fuzz.repro.training import training_body
from fuzz.repro.turning import rotary_body
from fuzz.repro.writer import Body, Writer, needs_flash, of_processor
from fuzz.target import FLASH, FLEX
from strategies.case import Case, visuals_of
from strategies.validity import is_generate


def body_of(facts: Facts, saved: Regression) -> Body:
    """Return what is run for a finding.

    Raises:
        UsageProblem: a script cannot run it.
    """
    writer = Writer(facts, saved)
    if of_processor(saved):
        return _processor(writer)
    write = _WRITERS.get(saved.property)
    if write is None:
        raise UsageProblem(f"{saved.property} is not supported in scripts")
    if saved.case.crop or saved.case.between or saved.case.cache not in ("dynamic", "static"):
        raise UsageProblem("cropping, calls in between and such caches are not written in scripts")
    if saved.case.mode == "train":
        return training_body(writer)
    return write(writer)


def _processor(w: Writer) -> Body:
    case, family = w.saved.case, w.facts.family
    settings = ", ".join(f"{k}={literal(v)}" for k, v in processor_settings(family).items())
    for row in (*case.rows, *(call.row for call in case.history)):
        for image in visuals_of(row):
            w.lines += [
                line.format(
                    name=processor_class(family),
                    settings=settings,
                    width=image.width,
                    height=image.height,
                )
                for line in PROCESSOR
            ]
    return w.body()


def _once(w: Writer) -> Body:
    case, signature = w.saved.case, w.saved.signature
    if w.compares and signature.what != "finite":
        raise UsageProblem(f"{w.saved.property} of {signature.what} is not supported in scripts")
    w.model()
    w.history(case)
    inputs = w.inputs(case, batch_of(w.facts, case))
    w.call(case, inputs, "got" if w.compares else "")
    if w.compares:
        w.lines += ["expected = (got[0] if isinstance(got, tuple) else got).nan_to_num(0, 0, 0)"]
        w.lines += ["got = got[0] if isinstance(got, tuple) else got"]
    return w.body("in a valid case", "any finite number")


def _rotary(w: Writer) -> Body:
    return rotary_body(w) if w.compares else _once(w)


def _cache(w: Writer) -> Body:
    case = w.saved.case
    w.model()
    inputs = w.inputs(case, batch_of(w.facts, case))
    w.call(case, inputs, "got")
    w.model()
    w.call(case, inputs, "expected", split=False)
    how = "generate" if is_generate(case.entry) else "one forward"
    return w.body(f"with a {case.cache} cache", f"in {how} without")


def _attention(w: Writer) -> Body:
    case, saved = w.saved.case, w.saved
    leg = re.fullmatch(r"(\w+) = (\w+)", saved.signature.what)
    if w.compares and leg is None:
        raise UsageProblem(f"comparing {saved.signature.what} is not supported in scripts")
    attns = leg.groups() if leg is not None else tuple(_implementations(saved))
    inputs = None
    for attn, into in zip(attns, ("got", "expected", ""), strict=False):
        w.model(attn)
        inputs = inputs or w.inputs(case, batch_of(w.facts, case))
        w.call(case, inputs, into if w.compares else "")
    return w.body(*(f"with {attn}" for attn in attns)) if leg is not None else w.body()


def _implementations(saved: Regression) -> Iterator[str]:
    """Yield the implementations that a call which dies is made with."""
    if "BlockMask" in saved.message or "flex" in saved.message:
        yield FLEX
    elif needs_flash(saved):
        yield FLASH
    else:
        yield from dict.fromkeys((saved.target.attn, "sdpa", "eager"))


def _padding(w: Writer) -> Body:
    w.again = True
    case = replace(w.saved.case, chunks=())
    if case.side == "right":
        case = replace(case, decode=0)
    prompts = prompts_of(w.facts, case)
    width = max(len(p.ids) for p in prompts) + case.extra_padding
    if not w.compares and len(prompts) == 1 and (lines := _both_widths(w, case, width)):
        w.lines += lines
        return w.body()
    named = "of row" in w.saved.message
    for number, prompt in enumerate(prompts):
        if len(prompt.ids) == width or (named and number != w.row()):
            continue
        bare = collate(w.facts, [prompt], case.side, masked=case.attention_mask)
        padded = collate(w.facts, [prompt], case.side, width)
        for batch, into in ((bare, "expected"), (padded, "got")):
            w.model()
            w.inputs(case, batch)
            w.call(case, batch, into if w.compares else "")
    return w.body(f"with {case.side} padding", "without padding")


def _both_widths(w: Writer, case: Case, width: int) -> list[str]:
    """Return a loop over no padding and padding, where its rounds differ in that alone."""
    (prompt,) = prompts_of(w.facts, case)
    if case.side == "right" or case.entry not in ("forward-implicit", "generate"):
        return []
    bare = collate(w.facts, [prompt])
    padded = collate(w.facts, [prompt], width=width)
    lack = padded.starts[0]
    cuts = [calls.feed_of(w.facts, case, batch, split=True).cuts for batch in (bare, padded)]
    if cuts[1] != tuple(c + lack for c in cuts[0]) or not case.attention_mask:
        return []
    call = calls.call_of(w.facts, case, bare, "inputs").replace(
        str(list(cuts[0])), f"[{', '.join(f'{c} + n' for c in cuts[0])}]"
    )
    if bare.films:
        return []
    pixels = calls.pixels_of(bare.pictures) if bare.pictures else ""
    inner = [
        f'model = build("{w.saved.target.attn}")',
        *calls.inputs_of(w.facts, bare, "inputs", pixels, lack="n"),
        call.removesuffix(".logits"),
    ]
    return [f"for n in (0, {lack}):  # columns of padding", *indented(inner)]


def _neighbours(w: Writer) -> Body:
    w.again = True
    case, row = w.saved.case, w.row()
    together = batch_of(w.facts, case)
    w.model()
    w.inputs(case, together)
    w.call(case, together, "together" if w.compares else "")
    for number in [row] if w.compares else range(len(together.prompts)):
        prompts = [together.prompts[number]]
        alone = collate(w.facts, prompts, case.side, together.width, together.masked)
        w.model()
        w.inputs(case, alone)
        w.call(case, alone, "expected" if w.compares else "")
    if w.compares and is_generate(case.entry):
        w.lines.append(f"got = tuple(part[{row} : {row + 1}] for part in together)")
    elif w.compares:
        w.lines.append(f"got = together.split({_lengths(together)})[{row}]")
    return w.body(f"of row {row} in its batch", "of the row alone")


def _lengths(batch: Batch) -> list[int]:
    return [len(p.ids) for p in batch.prompts]


def _causality(w: Writer) -> Body:
    case, row = w.saved.case, w.row()
    if any(visuals_of(r) for r in case.rows):
        raise UsageProblem("causality with images is not supported in scripts")
    before = batch_of(w.facts, case)
    after = collate(
        w.facts, prompts_of(w.facts, case, last=1), case.side, before.width, case.attention_mask
    )
    for batch, into in ((before, "expected"), (after, "got")):
        w.model()
        w.inputs(case, batch)
        w.call(case, batch, into if w.compares else "", split=False)
    if w.compares:
        pick = f".split({_lengths(before)})[{row}][:-1]"
        w.lines.append(f"got, expected = got{pick}, expected{pick}")
    return w.body("with another last token", "before the change")


def _state(w: Writer) -> Body:
    case = w.saved.case
    w.model()
    inputs = w.inputs(case, batch_of(w.facts, case))
    w.call(case, inputs, "expected" if w.compares else "")
    w.model()
    w.history(case)
    w.call(case, inputs, "got" if w.compares else "")
    calls_made = "calls" if len(case.history) > 1 else "call"
    return w.body(f"after the earlier {calls_made}", "on a fresh model")


def _packing(w: Writer) -> Body:
    case, row = w.saved.case, w.row()
    prompts = prompts_of(w.facts, case)
    if any(p.spans for p in prompts):
        raise UsageProblem("packed images are not supported in scripts")
    ids = [i for p in prompts for i in p.ids]
    places = [n for p in prompts for n in range(len(p.ids))]
    axes = ".expand(4, 1, -1)" if w.facts.axes > 1 else ""
    w.model()
    w.lines += [
        f'packed = {{"input_ids": torch.tensor([{ids}])}}',
        f'packed["position_ids"] = torch.tensor([{places}]){axes}',
        "got = model(**packed, use_cache=False).logits[0]",
    ]
    for number in [row] if w.compares else range(len(prompts)):
        alone = collate(w.facts, [prompts[number]], masked=False)
        w.model()
        w.inputs(case, alone)
        w.call(case, alone, "expected" if w.compares else "", split=False)
    if w.compares:
        w.lines.append(f"got = got.split({[len(p.ids) for p in prompts]})[{row}]")
    return w.body(f"of sequence {row} in a packed row", "of the sequence alone")


_WRITERS: Final[Mapping[str, Callable[[Writer], Body]]] = {
    "no_crash": _once,
    "clean_rejection": _once,
    "rotary_reference": _rotary,
    "cache_agreement": _cache,
    "attention_agreement": _attention,
    "padding_invariance": _padding,
    "batch_invariance": _neighbours,
    "causality": _causality,
    "state_independence": _state,
    "packing_invariance": _packing,
    "generation_agreement": generation_body,
    "visibility": visibility_body,
    "image_independence": image_body,
}
