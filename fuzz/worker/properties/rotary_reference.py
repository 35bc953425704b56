"""Positions and rotations equal an independent float64 implementation of the published rule."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from fuzz.worker import calls, reference, release, rope_scaling
from fuzz.worker.budget import Truth, require_agreement
from fuzz.worker.capture import Captured, rotary
from fuzz.worker.compare import require_close
from fuzz.worker.exact import angle_noise, tolerance
from fuzz.worker.failure import Failed
from fuzz.worker.inputs import Batch, Prompt
from fuzz.worker.subject import Subject, model_of
from fuzz.worker.turning import latent_head, turning_layers
from strategies.case import Case
from strategies.validity import is_generate

NAMES = {3: "(time, height, width)", 4: "(order, column, row, image)"}


def check(subject: Subject, case: Case) -> None:
    """Run the case and compare what reached its rotary code.

    Compared are the position ids of every real token (up to one shift per row where the model
    chose them: only differences of positions have a meaning), the rotated queries and keys of
    every layer, those of the vision or audio tower, and the logits far out against those at 0.

    Raises:
        Failed: one of them differs.
    """
    # What is taken back again, and other conversations, would be seen turning as well.
    case = replace(case, crop=0, between=())
    batch = calls.batch_of(subject, case)
    model = model_of(subject, gain=case.gain)
    with rotary(model) as seen:
        result = calls.run(subject, model, case, batch)
    _check_positions(subject, case, batch, seen, result)
    _check_turns(subject, seen)
    _check_scale(subject, model)
    _check_vision_turns(subject, batch, seen)
    _check_audio_turns(subject, seen)
    rope = release.rope_settings(subject.config)
    relative = not subject.family.not_relative and not rope.limit
    if case.entry == "forward" and case.offset and relative:
        near = replace(case, offset=0, gap=0, gap_at=0)
        far = replace(near, offset=case.offset)
        at_zero, far_out = (
            calls.run(subject, model_of(subject, gain=case.gain), c, batch, split=False)
            for c in (near, far)
        )
        # Two layers of attention carry the angles' noise on and sharpen it.
        slack = 50.0 * angle_noise(subject.target.dtype, case.offset)
        truth = Truth(subject, near, batch, split=False)
        require_agreement(far_out, at_zero, truth, "far out = at 0", slack=slack)


def _check_positions(
    subject: Subject, case: Case, batch: Batch, seen: Captured, result: calls.Result
) -> None:
    vision = release.vision_config(subject.config)
    merge = getattr(vision, "spatial_merge_size", 1)
    # Where positions have one axis, an image's tokens are numbered as text is.
    one_axis = not release.rope_settings(subject.config).sections
    explicit = case.entry == "forward"
    axes = max(3, len(release.rope_settings(subject.config).sections))
    tempo = getattr(vision, "tokens_per_second", None) or 0
    got = torch.cat([p.expand(axes, len(batch.prompts), -1) for p in _fed(case, seen)], dim=-1)
    for row, prompt in enumerate(batch.prompts):
        new = 0 if case.entry.startswith("forward") else len(result.tokens[row]) - 1
        types = prompt.types + (0,) * new
        if one_axis:
            types = (0,) * len(types)
        grids = [block.grid for block in prompt.blocks]
        if axes == 4:
            want = reference.xdrope_positions(types, grids, merge)
        else:
            paces = [block.seconds * tempo or 1.0 for block in prompt.blocks]
            want = reference.mrope_positions(types, grids, merge, paces)
        start = batch.starts[row]
        real = got[:, row, start : start + want.shape[1]].cpu().numpy()
        if real.shape != want.shape:
            raise Failed(
                f"position ids, {case.entry}",
                f"row {row}: {real.shape[1]} positions reached the rotary module for "
                f"{want.shape[1]} tokens",
            )
        if explicit:
            tokens = np.arange(want.shape[1])
            want = want + case.offset + np.where(tokens >= case.gap_at, case.gap, 0)
        else:
            want = want + (real[:, :1] - want[:, :1])[0, 0]
        if not np.array_equal(real, want):
            token = int(np.flatnonzero((real != want).any(0))[0])
            raise Failed(
                f"position ids, {case.entry}{_beside(prompt, token)}",
                f"row {row}, token {token}: {NAMES[axes]} is "
                f"{tuple(int(x) for x in real[:, token])}, expected "
                f"{tuple(int(x) for x in want[:, token])}",
            )


def _fed(case: Case, seen: Captured) -> list[torch.Tensor]:
    """Return the positions of what was fed, without what was fed once more.

    generate() begins again where a model drops its cache: Phi-3 does where long factors begin.
    """
    fed: list[torch.Tensor] = []
    for positions in seen.positions:
        before = sum(p.shape[-1] for p in fed)
        if is_generate(case.entry) and positions.shape[-1] == before + 1:
            fed = []
        fed.append(positions)
    return fed


def _beside(prompt: Prompt, token: int) -> str:
    """Say whether a token lies in or after a video: other rules number it."""
    videos = [s for s, i in zip(prompt.spans, prompt.images, strict=True) if i.is_video]
    if any(start <= token < end for start, end in videos):
        return ", in a video"
    return ", after a video" if any(end <= token for _, end in videos) else ""


def _check_turns(subject: Subject, seen: Captured) -> None:
    pairs = subject.family.pairs
    turning = turning_layers(subject.config, subject.family.unturned)
    turned: Counter[int] = Counter()
    for call, before, after in seen.turns:
        # Each layer turns its queries, then its keys.
        layer = turned[call] // 2
        turned[call] += 1
        if layer >= len(turning):
            continue
        rope = release.rope_settings(subject.config, turning[layer])
        # Calls of one case only reach further.
        reach = max(int(p.max()) for p in seen.positions[: call + 1]) + 1
        frequency, length = rope_scaling.frequencies(
            rope.kind, rope.theta, rope.rotary_dim, rope.table, rope.maximum, reach
        )
        axes = max(3, len(rope.sections))
        positions = seen.positions[call].expand(axes, before.shape[0], -1).cpu().numpy()
        for row in range(before.shape[0]):
            angles = reference.mrope_angles(
                positions[:, row],
                rope.theta,
                rope.rotary_dim,
                rope.sections,
                rope.interleaved,
                frequency,
            )
            given = _lengthened(before[row], rope.rotary_dim, length)
            _compare(subject, given, after[row], angles, f"rotation of row {row}", pairs)
    for call in range(len(seen.positions)):
        # Of a family without data nobody has said which layers turn.
        if subject.family.listed and turned[call] != 2 * len(turning):
            raise Failed(
                "layers that turn",
                f"call {call}: queries and keys turned {turned[call] / 2:g} times, in "
                f"{len(turning)} layers they should",
            )


def _check_scale(subject: Subject, model: Any) -> None:
    """Hold the scale of latent attention's scores, which YaRN changes, against the rule's."""
    if not subject.family.listed or not (head := latent_head(subject.config)):
        return
    rope = release.rope_settings(subject.config)
    want = rope_scaling.score_scale(head, rope.kind, rope.table)
    for number, attention in enumerate(release.attentions(model)):
        got = float(attention.scaling)
        if not abs(got - want) <= tolerance("exact") * want:
            raise Failed("scale of scores", f"layer {number}: {got:.9g}, expected {want:.9g}")


def _lengthened(vectors: torch.Tensor, turning: int, length: float) -> torch.Tensor:
    """Return vectors whose turning elements are longer by what cosine and sine are."""
    return torch.cat([vectors[..., :turning].double() * length, vectors[..., turning:]], dim=-1)


def _check_vision_turns(subject: Subject, batch: Batch, seen: Captured) -> None:
    if not subject.family.listed:
        return  # no rule is known
    # The tower is called for the images first, then for the videos, each time if again.
    kinds = sorted({i.is_video for p in batch.prompts for i in p.images})
    for call, before, after in seen.vision_turns:
        videos = kinds[call % len(kinds)]
        angles = _vision_angles(subject, batch, before.shape[-1], videos)
        _compare(subject, before.transpose(0, 1), after.transpose(0, 1), angles, "vision rotation")


def _check_audio_turns(subject: Subject, seen: Captured) -> None:
    """Hold the audio tower's frames, numbered from 0 in each window, against the plain rule."""
    if not seen.audio_turns:
        return
    theta, turning = release.audio_rope(subject.config)
    for before, after in seen.audio_turns:
        frames = np.arange(before.shape[-2])[None]
        angles = reference.mrope_angles(frames, theta, turning, ())
        for window in range(len(before)):
            names = f"audio rotation of window {window}"
            _compare(subject, before[window], after[window], angles, names)


