"""What can be said of a family without a file of data, by looking at its model as it runs.

Nothing is guessed: what cannot be decided is said, and what needs it is not applicable.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import torch

from fuzz.families.family import Family
from fuzz.worker import by_processor, calls, release, rope_scaling
from fuzz.worker.budget import exact_attention
from fuzz.worker.capture import Captured, rotary
from fuzz.worker.compare import distances
from fuzz.worker.errors import WorkerSetupError
from fuzz.worker.exact import lane, tolerance
from fuzz.worker.feed import Feed
from fuzz.worker.inputs import collate, make_prompt
from fuzz.worker.quantized import said_of
from fuzz.worker.subject import Subject, model_of, on_a_grid
from strategies.case import Text

TOKENS: Final = 12
SHIFT: Final = 5
_WITHIN: Final = 1e-9


def looked_at(subject: Subject) -> tuple[Family, tuple[str, ...]]:
    """Return a subject's family with what looking at its model has added, and lines to be said.

    Args:
        subject: the subject; nothing is looked for where its family is listed.

    Raises:
        WorkerSetupError: nothing of the model can be checked.
    """
    family = subject.family
    quantized = _quantized(subject)
    if family.listed:
        return family, quantized
    _require_rotary(subject)
    seen, moved = _run(subject)
    reasons: dict[str, str] = _reasons_of_layers(subject)
    pairs, why = _pairs(subject, seen)
    if why:
        reasons["rotary_reference"] = why
    not_relative = ""
    if not moved <= tolerance("exact"):
        not_relative = f"logits change by {moved:.2g} where all positions are {SHIFT} further on"
    said = [
        f"{family.name} has no file of data: what it is was read off {subject.target.model} and "
        "its model"
    ]
    if release.vision_config(subject.config) is not None:
        said.append(_learned(subject))
        family = subject.family
    if not_relative and "rotary_reference" not in reasons:
        said.append(f"positions far out are not compared with those at 0: {not_relative}")
    whole = replace(
        family,
        pairs=pairs or family.pairs,
        not_relative=not_relative,
        not_applicable={**family.not_applicable, **reasons},
    )
    return whole, (*said, *quantized)


def _learned(subject: Subject) -> str:
    """Have images placed by the directory's processor where that can be decided; say how it is."""
    try:
        by_processor.learn(subject)
    except by_processor.Undecided as undecided:
        return f"text only: {undecided}"
    return (
        "images are placed by the directory's own processor; no rule is known for the rotation of "
        "its vision tower, if there is one"
    )


def _quantized(subject: Subject) -> tuple[str, ...]:
    stored = subject.checkpoint
    if stored is None or stored.scheme is None:
        return ()
    matrices = len(on_a_grid(model_of(subject), stored))
    real = bool(stored.values)
    return (said_of(stored.scheme, real, matrices, subject.target.dtype),)


def _require_rotary(subject: Subject) -> None:
    model = model_of(subject)
    name = f"{subject.family.architecture} ({subject.family.name})"
    try:
        decoder = release.text_model(model)
    except LookupError:
        decoder = None
    if not hasattr(decoder, "rotary_emb"):
        raise WorkerSetupError(f"{name} has no rotary embedding where ropefuzz would look for it")
    text = release.text_config(subject.config)
    if not isinstance(getattr(text, "max_position_embeddings", None), int):
        raise WorkerSetupError(f"{name}: its config states no max_position_embeddings")
    if getattr(text, "use_bidirectional_attention", False):
        raise WorkerSetupError(f"{name} attends both ways, which ropefuzz knows no rule for")


def _run(subject: Subject) -> tuple[Captured, float]:
    """Run a short text at 0 and a little further on: what turned, and how far logits moved."""
    with lane("exact"):
        model = model_of(subject, exact_attention(subject), dtype="exact")
        batch = collate(subject, [make_prompt(subject, (Text(TOKENS),), 1)])
        near = calls.forward(model, batch, Feed(explicit=True, pieces=((0, TOKENS),)))
        try:
            with rotary(model) as seen:
                feed = Feed(explicit=True, pieces=((0, TOKENS),), offset=SHIFT)
                far = calls.forward(model, batch, feed)
        except (StopIteration, ValueError, AttributeError, RuntimeError):
            # What turns is not called as it is elsewhere; the model itself has run.
            return Captured(), float("nan")
    return seen, float(max(distances(far.logits[0], near.logits[0])))


def _reasons_of_layers(subject: Subject) -> dict[str, str]:
    """Return what the kinds of layers leave undecided."""
    text = release.text_config(subject.config)
    kinds = {*(getattr(text, "layer_types", None) or ())}
    unknown = sorted(str(k) for k in kinds - set(release.ATTENDING))
    reasons = {}
    if unknown:
        said = f"what layers of kind {', '.join(unknown)} carry on and see is not decided"
        reasons = dict.fromkeys(("packing_invariance", "low_precision", "visibility"), said)
    elif "chunked_attention" in kinds:
        reasons["visibility"] = "what layers of kind chunked_attention see is not decided"
    names = [n for n in vars(text) if "expert" in n and not n.startswith("_")]
    if names and not any(hasattr(text, n) for n in release.EXPERTS):
        reasons["low_precision"] = "how to have all experts take part is not decided"
    return reasons


def _pairs(subject: Subject, seen: Captured) -> tuple[str, str]:
    """Return which elements of a head turn together, or why that is not decided.

    A rotation keeps the length of each pair but for one factor on all of them, whatever its
    angles are; so which elements are pairs is seen without knowing any angle.
    """
    try:
        rope = release.rope_settings(subject.config)
    except (ValueError, AttributeError, TypeError) as error:
        return "", f"the config does not say how far pairs turn: {error}"
    if rope.kind not in rope_scaling.KINDS:
        return "", f"there is no independent implementation of rope_type {rope.kind!r}"
    if not seen.turns or not seen.positions:
        return "", "no rotation was seen where ropefuzz looks for it"
    layers = range(int(release.text_config(subject.config).num_hidden_layers))
    settings = [_comparable(release.rope_settings(subject.config, n)) for n in layers]
    if len(seen.turns) != 2 * len(layers) and any(s != settings[0] for s in settings):
        return "", "layers turn differently, and not all of them turn"
    fit = set()
    for _, before, after in seen.turns:
        if before.shape != after.shape or rope.rotary_dim > before.shape[-1]:
            return "", "what turns has another size than the config says"
        fit.add(tuple(k for k in ("halves", "neighbours") if _keeps(before, after, rope, k)))
    if fit == {("halves",)}:
        return "halves", ""
    return ("neighbours", "") if fit == {("neighbours",)} else ("", "what turns is no known pairs")


def _comparable(rope: release.RopeSettings) -> tuple[Any, ...]:
    return rope.theta, rope.kind, rope.rotary_dim, repr(rope.table)


def _keeps(
    before: torch.Tensor, after: torch.Tensor, rope: release.RopeSettings, pairs: str
) -> bool:
    n = rope.rotary_dim

    def lengths(x: torch.Tensor) -> torch.Tensor:
        turning = x[..., :n].double()
        if pairs == "halves":
            return turning[..., : n // 2] ** 2 + turning[..., n // 2 :] ** 2
        return turning[..., 0::2] ** 2 + turning[..., 1::2] ** 2

    ratio = lengths(after) / lengths(before)
    return bool((ratio.amax() - ratio.amin()) <= _WITHIN * ratio.amax())
