"""Padding leaves the real tokens' logits alone, at every entry point."""

from __future__ import annotations

from dataclasses import replace

from fuzz.worker import calls
from fuzz.worker.budget import Truth, require_agreement
from fuzz.worker.inputs import collate
from fuzz.worker.subject import Subject, model_of
from strategies.case import Case


def check(subject: Subject, case: Case) -> None:
    """Run each row alone, padded to the batch's width and not padded at all.

    The padded run is fed as the case says, without its chunk lengths (they count columns, and
    would cut the two runs at different tokens); right-padded rows are fed in one piece, since
    their last columns are padding.

    Raises:
        Failed: logits differ.
    """
    prompts = calls.prompts_of(subject, case)
    width = max(len(p.ids) for p in prompts) + case.extra_padding
    plain = replace(case, chunks=())
    if case.side == "right":
        plain = replace(plain, decode=0)
    for row, prompt in enumerate(prompts):
        if len(prompt.ids) == width:
            continue
        bare = collate(subject, [prompt], case.side, attention_mask=case.attention_mask)
        padded = collate(subject, [prompt], case.side, width)
        model = model_of(subject, gain=case.gain)
        reference = calls.run(subject, model, plain, bare)
        model = model_of(subject, gain=case.gain)
        result = calls.run(subject, model, plain, padded)
        leg = f"{case.side} padding = none, {case.entry}"
        require_agreement(result, reference, Truth(subject, plain, bare), leg, first_row=row)
