"""What a property runs and compares, as the lines of a script."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, takewhile
from typing import Final

from fuzz.errors import UsageProblem
from fuzz.regression import Regression
from fuzz.repro import calls
from fuzz.repro.blocks import PROCESSOR
from fuzz.repro.facts import Facts, processor_class, processor_settings
from fuzz.repro.layout import indented, literal
from fuzz.repro.prompts import Batch, batch_of, collate, prompts_of
from fuzz.target import FLASH, FLEX
from strategies.case import Case, images_of
from strategies.validity import is_generate


@dataclass(frozen=True, slots=True)
class Body:
    """What a script runs.

    Attributes:
        lines: its lines; where results are compared, ``got`` and ``expected`` are set at the end.
        got: what the first is of, in words.
        expected: what the second is of.
    """

    lines: tuple[str, ...]
    got: str = ""
    expected: str = ""


@dataclass(slots=True)
class Writer:
    """Writes what one finding's script runs.

    Attributes:
        facts: of its family.
        saved: the finding.
        lines: what is written so far.
        again: whether the same images can be in several batches.
        drawn: the pixels that are there, by their variable.
    """

    facts: Facts
    saved: Regression
    lines: list[str] = field(default_factory=list)
    again: bool = False
    drawn: dict[str, object] = field(default_factory=dict)

    @property
    def compares(self) -> bool:
        """Whether two results are compared; else a call dies, or runs where it must not."""
        return compares(self.saved)

    def inputs(self, case: Case, batch: Batch, name: str = "inputs") -> Batch:
        """Write how a batch's inputs are made; ``model`` is there."""
        lines = calls.inputs_of(self.facts, batch, name, self.pixels(batch))
        if case.entry == "forward":
            lines += calls.places_of(self.facts, case, batch, name)
            if not batch.pictures:
                lines = _merged(lines)
        if case.entry == "generate-embeds":
            embed = f'model.get_input_embeddings()({name}.pop("input_ids"))'
            lines.append(f'{name}["inputs_embeds"] = {embed}')
        self.lines += lines
        return batch

    def pixels(self, batch: Batch) -> str:
        """Return the source of the pixels of a batch's images, the same for the same images."""
        if not self.again or not batch.pictures:
            return calls.pixels_of(batch) if batch.pictures else ""
        variable = "pixels"
        if batch.pictures not in self.drawn.values():
            variable += f"_{len(self.drawn) + 1}" if self.drawn else ""
            self.drawn[variable] = batch.pictures
            self.lines.append(f"{variable} = {calls.pixels_of(batch)}")
            return variable
        return next(v for v, pictures in self.drawn.items() if pictures == batch.pictures)

    def call(
        self, case: Case, batch: Batch, into: str = "", name: str = "inputs", *, split: bool = True
    ) -> None:
        """Write a call; the logits of its real tokens go into a variable where there is one."""
        source = calls.call_of(self.facts, case, batch, name, split=split)
        if not into:
            self.lines.append(source.removesuffix(".logits"))
            return
        real = "" if is_generate(case.entry) else calls.real_of(batch, name)
        self.lines.append(f"{into} = {source}{real}")

    def model(self, attn: str = "") -> None:
        """Write that a fresh model is built."""
        self.lines.append(f'model = build("{attn or self.saved.target.attn}")')

    def history(self, case: Case) -> None:
        """Write the calls that were made before on the same model."""
        for number, call in enumerate(case.history):
            plain = Case(rows=(call.row,), entry=call.entry, seed=case.seed + 17 + number)
            if is_generate(call.entry):
                plain = replace(plain, decode=1)
            name = "earlier" + (f"_{number + 1}" if len(case.history) > 1 else "")
            batch = self.inputs(plain, batch_of(self.facts, plain), name)
            self.call(plain, batch, name=name)

    def row(self) -> int:
        """Return the row that the finding's message names, 0 where it names none."""
        found = re.search(r"of row (\d+)", self.saved.message)
        return int(found[1]) if found else 0

    def body(self, got: str = "", expected: str = "") -> Body:
        """Return what was written."""
        return Body(tidied(self.lines), got, expected)


def tidied(lines: Sequence[str]) -> tuple[str, ...]:
    """Build each model where it is used, and only where it is used twice under a name."""
    kept = list(lines)
    for _ in lines:
        for n, (one, other) in enumerate(pairwise(kept)):
            if one.startswith("model = build(") and not re.search(r"\bmodel\b", other):
                kept[n : n + 2] = other, one
    done: list[str] = []
    for n, line in enumerate(kept):
        used = sum(len(re.findall(r"\bmodel\b", x)) for x in _until_next(kept[n + 1 :]))
        if line.startswith("model = build(") and used == 1:
            kept[n + 1] = re.sub(r"\bmodel\b", line.removeprefix("model = "), kept[n + 1])
        else:
            done.append(line)
    return tuple(done)


def _until_next(lines: Sequence[str]) -> Iterator[str]:
    return takewhile(lambda line: not line.startswith("model = build("), lines)


def compares(saved: Regression) -> bool:
    """Tell whether a finding is that two results differ."""
    return saved.signature.verdict == "fail" and saved.property != "clean_rejection"


def needs_flash(saved: Regression) -> bool:
    """Tell whether a finding shows with flash_attention_2 alone."""
    what = saved.signature.what
    return saved.target.attn == FLASH or FLASH in what or what.startswith("ContractError")


def of_processor(saved: Regression) -> bool:
    """Tell whether a finding is of the image processor alone."""
    if saved.property == "clean_rejection" and saved.signature.verdict == "fail":
        return not saved.case.extra_placeholders
    return saved.signature.where.startswith("image_")


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
    if saved.case.mode == "train":
        raise UsageProblem("training is not supported in scripts")
    return write(writer)


def _merged(lines: list[str]) -> list[str]:
    """Write positions into the braces that the other inputs stand in."""
    first, *rest = lines
    kept = []
    for line in rest:
        found = re.fullmatch(r"\w+\[(\"position_ids\")\] = (.*)", line)
        if found:
            first = f"{first[:-1]}, {found[1]}: {found[2]}}}"
        else:
            kept.append(line)
    return [first, *kept]


def _processor(w: Writer) -> Body:
    case, family = w.saved.case, w.facts.family
    settings = ", ".join(f"{k}={literal(v)}" for k, v in processor_settings(family).items())
    for row in (*case.rows, *(call.row for call in case.history)):
        for image in images_of(row):
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
    pixels = calls.pixels_of(bare) if bare.pictures else ""
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
    if any(images_of(r) for r in case.rows):
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
    if any(p.pictures for p in prompts):
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
    "rotary_reference": _once,
    "cache_agreement": _cache,
    "attention_agreement": _attention,
    "padding_invariance": _padding,
    "batch_invariance": _neighbours,
    "causality": _causality,
    "state_independence": _state,
    "packing_invariance": _packing,
}
