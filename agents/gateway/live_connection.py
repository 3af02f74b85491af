"""One connection to a live system: opens it, reads without waiting for anything else, and pings."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar

from streams.sources.live import LinkAccess, Session

_PIECE: Final = 64 * 1024
_LOOKS_PER_SPAN: Final = 5
_PATIENCE: Final = 3  # number of deadlines after which a PBX that still sends, but answers no ping, is disconnected

S = TypeVar("S", bound=Session)


class LinkError(Exception):
    """The connection could not be opened, or it ended. The text has the reason; another attempt may help."""


class Place(NamedTuple):
    """The texts about the other side's settings in errors.

    `key` is the table of our settings, `closed_early` names what may end a connection before the login, `no_tls` the
    place where the port for TLS is set, `records` the other records of calls that the system keeps.
    """

    key: str
    closed_early: str
    no_tls: str
    records: str


class LiveConnection(Generic[S]):
    """Listens on one connection until it ends.

    `hear` is called with each piece of the stream, and passes it to the session: it must not block, and may raise
    CannotListenError. `clock` returns the time in milliseconds since epoch.
    """

    def __init__(
        self,
        access: LinkAccess,
        place: Place,
        session: S,
        hear: Callable[[S, bytes, int], None],
        clock: Callable[[], int],
    ) -> None:
        self._access = access
        self._place = place
        self._hear = hear
        self._clock = clock
        self._writer: asyncio.StreamWriter | None = None
        self._why_closed = ""
        self._opened_s = self._heard_s = self._pinged_s = 0.0
        self.session = session

    def close(self, why: str) -> None:
        """End the connection at once; `run` raises LinkError with this reason."""
        self._why_closed = self._why_closed or why
        if self._writer is not None:
            self._writer.transport.abort()

    def log_off(self) -> None:
        """Request the other side to end the connection."""
        self.session.log_off()
        self.send()

    async def run(self) -> None:
        """Open the connection and listen until the other side logs off. Raises LinkError and CannotListenError."""
        reader, self._writer = await self._open()
        self._opened_s = self._heard_s = time.monotonic()
        watching = asyncio.create_task(self._watch())
        try:
            while data := await reader.read(_PIECE):
                self._heard_s = time.monotonic()
                now_ms = self._clock()
                was_up = self.session.is_up
                self._hear(self.session, data, now_ms)
                if not was_up and self.session.is_up:
                    self._pinged_s = self._heard_s
                self.send()
                if self._why_closed:
                    break
            self._ended()
        except OSError as error:
            raise LinkError(self._why_closed or f"the connection broke: {_reason(error)}") from None
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            self._writer.transport.abort()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()

    def _ended(self) -> None:
        if self._why_closed:
            raise LinkError(self._why_closed)
        if self.session.said_goodbye:
            return
        torn = " within a message" if self.session.is_torn() else ""
        if self.session.is_up:
            raise LinkError(f"the PBX closed the connection{torn}")
        raise LinkError(f"the PBX closed the connection before the login was done: {self._place.closed_early}")

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        access, key = self._access, self._place.key
        where = f"{access.host}:{access.port}"
        try:
            context = tls_context(access)
        except OSError as error:
            raise LinkError(f"{key}.ca_file cannot be used: {_reason(error)}") from None
        try:
            async with asyncio.timeout(access.connect_timeout_ms / 1000):
                return await asyncio.open_connection(access.host, access.port, ssl=context)
        except TimeoutError:
            raise LinkError(f"no answer from {where} within {access.connect_timeout_ms / 1000:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise LinkError(
                f"the certificate of {where} cannot be verified ({error.verify_message}): set "
                f"{key}.ca_file to the certificate that signed it, and host to the name in it"
            ) from None
        except ssl.SSLError as error:
            raise LinkError(f"{where} does not speak TLS ({error.reason}): {self._place.no_tls}") from None
        except OSError as error:
            raise LinkError(f"{where} cannot be reached: {_reason(error)}") from None

    async def _watch(self) -> None:
        """End a connection that is silent: no login in time, or no answer to a ping."""
        access = self._access
        step_s = min(access.connect_timeout_ms, access.ping_interval_ms, access.ping_deadline_ms) / 1000
        while True:
            await asyncio.sleep(step_s / _LOOKS_PER_SPAN)
            now_s = time.monotonic()
            if not self.session.is_up:
                if now_s - self._opened_s > access.connect_timeout_ms / 1000:
                    self.close(f"the login was not answered within {access.connect_timeout_ms / 1000:g} s")
            elif self.session.waits_for_ping:
                deadline_s = access.ping_deadline_ms / 1000
                silent = now_s - max(self._heard_s, self._pinged_s) > deadline_s
                if silent or now_s - self._pinged_s > _PATIENCE * deadline_s:
                    self.close(f"no answer to a ping within {deadline_s:g} s")
            elif now_s - self._pinged_s >= access.ping_interval_ms / 1000:
                self._pinged_s = now_s
                self.session.ping(self._clock())
                self.send()

    def send(self) -> None:
        """Send the output of the session."""
        output = self.session.take_output()
        if output and self._writer is not None:
            self._writer.write(output)  # a few bytes: if the PBX does not take them, the next ping has no answer


def tls_context(access: LinkAccess) -> ssl.SSLContext | None:
    """Return the TLS context that verifies the PBX, None without TLS. Raises OSError for an unreadable `ca_file`."""
    if not access.tls:
        return None
    context = ssl.create_default_context(cafile=access.ca_file)
    context.check_hostname = access.check_hostname
    # Scripts of PBXs make certificates without the identifiers that Python requires from 3.13 on.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _reason(error: OSError) -> str:
    return (error.strerror or str(error) or type(error).__name__).lower()
