"""float16 and bfloat16 stay finite and within the error budget; casting = building so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch

from fuzz.target import FLEX
from fuzz.worker import calls
from fuzz.worker.budget import Truth, require_agreement
from fuzz.worker.calls import Result

# By its own name, so that where a wrong value begins is looked for in the other runs alone.
from fuzz.worker.calls import run as run_unwatched
from fuzz.worker.exact import LOW, lane
from fuzz.worker.failure import Failed
from fuzz.worker.implementations import others
from fuzz.worker.inputs import Batch
from fuzz.worker.subject import Subject, model_of
from strategies.case import Case

# The seeds of the cases that are compared in every way, and with a model that was cast alone: no
# simplification of a case raises its seed.
_ALL: Final = 0
_CAST: Final = 1


@dataclass(frozen=True, slots=True)
class _Native:
    """What the target's implementation gave in a low dtype."""

    batch: Batch
    result: Result
    truth: Truth


def check(subject: Subject, case: Case) -> None:
    """Run the case in float16 and bfloat16 on models made for this; the target's dtype is left.

    A target that is in one of them already is checked in that one alone. Both cost ten times what
    another property does, so only cases with seed 0, about every seventh, run in both and are
    compared in every way. Of others those with seed 1 are compared with a model that was cast, and
    the rest with another implementation. Where both dtypes are run, flex_attention runs in float16
    alone: its masks know of no dtype, and on a CPU it costs several times the others.
    Attention implementations come first, casts last: a failure of the first kind is then never
    hidden by one of the second.

    Raises:
        Failed: a logit is not finite; implementations differ, or a model that was cast differs from
            one that was built so, by more than the error budget.
    """
    natives = {}
    for dtype in _dtypes(subject.target.dtype, case.seed):
        with lane(dtype):
            natives[dtype] = _implementations(subject, case, dtype)
    for dtype, native in natives.items() if case.seed in (_ALL, _CAST) else ():
        with lane(dtype):
            _cast(subject, case, dtype, native)


def _dtypes(mine: str, seed: int) -> tuple[str, ...]:
    if mine in LOW:
        return (mine,)
    return tuple(LOW) if seed == _ALL else (tuple(LOW)[seed % 2],)


def _compared(subject: Subject, case: Case, dtype: str) -> tuple[str, ...]:
    if case.seed == _CAST:
        return ()
    found = others(subject, case, dtype)
    if dtype == "bfloat16" and subject.target.dtype != dtype:
        return tuple(a for a in found if a != FLEX)
    return found


def _implementations(subject: Subject, case: Case, dtype: str) -> _Native:
    batch = calls.batch_of(subject, case).to(LOW[dtype])
    mine = subject.target.attn
    truth = Truth(subject, case, batch, dtype=dtype)
    native = None
    for attn in (mine, *_compared(subject, case, dtype)):
        result = calls.run(subject, model_of(subject, attn, case.gain, dtype=dtype), case, batch)
        for row, logits in enumerate(result.logits):
            if not bool(torch.isfinite(logits).all()):
                token = int((~torch.isfinite(logits)).any(-1).nonzero()[0])
                raise Failed(
                    f"finite in {dtype}", f"row {row}: {attn} is not finite at token {token}"
                )
        if native is None:
            native = _Native(batch, result, truth)
        else:
            require_agreement(result, native.result, truth, f"{attn} = {mine} in {dtype}")
    if native is None:
        raise RuntimeError(f"{mine} cannot be run in {dtype}")
    return native


def _cast(subject: Subject, case: Case, dtype: str, native: _Native) -> None:
    """Cast a float32 model of the same weights, and run it as the one built in the dtype was.

    What fails is told apart by giving the model back the buffers that it was built with: with the
    rotary frequencies in float32 again, only what is not their doing is left.
    """
    leg = f"cast to {dtype} = built in {dtype}"

    def model() -> Any:
        return model_of(subject, None, case.gain, dtype="float32", rounded=dtype, cast=dtype)

    result = calls.run(subject, model(), case, native.batch)
    try:
        require_agreement(result, native.result, native.truth, leg)
    except Failed as failure:
        with _frequencies_of(model_of(subject, None, case.gain, dtype=dtype), model()) as mended:
            restored = run_unwatched(subject, mended, case, native.batch)
        require_agreement(
            restored, native.result, native.truth, f"{leg}, rotary frequencies left alone"
        )
        raise Failed(f"{leg}, rotary frequencies", failure.message) from None


@contextmanager
def _frequencies_of(built: Any, cast: Any) -> Iterator[Any]:
    """Lend a model the rotary frequencies of another while the body runs."""
    there = dict(built.named_modules())
    before = []
    for path, module in cast.named_modules():
        if isinstance(getattr(module, "inv_freq", None), torch.Tensor):
            before.append((module, module.inv_freq))
            module.inv_freq = there[path].inv_freq
    try:
        yield cast
    finally:
        for module, frequencies in before:
            module.inv_freq = frequencies
