"""Jobs of a benchmark on all cores, which end with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def on_all_cores(jobs: Iterable[Callable[[], T]]) -> Iterator[Iterator[T]]:
    """Run jobs, and give their results as they come.

    When the body is interrupted, what is left is not waited for, and ends.
    """
    with ProcessPoolExecutor(max(1, os.cpu_count() or 1), initializer=_end_when_told) as pool:
        try:
            with _not_interrupted():
                waiting = [pool.submit(job) for job in jobs]
            yield (future.result() for future in as_completed(waiting))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.kill()  # One that is still being forked has our handler of SIGTERM.
            raise


@contextmanager
def _not_interrupted() -> Iterator[None]:
    """Have Ctrl-C come after the body: a pool that is half filled cannot be taken down."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_when_told() -> None:
    # Ctrl-C is for the process that collects; it ends these, and theirs die with them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
