"""What the vision tower makes of an image does not depend on the images beside it."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from fuzz.worker import calls
from fuzz.worker.budget import exact_attention, require_rows_agree
from fuzz.worker.capture import image_features
from fuzz.worker.exact import lane
from fuzz.worker.failure import Failed
from fuzz.worker.inputs import Prompt, collate, images_alone
from fuzz.worker.subject import Subject, model_of
from strategies.case import Case


def check(subject: Subject, case: Case) -> None:
    """Run all images of the case in one call, and each in a call of its own.

    Compared is what leaves the tower, so text, padding and caches have no part in it.

    Raises:
        Failed: the features of an image differ.
    """
    prompts = calls.prompts_of(subject, case)
    images = [image for prompt in prompts for image in images_alone(prompt)]
    if not images:
        return
    together = _features(subject, case, prompts)
    at = 0
    for number, image in enumerate(images):
        alone = _features(subject, case, (image,))
        packed = together[at : at + len(alone)]
        at += len(alone)
        names = f"features of image {number} of {len(images)}"
        truth = partial(_exact_features, subject, case, image)
        dtype = subject.target.dtype
        require_rows_agree(packed, alone, truth, dtype, "beside others = alone", names)
    if at != len(together):
        raise Failed("as many features beside others as alone", f"{len(together)} rows for {at}")


def _exact_features(subject: Subject, case: Case, image: Prompt) -> torch.Tensor:
    dtype = subject.target.dtype
    attn = exact_attention(subject)
    with lane("exact"):
        model = model_of(subject, attn, case.gain, dtype="exact", rounded=dtype)
        return _features(subject, case, (image,), model)


def _features(
    subject: Subject, case: Case, prompts: tuple[Prompt, ...], model: Any = None
) -> torch.Tensor:
    """Return the features of all images in the prompts, (merged patches, mergers * hidden)."""
    model = model_of(subject, gain=case.gain) if model is None else model
    with image_features(model) as seen:
        calls.run(subject, model, case, collate(subject, prompts), split=False)
    return torch.cat(seen, dim=-1)
