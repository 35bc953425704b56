"""Images of a family without data, placed as the whole processor of its directory places them.

Nothing is guessed: how an image becomes tokens and tensors is asked of the processor, how those of
several images and rows are joined is tried and held against what it makes of them together, and
what the model makes of image tokens is looked at. Where anything is left open, no image is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, Final

import PIL.Image
import torch

from fuzz.worker import calls, placing, release
from fuzz.worker.capture import at_the_door
from fuzz.worker.compare import distance
from fuzz.worker.exact import lane, tolerance
from fuzz.worker.feed import Feed
from fuzz.worker.inputs import Batch, Prompt, collate, draw_pixels
from fuzz.worker.placing import Placed
from fuzz.worker.subject import Subject, model_of, text_ids
from strategies.case import Image

PLACINGS: Final = ("processor", "processor_by_row")
"""Names of how tensors are joined: one after the other, or each row's apart."""
OF_TOKENS: Final = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")
_SIZES: Final = ((60, 40), (25, 90))
"""Two images of different shapes: (width, height) in pixels."""
_MOST: Final = 160
"""Letters of another's error that are repeated."""
_BEFORE: Final = 3
"""Text tokens before the image that is tried, and after it."""


class Undecided(Exception):
    """It is not decided how images become tokens; the message says why."""


@dataclass(frozen=True, slots=True)
class WholeProcessor:
    """A directory's processor: of text and images.

    Attributes:
        processor: transformers' own.
        before: tokens that it puts before every prompt.
        after: tokens that it puts after every prompt.
    """

    processor: Any
    before: int = 0
    after: int = 0

    def __call__(self, **given: Any) -> Any:
        """Prepare images alone, as an image processor does."""
        return self.processor.image_processor(**given)

    def prompts(self, texts: Sequence[str], images: Any) -> Any:
        """Prepare prompts with their images: a list of these for each prompt."""
        return self.processor(images=images, text=list(texts), padding=True, return_tensors="pt")

    def without_ends(self, ids: torch.Tensor) -> list[int]:
        """Return a prompt's tokens without those that every one has at its ends."""
        tokens: list[int] = ids.tolist()
        return tokens[self.before : len(tokens) - self.after]


def place(subject: Subject, image: PIL.Image.Image, extra: int) -> Placed:
    """Return what the processor makes of an image; placeholders too many follow its last one."""
    whole: WholeProcessor = subject.processor
    out = whole.prompts([whole.processor.image_token], [[image]])
    ids = whole.without_ends(out["input_ids"][0])
    token = placing.image_token(subject.config)
    places = [n for n, i in enumerate(ids) if i == token]
    if extra > 0 and places:
        ids[places[-1] : places[-1]] = [token] * extra
    for at in reversed(places[max(0, len(places) + extra) :] if extra < 0 else []):
        del ids[at]
    by_row = subject.family.placing == PLACINGS[1]
    tensors = {
        name: x[0] if by_row else x
        for name, x in out.items()
        if name not in OF_TOKENS and isinstance(x, torch.Tensor)
    }
    return placing.placed(subject.config, ids, tensors)


def learn(subject: Subject) -> None:
    """Give the subject its directory's whole processor, and its family the way to use it.

    Raises:
        Undecided: images cannot be placed; the subject is as it was.
    """
    family, processor = subject.family, subject.processor
    try:
        subject.processor = _processor_in(subject)
        _decide(subject)
    except Exception as error:
        subject.processor, subject.family = processor, family
        if isinstance(error, Undecided):
            raise
        said = f"{type(error).__name__}: {_in_short(error)}"
        raise Undecided(f"a prompt with an image, as its processor makes it, dies of {said}") from (
            error
        )


def _decide(subject: Subject) -> None:
    family, model = subject.family, model_of(subject)
    if release.position_owner(model) is not None:
        raise Undecided("how their tokens are numbered in several axes is not decided")
    for name in ("token_type_ids", "mm_token_type_ids"):
        if release.accepts(model.forward, name):
            raise Undecided(f"what the model makes of {name} is not decided")
    _require_tokens(subject, model)
    for name in PLACINGS:
        subject.family = replace(family, placing=name)
        if _joined_alike(subject):
            break
    else:
        raise Undecided("those of several prompts are joined in a way that is not known")
    image = place(subject, _image(0), 0)
    if unknown := [name for name in image.tensors if not release.accepts(model.forward, name)]:
        raise Undecided(f"the model takes no {unknown[0]}, which its processor makes")
    around = len(image.ids) - (image.span[1] - image.span[0])
    reasons = dict(family.not_applicable)
    try:
        release.projectors(model)
    except LookupError:
        reasons["image_independence"] = "where features leave the tower is not decided"
    subject.family = replace(subject.family, frame_tokens=around, not_applicable=reasons)
    _look(subject)


