"""A later token never moves an earlier logit."""

from __future__ import annotations

from functools import partial

import torch

from fuzz.worker import calls
from fuzz.worker.budget import Truth, require_rows_agree
from fuzz.worker.inputs import make_prompt
from fuzz.worker.subject import Subject, model_of
from strategies.case import Case, Text


def check(subject: Subject, case: Case) -> None:
    """Change the last element of every row (a token, or all pixels of it) and look before it.

    Raises:
        Failed: a logit before the changed element moved.
    """
    prompts = calls.prompts_of(subject, case)
    changed = [
        make_prompt(subject, row, case.seed * 101 + number, last=1)
        for number, row in enumerate(case.rows)
    ]
    batches = [calls.batch_of(subject, case, rows) for rows in (prompts, changed)]
    results = []
    for batch in batches:
        model = model_of(subject, gain=case.gain)
        results.append(calls.run(subject, model, case, batch, split=False))
    truth = Truth(subject, case, batches[0], split=False)
    for number, (row, prompt) in enumerate(zip(case.rows, prompts, strict=True)):
        last = row[-1]
        if isinstance(last, Text) and last.tokens > 0:
            keep, what = len(prompt.ids) - 1, "a later token"
        elif isinstance(last, Text):
            continue
        else:
            keep, what = prompt.spans[-1][0], "a later image"
        before, after = (r.logits[number][:keep] for r in results)
        leg = f"before {what} = unchanged, {case.entry}"
        require_rows_agree(
            before,
            after,
            partial(_row, truth, number),
            truth.dtype,
            leg,
            f"logits of row {number}",
        )


def _row(truth: Truth, number: int) -> torch.Tensor:
    return truth.result().logits[number]
