"""Which attention implementations are compared."""

from __future__ import annotations

from fuzz.target import ATTENTION, FLASH, FLEX
from fuzz.worker import flash, flex
from fuzz.worker.subject import Subject
from strategies.case import Case


def others(subject: Subject, case: Case, dtype: str) -> tuple[str, ...]:
    """Return the implementations that a case is run with beside the target's.

    On a CPU flex_attention costs several times as much as the others. It is compared where the
    case's seed is 0, about every fourth time: no simplification of a case raises its seed, so that
    a comparison which failed is made again on every simpler case. It cannot be trained there.

    Args:
        subject: the subject.
        case: the case.
        dtype: of the models, one of :data:`fuzz.target.DTYPES`.
    """

    def compared(attn: str) -> bool:
        if attn == FLASH:
            return not flash.obstacle(dtype)
        if attn == FLEX:
            possible = case.mode == "eval" or flex.trains(subject.target.device)
            return possible and case.seed == 0 and not flex.obstacle()
        return True

    return tuple(a for a in ATTENTION if a != subject.target.attn and compared(a))
