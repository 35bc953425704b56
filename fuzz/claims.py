"""The properties by name: what each one claims. The checks themselves live in the worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim about (Case, Target).

    Attributes:
        id: its name on the command line, in fixtures and in signatures.
        sentence: the claim.
    """

    id: str
    sentence: str


CLAIMS: Final[dict[str, Claim]] = {
    c.id: c
    for c in (
        Claim("no_crash", "a valid case runs: no exception, no dead process, only finite numbers"),
        Claim(
            "clean_rejection",
            "an invalid case is refused with a clear error by the library, not by a kernel",
        ),
        Claim("rotary_reference", "positions and rotations equal an independent implementation"),
        Claim(
            "attention_agreement",
            "every implementation of attention and experts gives the same logits, and gradients",
        ),
        Claim("cache_agreement", "one forward = chunked prefill = token by token, for every cache"),
        Claim("padding_invariance", "padding leaves the real tokens' logits alone"),
        Claim("batch_invariance", "a row's result does not depend on its neighbours"),
        Claim("causality", "a later token never moves an earlier logit"),
        Claim("state_independence", "what ran before on the same model changes nothing"),
        Claim(
            "image_independence",
            "what the vision tower makes of an image does not depend on the images beside it",
        ),
        Claim("packing_invariance", "sequences packed into one row = the same run apart"),
        Claim(
            "low_precision",
            "float16 and bfloat16 stay finite and within the error budget; cast = built so",
        ),
        Claim(
            "visibility",
            "every token that the rule makes visible changes what follows, and no other one does",
        ),
        Claim(
            "generation_agreement",
            "beams, samples, pieces, guesses, embeddings and second turns generate what one "
            "forward gives",
        ),
    )
}

ACROSS: Final = Claim("version_agreement", "two releases of transformers give the same result")
"""The claim of the gate alone: it takes a baseline."""


def sentence_of(property_id: str) -> str:
    """Return what a property claims."""
    return ACROSS.sentence if property_id == ACROSS.id else CLAIMS[property_id].sentence
