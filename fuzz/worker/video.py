"""How the frames of a video become placeholder tokens and tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

import PIL.Image
import torch

from fuzz.worker import release
from fuzz.worker.placing import TEXT, VIDEO, Placed, mark
from fuzz.worker.subject import Subject

Tokens: TypeAlias = tuple[list[int], list[int]]
"""Token ids, and a type for each."""


def place(
    subject: Subject, frames: Sequence[PIL.Image.Image], seconds: float, extra: int = 0
) -> Placed:
    """Return what a video becomes: as its family's processor would, but for the sizes of frames.

    The video processors need torchvision. Each frame goes through the family's image processor,
    which brings it to the size that a still would have (video processors have limits of their
    own), normalizes it and cuts it into patches, cell by cell of the merged grid. A still fills all
    frames of its temporal patch; here each frame gives its own slice of the patch, the last one
    repeated where there are too few: the layout of the video processors' ``patchify`` (5.23.0).

    Args:
        subject: the model's config and processor.
        frames: the frames, all of one size.
        seconds: that a temporal patch spans.
        extra: placeholder tokens too many, or too few, in the first block.
    """
    vision = release.vision_config(subject.config)
    deep = int(vision.temporal_patch_size)
    stills = []
    for frame in frames:
        out = subject.processor(images=[frame], return_tensors="pt")
        _, h, w = (int(x) for x in out["image_grid_thw"][0])
        stills.append(out["pixel_values"].reshape(h * w, 3, deep, -1)[:, :, 0])
    stills += [stills[-1]] * (-len(stills) % deep)
    t = len(stills) // deep
    patches = [torch.stack(stills[n * deep : (n + 1) * deep], dim=2).flatten(1) for n in range(t)]
    tensors = {
        "pixel_values_videos": torch.cat(patches),
        "video_grid_thw": torch.tensor([[t, h, w]]),
        "second_per_grid_ts": torch.tensor([seconds], dtype=torch.float32),
    }
    cells = h * w // vision.spatial_merge_size**2
    return _placed(subject, t, cells, extra, seconds, tensors)


def _placed(
    subject: Subject,
    t: int,
    cells: int,
    extra: int,
    seconds: float,
    tensors: Mapping[str, torch.Tensor],
) -> Placed:
    ids, types = LAYOUTS[subject.family.video](subject.config, t, cells, extra, seconds)
    places = [n for n, kind in enumerate(types) if kind == VIDEO]
    span = (places[0], places[-1] + 1) if places else (0, 0)
    return Placed(tuple(ids), tuple(types), span, tensors)


def step_alone(subject: Subject, video: Placed, step: int) -> Placed:
    """Return a video of one temporal patch of another one."""
    t, h, w = video.grid
    seconds = float(video.tensors["second_per_grid_ts"][0])
    tensors = {
        "pixel_values_videos": video.pixels[step * h * w : (step + 1) * h * w],
        "video_grid_thw": torch.tensor([[1, h, w]]),
        "second_per_grid_ts": video.tensors["second_per_grid_ts"],
    }
    cells = (video.types.count(VIDEO)) // t
    return _placed(subject, 1, cells, 0, seconds, tensors)


def with_frame(video: Placed, other: Placed, frame: int, frames: int, deep: int) -> Placed:
    """Return a video with one frame taken from another one.

    Args:
        video: the video.
        other: one of the same sizes.
        frame: number of the frame.
        frames: how many the video was made of; the last one may have been repeated.
        deep: frames in a temporal patch.
    """
    t, _, _ = video.grid
    new, theirs = (x.pixels.clone().reshape(t, -1, 3, deep, _area(x, deep)) for x in (video, other))
    for n in range(frame, t * deep if frame == frames - 1 else frame + 1):
        new[n // deep, :, :, n % deep] = theirs[n // deep, :, :, n % deep]
    pixels = new.reshape(video.pixels.shape)
    return replace(video, tensors={**video.tensors, "pixel_values_videos": pixels})


def _area(video: Placed, deep: int) -> int:
    return int(video.pixels.shape[1]) // (3 * deep)


def _one_block(config: Any, t: int, cells: int, extra: int, _: float) -> Tokens:
    """Put all placeholders between two markers, as Qwen2-VL does (arXiv:2409.12191)."""
    count = t * cells + extra
    ids = [mark(config, "start"), *[config.video_token_id] * count, mark(config, "end")]
    return ids, [TEXT, *[VIDEO] * count, TEXT]


def _timed_steps(config: Any, t: int, cells: int, extra: int, seconds: float) -> Tokens:
    """Put each temporal patch between markers, its time before them (arXiv:2511.21631)."""
    ids: list[int] = []
    types: list[int] = []
    for n in range(t):
        count = cells + (extra if n == 0 else 0)
        ids += [*_time(n * seconds), mark(config, "start")]
        ids += [*[config.video_token_id] * count, mark(config, "end")]
        types += [TEXT, TEXT, TEXT, *[VIDEO] * count, TEXT]
    return ids, types


def _steps_as_images(config: Any, t: int, cells: int, extra: int, seconds: float) -> Tokens:
    """Write each temporal patch as an image and its time, a video's markers around all (GLM)."""
    ids = [config.video_start_token_id]
    types = [TEXT]
    for n in range(t):
        count = cells + (extra if n == 0 else 0)
        ids += [mark(config, "start"), *[config.image_token_id] * count, mark(config, "end")]
        ids += _time(n * seconds)
        types += [TEXT, *[VIDEO] * count, TEXT, TEXT, TEXT]
    return [*ids, config.video_end_token_id], [*types, TEXT]


def _time(seconds: float) -> tuple[int, int]:
    """Return two text tokens that stand for a time, since the config tells of no digits."""
    return int(seconds) % 10, int(10 * seconds) % 10


def tokens_around(subject: Subject) -> dict[str, Any]:
    """Return what a target's :class:`~strategies.geometry.Geometry` says of its videos alone."""
    if not (layout := subject.family.video):
        return {}
    one, two = (len(LAYOUTS[layout](subject.config, t, 0, 0, 1.0)[0]) for t in (1, 2))
    return {
        "video_tokens": 2 * one - two,
        "step_tokens": two - one,
        # GLM counts the placeholders of both against the features of each.
        "videos_beside_images": layout != "steps as images",
    }


LAYOUTS: Final[Mapping[str, Callable[[Any, int, int, int, float], Tokens]]] = {
    "block": _one_block,
    "timed steps": _timed_steps,
    "steps as images": _steps_as_images,
}
"""By the name that a family's data gives: tokens of a video, and their types."""
