"""What ran before on the same model object does not change a result."""

from __future__ import annotations

from dataclasses import replace

from fuzz.worker import calls, release
from fuzz.worker.budget import Truth, require_agreement
from fuzz.worker.capture import rotary
from fuzz.worker.subject import Subject, model_of
from strategies.case import Case, media_of


def check(subject: Subject, case: Case) -> None:
    """Run the case on fresh state, and again after its history and with others' calls between.

    Raises:
        Failed: logits differ.
    """
    batch = calls.batch_of(subject, case)
    alone = replace(case, between=())
    model = model_of(subject, gain=case.gain)
    with rotary(model) as seen:
        fresh = calls.run(subject, model, alone, batch)
    used = model_of(subject, gain=case.gain)
    calls.run_history(subject, used, case)
    after = calls.run(subject, used, case, batch)
    # Images bring their own positions along; text relies on what it finds.
    content = "with images" if any(map(media_of, case.rows)) else "text only"
    limit = release.rope_settings(subject.config).limit
    if limit and max(int(p.max()) for p in seen.positions) + 1 == limit:
        # Here the choice between two sets of frequencies is made.
        content += ", up to the original maximum"
    other = "after earlier calls" if not case.between else "continued after other calls"
    leg = f"{other} = on a fresh model, {case.entry}, {content}"
    require_agreement(after, fresh, Truth(subject, alone, batch), leg)
