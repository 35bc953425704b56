"""A case that is trained on: what is learned from, what is compared, and that nothing stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from fuzz.verdict import Outcome, Signature
from strategies.case import Case, Image, Text

if TYPE_CHECKING:
    from fuzz.worker.subject import Subject

SubjectOf = Callable[..., "Subject"]

LEARNED = Case(rows=((Text(3),),), mode="train")
# Padding on either side, an image, and a row that is shorter than the others.
MIXED = Case(rows=((Text(2), Image(56, 56), Text(1)), (Text(3),)), extra_padding=1, mode="train")


def test_padding_placeholders_and_first_tokens_are_not_predicted(subject_of: SubjectOf) -> None:
    """What predicts a left-padded row's first token is padding."""
    from fuzz.worker import calls, training

    batch = calls.batch_of(subject_of(), MIXED)
    labels = training.labels_of(batch).tolist()
    ids = batch.input_ids.tolist()
    assert batch.width == 1 + 2 + 1 + 4 + 1 + 1
    # Padding, the first token; a token and the image's start; 4 cells; the end and a token.
    assert labels[0] == [-100, -100, *ids[0][2:4], *[-100] * 4, *ids[0][8:]]
    assert labels[1] == [*[-100] * 8, *ids[1][8:]]


def test_a_defect_that_only_learning_shows_is_named_by_its_parameter(
    judge: Callable[..., Outcome],
) -> None:
    """The same case in eval mode passes: the forward pass is right."""
    outcome = judge("attention_agreement", LEARNED, "eager-gradient")
    assert outcome.signature == Signature("attention_agreement", "fail", "gradients: eager = sdpa")
    assert "the gradient of model.language_model.layers." in outcome.message
    assert "self_attn.q_proj.weight differs by " in outcome.message
    assert "that of 2 of 27 parameters" in outcome.message
    plain = Case(rows=LEARNED.rows)
    assert judge("attention_agreement", plain, "eager-gradient").verdict == "pass"


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("entry", ["forward", "forward-implicit"])
def test_padding_alarms_nobody(judge: Callable[..., Outcome], side: str, entry: str) -> None:
    """Implementations give padding different values, and no gradient comes from them."""
    case = Case(rows=MIXED.rows, extra_padding=2, side=side, entry=entry, mode="train")  # type: ignore[arg-type]  # literals
    assert judge("attention_agreement", case).verdict == "pass"


def test_a_wrong_backward_pass_of_flash_attention_is_seen(
    judge: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its gradients of the keys are dropped; what it computes forward stays right."""
    import torch

    from fuzz.worker.flash import extension
    from fuzz.worker.flash.attend import attend_backward

    def without_keys(*args: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        dq, dk, dv = attend_backward(*args)  # type: ignore[arg-type]  # passed on as they come
        return dq, torch.zeros_like(dk), dv

    monkeypatch.setattr(extension, "attend_backward", without_keys)
    outcome = judge("attention_agreement", LEARNED)
    assert outcome.signature is not None
    assert outcome.signature.what == "gradients: flash_attention_2 = sdpa"
    assert "self_attn.k_proj" in outcome.message


def test_a_step_leaves_nothing_on_the_model(
    subject_of: SubjectOf, judge: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one that ends well nor one whose backward pass raises, which is an error."""
    from fuzz.worker import subject, training

    there = subject_of()
    assert judge("attention_agreement", LEARNED).verdict == "pass"

    def refuse(_gradient: object) -> None:
        raise RuntimeError("no way back")

    model = subject.model_of(there, "eager")
    handle = next(model.parameters()).register_hook(refuse)
    outcome = judge("attention_agreement", Case(rows=((Image(56, 56), Text(3)),), mode="train"))
    handle.remove()
    assert outcome.verdict == "broken"  # the hook is of this test, which is no part of a release

    monkeypatch.setattr(training, "backward", lambda loss: loss.detach().backward())
    outcome = judge("attention_agreement", LEARNED)
    assert (outcome.verdict, outcome.signature and outcome.signature.where) == (
        "error",
        "backward",
    )
    assert len(there.models) >= 3
    for model in there.models.values():
        assert not any(module.training for module in model.modules())
        assert all(parameter.grad is None for parameter in model.parameters())


def test_dropout_of_a_checkpoint_is_switched_off(subject_of: SubjectOf) -> None:
    """Chance would part the implementations."""
    from types import SimpleNamespace

    from fuzz.worker.subject import _without_dropout

    config = SimpleNamespace(attention_dropout=0.1, hidden_dropout=0.2, dropout_seed=3, depth=2)
    _without_dropout(config, None)
    assert vars(config) == {
        "attention_dropout": 0.0,
        "hidden_dropout": 0.0,
        "dropout_seed": 3,
        "depth": 2,
    }
    assert vars(subject_of().config.vision_config).get("attention_dropout", 0.0) == 0.0
