"""What a tower makes of an image, a frame or a recording does not depend on those beside it."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from fuzz.worker import calls, video
from fuzz.worker.budget import exact_attention, require_rows_agree
from fuzz.worker.capture import image_features
from fuzz.worker.exact import lane
from fuzz.worker.failure import Failed
from fuzz.worker.inputs import Prompt, collate, images_alone
from fuzz.worker.subject import Subject, model_of
from strategies.case import Case


def check(subject: Subject, case: Case) -> None:
    """Run all images, videos and recordings of the case in one call, and each in a call of its own.

    Each temporal patch of a video is run alone as well: towers hold it as they hold an image.
    Compared is what leaves the tower, so text, padding and caches have no part in it.

    Raises:
        Failed: the features of an image or of a temporal patch differ.
    """
    prompts = calls.prompts_of(subject, case)
    images = [image for prompt in prompts for image in images_alone(prompt)]
    if not images:
        return
    together = _features(subject, case, prompts)
    at = 0
    # The tower is called for the images first, then for the videos.
    for number, image in sorted(enumerate(images), key=lambda one: one[1].images[0].is_video):
        alone = _features(subject, case, (image,))
        names = f"features of {image.images[0].noun} {number} of {len(images)}"
        _compare(subject, case, image, together[at : at + len(alone)], alone, names)
        at += len(alone)
        steps = _steps_alone(subject, image)
        for n, step in enumerate(steps):
            still = _features(subject, case, (step,))
            beside = alone[n * len(still) : (n + 1) * len(still)]
            _compare(subject, case, step, beside, still, f"{names}, temporal patch {n}", " frames")
    if at != len(together):
        raise Failed("as many features beside others as alone", f"{len(together)} rows for {at}")


def _compare(
    subject: Subject,
    case: Case,
    prompt: Prompt,
    packed: torch.Tensor,
    alone: torch.Tensor,
    names: str,
    what: str = "",
) -> None:
    truth = partial(_exact_features, subject, case, prompt)
    dtype = subject.target.dtype
    require_rows_agree(packed, alone, truth, dtype, f"beside other{what or 's'} = alone", names)


def _steps_alone(subject: Subject, prompt: Prompt) -> tuple[Prompt, ...]:
    """Return a prompt for each temporal patch of a video of several, none of anything else."""
    (image,) = prompt.images
    if not image.is_video or image.grid[0] == 1:
        return ()
    steps = (video.step_alone(subject, image, n) for n in range(image.grid[0]))
    return tuple(Prompt(step.ids, step.types, (step,), (step.span,)) for step in steps)


def _exact_features(subject: Subject, case: Case, image: Prompt) -> torch.Tensor:
    dtype = subject.target.dtype
    attn = exact_attention(subject)
    with lane("exact"):
        model = model_of(subject, attn, case.gain, dtype="exact", rounded=dtype)
        return _features(subject, case, (image,), model)


def _features(
    subject: Subject, case: Case, prompts: tuple[Prompt, ...], model: Any = None
) -> torch.Tensor:
    """Return the features of all images, then videos, (merged patches, mergers * hidden)."""
    model = model_of(subject, gain=case.gain) if model is None else model
    with image_features(model) as seen:
        calls.run(subject, model, case, collate(subject, prompts), split=False)
    passes = len({image.is_video for prompt in prompts for image in prompt.images})
    each = len(seen) // passes
    return torch.cat([torch.cat(seen[n * each : (n + 1) * each], dim=-1) for n in range(passes)])
