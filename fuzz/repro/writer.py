"""Writing what a script runs, line by line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise, takewhile

from fuzz.regression import Regression
from fuzz.repro import calls
from fuzz.repro.facts import Facts
from fuzz.repro.prompts import Batch, Picture, batch_of
from fuzz.target import FLASH
from strategies.case import Case
from strategies.validity import is_generate


@dataclass(frozen=True, slots=True)
class Body:
    """What a script runs.

    Attributes:
        lines: its lines; where results are compared, ``got`` and ``expected`` are set at the end.
        got: what the first is of, in words.
        expected: what the second is of.
        functions: those that the lines call, beside those that many scripts have.
        noun: what is compared, one of many.
        plain: whether both are tensors; else what generate gives is logits and tokens.
        moves: whether the two have to differ.
        equal: whether they are whole numbers, and equal.
        slack: what they may differ by beside rounding of results, relative to 1 plus the largest.
    """

    lines: tuple[str, ...]
    got: str = ""
    expected: str = ""
    functions: tuple[tuple[str, ...], ...] = ()
    noun: str = "logit"
    plain: bool = False
    moves: bool = False
    equal: bool = False
    slack: float = 0.0


@dataclass(slots=True)
class Writer:
    """Writes what one finding's script runs.

    Attributes:
        facts: of its family.
        saved: the finding.
        lines: what is written so far.
        again: whether the same images can be in several batches.
        drawn: the pixels that are there, by their variable.
        built: the source of a fresh model, "" for one of the target's attention.
        dtype: the source of the dtype that pixels are drawn in.
    """

    facts: Facts
    saved: Regression
    lines: list[str] = field(default_factory=list)
    again: bool = False
    drawn: dict[str, tuple[Picture, ...]] = field(default_factory=dict)
    built: str = ""
    dtype: str = "model.dtype"

    def __post_init__(self) -> None:
        """Take the model that most scripts build."""
        self.built = self.built or f'build("{self.saved.target.attn}")'

    @property
    def compares(self) -> bool:
        """Whether two results are compared; else a call dies, or runs where it must not."""
        return compares(self.saved)

    def inputs(self, case: Case, batch: Batch, name: str = "inputs") -> Batch:
        """Write how a batch's inputs are made; ``model`` is there."""
        pixels, frames = self.pixels(batch.pictures), self.pixels(batch.films, "frames")
        lines = calls.inputs_of(self.facts, batch, name, pixels, frames)
        if case.entry == "forward":
            lines += calls.places_of(self.facts, case, batch, name, self.built)
            if not batch.seen:
                lines = _merged(lines)
        if case.entry == "generate-embeds":
            embed = f'model.get_input_embeddings()({name}.pop("input_ids"))'
            lines.append(f'{name}["inputs_embeds"] = {embed}')
        self.lines += lines
        return batch

    def pixels(self, pictures: tuple[Picture, ...], kind: str = "pixels") -> str:
        """Return the source of the pixels of images or videos, the same for the same ones.

        Args:
            pictures: what is drawn.
            kind: the variable that they go into, where they are used again.
        """
        if not self.again or not pictures:
            return calls.pixels_of(pictures, self.dtype) if pictures else ""
        for variable, drawn in self.drawn.items():
            if (place := _place(drawn, pictures)) is not None:
                return variable + place
        variable = kind + (f"_{len(self.drawn) + 1}" if self.drawn else "")
        self.drawn[variable] = pictures
        self.lines.append(f"{variable} = {calls.pixels_of(pictures, self.dtype)}")
        return variable

    def call(
        self, case: Case, batch: Batch, into: str = "", name: str = "inputs", *, split: bool = True
    ) -> None:
        """Write a call; the logits of its real tokens go into a variable where there is one."""
        source = calls.call_of(self.facts, case, batch, name, self.built, split=split)
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


def _place(drawn: Sequence[Picture], wanted: Sequence[Picture]) -> str | None:
    """Return the index that picks some images out of those that were drawn together.

    "" stands for all of them, None for that they are not there. Two images of one size are two.
    """
    for first in range(len(drawn) - len(wanted) + 1):
        if all(a is b for a, b in zip(drawn[first:], wanted, strict=False)):
            if len(drawn) == len(wanted):
                return ""
            ends = [0, *accumulate(picture.shape[0] for picture in drawn)]
            return f"[{ends[first]}:{ends[first + len(wanted)]}]"
    return None


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
