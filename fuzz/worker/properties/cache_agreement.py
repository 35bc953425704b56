"""One forward = chunked prefill = token by token, for every cache; generate with = without."""

from __future__ import annotations

from fuzz.worker import calls
from fuzz.worker.budget import Truth, require_agreement
from fuzz.worker.subject import Subject, model_of
from strategies.case import Case


def check(subject: Subject, case: Case) -> None:
    """Run the case through its cache and, on fresh state, without one.

    Raises:
        Failed: logits differ.
    """
    batch = calls.batch_of(subject, case)
    cached = calls.run(subject, model_of(subject, gain=case.gain), case, batch)
    whole = calls.run(subject, model_of(subject, gain=case.gain), case, batch, split=False)
    cropped = ", cropped" if case.crop else ""
    leg = f"{case.cache} cache{cropped} = no cache, {case.entry}"
    require_agreement(cached, whole, Truth(subject, case, batch, split=False), leg)
