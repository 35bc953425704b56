"""Every attention implementation gives the same logits."""

from __future__ import annotations

from fuzz.target import ATTENTION, FLASH
from fuzz.worker import calls, flash
from fuzz.worker.compare import require_close
from fuzz.worker.exact import tolerance
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
    for other in ATTENTION:
        if other == mine or (other == FLASH and flash.obstacle(subject.target.dtype)):
            continue
        result = calls.run(subject, model_of(subject, other, case.gain), case, batch)
        for row, (a, b) in enumerate(calls.comparable(result, reference)):
            require_close(
                a, b, tolerance(subject.target.dtype), f"{other} = {mine}", f"logits of row {row}"
            )
