"""Free ports are really free, and outside the range of outgoing connections."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from agents.embedded import ports

LOCAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_a_port_is_free_until_somebody_listens_there() -> None:
    port = ports.find_free()
    assert ports.is_free(port)
    with socket.create_server(("127.0.0.1", port)):
        assert not ports.is_free(port)
    assert ports.is_free(port)


@pytest.mark.skipif(not LOCAL_RANGE.exists(), reason="only Linux says which ports outgoing connections are given")
def test_no_port_is_one_that_an_outgoing_connection_could_be_given() -> None:
    lowest = int(LOCAL_RANGE.read_text().split()[0])
    assert all(ports.find_free() < lowest for _ in range(50))


@pytest.mark.slow
def test_a_listener_that_is_no_kafka_is_not_taken_for_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert not ports.kafka_serves(port)  # the kernel accepts, no server answers
    assert not ports.kafka_serves(port)


def test_where_every_port_is_taken_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda _: False)
    with pytest.raises(OSError, match=r"no free port on 127\.0\.0\.1 between 15000 and 32000"):
        ports.find_free()
