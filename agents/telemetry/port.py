"""Opening a port: the URL at which it answers, and an error that names the setting to change."""

from __future__ import annotations

from typing import Any, NamedTuple

from aiohttp import web


class Bound(NamedTuple):
    """The address of a server's socket."""

    host: str
    port: int

    def url(self, scheme: str = "http") -> str:
        """Return the URL of the address."""
        return f"{scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


async def open_port(
    runner: web.BaseRunner, host: str, port: int, setting: str, *, otherwise: str = "", **options: Any
) -> Bound:
    """Listen with a runner that is set up; `options` are those of `web.TCPSite`.

    Raise OSError, with the setting to change, for a port that is taken; the runner is cleaned up then.
    """
    try:
        await web.TCPSite(runner, host, port, **options).start()
    except OSError as error:
        await runner.cleanup()
        raise OSError(
            error.errno,
            f"cannot listen on {host}:{port}: {error.strerror}. Set {setting} to another port (0: any free one), or "
            f"end what listens there{otherwise}",
        ) from error
    return Bound(*runner.addresses[0][:2])
