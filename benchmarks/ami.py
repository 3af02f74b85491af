"""AMI: events a second that one process parses and turns into contract events. `python -m benchmarks.ami`.

The input is a recorded day of a real Asterisk, multiplied: each copy has Uniqueids and times of its own, and several
run at the same time. The figure beside it is the time to split the same bytes into messages.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from random import Random
from typing import Any, Final

from benchmarks.measures import Result, Target
from streams.settings.settings import Secret
from streams.sources.asterisk import Asterisk, AsteriskMapping
from streams.sources.asterisk.access import AmiAccess
from streams.sources.asterisk.session import AmiSession

RATE: Final = 20_000
FOLDER: Final = Path(__file__).parents[1] / "tests" / "fixtures" / "asterisk"
_PIECE: Final = 64 * 1024
_COPIES: Final = 12
_AT_ONCE: Final = 8
_STAMP: Final = re.compile(rb"(?<=[ .-])(1795\d{6})(?=\.\d)")
_LOGGED_IN: Final = b"Asterisk Call Manager/11.0.0\r\nResponse: Success\r\nMessage: Authentication accepted\r\n\r\n"


def measure(_bootstrap: str = "", *, runs: int = 5, **_: Any) -> Result:
    """Parse and translate, and split the bytes, turn by turn; the best of `runs` counts, by processor time."""
    calls, whole = calls_only(), everything()
    rows = []
    targets = []
    figures: dict[str, object] = {}
    wrong = []
    for name, data in (("calls only, as with the event filter of the docs", calls), ("all that is sent", whole)):
        count = data.count(b"\nEvent: ")
        split = min(_seconds(data, _split)[0] for _ in range(runs))
        results = [_seconds(data, _translate) for _ in range(runs)]
        seconds, made = min(results)
        if not made:
            wrong.append(f"{name}: no contract event came out")
        rate = count / seconds
        figures |= {f"events_per_second ({name})": rate, f"times_the_split ({name})": seconds / split}
        rows.append([name, f"{count:,}", f"{made:,}", f"{rate:,.0f}", f"{seconds / split:.1f}"])
        targets.append(Target(f"AMI events/s, {name}", rate, at_least=RATE))
    table = [["AMI in one process", "events", "contract events", "events/s", "times the split of the bytes"], *rows]
    return Result("ami", figures, table, targets, [f"best of {runs}, processor time"], wrong)


def calls_only() -> bytes:
    """Return many recorded calls, with only the events that a figure depends on."""
    recordings = [path.read_bytes() for path in sorted((FOLDER / "ami").glob("*.ami"))]
    return _many([_events(data) for data in recordings])


def everything() -> bytes:
    """Return many copies of a call in the form that an account without a filter gets."""
    data = (FOLDER / "live" / "account-docs.ami").read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return _many([_events(data)] * 40)


def _events(recording: bytes) -> list[bytes]:
    return [message + b"\r\n\r\n" for message in recording.split(b"\r\n\r\n") if message.startswith(b"Event: ")]


def _many(sessions: list[list[bytes]]) -> bytes:
    """Return copies of the sessions, `_AT_ONCE` of them mixed, each at another time."""
    chance = Random(1)
    parts = []
    number = 0
    for _ in range(_COPIES):
        for first in range(0, len(sessions), _AT_ONCE):
            group = []
            for session in sessions[first : first + _AT_ONCE]:
                number += 1
                group.append(iter([_later(message, number * 40) for message in session]))
            while group:
                one = chance.choice(group)
                message = next(one, None)
                if message is None:
                    group.remove(one)
                else:
                    parts.append(message)
    return b"".join(parts)


def _later(message: bytes, by_s: int) -> bytes:
    return _STAMP.sub(lambda found: b"%d" % (int(found[1]) + by_s), message)


def _translate(data: bytes) -> int:
    session = AmiSession(AmiAccess(host="pbx", secret=Secret("x"), login="plain"))
    session.receive(_LOGGED_IN, 0)
    translator = Asterisk(AsteriskMapping(), b"a secret of the benchmark")
    made = 0
    for place in range(0, len(data), _PIECE):
        for event in session.receive(data[place : place + _PIECE], 0).events:
            made += len(translator.feed(event, 0))
    return made


def _split(data: bytes) -> int:
    return sum(
        len(message.split(b"\r\n"))
        for place in range(0, len(data), _PIECE)
        for message in data[place : place + _PIECE].split(b"\r\n\r\n")
    )


def _seconds(data: bytes, work: Any) -> tuple[float, int]:
    began = time.process_time()
    made = work(data)
    return time.process_time() - began, made


if __name__ == "__main__":
    print(measure().text())
