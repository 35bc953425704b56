"""What more can be said of a failing case, by running it again with more eyes on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fuzz.worker.device import fragile
from fuzz.worker.divergence import first_divergence
from fuzz.worker.exact import lane
from fuzz.worker.failure import Failed
from fuzz.worker.guard.index import OutOfBounds, guarded
from fuzz.worker.subject import Subject
from strategies.case import Case

BEGINS: Final = "begins at"
INDEX: Final = "index"
RAISED: Final = "raised in"


def explain(
    subject: Subject, property_id: str, check: Callable[[Subject, Case], None], case: Case
) -> list[tuple[str, str]]:
    """Return sentences about a failing case, each with a label.

    An index that passes its table is named even where the kernel lets it pass; an exception gets
    the path of the module it came out of; a wrong value the place where it begins.

    Args:
        subject: the subject.
        property_id: the property that fails.
        check: its check.
        case: the case.
    """
    said: list[tuple[str, str]] = []
    with lane(subject.target.dtype):
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
        if said and said[0][0] == INDEX and fragile(subject.device):
            # Without the guard the device would be lost, and this process with it.
            return said
        parting = first_divergence(subject, property_id, check, case)
    if parting is not None:
        said.append((BEGINS, str(parting)))
    return said
