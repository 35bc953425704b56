"""Every attention implementation gives the same logits."""

from __future__ import annotations

from fuzz.target import ATTENTION, FLASH
from fuzz.worker import calls, flash
from fuzz.worker.budget import Truth, require_agreement
from fuzz.worker.subject import Subject, model_of
from strategies.case import Case


def check(subject: Subject, case: Case) -> None:
    """Run the case with the target's implementation and with each other one.

    Raises:
        Failed: logits differ.
    """
    batch = calls.batch_of(subject, case)
    mine = subject.target.attn
    reference = calls.run(subject, model_of(subject, gain=case.gain), case, batch)
    truth = Truth(subject, case, batch)
    for other in ATTENTION:
        if other == mine or (other == FLASH and flash.obstacle(subject.target.dtype)):
            continue
        result = calls.run(subject, model_of(subject, other, case.gain), case, batch)
        require_agreement(result, reference, truth, f"{other} = {mine}")
