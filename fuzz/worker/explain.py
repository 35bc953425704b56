"""What more can be said of a failing case, by running it again with more eyes on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fuzz.worker.device import fragile
from fuzz.worker.divergence import first_divergence
from fuzz.worker.exact import lane
from fuzz.worker.failure import Failed
from fuzz.worker.guard.index import OutOfBounds, guarded
from fuzz.worker.inputs import make_prompt
from fuzz.worker.placing import TEXT
from fuzz.worker.subject import Subject
from strategies.case import Audio, Case, Image, Segment, media_of
from strategies.words import describe_audio, describe_image

BEGINS: Final = "begins at"
INDEX: Final = "index"
RAISED: Final = "raised in"
IMAGES: Final = "images"


def explain(
    subject: Subject, property_id: str, check: Callable[[Subject, Case], None], case: Case
) -> list[tuple[str, str]]:
    """Return sentences about a failing case, each with a label: what its images become, and more.

    An index that passes its table is named even where the kernel lets it pass; an exception gets
    the path of the module it came out of; a wrong value the place where it begins.

    Args:
        subject: the subject.
        property_id: the property that fails.
        check: its check.
        case: the case.
    """
    with lane(subject.target.dtype):
        said = images_in_words(subject, case)
        try:
            with guarded(*subject.models.values()) as place:
                check(subject, case)
        except OutOfBounds as found:
            said.append((INDEX, str(found)))
        except Failed:
            pass
        except Exception:
            if place.raised_in:
                said.append((RAISED, place.raised_in))
        if said and said[-1][0] == INDEX and fragile(subject.device):
            # Without the guard the device would be lost, and this process with it.
            return said
        parting = first_divergence(subject, property_id, check, case)
    if parting is not None:
        said.append((BEGINS, str(parting)))
    return said


def images_in_words(subject: Subject, case: Case) -> list[tuple[str, str]]:
    """Return what images and recordings of a case become, each size once, with a label.

    An image that cannot be placed is what fails: nothing is said of it.
    """
    said: dict[Segment, str] = {}
    for number, row in enumerate(case.rows):
        try:
            placed = make_prompt(subject, row, case.seed * 101 + number).images
        except Exception:  # noqa: S112 - it is told by what fails
            continue
        for segment, became in zip(media_of(row), placed, strict=True):
            grid = became.grid if "image_grid_thw" in became.tensors else ()
            tokens = len(became.types) - became.types.count(TEXT)
            if isinstance(segment, Audio):
                said[segment] = describe_audio(segment, tokens)
            elif isinstance(segment, Image):
                said[segment] = describe_image(segment, grid, tokens)
    return [(IMAGES, "; ".join(said.values()))] if said else []
