"""A story at another time and in another time zone: every moment of its files is moved, in its own form.

Signatures are not valid any more. So a moved story is played with hooks that accept each request that was authentic.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo

from streams.settings.settings import Settings
from streams.sources.frame import Hook
from tests.sources.story import FIXTURES

_EPOCH: Final = re.compile(r"(?:(?<!\w)|(?<=%3A))(179[45]\d{6})(\d{6}|\d{3})?(?!\w)")
_ISO: Final = re.compile(r"(?<!\d)(20\d\d-\d\d-\d\d)([T ])(\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:?\d\d)?")
_COMPACT: Final = re.compile(r"2026111[5-9]T\d{6}Z")
_RFC_2822: Final = re.compile(r"[A-Z][a-z]{2}, \d\d Nov 2026 \d\d:\d\d:\d\d \+0000")
_FORM: Final = "application/x-www-form-urlencoded"


class Move:
    """Moves moments by whole seconds. Local times of `zone` become those of `to`; "UTC" leaves them in UTC."""

    def __init__(self, by_s: int, zone: str, to: str) -> None:
        self.by_s = by_s
        self._zone, self._to = ZoneInfo(zone), ZoneInfo(to)

    def text(self, text: str) -> str:
        """Return a text with all of its moments moved."""
        text = _EPOCH.sub(lambda found: f"{int(found[1]) + self.by_s}{found[2] or ''}", text)
        text = _ISO.sub(self._iso, text)
        text = _COMPACT.sub(self._compact, text)
        return _RFC_2822.sub(lambda found: format_datetime(self._later(parsedate_to_datetime(found[0]))), text)

    def _later(self, moment: datetime) -> datetime:
        return moment.astimezone(UTC) + timedelta(seconds=self.by_s)

    def _iso(self, found: re.Match[str]) -> str:
        date, between, clock, fraction, offset = found.groups()
        naive = datetime.fromisoformat(f"{date}T{clock}")
        is_utc = offset in ("Z", "+00:00", "+0000")
        if offset is None:
            moment, to = naive.replace(tzinfo=self._zone), self._to
        else:
            moment = datetime.fromisoformat(f"{date}T{clock}{offset.replace('Z', '+00:00')}")
            to = ZoneInfo("UTC") if is_utc else self._to
        later = self._later(moment).astimezone(to)
        written = later.strftime(f"%Y-%m-%d{between}%H:%M:%S") + (fraction or "")
        if offset is None or is_utc:
            return written + (offset or "")
        shown = later.strftime("%z")
        return written + (f"{shown[:3]}:{shown[3:]}" if ":" in offset else shown)

    def _compact(self, found: re.Match[str]) -> str:
        moment = datetime.strptime(found[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return self._later(moment).strftime("%Y%m%dT%H%M%SZ")

    def request(self, data: bytes) -> bytes:
        """Return the exact bytes of a request with the moments of its body and its target moved."""
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1")
        if _FORM in lines.casefold():
            pairs = parse_qsl(body.decode("utf-8", "surrogateescape"), keep_blank_values=True, errors="surrogateescape")
            moved = [(name, self.text(value)) for name, value in pairs]
            body = urlencode(moved, errors="surrogateescape").encode()
        else:
            body = self.text(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        return self.text(lines).encode("latin-1") + b"\r\n\r\n" + body


def moved_story(folder: Path, system: str, move: Move, story: Path = FIXTURES / "storyA") -> Path:
    """Write the story of a system, moved, into a folder, and return it."""
    for name in ("keys.json", "mapping.json"):
        (folder / name).write_bytes((story / name).read_bytes())
    (folder / "story.json").write_text(move.text((story / "story.json").read_text(encoding="utf-8")), encoding="utf-8")
    for path in sorted((story / system).rglob("*")):
        to = folder / path.relative_to(story)
        if path.is_dir():
            continue
        to.parent.mkdir(parents=True, exist_ok=True)
        data = path.read_bytes()
        if path.suffix in (".http", ".json", ".csv"):
            is_request = path.suffix == ".http"
            data = move.request(data) if is_request else move.text(data.decode("utf-8")).encode()
        to.write_bytes(data)
    return folder


def believing(hook: Callable[[Settings], Hook]) -> Callable[[Settings], Hook]:
    """Return a maker of the same hook, which takes every request for authentic."""

    def made(settings: Settings) -> Hook:
        one = hook(settings)
        vars(one)["is_authentic"] = lambda _: True  # the signature does not fit any more
        return one

    return made
