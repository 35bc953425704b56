"""What a case needs so that running it says something about a property."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from strategies.geometry import Geometry

Kind: TypeAlias = Literal[
    "any",
    "no_crash",
    "clean_rejection",
    "rotary_reference",
    "attention_agreement",
    "cache_agreement",
    "padding_invariance",
    "batch_invariance",
    "causality",
    "state_independence",
    "image_independence",
    "packing_invariance",
    "low_precision",
    "visibility",
    "generation_agreement",
]


@dataclass(frozen=True, slots=True)
class Demands:
    """What a case needs so that running it says something about a property.

    Attributes:
        valid: whether the target has to run the case (else it has to refuse it).
        rows: fewest rows.
        tokens: fewest tokens in the longest row.
        images: fewest images (of a target that takes audio, recordings), in all rows together.
        extra_padding: fewest columns of extra padding.
        history: fewest earlier calls.
        fed_in_pieces: whether the sequence has to reach the cache in two pieces or more.
        forward_only: whether ``generate`` is of no use.
        plain: whether only the rows matter: the property decides how they are fed.
        stateful: whether calls that read what earlier ones left are of more use than others.
        trained: whether some of the cases are trained on.
        generated: whether all of them are generated from, in every way that there is.
        alike: whether no row may reach where rotation follows how far a prompt reaches: results of
            prompts of different reach are compared.
    """

    valid: bool = True
    rows: int = 1
    tokens: int = 1
    images: int = 0
    extra_padding: int = 0
    history: int = 0
    fed_in_pieces: bool = False
    forward_only: bool = False
    plain: bool = False
    stateful: bool = False
    trained: bool = False
    generated: bool = False
    alike: bool = False


KINDS: Final[Mapping[Kind, Demands]] = {
    "any": Demands(),
    "no_crash": Demands(),
    "clean_rejection": Demands(valid=False),
    "rotary_reference": Demands(),
    "attention_agreement": Demands(trained=True),
    "cache_agreement": Demands(tokens=2, fed_in_pieces=True, alike=True),
    "padding_invariance": Demands(extra_padding=1, alike=True),
    "batch_invariance": Demands(rows=2, alike=True),
    "causality": Demands(tokens=2, forward_only=True, alike=True),
    "state_independence": Demands(history=1, stateful=True, alike=True),
    "image_independence": Demands(images=2, plain=True),
    "packing_invariance": Demands(rows=2, plain=True, alike=True),
    "low_precision": Demands(forward_only=True),
    "visibility": Demands(tokens=2, plain=True),
    "generation_agreement": Demands(generated=True, alike=True),
}


def kinds_for(geometry: Geometry) -> tuple[Kind, ...]:
    """Return the kinds that :func:`cases` can draw: of text alone, nothing is invalid."""

    def possible(demands: Demands) -> bool:
        return geometry.images or geometry.audio or (demands.valid and not demands.images)

    kinds: tuple[Kind, ...] = get_args(Kind)
    return tuple(kind for kind in kinds if possible(KINDS[kind]))
