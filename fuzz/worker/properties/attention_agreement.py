"""Every implementation gives the same logits, and in training the same gradients."""

from __future__ import annotations

from dataclasses import replace

from fuzz.target import FLEX
from fuzz.worker import calls, flex, training
from fuzz.worker.budget import Truth, require_agreement, require_gradients_agree
from fuzz.worker.experts import without_grouped_kernel
from fuzz.worker.implementations import other_experts, others
from fuzz.worker.release import EXPERTS_BY_LOOP
from fuzz.worker.subject import Subject, model_of
from strategies.case import Case


def check(subject: Subject, case: Case) -> None:
    """Run the case with the target's implementation of attention and with each other one.

    Where a model has experts, they are computed in each other way, too.

    Of a case that is trained on, the loss and the gradients of all parameters are compared too.

    A target that runs on flex_attention on a CPU runs such cases in eval mode: it has no backward
    pass there.

    Raises:
        Failed: logits, losses or gradients differ.
    """
    mine = subject.target.attn
    if mine == FLEX and not flex.trains(subject.target.device):
        case = replace(case, mode="eval")
    batch = calls.batch_of(subject, case)
    if case.mode == "train" and bool((training.labels_of(batch) == training.IGNORED).all()):
        # An image of a family without end markers, and nothing else: a mean of nothing.
        case = replace(case, mode="eval")
    reference = calls.run(subject, model_of(subject, gain=case.gain), case, batch)
    truth = Truth(subject, case, batch)
    for other in others(subject, case, subject.target.dtype):
        result = calls.run(subject, model_of(subject, other, case.gain), case, batch)
        leg = f"{other} = {mine}"
        require_agreement(result, reference, truth, leg)
        require_gradients_agree(result, reference, truth, leg)
    for experts in other_experts(subject, case):
        model = model_of(subject, gain=case.gain, experts=experts)
        with without_grouped_kernel():
            result = calls.run(subject, model, case, batch)
        leg = f"{experts} experts = {EXPERTS_BY_LOOP} experts"
        require_agreement(result, reference, truth, leg)
        require_gradients_agree(result, reference, truth, leg)
