"""Messages between processes: JSON in length-prefixed frames, and descriptors beside JSON.

Two kinds of socket are used. Between driver and worker a stream socket carries frames: four
bytes of length, most significant first, then JSON. Between driver and preloaded process a
packet socket carries one JSON object per packet, with file descriptors where needed.
"""

from __future__ import annotations

import array
import json
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

FRAME_LIMIT: Final = 16 * 2**20
PACKET_LIMIT: Final = 64 * 2**10

_LENGTH: Final = struct.Struct(">I")
_MAX_DESCRIPTORS: Final = 4
_CHUNK: Final = 64 * 2**10  # from 128 KiB on, malloc maps and faults in pages for each call


class WireError(Exception):
    """What arrived is not a message, or what should be sent cannot be one."""


class Frames:
    """Takes bytes as they arrive and gives back the messages in them."""

    __slots__ = ("_buffer", "_limit")

    def __init__(self, limit: int = FRAME_LIMIT) -> None:
        """Start with nothing; a longer frame than the limit is refused."""
        self._buffer = bytearray()
        self._limit = limit

    def feed(self, data: bytes) -> None:
        """Add bytes that arrived."""
        self._buffer += data

    @property
    def cut_off(self) -> bool:
        """Whether bytes of an unfinished message are held."""
        return bool(self._buffer)

    @property
    def held(self) -> int:
        """How many bytes wait for the rest of their message."""
        return len(self._buffer)

    def take(self) -> dict[str, Any] | None:
        """Return the next complete message, or None while it is incomplete.

        Raises:
            WireError: the frame is over the limit, or is not a JSON object.
        """
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > self._limit:
            raise WireError(f"a frame of {length} bytes is over the limit of {self._limit}")
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[_LENGTH.size : end])
        del self._buffer[:end]
        return _decode(body)


def frame(message: Mapping[str, Any], limit: int = FRAME_LIMIT) -> bytes:
    """Return a message as the bytes of one frame.

    Raises:
        WireError: the message is not JSON, or over the limit.
    """
    body = _encode(message)
    if len(body) > limit:
        raise WireError(f"a frame of {len(body)} bytes is over the limit of {limit}")
    return _LENGTH.pack(len(body)) + body


def receive_frame(connection: socket.socket, frames: Frames) -> dict[str, Any] | None:
    """Wait for the next message on a blocking socket; None when the other side has closed it.

    Raises:
        WireError: the connection ended within a frame, or the frame is not a message.
    """
    while True:
        message = frames.take()
        if message is not None:
            return message
        data = connection.recv(_CHUNK)
        if not data:
            if frames.cut_off:
                raise WireError(f"the connection ended {frames.held} bytes into a frame")
            return None
        frames.feed(data)


def receive_available(connection: socket.socket, frames: Frames) -> bool:
    """Feed what has arrived on a socket, without waiting; False at its end.

    A reset connection (the other side died with bytes unread) counts as its end.
    """
    while True:
        try:
            data = connection.recv(_CHUNK, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        if not data:
            return False
        frames.feed(data)
        if len(data) < _CHUNK:
            return True


def send_packet(
    connection: socket.socket, message: Mapping[str, Any], descriptors: Sequence[int] = ()
) -> None:
    """Send one packet, with file descriptors beside it.

    Raises:
        WireError: the message is not JSON, or over the limit.
        OSError: the other side is gone.
    """
    body = _encode(message)
    if len(body) > PACKET_LIMIT:
        raise WireError(f"a packet of {len(body)} bytes is over the limit of {PACKET_LIMIT}")
    if descriptors:
        socket.send_fds(connection, [body], list(descriptors))
    else:
        connection.send(body)


def receive_packet(
    connection: socket.socket, flags: int = 0
) -> tuple[dict[str, Any], list[int]] | None:
    """Return the next packet and its descriptors; None when the other side has closed.

    The descriptors are closed on exec: a program started by a worker must not hold the
    worker's connection open.

    Raises:
        WireError: the packet is no JSON object, or was cut off.
        BlockingIOError: nothing has arrived, with ``MSG_DONTWAIT`` in the flags.
    """
    # Not socket.recv_fds(): it drops its flags.
    room = socket.CMSG_SPACE(_MAX_DESCRIPTORS * array.array("i").itemsize)
    body, ancillary, returned, _ = connection.recvmsg(
        PACKET_LIMIT, room, flags | socket.MSG_CMSG_CLOEXEC
    )
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    if not body:
        return None
    try:
        if returned & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise WireError("a packet was cut off")
        return _decode(body), descriptors.tolist()
    except WireError:
        for descriptor in descriptors:
            os.close(descriptor)
        raise


def _encode(message: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(message, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise WireError(f"the message is not JSON: {error}") from None


def _decode(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WireError(f"the message is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise WireError(f"the message is not an object but {type(message).__name__}")
    return message
