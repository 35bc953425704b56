"""The worker: prepares a target once, when told to, and answers one request at a time.

It is a fork of the preloaded process, or a fresh interpreter, and is driven by a module that must
offer:

- ``prepare(target) -> dict``: build what the requests need;
- ``answer(request) -> dict``: answer one request;
- ``poisoned() -> str``: "" while the device is fine, else what is wrong with it.

The first frame it reads, ``{"prepare": true, "environment": {...}}``, has it prepare, with these
environment variables set: until then it has touched no device. It writes one frame after that,
``{"ready": ...}`` or ``{"setup_error": ...}``, and one for each request: ``{"id", "answer",
"poisoned"}``, or with ``broken`` (our own fault) or ``oom`` (a MemoryError that nobody caught) in
place of the answer.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final, NoReturn, TypeVar

from fuzz.isolation import kernel, wire

_Result = TypeVar("_Result")

_DETAILS_LIMIT: Final = 8_000  # two of them fit a packet
_ERRORS: Final = 2


def serve(
    connection: socket.socket,
    errors: int,
    load: Callable[[], ModuleType],
    setup: dict[str, Any],
    parent: int,
) -> NoReturn:
    """Be a worker until the driver closes the connection; never returns.

    Args:
        connection: to the driver.
        errors: descriptor of the file that takes standard output and error.
        load: gives the module; see the module's docstring.
        setup: ``target``: what to prepare; ``setup_seconds``: after this long, loading or
            preparing writes down where it is.
        parent: the preloaded process; the worker dies with it.
    """
    try:
        _settle(errors, parent)
        frames = wire.Frames()
        module = _prepare(connection, frames, load, setup)
        if module is not None:
            _answer_all(connection, frames, module)
    except ConnectionError:
        # The driver closed the connection in the middle of a reply: it wants no more of this.
        os._exit(0)
    except BaseException:
        # What the preloaded process had on its stack must not run again in its child.
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def describe(error: BaseException) -> dict[str, str]:
    """Return a setup error as what is sent: kind, message and details.

    An exception whose class is called WorkerSetupError is a person's mistake, with a message
    made for them. It is told by name, since its module is not known here.
    """
    if type(error).__name__ == "WorkerSetupError":
        return {"kind": "usage", "message": str(error)[:_DETAILS_LIMIT], "details": ""}
    return {
        "kind": "broken",
        "message": in_words(error),
        "details": traceback_of(error),
    }


def in_words(error: BaseException) -> str:
    """Return an exception as one piece of text: its type, then its message."""
    try:
        text = str(error)
    except Exception:  # a broken __str__ must not hide the exception itself
        text = ""
    name = type(error).__name__
    return f"{name}: {text[:_DETAILS_LIMIT]}" if text else name


def traceback_of(error: BaseException) -> str:
    """Return the end of an exception's traceback."""
    try:
        return "".join(traceback.format_exception(error))[-_DETAILS_LIMIT:]
    except Exception:  # as above
        return ""


def flush_output() -> None:
    """Write out what Python holds back of standard output and error, as far as it can be."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue


def _settle(errors: int, parent: int) -> None:
    kernel.die_with(parent)
    # Ctrl-C is the driver's to handle; a worker that died of it would look like a crash.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    kernel.offer_to_oom_killer()
    kernel.no_core_dumps()
    os.dup2(errors, 1)
    os.dup2(errors, _ERRORS)
    os.close(errors)
    faulthandler.enable(_ERRORS)


def _prepare(
    connection: socket.socket,
    frames: wire.Frames,
    load: Callable[[], ModuleType],
    setup: dict[str, Any],
) -> ModuleType | None:
    """Load, wait to be told, prepare; return the module when there are requests to come."""
    seconds = setup["setup_seconds"]
    module = _attempt(connection, seconds, load)
    if module is None:
        return None
    told = wire.receive_frame(connection, frames)
    if told is None:
        return None  # a spare that was never needed
    os.environ.update(told.get("environment", {}))
    ready = _attempt(
        connection, seconds, lambda: wire.frame({"ready": module.prepare(setup["target"])})
    )
    if ready is None:
        return None
    connection.sendall(ready)
    return module


def _attempt(
    connection: socket.socket, seconds: float, step: Callable[[], _Result]
) -> _Result | None:
    """Do one step of the setup; if it fails, tell the driver why and return None."""
    faulthandler.dump_traceback_later(seconds, file=_ERRORS)
    try:
        return step()
    except BaseException as error:  # SystemExit too: every end of preparing is an answer
        reply = wire.frame({"setup_error": describe(error)})
    finally:
        faulthandler.cancel_dump_traceback_later()
    connection.sendall(reply)
    return None


def _answer_all(connection: socket.socket, frames: wire.Frames, module: ModuleType) -> None:
    while (request := wire.receive_frame(connection, frames)) is not None:
        _forget_output()
        # A thread in C writes it, so it names a hang that never gives up the interpreter lock.
        faulthandler.dump_traceback_later(request["deadline"], file=_ERRORS)
        result = _answer(module, request)
        poisoned = _poisoned(module)
        faulthandler.cancel_dump_traceback_later()
        head = {"id": request["id"], "poisoned": poisoned}
        try:
            reply = wire.frame({**head, **result})
        except (wire.WireError, MemoryError) as error:
            reply = wire.frame({**head, "broken": f"no answer can be sent: {error}"})
        connection.sendall(reply)
        if poisoned:
            # No orderly end: a destructor that touches a broken device can hang.
            os._exit(0)


def _answer(module: ModuleType, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"answer": module.answer(request)}
    except MemoryError as error:
        return {"oom": in_words(error), "details": traceback_of(error)}
    except BaseException as error:  # SystemExit too: code under test must not end the worker
        return {"broken": in_words(error), "details": traceback_of(error)}


def _poisoned(module: ModuleType) -> str:
    try:
        return str(module.poisoned())[:_DETAILS_LIMIT]
    except BaseException as error:  # a probe that fails is a device that does not work
        return in_words(error)


def _forget_output() -> None:
    flush_output()
    try:
        os.ftruncate(_ERRORS, 0)
    except OSError:
        return  # code under test closed or replaced the descriptor: output is a help, no need
