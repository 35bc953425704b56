"""An invalid case is refused with a clear error by the library itself."""

from __future__ import annotations

from fuzz.worker import calls
from fuzz.worker.compare import hold
from fuzz.worker.failure import Failed, refused
from fuzz.worker.subject import Subject, model_of
from strategies.case import Case


def check(subject: Subject, case: Case) -> None:
    """Run an invalid case; only a refusal passes.

    Any other exception is judged by the caller.

    Raises:
        Failed: the case ran as if it were valid.
    """
    model = model_of(subject, gain=case.gain)
    try:
        calls.run(subject, model, case, calls.batch_of(subject, case))
    except Exception as error:
        if refused(error):
            hold()
            return
        raise
    what = "too many or too few image tokens" if case.extra_placeholders else "a bad image size"
    raise Failed(f"accepted {what}", "the case is invalid and ran without an error")