def _vision_angles(subject: Subject, batch: Batch, head_dim: int, videos: bool) -> reference.Floats:
    """Return the angles of the images' (or videos') patches by the rule of the target's tower."""
    vision = release.vision_config(subject.config)
    if (sizes := batch.tensors.get("image_sizes")) is not None:
        patches = [(h // vision.patch_size, w // vision.patch_size) for h, w in sizes.tolist()]
        theta = release.vision_theta(subject.config)
        return reference.alternating_vision_angles(patches, head_dim, theta)
    grids = [i.grid for p in batch.prompts for i in p.images if i.is_video == videos]
    merge = vision.spatial_merge_size
    window = (getattr(vision, "window_size", 0) or 0) // (vision.patch_size * merge)
    return reference.vision_angles(grids, merge, head_dim, window=window)


def _compare(
    subject: Subject,
    before: torch.Tensor,
    after: torch.Tensor,
    angles: reference.Floats,
    names: str,
    pairs: str = "halves",
) -> None:
    # (heads, tokens, head_dim); the reference turns them in float64.
    want = torch.from_numpy(reference.rotate(before.double().cpu().numpy(), angles, pairs))
    got = after.double().cpu()
    tower = next((t for t in ("vision", "audio") if names.startswith(t)), "text")
    leg = f"{tower} rotation"
    dtype = subject.target.dtype
    slack = tolerance(dtype) + angle_noise(dtype, float(angles.max(initial=0.0)))
    require_close(got.transpose(0, 1), want.transpose(0, 1), slack, leg, names)
