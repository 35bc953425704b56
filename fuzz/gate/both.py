"""Two calls at the same time: each side of a gate has processes of its own to wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

_Here = TypeVar("_Here")
_There = TypeVar("_There")


def both(
    here: Callable[[], _Here], there: Callable[[], _There], stop: Callable[[], None]
) -> tuple[_Here, _There]:
    """Run two calls at the same time and return what they return.

    When one of them raises, or Ctrl-C comes, the other has ended before that is passed on.

    Args:
        here: called in this thread, where Ctrl-C is heard.
        there: called in another one.
        stop: has ``there`` end soon.
    """
    values: list[_There] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            values.append(there())
        except BaseException as error:  # whatever it is, it is raised below
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        mine = here()
        thread.join()
    except BaseException:
        stop()
        thread.join()
        raise
    if errors:
        raise errors[0]
    return mine, values[0]
