"""Which properties say nothing about a target, and why."""

from __future__ import annotations

import torch

from fuzz.target import LOW
from fuzz.worker import release
from fuzz.worker.capture import at_the_door, positions_given
from fuzz.worker.exact import lane
from fuzz.worker.implementations import only_one
from fuzz.worker.subject import Subject, model_of


def not_applicable(subject: Subject) -> dict[str, str]:
    """Return a reason for each property that cannot be asked of the target."""
    reasons = dict(subject.family.not_applicable)
    if subject.target.dtype in LOW:
        reasons["generation_agreement"] = "tokens are held against one forward in full precision"
    if subject.target.dtype != "exact":
        reasons["visibility"] = "only in float64 does every visible token leave a trace"
    if only_one(subject):
        reasons["attention_agreement"] = f"nothing but {subject.target.attn} runs here"
    if not takes_packed_positions(subject):
        reasons["packing_invariance"] = (
            "this release's model cannot be told by position_ids where a sequence begins"
        )
    return reasons


def takes_packed_positions(subject: Subject) -> bool:
    """Tell whether the model takes what says how sequences are packed.

    Of four rows of position ids the first, which numbers the tokens of each sequence, is kept from
    the rotary module; the other three are time, height and width. A model that knows nothing of it
    turns by it, or dies of it. Models of one-axis positions are told by the one row that they have.
    """
    if release.position_owner(model_of(subject)) is None:
        return release.sees_packed_positions()
    decoder = release.text_model(model_of(subject))
    token = torch.zeros(1, 1, dtype=torch.int64, device=subject.device)
    ids = torch.zeros(4, 1, 1, dtype=torch.int64, device=subject.device)

    def call() -> None:
        fed = decoder.embed_tokens(token)
        decoder(inputs_embeds=fed, position_ids=ids, use_cache=False)

    with lane(subject.target.dtype):
        try:
            turning = positions_given(*at_the_door(decoder.rotary_emb, call))
        except RuntimeError:
            return False
    return len(turning) == 3
