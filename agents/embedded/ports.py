"""Ports of the loopback interface: find a free one, and check whether one is taken or a Kafka serves there."""

from __future__ import annotations

import random
import socket
import struct

from agents.embedded.config import HOST

LOWEST, HIGHEST = 15_000, 32_000
"""Below the range from which Linux takes ports for outgoing connections (32768 and up).

In that range, a client that tries again and again while the broker is down is sooner or later given the broker's own
port as its source, connects to itself, and keeps the broker from coming back.
"""
CORRELATION = 7


def find_free(besides: int = 0) -> int:
    """Find a free port; raises OSError if there is none."""
    choice = random.SystemRandom()
    for _ in range(200):
        port = choice.randrange(LOWEST, HIGHEST)
        if port != besides and is_free(port):
            return port
    raise OSError(f"no free port on {HOST} between {LOWEST} and {HIGHEST}")


def is_free(port: int) -> bool:
    """Return whether the port is free now; connections of an earlier listener in TIME_WAIT are no obstacle."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Kafka does
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def kafka_serves(port: int) -> bool:
    """Return whether a Kafka with at least one live broker answers at the port.

    A port that is open is not enough: for a moment the broker is still fenced, and a topic could not be created. So
    this is a Metadata request, version 1, for no topics: api key, version, correlation id, no client id, empty array;
    the reply starts with its length, the correlation id, and the count of live brokers.
    """
    request = struct.pack(">hhihi", 3, 1, CORRELATION, -1, 0)
    try:
        with socket.create_connection((HOST, port), timeout=2) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            _, correlation, brokers = struct.unpack(">iii", connection.recv(12, socket.MSG_WAITALL))
    except (OSError, struct.error):
        return False
    return bool(correlation == CORRELATION and brokers > 0)
