"""Sequences packed into one row = the same run apart."""

from __future__ import annotations

from dataclasses import replace

from fuzz.worker import calls
from fuzz.worker.budget import Truth, require_agreement
from fuzz.worker.inputs import collate, pack
from fuzz.worker.subject import Subject, model_of
from strategies.case import Case


def check(subject: Subject, case: Case) -> None:
    """Run the case's rows one after the other in a single row, and each alone.

    The packed row has no attention mask: its position ids say where a sequence begins.

    Raises:
        Failed: logits differ.
    """
    # In a packed row every sequence begins at 0, and not all models go by differences alone.
    case = replace(case, offset=0, gap=0, gap_at=0)
    prompts = calls.prompts_of(subject, case)
    model = model_of(subject, gain=case.gain)
    packed = calls.run(subject, model, case, pack(subject, prompts), split=False)
    for number, prompt in enumerate(prompts):
        model = model_of(subject, gain=case.gain)
        alone = collate(subject, [prompt], attention_mask=False)
        reference = calls.run(subject, model, case, alone, split=False)
        one = calls.Result((packed.logits[number],))
        truth = Truth(subject, case, alone, split=False)
        require_agreement(one, reference, truth, "packed = apart", first_row=number)
