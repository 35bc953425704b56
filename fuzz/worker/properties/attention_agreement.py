"""Every attention implementation gives the same logits, and in training the same gradients."""

from __future__ import annotations

from dataclasses import replace

from fuzz.target import ATTENTION, FLASH, FLEX
from fuzz.worker import calls, flash, flex
from fuzz.worker.compare import require_close, require_close_gradients
from fuzz.worker.exact import gradient_tolerance, tolerance
from fuzz.worker.subject import Subject, model_of
from strategies.case import Case


def check(subject: Subject, case: Case) -> None:
    """Run the case with the target's implementation and with each other one.

    Of a case that is trained on, the loss and the gradients of all parameters are compared too.

    On a CPU flex_attention costs several times as much as the others. It is compared where the
    case's seed is 0, about every fourth time: no simplification of a case raises its seed, so
    that a comparison which failed is made again on every simpler case. There it cannot be trained
    either: a target that runs on it runs such cases in eval mode.

    Raises:
        Failed: logits, losses or gradients differ.
    """
    mine = subject.target.attn
    if mine == FLEX and not flex.trains(subject.target.device):
        case = replace(case, mode="eval")
    batch = calls.batch_of(subject, case)
    slack = tolerance(subject.target.dtype)
    reference = calls.run(subject, model_of(subject, gain=case.gain), case, batch)
    for other in ATTENTION:
        if other == mine or not _compared(subject, case, other):
            continue
        result = calls.run(subject, model_of(subject, other, case.gain), case, batch)
        leg = f"{other} = {mine}"
        for row, (a, b) in enumerate(calls.comparable(result, reference)):
            require_close(a, b, slack, leg, f"logits of row {row}")
        if result.loss is not None and reference.loss is not None:
            require_close(result.loss[None], reference.loss[None], slack, f"loss: {leg}", "loss")
            limit = gradient_tolerance(subject.target.dtype)
            require_close_gradients(
                result.gradients, reference.gradients, limit, f"gradients: {leg}"
            )


def _compared(subject: Subject, case: Case, other: str) -> bool:
    target = subject.target
    if other == FLASH:
        return not flash.obstacle(target.dtype)
    if other == FLEX:
        possible = case.mode == "eval" or flex.trains(target.device)
        return possible and case.seed == 0 and not flex.obstacle()
    return True