def _require_tokens(subject: Subject, model: Any) -> None:
    """Look whether config and processor speak of the same tokens.

    Raises:
        Undecided: they do not.
    """
    subject.family = replace(subject.family, placing=PLACINGS[0])
    token, known = placing.image_token(subject.config), model.get_input_embeddings().num_embeddings
    ids = place(subject, _image(0), 0).ids
    if token not in ids:
        raise Undecided(f"its processor makes no image of the config's image token, {token}")
    if max(ids) >= known:
        raise Undecided(f"its processor makes tokens up to {max(ids)}, the model knows {known}")


def _joined_alike(subject: Subject) -> bool:
    """Tell whether our way of joining images and rows gives what the processor makes of them.

    Raises:
        Undecided: two images in one prompt become other tokens than one after the other.
    """
    whole: WholeProcessor = subject.processor
    token = whole.processor.image_token
    images = [_image(n) for n in range(len(_SIZES))]
    one, two = (place(subject, image, 0) for image in images)
    # With a word between them, since some processors share a marker between neighbours.
    pair = f"{token} a {token}"
    both = whole.without_ends(whole.prompts([pair], [images])["input_ids"][0])
    between = both[len(one.ids) : len(both) - len(two.ids)]
    if both != [*one.ids, *between, *two.ids] or placing.image_token(subject.config) in between:
        raise Undecided("two images are placed in another way than one after the other")
    expected = whole.prompts([token, pair], [images[1:], images])
    try:
        ours = placing.join(subject, [[two], [one, two]])
    except RuntimeError:
        return False  # their shapes do not fit together
    return all(_equal(x, expected.get(name)) for name, x in ours.items())


def _processor_in(subject: Subject) -> WholeProcessor:
    from transformers import AutoProcessor

    try:
        auto: Any = AutoProcessor
        # Nothing of a directory is run as code, and nobody is asked whether it may be.
        processor = auto.from_pretrained(
            subject.target.model, local_files_only=True, trust_remote_code=False
        )
    except (ImportError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Undecided(f"their processor cannot be loaded: {_in_short(error)}") from None
    token = getattr(processor, "image_token", None)
    parts = ("image_processor", "tokenizer")
    if not isinstance(token, str) or not all(hasattr(processor, name) for name in parts):
        raise Undecided("their processor names no image token, or is not of text and images")
    plain = processor.tokenizer("").input_ids
    alone = WholeProcessor(processor).prompts([token], [[_image(0)]])["input_ids"][0].tolist()
    same = takewhile(lambda pair: pair[0] == pair[1], zip(plain, alone, strict=False))
    before = len(list(same))
    return WholeProcessor(processor, before, len(plain) - before)


def _look(subject: Subject) -> None:
    """Run a prompt with an image: what the decoder gets of it, and which of its tokens see which.

    Raises:
        Undecided: embeddings are not all that the decoder gets; or a token sees later ones.
    """
    with lane("exact"):
        model = model_of(subject, "eager", dtype="exact")
        one, batch = _logits(subject, model)
        fed = calls.merged_embeddings(model, batch)
        again = model(inputs_embeds=fed, attention_mask=batch.attention_mask).logits[0]
        layer = release.text_model(model).layers[0]
        feed = _whole(batch)
        _, given = at_the_door(layer, lambda: calls.forward(model, batch, feed))
    if not bool(torch.isfinite(one).all()):
        raise Undecided("a prompt with an image gives numbers that are not finite")
    if not distance(again, one) <= tolerance("exact"):
        raise Undecided("embeddings are not all that the decoder gets of an image")
    mask = given.get("attention_mask")
    if not isinstance(mask, torch.Tensor) or mask.ndim != 4:
        raise Undecided("which tokens of an image see each other is not decided")
    if bool((mask[0, 0].triu(1) == 0).logical_and(torch.ones_like(mask[0, 0]).triu(1) > 0).any()):
        raise Undecided("tokens of an image see later ones")


def _logits(subject: Subject, model: Any) -> tuple[torch.Tensor, Batch]:
    text = tuple(text_ids(subject.config)[:_BEFORE])
    image = place(subject, _image(0), 0)
    at, types = len(text), (placing.TEXT,) * len(text)
    prompt = Prompt(
        ids=(*text, *image.ids, *text),
        types=(*types, *image.types, *types),
        images=(image,),
        spans=((at + image.span[0], at + image.span[1]),),
    )
    batch = collate(subject, [prompt])
    return calls.forward(model, batch, _whole(batch)).logits[0], batch


def _whole(batch: Batch) -> Feed:
    return Feed(explicit=False, pieces=((0, batch.width),))


def _image(size: int) -> PIL.Image.Image:
    return draw_pixels(Image(*_SIZES[size]), size)


def _equal(ours: torch.Tensor, theirs: Any) -> bool:
    return isinstance(theirs, torch.Tensor) and bool(torch.equal(ours, theirs))


def _in_short(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _MOST else f"{text[:_MOST].rstrip()} ..."
