"""Which implementations of attention and of experts are compared."""

from __future__ import annotations

from functools import cache

from fuzz.target import ATTENTION, FLASH, FLEX, SDPA
from fuzz.worker import experts, flash, flex
from fuzz.worker.subject import Subject, model_of
from strategies.case import Case


def only_one(subject: Subject) -> bool:
    """Tell whether no other implementation than the target's can be run at all."""
    return not others(subject, Case(), subject.target.dtype)


def others(subject: Subject, case: Case, dtype: str) -> tuple[str, ...]:
    """Return the implementations that a case is run with beside the target's.

    A case with seed 0, about every seventh, is run with all of them, others with one: each of them
    costs as much as the case itself, and on a CPU flex_attention several times as much, which is
    left to seed 0. No simplification of a case raises its seed, so that a comparison which failed
    at seed 0 is made again on every simpler case. flex_attention cannot be trained on a CPU.

    Args:
        subject: the subject.
        case: the case.
        dtype: of the models, one of :data:`fuzz.target.DTYPES`.
    """
    architecture = subject.family.architecture

    def compared(attn: str) -> bool:
        if attn == FLASH:
            refused = no_flash(architecture) or part_without_flash(subject)
            return not (flash.obstacle(dtype) or refused)
        if attn == FLEX:
            possible = case.mode == "eval" or flex.trains(subject.target.device)
            return possible and not flex.obstacle()
        if attn == SDPA:
            return not no_sdpa(architecture)
        return True

    found = tuple(a for a in ATTENTION if a != subject.target.attn and compared(a))
    if case.seed == 0:
        return found
    cheap = [a for a in found if a != FLEX]
    return (cheap[case.seed % len(cheap)],) if cheap else ()


def other_experts(subject: Subject, case: Case) -> tuple[str, ...]:
    """Return the ways of computing experts that a case is run with beside one after the other.

    In float64 alone, where rounding chooses no other experts; and of cases with seed 0, for the
    reason and at the price that :func:`others` has.
    """
    if subject.target.dtype != "exact" or case.seed:
        return ()
    return experts.ways(model_of(subject))


def part_without_flash(subject: Subject) -> str:
    """Return which part of a model cannot run with flash_attention_2, as its own mark says, or "".

    The whole may be marked as if it could: transformers refuses the part where it is built.
    """
    for module in model_of(subject).modules():
        if getattr(type(module), "_supports_flash_attn", True) is False:
            name = type(module).__name__
            part = "" if name == subject.family.architecture else ", a part of the model,"
            return f"{name}{part} does not support it"
    return ""


@cache
def no_sdpa(architecture: str) -> str:
    """Return why a model class cannot run with sdpa, as its own mark says, "" where it can."""
    import transformers

    if getattr(getattr(transformers, architecture), "_supports_sdpa", True):
        return ""
    return f"{architecture} of transformers {transformers.__version__} does not support it"


@cache
def no_flash(architecture: str) -> str:
    """Return why a model class takes other flash kernels than flash-attn's, "" where it does not.

    Asked for flash_attention_2, transformers then gets one of those from a hub.
    """
    import transformers

    takes = getattr(getattr(transformers, architecture), "_compatible_flash_implementations", None)
    if takes is None or FLASH in takes:
        return ""
    return f"{architecture} of transformers {transformers.__version__} takes {takes[0]} instead"
