"""What can happen to a process in the middle of a case, by name: each is survived and told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fuzz.verdict import Kind

PREFIX: Final = "fault-"
"""A plant of this name brings the fault about on every image with one merged row."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that can go wrong below the code under test.

    Attributes:
        name: its name; as a plant, with :data:`PREFIX` before it.
        sentence: what happens.
        verdict: what the check gives. ``broken`` where nothing that a model does brings it
            about, so that it must be our own fault; ``pass`` where it does no harm.
        what: what the signature names, "" where there is none.
        lives: whether the worker goes on to the next case.
    """

    name: str
    sentence: str
    verdict: Kind
    what: str = ""
    lives: bool = False


REAL: Final[dict[str, Fault]] = {
    f.name: f
    for f in (
        Fault(
            "real-device-assert",
            "an index out of range in a kernel of a real GPU",
            "crash",
            "device error",
        ),
        Fault(
            "real-device-memory",
            "more memory is asked of a real GPU than it has",
            "oom",
            "OutOfMemoryError",
            lives=True,
        ),
    )
}
"""What only a GPU can do; ``ropefuzz selfcheck`` brings it about where there is one."""

FAULTS: Final[dict[str, Fault]] = {
    f.name: f
    for f in (
        Fault("segfault", "memory at address 0 is read", "crash", "SIGSEGV"),
        Fault("abort", "a kernel prints its assertion, and abort() is called", "crash", "SIGABRT"),
        Fault("killed", "SIGKILL, as the kernel's out-of-memory killer sends it", "oom", "SIGKILL"),
        Fault("exit", "the process leaves by _exit(0), without an answer", "crash", "exit code 0"),
        Fault("terminate", "a C++ exception that nobody catches", "crash", "SIGABRT"),
        Fault("stack-overflow", "C code calls itself without end", "crash", "SIGSEGV"),
        Fault("memory-error", "Python's MemoryError", "oom", "MemoryError", lives=True),
        Fault(
            "torch-out-of-memory",
            "torch.OutOfMemoryError, after which a device still works",
            "oom",
            "OutOfMemoryError",
            lives=True,
        ),
        Fault("memory-limit", "memory is taken without end", "oom", "memory limit"),
        Fault("hang", "Python code waits without end", "hang", "deadline"),
        Fault("hang-in-c", "C code waits without end, all signals ignored", "hang", "deadline"),
        Fault(
            "hang-with-lock",
            "C code waits without end and holds the interpreter lock",
            "hang",
            "deadline",
        ),
        Fault("flood", "10 MB of bytes without line ends on both outputs", "pass", lives=True),
        Fault("flood-and-abort", "the same, then abort()", "crash", "SIGABRT"),
        Fault(
            "orphan-and-abort",
            "the case starts a process in a session of its own, then abort()",
            "crash",
            "SIGABRT",
        ),
        Fault("unsendable-answer", "an answer that is no JSON", "broken", lives=True),
        Fault("huge-answer", "an answer of 17 MiB", "broken", lives=True),
        Fault("wrong-answer", "the answer to another request", "broken"),
        Fault(
            "device-error",
            "a device error that breaks the process's device, raised where it happens",
            "crash",
            "device error",
        ),
        Fault("device-error-late", "the same, raised one call later", "crash", "device error"),
        Fault(
            "device-error-swallowed",
            "the same, and the code under test catches it",
            "crash",
            "device error",
        ),
        Fault(
            "device-error-at-synchronize",
            "the same, raised only when the device is waited for",
            "crash",
            "device error",
        ),
        Fault("preload-killed", "the process that forks the workers is killed", "broken"),
    )
}
