"""One training step's worth of gradients, and nothing left of it on the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import nn

from fuzz.worker.inputs import Batch

IGNORED: Final = -100
"""The label of what is not predicted, in torch and in transformers."""


@contextmanager
def mode(model: nn.Module) -> Iterator[None]:
    """Run the body as training does: gradients on, the model in training mode.

    Whatever happens in the body, the model is back in eval mode and without gradients afterwards:
    it is kept for later cases.
    """
    model.train()
    try:
        with torch.enable_grad():
            yield
    finally:
        model.eval()
        model.zero_grad(set_to_none=True)


def labels_of(batch: Batch) -> torch.Tensor:
    """Return the tokens themselves where one is to be predicted, else :data:`IGNORED`.

    Not predicted are padding, image placeholders and the first token of a row. What predicts that
    one is the column before it, which in a left-padded row is padding: what attention gives there
    is nobody's claim.

    Returns:
        (batch, width) int64.
    """
    labels = torch.full_like(batch.input_ids, IGNORED)
    for row, (start, prompt) in enumerate(zip(batch.starts, batch.prompts, strict=True)):
        end = start + len(prompt.ids)
        line = batch.line(row)
        labels[line, start + 1 : end] = batch.input_ids[line, start + 1 : end]
    return labels.masked_fill_(batch.token_types > 0, IGNORED)


def backward(loss: Any) -> None:
    """Compute the gradients of a loss; exceptions are judged by the caller."""
    loss.backward()


def gradients_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the gradients that a model holds, by the name of the parameter.

    They stay as they are when the model drops its own.
    """
    return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
