"""Every attention implementation gives the same logits, and in training the same gradients."""

from __future__ import annotations

from fuzz.target import ATTENTION, FLASH
from fuzz.worker import calls, flash
from fuzz.worker.compare import require_close, require_close_gradients
from fuzz.worker.exact import tolerance
from fuzz.worker.subject import Subject, model_of
from strategies.case import Case


def check(subject: Subject, case: Case) -> None:
    """Run the case with the target's implementation and with each other one.

    Of a case that is trained on, the loss and the gradients of all parameters are compared too.

    Raises:
        Failed: logits, losses or gradients differ.
    """
    batch = calls.batch_of(subject, case)
    mine = subject.target.attn
    slack = tolerance(subject.target.dtype)
    reference = calls.run(subject, model_of(subject, gain=case.gain), case, batch)
    for other in ATTENTION:
        if other == mine or (other == FLASH and flash.obstacle(subject.target.dtype)):
            continue
        result = calls.run(subject, model_of(subject, other, case.gain), case, batch)
        leg = f"{other} = {mine}"
        for row, (a, b) in enumerate(calls.comparable(result, reference)):
            require_close(a, b, slack, leg, f"logits of row {row}")
        if result.loss is not None and reference.loss is not None:
            require_close(result.loss[None], reference.loss[None], slack, f"loss: {leg}", "loss")
            require_close_gradients(
                result.gradients, reference.gradients, slack, f"gradients: {leg}"
            )
