"""Turning what happened in a check into an Outcome."""

from __future__ import annotations

import linecache
import traceback
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final

import torch

from fuzz.plants import NOTHING
from fuzz.verdict import REFUSED, Kind, Outcome, Signature, without_numbers
from fuzz.worker.errors import NothingToBreakError
from fuzz.worker.flash.contract import ContractError
from fuzz.worker.flash.shadow import LEG, KernelError

OWN: Final = str(Path(__file__).resolve().parent)
PLANTS: Final = str(Path(__file__).resolve().parent / "plants")
GUARD: Final = str(Path(__file__).resolve().parent / "guard")
BETWEEN: Final = tuple(
    str(Path(__file__).resolve().with_name(n)) for n in ("widen.py", "patches.py")
)
CALLER: Final = "/transformers/"
UNDER_TEST: Final = (CALLER, "/flash_attn/")
BACKWARD: Final = "_engine_run_backward"
REFUSALS: Final = (ValueError, TypeError, NotImplementedError)


class Failed(Exception):
    """A claim does not hold.

    Attributes:
        leg: the comparison that failed, part of the signature.
        message: one sentence for a person.
    """

    def __init__(self, leg: str, message: str) -> None:
        """Take the comparison's name and the sentence."""
        super().__init__(message)
        self.leg = leg
        self.message = message


class DeviceError(RuntimeError):
    """A device error after which no result of this process can be trusted."""


def failed(property_id: str, failure: Failed) -> Outcome:
    """Return the outcome of a claim that does not hold."""
    signature = Signature(property_id, "fail", failure.leg)
    return Outcome("fail", f"{failure.leg}: {failure.message}", signature)


def refused(error: BaseException) -> bool:
    """Tell whether the library itself turned the input down, in words.

    True for an exception of a type meant for that, raised by a ``raise`` statement or a check
    helper in the library's own Python. The same type thrown by a kernel or by numpy, whose
    frames do not show, is not a refusal.
    """
    if not isinstance(error, REFUSALS) or not str(error).strip():
        return False
    frames = _frames(error.__traceback__)
    inner = next((f for f in reversed(frames) if _under_test(f[0].f_code.co_filename)), None)
    if inner is None:
        return False
    frame, line = inner
    source = linecache.getline(frame.f_code.co_filename, line).strip()
    return source.startswith("raise ") or "_check(" in source or "_check" in frame.f_code.co_name


def raised(error: BaseException) -> Outcome:
    """Return the outcome of an exception that came out of a check.

    It is ``broken`` when it comes from our own code, and otherwise what the code under test did.
    """
    details = "".join(traceback.format_exception(type(error), error, error.__traceback__)[-12:])
    name = type(error).__name__
    text = str(error).strip()
    first = text.splitlines()[0] if text else ""
    frames = _frames(error.__traceback__)
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        # Where the last byte was missing is chance: it is told, and is no part of the signature.
        inner = next((f for f, _ in reversed(frames) if _under_test(f.f_code.co_filename)), None)
        place = f" in {_name(inner)}" if inner else ""
        return _outcome("oom", name, "", f"out of memory{place}: {first or name}", first, details)
    if isinstance(error, NothingToBreakError):
        return Outcome("broken", f"{NOTHING}: {error}")
    if isinstance(error, ContractError):
        return _contract(error, frames, details)
    if isinstance(error, KernelError):
        return _kernel(error, details)
    ours = -1
    theirs = -1
    for i, (frame, _) in enumerate(frames):
        file = frame.f_code.co_filename
        if _under_test(file):
            theirs = i
        elif (
            file.startswith(OWN) and not file.startswith((PLANTS, GUARD)) and not _passes_on(frame)
        ):
            ours = i
    if theirs < ours and _in_autograd(frames[ours + 1 :]):
        # What autograd refuses is what the forward pass recorded: no frame of it shows any more.
        return _outcome("error", name, "backward", f"{name} in backward: {first}", first, details)
    if theirs < ours or theirs < 0:
        return Outcome("broken", f"{name}: {first}", details=details)
    where = _name(frames[theirs][0])
    kind: Kind = "reject" if refused(error) else "error"
    sentence = f"{name} in {where}" + (f": {first}" if first else "")
    if isinstance(error, IndexError):
        # torch words this differently for an empty table; it is the same failure.
        return _outcome(kind, "IndexError", where, sentence, "index out of bounds", details)
    if kind == "reject":
        sentence = f"{REFUSED} {where}: {first}"
    return _outcome(kind, name, where, sentence, first, details)


def _contract(error: ContractError, frames: list[tuple[FrameType, int]], details: str) -> Outcome:
    """Return the outcome of a call that flash-attn is not made for: its caller's doing.

    The guard is ours and raises it, but only for what it was given. Any other exception from
    beneath it, a mistake of the reference among them, is judged as all others are.
    """
    caller = next((f for f, _ in reversed(frames) if CALLER in f.f_code.co_filename), None)
    if caller is None:
        return Outcome("broken", f"ContractError: {error}", details=details)
    where = _name(caller)
    what = f"ContractError: {','.join(dict.fromkeys(error.codes))}"
    sentence = f"ContractError in {where}: {error}"
    return _outcome("error", what, where, sentence, "", details)


def _kernel(error: KernelError, details: str) -> Outcome:
    """Return the outcome of a call whose result is not what its arguments define.

    One finding whatever check made the call: the claim that does not hold is the one that
    flash_attention_2 computes what the others do.
    """
    signature = Signature("attention_agreement", "fail", LEG, error.function)
    return Outcome("fail", f"{LEG}: {error}", signature, details)


def _outcome(kind: Kind, what: str, where: str, sentence: str, raw: str, details: str) -> Outcome:
    signature = Signature("no_crash", kind, what, where, without_numbers(raw))
    return Outcome(kind, sentence, signature, details)


def _in_autograd(frames: list[tuple[FrameType, int]]) -> bool:
    return any(frame.f_code.co_name == BACKWARD for frame, _ in frames)


def _frames(tb: TracebackType | None) -> list[tuple[FrameType, int]]:
    return list(traceback.walk_tb(tb))


def _under_test(file: str) -> bool:
    return any(part in file for part in UNDER_TEST)


def _passes_on(frame: FrameType) -> bool:
    # The exact lane and the bounds check stand between the model and every torch call.
    code = frame.f_code
    between = ("__torch_function__", "__torch_dispatch__")
    return code.co_name in between or code.co_filename in BETWEEN


def _name(frame: FrameType) -> str:
    code = frame.f_code
    owner = frame.f_locals.get("self")
    stem = Path(code.co_filename).stem
    if owner is not None:
        return f"{stem}.{type(owner).__name__}.{code.co_name}"
    return f"{stem}.{code.co_name}"
