"""Passwords: the right one is accepted, bcrypt runs as seldom as possible, and never on the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import bcrypt
import pytest

from agents.web import passwords
from agents.web.passwords import BusyError, Passwords, bcrypt_check
from tests.agents.stand_in import eventually
from tests.web.web_files import HASH, PASSWORD

HASHES = {"alice": HASH}
HERE = "10.0.0.1"


class Slow:
    """Stands for bcrypt: it waits until it may answer, and counts."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked = 0
        self.at_once = 0
        self.most = 0

    def __call__(self, password: bytes, hashed: bytes) -> bool:
        assert threading.current_thread() is not threading.main_thread()
        self.asked += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        assert self.go.wait(20)
        self.at_once -= 1
        return password == PASSWORD.encode() and hashed == HASH.encode()


@pytest.fixture
async def slow() -> AsyncIterator[Slow]:
    made = Slow()
    yield made
    made.go.set()


@pytest.mark.parametrize(
    ("name", "password", "right"),
    [("alice", PASSWORD, True), ("alice", "other", False), ("alice", "", False), ("bob", PASSWORD, False)],
)
async def test_only_the_right_password_is_right(name: str, password: str, right: bool) -> None:
    held = Passwords()
    for _ in range(2):  # the second time from memory
        assert await held.is_right(HASHES, name, password, HERE) is right
    held.close()


def test_a_hash_of_htpasswd_is_known_and_a_long_password_too() -> None:
    assert bcrypt_check(b"fakepassword", b"$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi")
    hashed = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4))
    assert bcrypt_check(b"x" * 80, hashed)  # bcrypt reads 72 bytes, as the exporter toolkit does


async def test_what_was_found_is_not_looked_for_again(slow: Slow) -> None:
    slow.go.set()
    held = Passwords(slow)
    for _ in range(3):
        assert await held.is_right(HASHES, "alice", PASSWORD, HERE)
        assert not await held.is_right(HASHES, "alice", "wrong", HERE)
        assert not await held.is_right(HASHES, "bob", "wrong", HERE)
    assert slow.asked == 3
    assert not await held.is_right({"alice": HASH[:-1] + "x"}, "alice", PASSWORD, HERE)
    assert slow.asked == 4, "another hash is another password"
    held.close()


async def test_checks_run_one_at_a_time_and_the_loop_goes_on(slow: Slow) -> None:
    held = Passwords(slow)
    asked = [
        asyncio.create_task(held.is_right(HASHES, "alice", f"wrong-{each % 3}", f"10.0.0.{each}")) for each in range(9)
    ]
    await eventually(lambda: slow.asked == 1)
    slow.go.set()
    assert not any(await asyncio.gather(*asked))
    assert slow.most == 1
    held.close()


@pytest.mark.parametrize("network", ["192.0.2.7", "2001:db8::{}"])
async def test_who_guesses_keeps_nobody_else_out(slow: Slow, monkeypatch: pytest.MonkeyPatch, network: str) -> None:
    monkeypatch.setattr(passwords, "MOST_WAITING", 6)
    held = Passwords(slow)
    guesses = [
        asyncio.create_task(held.is_right(HASHES, "alice", f"guess-{each}", network.format(each))) for each in range(9)
    ]
    await asyncio.sleep(0)
    right = asyncio.create_task(held.is_right(HASHES, "alice", PASSWORD, "10.0.0.2"))
    others = [asyncio.create_task(held.is_right(HASHES, "alice", "x", f"10.0.1.{each}")) for each in range(3)]
    await asyncio.sleep(0)
    slow.go.set()
    refused = [isinstance(one, BusyError) for one in await asyncio.gather(*guesses, return_exceptions=True)]
    assert refused == [False] * 4 + [True] * 5, "four of one address may wait"
    assert await right
    late = [isinstance(one, BusyError) for one in await asyncio.gather(*others, return_exceptions=True)]
    assert late == [False, True, True], "six in all"
    assert not await held.is_right(HASHES, "alice", "one more", network.format(9)), (
        "the place of those that are done is free"
    )
    held.close()


async def test_guesses_do_not_fill_the_memory(slow: Slow) -> None:
    slow.go.set()
    held = Passwords(slow)
    for each in range(300):
        await held.is_right(HASHES, "alice", f"guess-{each}", HERE)
    assert len(held._wrong) == 256
    held.close()
