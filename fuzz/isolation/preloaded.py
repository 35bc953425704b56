"""The driver's hold on one preloaded process and on the workers it forked."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fuzz.isolation import kernel, wire
from fuzz.isolation.environment import command, environment
from fuzz.isolation.errors import ProblemKind, SetupProblem
from fuzz.isolation.memory import resident

END_SECONDS: Final = 2.0
"""How long an orderly end, or the news of a death, may take."""

_TAIL: Final = 8_000


@dataclass(slots=True)
class Worker:
    """A forked process, as the driver sees it.

    Attributes:
        number: of the request that forked it.
        connection: to it.
        output: the file that takes its standard output and error.
        fresh: whether it is an interpreter of its own.
        wrapped: whether it runs under a command of the user's, which may be its parent.
        frames: what has arrived from it.
        pid: None until the preloaded process has told.
        death: how it died, in words ("SIGABRT", "exit code 0"); "" while it lives.
        info: what preparing gave; None until it is ready.
        told: whether it was told to prepare.
        idle_bytes: the memory it held when it was ready, pages shared with others included.
        ended: whether it has closed its connection.
    """

    number: int
    connection: socket.socket
    output: int
    fresh: bool
    wrapped: bool = False
    frames: wire.Frames = field(default_factory=wire.Frames)
    pid: int | None = None
    death: str = ""
    info: dict[str, Any] | None = None
    told: bool = False
    idle_bytes: int = 0
    ended: bool = False

    def tell(self, variables: Mapping[str, str] | None = None) -> None:
        """Have it prepare, once; that it is gone shows when it is waited for.

        Args:
            variables: of its environment, set before it touches a device.
        """
        if not self.told:
            self.told = True
            with contextlib.suppress(OSError):
                self.connection.send(
                    wire.frame({"prepare": True, "environment": dict(variables or {})})
                )

    def memory(self) -> int:
        """Return the bytes that it holds, with those of a command around it."""
        if self.pid is None:
            return 0
        others = kernel.descendants(self.pid) if self.wrapped else []
        return sum(resident(pid) for pid in (self.pid, *others))

    def close(self) -> None:
        """Let go of it; an idle worker leaves by itself when its connection closes."""
        self.connection.close()
        if self.output >= 0:
            os.close(self.output)
            self.output = -1

    def output_size(self) -> int:
        """Return how many bytes it has printed since its last request."""
        return os.fstat(self.output).st_size if self.output >= 0 else 0

    def printed(self, most: int = _TAIL) -> str:
        """Return the end of what it printed since its last request."""
        return tail(self.output, most)


class Preloaded:
    """One preloaded process.

    Attributes:
        pid: its process id.
        workers: those it forked which are not known to be dead, by number.
        gone: whether it has died or is shut down.
        torn: whether an interruption fell into the bookkeeping, so that it cannot be trusted.
    """

    def __init__(
        self,
        worker_module: str,
        target: dict[str, Any],
        python: str,
        pythonpath: Sequence[str],
        setup_seconds: float,
        wrap: Sequence[str] = (),
    ) -> None:
        """Start the process; :meth:`handshake` waits for it.

        Args:
            worker_module: see :class:`~fuzz.isolation.pool.Settings`, as for the others.
            target: likewise.
            python: likewise.
            pythonpath: likewise.
            setup_seconds: likewise.
            wrap: likewise.

        Raises:
            SetupProblem: the interpreter cannot be started.
        """
        self.workers: dict[int, Worker] = {}
        self.gone = False
        self.torn = False
        self._process: subprocess.Popen[bytes] | None = None
        self.pid = -1
        self._forks = 0
        self._setup_seconds = setup_seconds
        self._wrapped = bool(wrap)
        self._log = os.memfd_create("ropefuzz-preload", os.MFD_CLOEXEC)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._loaded = False
        guard, kept = os.pipe()
        # As an object: even if an interruption loses it, its end closes the pipe.
        self._guard = os.fdopen(kept, "wb", buffering=0)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a fixed command, no shell
                command("preload", str(theirs.fileno()), str(guard), worker_module, python=python),
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env=environment(pythonpath, os.environ, bool(wrap)),
                pass_fds=(theirs.fileno(), guard),
                start_new_session=True,
            )
            self.pid = self._process.pid
            setup = {"target": target, "setup_seconds": setup_seconds, "wrap": list(wrap)}
            wire.send_packet(self._control, setup)
        except BaseException as error:
            # Interrupted in between, a process can be there that has no name here yet: with
            # the guard pipe closed it ends by itself.
            self.end(at_once=True)
            if isinstance(error, OSError):
                raise SetupProblem("broken", f"cannot start {python}: {error}") from None
            raise
        finally:
            theirs.close()
            os.close(guard)

    def handshake(self) -> dict[str, Any]:
        """Wait until the worker module is loaded; return what was said about it.

        Raises:
            SetupProblem: loading failed, the process died, or it took too long.
        """
        try:
            message = self._handshake()
        except BaseException:
            self.end(at_once=True)
            raise
        self._loaded = True
        return message

    def load(self, target: dict[str, Any]) -> dict[str, Any]:
        """Have the worker module load another target, whose workers come next.

        Args:
            target: see :class:`~fuzz.isolation.pool.Settings`.

        Raises:
            SetupProblem: as of :meth:`handshake`.
        """
        with contextlib.suppress(OSError):  # that it is gone is told by waiting for its answer
            wire.send_packet(self._control, {"load": target})
        return self.handshake()

    def fork(self, fresh: bool) -> Worker:
        """Ask for a new worker; nothing is waited for, and it waits until it is told to prepare.

        Args:
            fresh: whether it is an interpreter of its own.

        Raises:
            ConnectionError: the preloaded process is gone.
        """
        self.torn = True
        ours, theirs = socket.socketpair()
        output = os.memfd_create("ropefuzz-output", os.MFD_CLOEXEC)
        # Appending keeps writes at the end after the worker has emptied the file.
        fcntl.fcntl(output, fcntl.F_SETFL, os.O_APPEND)
        self._forks += 1
        worker = Worker(self._forks, ours, output, fresh, self._wrapped)
        message = {"fork": worker.number, "fresh": fresh}
        try:
            wire.send_packet(self._control, message, (theirs.fileno(), output))
        except OSError as error:
            worker.close()
            self.gone = True
            raise ConnectionError(f"the preloaded process is gone: {error}") from None
        finally:
            theirs.close()
        self.workers[worker.number] = worker
        self.torn = False
        return worker

    def kill(self, worker: Worker) -> None:
        """Have a worker killed, and forget it; its death is not waited for."""
        if worker.output < 0:
            return  # forgotten before
        worker.close()
        # Without a number yet, it is killed when the number comes.
        if worker.pid is not None and not worker.death and not self.gone:
            self._send_kill(worker.pid)

    def wait_for_death(self, worker: Worker) -> bool:
        """Wait a moment until a killed worker is dead; False when it cannot be told."""
        end = time.monotonic() + END_SECONDS
        while not worker.death and not self.gone:
            if not self._readable(end - time.monotonic()):
                return False
            self.news()
        return bool(worker.death)

    def wait(self, worker: Worker, seconds: float) -> bool:
        """Wait until something is heard from a worker or about one; False after the time.

        What arrived is in the worker's frames, and in its ``pid`` and ``death``.
        """
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        if not worker.ended:
            poller.register(worker.connection, select.POLLIN)
        ready = poller.poll(max(0.0, seconds) * 1000)
        for descriptor, _ in ready:
            if descriptor == self._control.fileno():
                self.news()
        if not worker.ended and (ready or worker.death):
            alive = wire.receive_available(worker.connection, worker.frames)
            # From a dead one nothing more comes, even if a process that it forked still holds
            # the connection.
            worker.ended = not alive or bool(worker.death)
        return bool(ready)

    def news(self) -> None:
        """Take in, without waiting, what the preloaded process tells about its workers."""
        while not self.gone:
            self.torn = True
            try:
                packet = wire.receive_packet(self._control, socket.MSG_DONTWAIT)
            except BlockingIOError:
                self.torn = False
                return
            except (OSError, wire.WireError):
                packet = None
            if packet is None:
                self.gone = True
            else:
                self._note(packet[0])
            self.torn = False

    def death(self) -> str:
        """Return how the process itself died, in words; call it once its socket has ended."""
        self.gone = True
        end = time.monotonic() + END_SECONDS
        # It is left a zombie here: its number then still names its group, for end() to kill.
        options = os.WEXITED | os.WNOWAIT | os.WNOHANG
        try:
            while (status := os.waitid(os.P_PID, self.pid, options)) is None:
                if time.monotonic() > end:
                    return "closing its connection"
                time.sleep(0.002)
        except ChildProcessError:
            return "an unknown cause"  # somebody else has waited for it
        if status.si_code == os.CLD_EXITED:
            return f"exit code {status.si_status}"
        return signal_name(status.si_status)

    def log(self) -> str:
        """Return the end of what the process itself printed."""
        return tail(self._log, _TAIL)

    def end(self, at_once: bool = False) -> None:
        """End the process and everything it started; doing so twice is fine.

        Args:
            at_once: do not leave it the moment it needs to also find the processes that have
                left its group.
        """
        try:
            if self._loaded and not at_once and not self.gone:
                self._control.shutdown(socket.SHUT_WR)
                end = time.monotonic() + END_SECONDS
                while self._readable(end - time.monotonic()) and self._control.recv(65536):
                    pass
        except OSError:
            pass  # it is gone already
        finally:
            self.gone = True
            self._kill_group()
            self._let_go()

    def _handshake(self) -> dict[str, Any]:
        if not self._readable(self._setup_seconds):
            raise self._problem(f"loading took more than {self._setup_seconds:g} s")
        try:
            packet = wire.receive_packet(self._control)
        except (OSError, wire.WireError) as error:
            raise self._problem(f"the preloaded process answered with garbage: {error}") from None
        if packet is None:
            raise self._problem(f"the preloaded process died by {self.death()} while loading")
        message = packet[0]
        if "ok" not in message:
            # Of a worker that it had before it was to load.
            self._note(message)
            return self._handshake()
        if not message["ok"]:
            kind: ProblemKind = "usage" if message["kind"] == "usage" else "broken"
            details = message["details"]
            if kind == "broken":
                details += tail(self._log, _TAIL)
            raise SetupProblem(kind, message["message"], details)
        return message

    def _note(self, message: dict[str, Any]) -> None:
        if "forked" in message:
            worker = self.workers.get(message["forked"])
            pid = message.get("pid")
            if pid is not None and (worker is None or worker.output < 0):
                self._send_kill(pid)
            if worker is not None:
                worker.pid = pid
                if pid is None:
                    worker.death = f"a failed fork ({message['error']})"
                    del self.workers[worker.number]
        elif "died" in message:
            for number, worker in list(self.workers.items()):
                if worker.pid == message["died"]:
                    code = message.get("code")
                    worker.death = (
                        signal_name(message["signal"]) if code is None else f"exit code {code}"
                    )
                    del self.workers[number]

    def _send_kill(self, pid: int) -> None:
        try:
            wire.send_packet(self._control, {"kill": pid})
        except OSError:
            self.gone = True

    def _readable(self, seconds: float) -> bool:
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        return bool(poller.poll(max(0.0, seconds) * 1000))

    def _kill_group(self) -> None:
        if self._process is None or self._process.returncode is not None:
            return  # there is none, or it is reaped and its number may be another's by now
        # Nobody may be left, or nobody that may be killed.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            return  # stuck in the kernel: nothing can be done about it from here

    def _let_go(self) -> None:
        self.gone = True
        self._control.close()
        for worker in self.workers.values():
            worker.close()
        self._guard.close()
        if self._log >= 0:
            os.close(self._log)
            self._log = -1

    def _problem(self, message: str) -> SetupProblem:
        return SetupProblem("broken", message, self.log())


def signal_name(number: int) -> str:
    """Return a signal's name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def tail(descriptor: int, most: int) -> str:
    """Return the end of a file as text; "" when it is closed."""
    if descriptor < 0:
        return ""
    size = os.fstat(descriptor).st_size
    data = os.pread(descriptor, most, max(0, size - most))
    return data.decode(errors="replace")
