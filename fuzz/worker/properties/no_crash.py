"""A valid case runs: no exception, no dead process, only finite numbers."""

from __future__ import annotations

import torch

from fuzz.worker import calls
from fuzz.worker.compare import hold
from fuzz.worker.failure import Failed
from fuzz.worker.subject import Subject, model_of
from strategies.case import Case


def check(subject: Subject, case: Case) -> None:
    """Run the case as it says; exceptions are judged by the caller.

    Raises:
        Failed: a logit of a real token is not finite.
    """
    model = model_of(subject, gain=case.gain)
    calls.run_history(subject, model, case)
    result = calls.run(subject, model, case, calls.batch_of(subject, case))
    for row, logits in enumerate(result.logits):
        hold()
        if not bool(torch.isfinite(logits).all()):
            token = int((~torch.isfinite(logits)).any(-1).nonzero()[0])
            raise Failed("finite", f"row {row}: logits are not finite at token {token}")
