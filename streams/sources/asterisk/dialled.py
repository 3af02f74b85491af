"""The number that was dialled to reach a channel."""

from __future__ import annotations

import re
from typing import Final

from streams.phone_numbers import is_outside_number
from streams.sources.asterisk.model import Channel, known_number

DIGITS: Final = re.compile(r"\+?\d{7,15}")
_PARTS: Final = re.compile(r"[/@]")
_SHORTEST_LINE: Final = 5


def dialled_number(channel: Channel, exten: str) -> str:
    """Return the outside number that was dialled to reach `channel`, or "" for none.

    The dial string comes first, because a dialplan may remove a prefix ("9" for an outside line). Next are the number
    that Asterisk gave the channel, and the extension that the caller dialled.
    """
    target = channel.dial_string.partition("!")[0]
    for number in DIGITS.findall(target):
        if number != channel.endpoint:
            return str(number)
    for number in (channel.number, exten):
        if is_outside_number(number) and number != channel.endpoint:
            return known_number(number)
    return ""


def attempted_number(channel: Channel) -> str:
    """Return the number that a channel dialled without success, because no trunk was available.

    The arguments of its Dial application come first: the extension may begin with a prefix for an outside line.
    """
    for number in DIGITS.findall(channel.attempt.partition(",")[0]):
        if number != channel.endpoint:
            return str(number)
    return channel.exten


def is_line(channel: Channel) -> bool:
    """Return whether a channel is a line to the outside, by the number under which it was called.

    A line is dialled by its endpoint and another number, a telephone by its endpoint alone. A call to the name of the
    endpoint that it comes from, with another number as the caller's, arrives on a registered line.
    """
    if channel.dialled_by is None:
        return (
            len(channel.endpoint) >= _SHORTEST_LINE
            and channel.exten == channel.endpoint
            and channel.first_number != channel.endpoint
            and is_outside_number(channel.first_number)
        )
    parts = _PARTS.split(channel.dial_string.partition("!")[0])
    return channel.endpoint in parts and any(
        part != channel.endpoint and DIGITS.fullmatch(part) for part in parts if part
    )
