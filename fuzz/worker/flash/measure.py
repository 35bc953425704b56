"""How far flash_attention_2 is from eager: ``python -m fuzz.worker.flash.measure TARGET EAGER``.

Both are targets as JSON, the second as the first but for its config. Prints a line of JSON once
ready, then one for each line that it reads: a case, and the negative controls to run it with.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from fuzz.target import FLASH, target_from_plain
from fuzz.verdict import Outcome, Signature, outcome_to_plain
from fuzz.worker import serve
from fuzz.worker.errors import WorkerSetupError
from strategies.case import Case, from_plain

EAGER = "eager"
LEG = f"{FLASH} = {EAGER}"


def main(target: dict[str, Any], eager: dict[str, Any]) -> None:
    """Build both models, say so, answer until standard input ends.

    Args:
        target: of :func:`fuzz.target.target_to_plain`, with flash_attention_2.
        eager: what eager attention runs on.
    """
    # Ours alone: some releases print, which goes to standard error from here on.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        versions = serve.load(target)
    except WorkerSetupError as problem:
        print(json.dumps({"unusable": str(problem)}), file=answers)
        return
    from fuzz.worker.geometry import geometry_of
    from fuzz.worker.subject import make_subject
    from strategies.geometry import geometry_to_plain

    subject = make_subject(target_from_plain(target), lambda _: None)
    reference = make_subject(target_from_plain(eager), lambda _: None)
    ready = {"versions": versions, "geometry": geometry_to_plain(geometry_of(subject))}
    print(json.dumps(ready), file=answers)
    for line in sys.stdin:
        request = json.loads(line)
        answer = measured(subject, reference, from_plain(request["case"]), request["controls"])
        print(json.dumps(answer), file=answers)


def measured(subject: Any, eager: Any, case: Case, controls: list[str]) -> dict[str, Any]:
    """Return what comparing a case gave.

    Args:
        subject: the subject.
        eager: what eager attention runs on: the same, or with another config.
        case: the case.
        controls: names of :data:`fuzz.worker.flash.controls.CONTROLS`.

    Returns:
        ``padded``, whether any row is; ``outcome``, ``distance`` (None where there is none), and
        ``eager``, whether it is eager that could not be run; ``noticed``: for each control whether
        a case that passes without it fails with it; empty for a case that fails anyhow.
    """
    from fuzz.worker import calls, release
    from fuzz.worker.compare import distance
    from fuzz.worker.exact import lane, tolerance
    from fuzz.worker.failure import raised
    from fuzz.worker.flash.controls import in_place
    from fuzz.worker.subject import model_of

    dtype = subject.target.dtype

    def logits(attn: str) -> Any:
        built = eager if attn == EAGER else subject
        return calls.run(built, model_of(built, attn, case.gain), case, batch)

    def gap(result: Any, reference: Any) -> float:
        pairs = calls.comparable(result, reference)
        gaps = [distance(a, b) for a, b in pairs]
        return max(gaps) if all(g == g for g in gaps) else float("inf")

    vision = release.vision_config(subject.config)
    vision_heads = vision.num_heads if vision else 0
    answer: dict[str, Any] = {"padded": False, "distance": None, "eager": True, "noticed": {}}
    with lane(dtype):
        try:
            batch = calls.batch_of(subject, case)
            answer["padded"] = any(len(p.ids) < batch.width for p in batch.prompts)
            reference = logits(EAGER)
            answer["eager"] = False
            apart = gap(logits(FLASH), reference)
        except Exception as error:
            return {**answer, "outcome": outcome_to_plain(raised(error))}
        outcome = Outcome("pass")
        if not apart <= tolerance(dtype):
            signature = Signature("attention_agreement", "fail", LEG)
            outcome = Outcome("fail", f"{LEG}: differ by {apart:.2g}", signature)
        for control in controls if outcome.verdict == "pass" else ():
            with in_place(control, vision_heads):
                try:
                    answer["noticed"][control] = not gap(logits(FLASH), reference) <= tolerance(
                        dtype
                    )
                except Exception:  # dying of it is noticing it
                    answer["noticed"][control] = True
    return {**answer, "distance": apart, "outcome": outcome_to_plain(outcome)}


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), json.loads(sys.argv[2]))
