"""Checks passwords against bcrypt hashes, outside the event loop, one at a time, and remembers the results.

bcrypt is slow by design. So the result for a password is remembered and reused, whether it was right or wrong. The
memory holds a digest under a key of this process, never the password.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from typing import Final

from agents.web.addresses import address_of, client_of

MOST_WAITING: Final = 16
"""Most checks that may wait for their turn."""
MOST_OF_AN_ADDRESS: Final = 4
"""Most of these that may be of one address, or one network of IPv6: an attacker's guesses keep no other clients out."""
_WRONG_KEPT: Final = 256
_LONGEST: Final = 72
"""Number of bytes of a password that bcrypt reads."""
_NOBODYS: Final = "$2b${:02}$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"

Check = Callable[[bytes, bytes], bool]


class BusyError(Exception):
    """Too many passwords wait to be checked."""


def bcrypt_check(password: bytes, hashed: bytes) -> bool:
    """Return whether a password is the one of a bcrypt hash. The cost of the hash determines the time it takes."""
    import bcrypt  # noqa: PLC0415 - most installations have no passwords

    return bcrypt.checkpw(password[:_LONGEST], hashed)


class Passwords:
    """Remembers which passwords were right and wrong. `check` is bcrypt's."""

    def __init__(self, check: Check = bcrypt_check) -> None:
        self._check = check
        self._key = secrets.token_bytes(32)
        self._right: dict[str, bytes] = {}
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        self._waiting: Counter[str] = Counter()
        # One thread: guesses take one core at most. bcrypt releases the interpreter lock.
        self._threads: ThreadPoolExecutor | None = None

    async def is_right(self, hashes: Mapping[str, str], name: str, password: str, address: str) -> bool:
        """Return whether a password is that of a name. An unknown name takes as long as a known one.

        Raise BusyError where too many of this address, or of all, wait.
        """
        client = client_of(address_of(address))
        hashed = hashes.get(name)
        digest = self._digest(name, hashed or "", password)
        found = self._known(name, digest)
        if found is not None:
            return found
        if self._waiting[client] >= MOST_OF_AN_ADDRESS or self._waiting.total() >= MOST_WAITING:
            raise BusyError
        self._threads = self._threads or ThreadPoolExecutor(1, thread_name_prefix="passwords")
        self._waiting[client] += 1
        try:
            right = await asyncio.get_running_loop().run_in_executor(
                self._threads, self._look, name, digest, password, hashed or _nobodys(hashes)
            )
        finally:
            self._waiting[client] -= 1
            self._waiting += Counter()  # forgets addresses of which none waits
        right = right and hashed is not None
        self._remember(name, digest, right=right)
        return right

    def close(self) -> None:
        """Cancel the checks that wait."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _look(self, name: str, digest: bytes, password: str, hashed: str) -> bool:
        """Return the result of bcrypt, or its result for the same password while this one waited."""
        found = self._known(name, digest)
        return self._check(password.encode(), hashed.encode()) if found is None else found

    def _known(self, name: str, digest: bytes) -> bool | None:
        right = self._right.get(name)
        if right is not None and hmac.compare_digest(right, digest):
            return True
        return False if digest in self._wrong else None

    def _remember(self, name: str, digest: bytes, *, right: bool) -> None:
        if right:
            self._right[name] = digest
            return
        self._wrong[digest] = None
        while len(self._wrong) > _WRONG_KEPT:
            self._wrong.popitem(last=False)

    def _digest(self, *parts: str) -> bytes:
        made = blake2b(key=self._key, digest_size=32)
        for part in parts:
            held = part.encode("utf-8", "surrogateescape")
            made.update(len(held).to_bytes(4, "big") + held)
        return made.digest()


def _nobodys(hashes: Mapping[str, str]) -> str:
    """Return a hash that matches no password, as slow as the slowest of `hashes`."""
    return _NOBODYS.format(max((int(one[4:6]) for one in hashes.values()), default=10))
