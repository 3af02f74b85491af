"""A simulated department of any size: events of its telephones and its CRM in a number of working days.

The simulator takes longer to make an event than the worker to fold it. So two processes simulate a half of the managers
each, and pass the arrived records on hour by hour.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection
from typing import Any, Final

import orjson
from msgspec import Struct

from benchmarks import broker
from benchmarks.installation import Installation
from benchmarks.workload import PARTITIONS, SEED, Record
from streams.contract.topics import partitioner
from streams.settings.settings import load
from streams.simulator import Department, FaultRates, simulate
from streams.units import DAY_MS, HOUR_MS


class Hour(Struct):
    """The records of an hour, or of more, in the order of their arrival. The first is due at `due_ms`."""

    due_ms: int
    calls: list[Record]
    crm: list[Record]


PROCESSES: Final = 2
DAYS_A_WEEK: Final = 5
MANAGERS_A_TEAM: Final = 20
QUARTER_DAYS: Final = 13 * DAYS_A_WEEK
_WEEK_DAYS: Final = 7
_MONDAY: Final = 4  # day 0 is a Thursday
_EARLIEST_MOMENT: Final = 10**12  # a number of an event that is above it is a moment, in milliseconds
_NAMES: Final = ("id", "call", "deal")


def start_of(days: int, now_ms: int) -> int:
    """Return the Monday at which `days` working days begin that are over at `now_ms`, ms since epoch."""
    weeks = -(-days // DAYS_A_WEEK)
    today = now_ms // DAY_MS
    monday = today - (today - _MONDAY) % _WEEK_DAYS
    return (monday - weeks * _WEEK_DAYS) * DAY_MS


def end_of(days: int, start_ms: int) -> int:
    """Return the end of `days` working days that begin on a Monday, `start_ms`."""
    weeks, rest = divmod(days, DAYS_A_WEEK)
    return start_ms + (weeks * _WEEK_DAYS + rest) * DAY_MS


def hours(managers: int, days: int, start_ms: int) -> Iterator[Hour]:
    """Yield the records of `days` working days, an hour of a half of the managers at a time."""
    context = multiprocessing.get_context("spawn")
    links: list[Connection] = []
    children = []
    try:
        for number in range(min(PROCESSES, managers)):
            here, there = context.Pipe(duplex=False)
            child = context.Process(target=_simulate, args=(there, number, managers, days, start_ms), daemon=True)
            child.start()
            there.close()
            links.append(here)
            children.append(child)
        while links:
            for link in links.copy():
                hour: Hour | None = link.recv()
                if hour is None:
                    links.remove(link)
                else:
                    yield hour
    finally:
        for child in children:
            child.kill()
            child.join()


def later(records: Iterable[Record], days: int) -> Iterator[Record]:
    """Yield the same `days` later: other events, calls and deals of the same managers and leads."""
    for partition, key, value in records:
        event = _moved(orjson.loads(value), days * DAY_MS)
        for name in _NAMES:
            if name in event:
                event[name] = f"{event[name]}+{days}"
        yield partition, key, orjson.dumps(event)


def fill(installation: Installation, hour: Hour) -> int:
    """Append the records of an hour to the topics of an installation; return their number."""
    broker.fill(installation.bootstrap, installation.calls, hour.calls)
    broker.fill(installation.bootstrap, installation.crm, hour.crm)
    return len(hour.calls) + len(hour.crm)


def _made(number: int, managers: int) -> Department:
    """Return the part of the department that process `number` simulates, in teams of its own.

    Its managers have the ids of an installation's.
    """
    own = range(number, managers, PROCESSES)
    teams = [f"team-{number}-{team}" for team in range(-(-len(own) // MANAGERS_A_TEAM))]
    text = [f'[[teams]]\nid = "{team}"\nshifts = ["mon-fri 09:00-18:00"]\n' for team in teams]
    text += [
        f'[[managers]]\nid = "manager-{manager:04d}"\nname = "manager-{manager:04d}"\n'
        f'team = "{teams[index // MANAGERS_A_TEAM]}"\n'
        for index, manager in enumerate(own)
    ]
    return Department.from_settings(load("\n".join(text), {}), SEED + number)


def _simulate(link: Connection, number: int, managers: int, days: int, start_ms: int) -> None:
    """Pass the records on hour by hour, and None after the last. Runs in a process of its own."""
    place = partitioner(PARTITIONS)
    hour = Hour(start_ms, [], [])
    end_ms = end_of(days, start_ms)
    for record in simulate(_made(number, managers), start_ms, end_ms, faults=FaultRates.none(), crm=True):
        if record.key is None:
            continue
        if record.due_ms >= hour.due_ms + HOUR_MS:
            link.send(hour)
            hour = Hour(record.due_ms, [], [])
        key = record.key.encode()
        to = hour.calls if record.topic == "calls" else hour.crm
        to.append((place(key), key, record.value))
    link.send(hour)
    link.send(None)


def _moved(value: Any, by_ms: int) -> Any:
    """Return decoded JSON with all moments `by_ms` later."""
    if isinstance(value, dict):
        return {name: _moved(given, by_ms) for name, given in value.items()}
    if isinstance(value, int) and value > _EARLIEST_MOMENT:
        return value + by_ms
    return value
