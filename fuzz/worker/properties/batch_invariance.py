"""A row's result does not depend on its neighbours, their images or their order."""

from __future__ import annotations

from fuzz.worker import calls
from fuzz.worker.budget import Truth, require_agreement
from fuzz.worker.inputs import collate
from fuzz.worker.subject import Subject, model_of
from strategies.case import Case


def check(subject: Subject, case: Case) -> None:
    """Run the batch, and each row alone with the same padding.

    Rows alone are fed in the batch's pieces; where positions are left to the model, a piece
    must reach past the last image of the batch, so all runs are fed as the batch is.

    Raises:
        Failed: a row's logits differ.
    """
    prompts = calls.prompts_of(subject, case)
    batch = calls.batch_of(subject, case, prompts)
    model = model_of(subject, gain=case.gain)
    together = calls.run(subject, model, case, batch)
    masked = batch.attention_mask is not None
    for row, prompt in enumerate(prompts):
        alone = collate(subject, [prompt], case.side, batch.width, masked)
        model = model_of(subject, gain=case.gain)
        single = calls.run(subject, model, case, alone)
        leg = f"in a batch = alone, {case.entry}"
        picked = calls.Result((together.logits[row],), together.tokens[row : row + 1])
        require_agreement(picked, single, Truth(subject, case, alone), leg, first_row=row)
