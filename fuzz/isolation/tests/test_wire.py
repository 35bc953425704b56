"""Frames and packets."""

from __future__ import annotations

import os
import socket

import pytest

from fuzz.isolation import wire


def _frames(*pieces: bytes, limit: int = wire.FRAME_LIMIT) -> wire.Frames:
    frames = wire.Frames(limit)
    for piece in pieces:
        frames.feed(piece)
    return frames


def test_a_message_comes_out_as_it_went_in() -> None:
    message = {"id": 1, "text": "größe\n", "list": [1.5, None, True]}
    assert _frames(wire.frame(message)).take() == message


def test_a_frame_that_arrives_byte_by_byte_is_complete_only_at_its_end() -> None:
    frames = wire.Frames()
    data = wire.frame({"id": 1})
    for i in range(len(data) - 1):
        frames.feed(data[i : i + 1])
        assert frames.take() is None
    frames.feed(data[-1:])
    assert frames.take() == {"id": 1}
    assert frames.held == 0


def test_two_frames_that_arrive_together_come_out_one_by_one() -> None:
    frames = _frames(wire.frame({"id": 1}) + wire.frame({"id": 2}))
    assert [frames.take(), frames.take(), frames.take()] == [{"id": 1}, {"id": 2}, None]


def test_a_frame_over_the_limit_is_refused_on_both_sides() -> None:
    with pytest.raises(wire.WireError, match="over the limit of 4"):
        wire.frame({"id": 1}, limit=4)
    with pytest.raises(wire.WireError, match="over the limit of 4"):
        _frames(wire.frame({"id": 1}), limit=4).take()


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[1]", "not an object but list"),
        (b"[" * 100_000, "not JSON"),
    ],
    ids=["cut", "not-utf8", "list", "deep"],
)
def test_a_frame_that_is_no_object_is_refused(body: bytes, error: str) -> None:
    with pytest.raises(wire.WireError, match=error):
        _frames(len(body).to_bytes(4, "big") + body).take()


def test_a_message_that_is_no_json_is_refused_before_it_is_sent() -> None:
    with pytest.raises(wire.WireError, match="not JSON"):
        wire.frame({"id": object()})


def test_a_connection_that_ends_between_frames_gives_none_and_within_one_an_error() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(wire.frame({"id": 1}) + wire.frame({"id": 2})[:-1])
        theirs.shutdown(socket.SHUT_WR)
        frames = wire.Frames()
        assert wire.receive_frame(ours, frames) == {"id": 1}
        with pytest.raises(wire.WireError, match="ended 11 bytes into a frame"):
            wire.receive_frame(ours, frames)
        assert wire.receive_frame(ours, wire.Frames()) is None


def test_a_packet_brings_descriptors_that_close_on_exec() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reader, writer = os.pipe()
    with ours, theirs:
        wire.send_packet(ours, {"fork": 1}, (writer,))
        os.close(writer)
        packet = wire.receive_packet(theirs)
        assert packet is not None
        message, (received,) = packet
        assert message == {"fork": 1}
        assert not os.get_inheritable(received)
        os.write(received, b"through")
        os.close(received)
        assert os.read(reader, 100) == b"through"
        os.close(reader)


def test_receiving_a_packet_does_not_wait_when_told_not_to() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        with pytest.raises(BlockingIOError):
            wire.receive_packet(ours, socket.MSG_DONTWAIT)
        theirs.close()
        assert wire.receive_packet(ours) is None


def test_a_packet_over_the_limit_is_refused() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, pytest.raises(wire.WireError, match="over the limit"):
        wire.send_packet(ours, {"text": "x" * wire.PACKET_LIMIT})
