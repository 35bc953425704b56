"""What the guards cost on a forward: ``python -m fuzz.worker.overhead ROUNDS`` prints JSON.

In one process, each round times a forward without and with a guard, every other round the other
way round, so that drift of the machine cancels.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from fuzz.target import FLASH, Target, target_to_plain
from fuzz.worker import serve
from strategies.case import Case, Image, Text

# Two images and padding: every function that a guard stands before is called.
CASE: Final = Case(rows=((Image(112, 112), Text(48)), (Text(16), Image(56, 84), Text(8))))
REPEATS: Final = 8
"""Forwards in one measurement."""


def measure(rounds: int) -> dict[str, Any]:
    """Return milliseconds of a forward, without and with each guard, a number a round."""
    versions = serve.load(target_to_plain(Target()))
    from fuzz.worker import calls, flash
    from fuzz.worker.exact import lane
    from fuzz.worker.flash.shadow import watching
    from fuzz.worker.guard.index import guarded
    from fuzz.worker.subject import make_subject, model_of

    target = Target()
    subject = make_subject(target, lambda _: None)
    batch = calls.batch_of(subject, CASE)

    def forwards(attn: str) -> Callable[[], None]:
        model = model_of(subject, attn)

        def run() -> None:
            for _ in range(REPEATS):
                calls.run(subject, model, CASE, batch)

        return run

    def under_index_guard() -> None:
        with guarded(model_of(subject)):
            plain()

    with lane(target.dtype):
        plain = forwards(target.attn)
        measured = {"index guard": _pairs(plain, under_index_guard, rounds)}
        if not flash.obstacle(target.dtype):
            run = forwards(FLASH)
            measured["contract guard"] = _pairs(_unguarded(run), run, rounds)

            def under_shadow_oracle() -> None:
                with watching():
                    run()

            measured["shadow oracle"] = _pairs(run, under_shadow_oracle, rounds)
    return {"versions": versions, "milliseconds": measured}


def _unguarded(run: Callable[[], None]) -> Callable[[], None]:
    """Return ``run`` with the extension's functions as they are beneath the guard."""
    from fuzz.worker.flash.install import FUNCTIONS

    module: Any = importlib.import_module("flash_attn_2_cuda")
    guarded = {name: getattr(module, name) for name in FUNCTIONS}

    def bare() -> None:
        for name, function in guarded.items():
            setattr(module, name, function.__wrapped__)
        try:
            run()
        finally:
            for name, function in guarded.items():
                setattr(module, name, function)

    return bare


def _pairs(
    without: Callable[[], None], with_guard: Callable[[], None], rounds: int
) -> list[tuple[float, float]]:
    for warm_up in (without, with_guard):
        warm_up()
    pairs = []
    for i in range(rounds):
        if i % 2:
            b, a = _timed(with_guard), _timed(without)
        else:
            a, b = _timed(without), _timed(with_guard)
        pairs.append((a, b))
    return pairs


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000 / REPEATS


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
