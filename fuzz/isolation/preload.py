"""The preloaded process: imports the heavy libraries once, then forks workers on request.

``python -m fuzz.isolation.preload CONTROL GUARD MODULE``, with the descriptors of a packet
socket and of the reading end of a pipe, and the module that the workers run. Over the socket:

- in, first: ``{"target", "setup_seconds", "wrap"}``; out: the handshake, ``{"ok": true, "versions",
  "threads", "seconds"}`` or ``{"ok": false, "kind", "message", "details"}``;
- in: ``{"fork": n, "fresh"}`` with a connection and an output file; out: ``{"forked": n, "pid"}``
  or ``{"forked": n, "error"}``. With ``fresh`` the worker is not a fork of this process but an
  interpreter of its own (:mod:`fuzz.isolation.fresh`);
- in: ``{"load": target}``, another one; out: the handshake;
- in: ``{"kill": pid}``. Only a parent can name a process without the risk that its number
  has been given to another one;
- out, unasked: ``{"died": pid, "code"}`` or ``{"died": pid, "signal"}``.

Only the standard library is imported before the module is loaded.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Final, NoReturn

from fuzz.isolation import kernel, serve_requests, wire
from fuzz.isolation.environment import command

_GRACE: Final = 0.5  # seconds that the guardian leaves for an orderly end
_PASSES: Final = 5  # looks of the guardian for processes that were started since the last one
_LEAVING: Final = 1.0  # seconds that an orderly end may take


def main(arguments: Sequence[str]) -> NoReturn:
    """Run the preloaded process; never returns."""
    control = socket.socket(fileno=int(arguments[0]))
    control.set_inheritable(False)
    guard = int(arguments[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.getpgrp() != os.getpid():
        os.setsid()  # the guardian kills the group it is in: that must never be a shell's
    kernel.no_core_dumps()
    kernel.adopt_orphans()
    guardian = _start_guardian(control, guard)
    first = wire.receive_packet(control)
    if first is None:
        os._exit(0)
    module = _load(control, arguments[2], first[0])
    _Forks(control, guardian, module, first[0], arguments[2]).serve()


def _load(control: socket.socket, module_name: str, setup: dict[str, Any]) -> ModuleType:
    """Have the module load a target, and tell; where that fails the process ends."""
    started = time.monotonic()
    try:
        gc.disable()  # importing makes little garbage, and looking for it is a tenth of the time
        module = importlib.import_module(module_name)
        versions = module.load(setup["target"])
        gc.enable()
        gc.collect()
        gc.freeze()  # else the first collection in each child copies every page it touches
        handshake = {
            "ok": True,
            "versions": versions,
            "threads": kernel.thread_count(),
            "seconds": time.monotonic() - started,
        }
        wire.send_packet(control, handshake)
    except BaseException as error:  # SystemExit too: the driver waits for a handshake
        wire.send_packet(control, {"ok": False, **serve_requests.describe(error)})
        os._exit(1)
    return module


class _Forks:
    """The loop that forks, kills and reaps."""

    def __init__(
        self,
        control: socket.socket,
        guardian: int,
        module: ModuleType,
        setup: dict[str, Any],
        module_name: str,
    ) -> None:
        self._control = control
        self._guardian = guardian
        self._module = module
        self._setup = setup
        self._module_name = module_name
        self._workers: set[int] = set()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)

    def serve(self) -> NoReturn:
        """Serve until the driver closes the control socket, then leave nothing behind."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_writer.fileno(), warn_on_full_buffer=False)
        poller = select.poll()  # select() knows no descriptor above 1023
        poller.register(self._control, select.POLLIN)
        poller.register(self._wake_reader, select.POLLIN)
        while True:
            readable = {descriptor for descriptor, _ in poller.poll()}
            if self._wake_reader.fileno() in readable:
                self._wake_reader.recv(4096)
                self._reap()
            if self._control.fileno() in readable:
                packet = wire.receive_packet(self._control)
                if packet is None:
                    self._leave()
                self._obey(*packet)

    def _obey(self, message: dict[str, Any], descriptors: list[int]) -> None:
        if "fork" in message:
            reply = self._fork(message["fork"], descriptors, message["fresh"])
            wire.send_packet(self._control, reply)
        elif "load" in message:
            self._setup = {**self._setup, "target": message["load"]}
            _load(self._control, self._module_name, self._setup)
        elif message.get("kill") in self._workers:
            _kill(message["kill"])

    def _fork(self, number: int, descriptors: list[int], fresh: bool) -> dict[str, Any]:
        # Written out before the fork: else each child would write the same text once more.
        serve_requests.flush_output()
        parent = os.getpid()
        try:
            pid = self._start_fresh(descriptors) if fresh else os.fork()
        except OSError as error:
            pid = -1
            failure = str(error)
        if pid == 0:
            self._become_worker(descriptors, parent)
        for descriptor in descriptors:
            os.close(descriptor)
        if pid < 0:
            return {"forked": number, "error": failure}
        self._workers.add(pid)
        return {"forked": number, "pid": pid}

    def _start_fresh(self, descriptors: list[int]) -> int:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)
        numbers = [str(d) for d in descriptors]
        setup = json.dumps(self._setup)
        wrap: list[str] = self._setup["wrap"]
        # Under a command it is that command's child, and need not be ours.
        parent = "0" if wrap else str(os.getpid())
        arguments = [*wrap, *command("fresh", *numbers, self._module_name, setup, parent)]
        # What the command itself says belongs to the worker's own output.
        actions = [(os.POSIX_SPAWN_DUP2, descriptors[1], to) for to in (1, 2) if wrap]
        return os.posix_spawnp(arguments[0], arguments, os.environ, file_actions=actions)

    def _become_worker(self, descriptors: list[int], parent: int) -> NoReturn:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for held in (self._control, self._wake_reader, self._wake_writer):
            held.close()
        serve_requests.serve(
            socket.socket(fileno=descriptors[0]),
            descriptors[1],
            lambda: self._module,
            self._setup,
            parent,
        )

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._kill_orphans()
            if pid in self._workers:
                self._workers.discard(pid)
                code = os.waitstatus_to_exitcode(status)
                how = {"signal": -code} if code < 0 else {"code": code}
                try:
                    wire.send_packet(self._control, {"died": pid, **how})
                except OSError:
                    self._leave()

    def _kill_orphans(self) -> None:
        """Kill what a dead worker had started, so that nothing piles up over a long run."""
        for pid in kernel.children():
            if pid not in self._workers and pid != self._guardian:
                _kill(pid)

    def _leave(self) -> NoReturn:
        end = time.monotonic() + _LEAVING
        while time.monotonic() < end:
            others = [pid for pid in kernel.children() if pid != self._guardian]
            if not others:
                break
            for pid in others:
                _kill(pid)
            for pid in others:
                os.waitpid(pid, os.WNOHANG)
            time.sleep(0.002)
        try:
            os.kill(self._guardian, signal.SIGKILL)
            os.waitpid(self._guardian, 0)
        except (ProcessLookupError, ChildProcessError):
            pass  # it was killed from outside and reaped since
        os._exit(0)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except (PermissionError, ProcessLookupError):
        return  # it changed its user, or it is gone


def _start_guardian(control: socket.socket, guard: int) -> int:
    """Fork the process that outlives this one by a moment and takes its group along."""
    preloaded = os.getpid()
    pid = os.fork()
    if pid:
        os.close(guard)
        return pid
    control.close()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    while os.read(guard, 1):
        pass
    # Only the driver holds the writing end: it is gone, or has closed it. The preloaded process
    # sees the same on its own socket and makes an orderly end, unless it is stuck in an import.
    end = time.monotonic() + _GRACE
    while os.getppid() == preloaded and time.monotonic() < end:
        time.sleep(0.01)
    # Those who left the group can be told by their parents only while these are there.
    for _ in range(_PASSES):
        others = [pid for pid in kernel.descendants(preloaded) if pid != os.getpid()]
        if os.getppid() != preloaded or not others:
            break
        for pid in others:
            _kill(pid)
    os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
