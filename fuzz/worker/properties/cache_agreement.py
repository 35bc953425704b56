"""One forward = chunked prefill = token by token, for every cache; generate with = without."""

from __future__ import annotations

from fuzz.worker import calls
from fuzz.worker.compare import require_close
from fuzz.worker.exact import tolerance
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
    leg = f"{case.cache} cache = no cache, {case.entry}"
    for row, (a, b) in enumerate(calls.comparable(cached, whole)):
        require_close(a, b, tolerance(subject.target.dtype), leg, f"logits of row {row}")
