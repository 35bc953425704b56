"""Whatever way ``generate`` goes about it, its tokens follow from what one forward gives.

One forward over a prompt and what was generated from it, without a cache, gives the logits that
each of these tokens was chosen by. Nothing of ``generate`` is in that leg: no cache, no beams, no
copies of the prompt, no pieces, no padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import torch

from fuzz.worker import calls, crossing
from fuzz.worker.compare import hold, require_close
from fuzz.worker.exact import tolerance
from fuzz.worker.failure import Failed
from fuzz.worker.feed import Feed
from fuzz.worker.inputs import Batch, Prompt, collate, make_prompt
from fuzz.worker.subject import Subject, model_of, text_ids
from strategies.case import GAINS, GUESSING, Case, has_turn
from strategies.validity import is_generate

COPIES: Final = 2
"""Sequences that are asked for each prompt, where there are several."""
BEAMS: Final = 3
GUESSED: Final = 2
"""Tokens that are guessed at a time."""


def check(subject: Subject, case: Case) -> None:
    """Generate as the case says and hold every token against one forward.

    A case that is not generated from has nothing to hold.

    Raises:
        Failed: logits, a beam's score or a guessed token differ.
    """
    if not is_generate(case.entry):
        return
    batch = calls.batch_of(subject, case)
    model = model_of(subject, gain=case.gain)
    out = _generate(subject, model, case, batch)
    # At once: going on reads what the first turn left on the model.
    second = _second_turn(subject, model, case, batch, out) if has_turn(case) else None
    prompts = [p for p in batch.prompts for _ in range(len(out.sequences) // len(batch.prompts))]
    answers = out.sequences[:, -_new(case) :].tolist()
    told = forced(subject, case, prompts, answers)
    if case.how == "beams":
        _check_scores(subject, out.sequences_scores, told, answers)
    elif case.how in GUESSING:
        _check_choices(subject, told[0], answers[0], case.how)
    else:
        leg = f"generated, {_way(case)} = one forward"
        _check_logits(subject, calls.generated(out).logits, told, leg)
    if second is not None:
        _check_second_turn(subject, case, *second)


def forced(
    subject: Subject, case: Case, prompts: Sequence[Prompt], answers: Sequence[Sequence[int]]
) -> list[torch.Tensor]:
    """Return the logits that each token of each answer is chosen by, (new tokens, vocabulary).

    Args:
        subject: the subject.
        case: says the weights.
        prompts: one an answer.
        answers: token ids, at least one each.
    """
    return [
        _forced(subject, case, prompt, answer)
        for prompt, answer in zip(prompts, answers, strict=True)
    ]


def _forced(subject: Subject, case: Case, prompt: Prompt, answer: Sequence[int]) -> torch.Tensor:
    """Run a prompt and its answer alone, so that no padding is in this leg either."""
    model = model_of(subject, gain=case.gain)
    batch = collate(subject, [longer_by(prompt, answer)])
    (logits,) = calls.forward(model, batch, Feed(explicit=False)).logits
    return logits[len(prompt.ids) - 1 : -1]


def longer_by(prompt: Prompt, tokens: Sequence[int]) -> Prompt:
    """Return a prompt with text tokens after it."""
    types = (*prompt.types, *[0] * len(tokens))
    return replace(prompt, ids=(*prompt.ids, *tokens), types=types)


def _new(case: Case) -> int:
    return max(1, case.decode)


def _way(case: Case) -> str:
    return "embeddings" if case.entry == "generate-embeds" else case.how


def _generate(subject: Subject, model: Any, case: Case, batch: Batch) -> Any:
    arguments = calls.generation_arguments(subject, _new(case))
    if batch.attention_mask is not None:
        arguments["attention_mask"] = batch.attention_mask
    if case.entry == "generate-embeds":
        arguments["inputs_embeds"] = model.get_input_embeddings()(batch.input_ids)
    else:
        arguments.update(calls.prompt_arguments(model, batch))
    if case.how == "samples":
        # What chance decides is only which tokens are looked at.
        torch.manual_seed(case.seed)
        arguments.update(do_sample=True, num_return_sequences=COPIES)
    elif case.how == "beams":
        # Without a penalty a sequence's score is the sum of its tokens' log-probabilities.
        arguments.update(
            num_beams=BEAMS, num_return_sequences=COPIES, length_penalty=0.0, output_scores=True
        )
    elif case.how == "chunked" and hasattr(model.generation_config, "prefill_chunk_size"):
        # Tokens of an image that see each other cannot come in two pieces.
        whole = batch.images_end if subject.family.told_of_tokens == "images" else 0
        arguments.update(prefill_chunk_size=max(case.chunks[0], whole))
    elif case.how == "lookup":
        arguments.update(prompt_lookup_num_tokens=GUESSED)
    elif case.how == "assisted":
        arguments.update(assistant_model=_assistant(subject, case))
    return model.generate(**arguments)


def _check_logits(
    subject: Subject, got: Sequence[torch.Tensor], told: Sequence[torch.Tensor], leg: str
) -> None:
    allowed = tolerance(subject.target.dtype)
    for number, (value, reference) in enumerate(zip(got, told, strict=True)):
        require_close(value, reference, allowed, leg, f"logits of sequence {number}")


def _check_scores(
    subject: Subject,
    scores: torch.Tensor,
    told: Sequence[torch.Tensor],
    answers: Sequence[Sequence[int]],
) -> None:
    sums = torch.stack(
        [
            logits.log_softmax(-1)[torch.arange(len(new)), torch.tensor(new)].sum()
            for logits, new in zip(told, answers, strict=True)
        ]
    )
    leg = "scores of beams = log-probabilities of one forward"
    require_close(scores[:, None], sums[:, None], tolerance(subject.target.dtype), leg, "scores")


def _assistant(subject: Subject, case: Case) -> Any:
    """Return a model that often, but not always, guesses right: the same one at another gain."""
    other = GAINS[GAINS.index(case.gain) - 1] if case.gain in GAINS else GAINS[0]
    model = model_of(subject, gain=other)
    # By default it stops guessing as soon as it is unsure, which random weights always are.
    model.generation_config.update(
        num_assistant_tokens=GUESSED,
        num_assistant_tokens_schedule="constant",
        assistant_confidence_threshold=0.0,
    )
    return model


def _check_choices(subject: Subject, told: torch.Tensor, answer: Sequence[int], how: str) -> None:
    """Hold each token against the best one; of two as good, either will do."""
    allowed = told.clone()
    allowed[:, special(subject)] = -torch.inf
    for step, token in enumerate(answer):
        hold()
        best = allowed[step].max()
        lacking = float(best - allowed[step, token])
        if not lacking <= tolerance(subject.target.dtype) * (1 + float(best.abs())):
            raise Failed(
                f"generated, {how} = one forward",
                f"new token {step} is {token}, {lacking:.2g} below the best, "
                f"{int(allowed[step].argmax())}",
            )


def special(subject: Subject) -> list[int]:
    """Return the token ids that are never chosen."""
    suppressed: list[int] = calls.generation_arguments(subject, 1)["suppress_tokens"]
    return suppressed


def _second_turn(
    subject: Subject, model: Any, case: Case, batch: Batch, first: Any
) -> tuple[Prompt, Any]:
    """Go on from the first answer's cache; return all that was asked by then, and what came."""
    (prompt,) = batch.prompts
    text = text_ids(subject.config)
    said = [text[(7 * n + case.seed) % len(text)] for n in range(case.turn)]
    asked = longer_by(prompt, first.sequences[0, len(prompt.ids) :].tolist())
    if case.turn_image is None:
        asked = longer_by(asked, said)
        arguments: dict[str, Any] = {"input_ids": first.sequences.new_tensor([asked.ids])}
        beside = collate(subject, [asked]).columns.get(crossing.MASK)
        if beside is not None:
            arguments[crossing.MASK] = beside
    else:
        shown = make_prompt(subject, (case.turn_image,), case.seed * 101 + len(case.rows))
        asked = longer_by(asked.followed_by(shown), said)
        # What the cache holds was looked at: pixels are those of the new image alone.
        new = replace(collate(subject, [asked]), tensors=collate(subject, [shown]).tensors)
        arguments = calls.prompt_arguments(model, new)
    out = model.generate(
        attention_mask=torch.ones_like(arguments["input_ids"]),
        past_key_values=first.past_key_values,
        **arguments,
        **calls.generation_arguments(subject, _new(case)),
    )
    return asked, out


def _check_second_turn(subject: Subject, case: Case, asked: Prompt, out: Any) -> None:
    answer = out.sequences[0, -_new(case) :].tolist()
    told = forced(subject, case, [asked], [answer])
    kind = "second turn" if case.turn_image is None else "second turn with an image"
    _check_logits(subject, calls.generated(out).logits, told, f"{kind} = one forward")
