"""What is reported in place of an answer: by a death, a hang, or too much memory."""

from __future__ import annotations

import re
from typing import Final

from fuzz.verdict import Kind, Outcome, Signature, without_numbers

DUMP_STARTED: Final = "Timeout ("
"""How faulthandler begins the stack that it writes at a deadline."""

EVIDENCE: Final = 2**20
"""How many bytes of a worker's output are looked at."""

_DETAILS: Final = 8_000
_FRAME: Final = re.compile(r'^  File "(?P<file>[^"]*)", line \d+ in (?P<name>.+)$')
_THREAD: Final = re.compile(r"^(?:Current thread|Thread) .*\(most recent call first\):$")
_DUMP: Final = re.compile(
    r"^(?:Fatal Python error: |Timeout \(|Current thread |Thread 0x)", re.MULTILINE
)
_WRAPPERS: Final = ("module._call_impl", "module._wrapped_call_impl", "module.inner")
_NOISE: Final = (
    "frame #",
    "Exception raised from",
    "For debugging consider",
    "Compile with `TORCH_USE_CUDA_DSA`",
    "CUDA kernel errors might be asynchronously",
)


def broken(message: str, details: str = "", seconds: float = 0.0) -> Outcome:
    """Return the outcome of a check that our own machinery failed."""
    return Outcome("broken", message, details=details[-_DETAILS:], seconds=seconds)


def died(how: str, printed: str, seconds: float) -> Outcome:
    """Return the outcome of a check in which the worker died.

    Args:
        how: the death in words, as :class:`~fuzz.isolation.preloaded.Worker` has it.
        printed: the end of what the worker printed.
        seconds: how long it had run.
    """
    if how == "SIGKILL":
        # Nobody here sent it.
        message = "the worker was killed by SIGKILL, as the kernel's out-of-memory killer does"
        return _failure("oom", how, "", "", message, printed, seconds)
    line = last_words(printed)
    where = innermost(printed)
    message = f"the worker died by {how}{_place(printed, where)}" + (f": {line}" if line else "")
    return _failure("crash", how, where, without_numbers(line), message, printed, seconds)


def hung(deadline: float, printed: str, seconds: float) -> Outcome:
    """Return the outcome of a check that had not ended by its deadline."""
    where = innermost(printed)
    place = _place(printed, where)
    message = f"no answer within {deadline:.1f} s" + (f"; it hung{place}" if place else "")
    return _failure("hang", "deadline", where, "", message, printed, seconds)


def overran_memory(limit_mib: int, printed: str, seconds: float) -> Outcome:
    """Return the outcome of a check in which the worker held too much memory."""
    message = f"the case took more than {limit_mib} MiB of memory"
    return _failure("oom", "memory limit", "", "", message, printed, seconds)


def ran_out_of_memory(message: str, details: str, seconds: float) -> Outcome:
    """Return the outcome of a check that ended in a MemoryError nobody caught."""
    return _failure("oom", "MemoryError", "", "", message, details, seconds)


def poisoned(error: str, raised: str, printed: str, seconds: float) -> Outcome:
    """Return the outcome of a check after which the device no longer worked.

    Args:
        error: what the device says.
        raised: where the code under test had it raised, "" where nothing came out of it. A
            device reports late, so this is where the error was noticed and not what it is.
        printed: the end of what the worker printed; a kernel's assertion stands there.
        seconds: how long the check took.
    """
    asserted = [line.strip() for line in printed.splitlines() if "Assertion" in line]
    message = f"the device is lost: {error}" + (f": {asserted[-1]}" if asserted else "")
    words = without_numbers(asserted[-1] if asserted else error)
    details = printed + (f"\nnoticed at: {raised}" if raised else "")
    return _failure("crash", "device error", "", words, message, details, seconds)


def last_words(printed: str) -> str:
    """Return the line of a dead process's output that most likely says why; "" if none does.

    That is the last one, before Python's dump of its stack, which names an error or an
    assertion; else the last one at all.
    """
    lines = []
    for line in printed.splitlines():
        if _DUMP.match(line):
            break
        text = line.strip()
        if text and not text.startswith(_NOISE):
            lines.append(text)
    telling = [
        line for line in lines if re.search(r"assert|error|exception|^what\(\):", line, re.I)
    ]
    return (telling or lines or [""])[-1].removeprefix("what():").strip()


def innermost(printed: str) -> str:
    """Return the innermost function of transformers in a dumped stack, as "module.function".

    The thread that had the error counts if it is told; else the first one of the process,
    which the dump holds last, and then those before it.
    """
    threads: list[tuple[bool, list[str]]] = []
    for line in printed.splitlines():
        if _THREAD.match(line):
            threads.append((line.startswith("Current"), []))
        elif threads and (frame := _FRAME.match(line)) and _is_transformers(frame["file"]):
            module = frame["file"].rpartition("/")[2].removesuffix(".py")
            threads[-1][1].append(f"{module}.{frame['name']}")
    for wanted in (True, False):
        for current, frames in reversed(threads):
            if current == wanted and frames:
                return frames[0]
    return ""


def _place(printed: str, where: str) -> str:
    """Return the place in words: the function of transformers, and what it had called of torch."""
    if not where:
        return ""
    called = ""
    for line in printed.splitlines():
        if _THREAD.match(line):
            called = ""
        elif frame := _FRAME.match(line):
            name = f"{frame['file'].rpartition('/')[2].removesuffix('.py')}.{frame['name']}"
            if _is_transformers(frame["file"]) and name == where:
                break
            if "/torch/" in frame["file"] and not called and name not in _WRAPPERS:
                called = name
    return f" in {where}" + (f", at {called}" if called else "")


def _is_transformers(file: str) -> bool:
    # Everything can lie below a folder that is called transformers; an installed package is
    # told by what it is installed in.
    installed = re.split(r"/(?:site|dist)-packages/", file)
    if len(installed) > 1:
        return installed[-1].startswith("transformers/")
    return (
        re.search(r"/transformers/(?:[^/]+\.py|models/|generation/|integrations/|utils/)", file)
        is not None
    )


def _failure(
    verdict: Kind,
    what: str,
    where: str,
    words: str,
    message: str,
    details: str,
    seconds: float,
) -> Outcome:
    # A dead process is a claim that does not hold, whichever check ran into it.
    signature = Signature("no_crash", verdict, what, where, words)
    return Outcome(verdict, message, signature, _excerpt(details), seconds)


def _excerpt(printed: str) -> str:
    # A dumped stack has its innermost frames first, so there the beginning is what matters.
    if dump := _DUMP.search(printed):
        start = max(0, dump.start() - _DETAILS // 4)
        return printed[start : start + _DETAILS]
    return printed[-_DETAILS:]
