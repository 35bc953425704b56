"""What a property runs and compares, as the lines of a script."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from fuzz.repro.prompts import Batch, Prompt, batch_of, collate, prompts_of
from fuzz.repro.training import training_body
from fuzz.repro.turning import rotary_body
from fuzz.repro.writer import Body, Writer, needs_flash, of_processor
from fuzz.target import FLASH, FLEX
from strategies.case import Case, Image, Text, Video, visuals_of
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
    seen = any(map(visuals_of, (*saved.case.rows, *(c.row for c in saved.case.history))))
    if facts.family.placing == "crossing" and seen and saved.property not in _BESIDE:
        raise UsageProblem(f"{saved.property} with images beside tokens is not written in scripts")
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
    call = calls.call_of(w.facts, case, bare, "inputs", w.built).replace(
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
    before = batch_of(w.facts, case)
    after = collate(
        w.facts, prompts_of(w.facts, case, last=1), case.side, before.width, case.attention_mask
    )
    keep = len(before.prompts[row].ids) - 1
    if before.seen:
        if not isinstance(case.rows[row][-1], Text):
            keep = before.prompts[row].spans[-1][0]
        _changed_inputs(w, before, after)
    for batch, into, name in ((before, "expected", "inputs"), (after, "got", "changed")):
        w.model()
        if not before.seen:
            name = "inputs"
            w.inputs(case, batch)
        w.call(case, batch, into if w.compares else "", name, split=False)
    if w.compares:
        pick = f".split({_lengths(before)})[{row}][:{keep}]"
        w.lines.append(f"got, expected = got{pick}, expected{pick}")
    what = "last token" if isinstance(case.rows[row][-1], Text) else "last image"
    return w.body(f"with another {what}", "before the change")


def _changed_inputs(w: Writer, before: Batch, after: Batch) -> None:
    """Write inputs, and the same with the last element of each row changed."""
    w.model()
    w.inputs(w.saved.case, before)
    changed = ["**inputs"]
    if before.ids != after.ids:
        ids = ", ".join(literal(list(row)) for row in after.ids)
        changed.append(f'"input_ids": torch.tensor([{ids}])')
    for name, films in (("pixel_values", False), ("pixel_values_videos", True)):
        at, spans = 0, []
        for row, prompt in zip(w.saved.case.rows, before.prompts, strict=True):
            at += sum(p.shape[0] for p in (prompt.films if films else prompt.pictures))
            if isinstance(row[-1], Video if films else Image):
                last = (prompt.films if films else prompt.pictures)[-1]
                spans.append(f"{at - last.shape[0]}:{at}")
        if spans:
            w.lines.append(f'{name} = inputs["{name}"].clone()')
            w.lines += [f"{name}[{s}] *= -1" for s in spans]
            changed.append(f'"{name}": {name}')
    w.lines.append(f"changed = {{{', '.join(changed)}}}")


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
        return _packed_images(w, prompts)
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


def _packed_images(w: Writer, prompts: Sequence[Prompt]) -> Body:
    case, row, names = w.saved.case, w.row(), []
    w.model()
    for number, prompt in enumerate(prompts, 1):
        names.append(f"inputs_{number}")
        alone = replace(case, entry="forward-implicit")
        w.inputs(alone, collate(w.facts, [prompt], masked=False), names[-1])
        if w.facts.axes > 1 and not prompt.spans:
            types = f"mm_token_type_ids=torch.zeros(1, {len(prompt.ids)}, dtype=torch.long)"
            w.lines.append(f"{names[-1]} |= known(model.forward, {types})")
    w.lines.append(f"alone = [{', '.join(names)}]")
    if w.facts.axes > 1:
        w.lines += [
            f'owner = next(m for m in {w.built}.modules() if hasattr(m, "get_rope_index"))',
            "places = [owner.get_rope_index(**known(owner.get_rope_index, **x))[0] for x in alone]",
            "counted = [torch.arange(x.shape[-1]).expand(1, 1, -1) for x in places]",
            "whole = [torch.cat(pair) for pair in zip(counted, places)]  # sequences begin at 0",
        ]
    else:
        w.lines.append('places = [torch.arange(x["input_ids"].shape[1])[None] for x in alone]')
    w.lines += [
        'along = lambda k: 1 if k.endswith("ids") else 0',
        "join = lambda k: torch.cat([x[k] for x in alone if k in x], dim=along(k))",
        "packed = {k: join(k) for k in set().union(*alone)}",
        f'packed["position_ids"] = torch.cat({"whole" if w.facts.axes > 1 else "places"}, dim=-1)',
        "got = model(**packed, use_cache=False).logits[0]",
    ]
    for number in [row] if w.compares else range(len(prompts)):
        one = f"**alone[{number}], position_ids=places[{number}], use_cache=False"
        w.lines.append(f"expected = {w.built}({one}).logits[0]")
    if w.compares:
        w.lines.append(f"got = got.split({[len(p.ids) for p in prompts]})[{row}]")
    return w.body(f"of sequence {row} in a packed row", "of the sequence alone")


_BESIDE: Final = ("visibility",)
"""Properties that scripts show of images which layers of cross attention see."""

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
