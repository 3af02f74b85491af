"""The number that was dialled to reach a channel."""

from __future__ import annotations

import re
from typing import Final

from streams.phone_numbers import is_outside_number
from streams.sources.asterisk.model import Channel, known_number

_DIGITS: Final = re.compile(r"\+?\d{7,15}")


def dialled_number(channel: Channel, exten: str) -> str:
    """Return the outside number that was dialled to reach `channel`, or "" for none.

    The dial string comes first, because a dialplan may remove a prefix ("9" for an outside line). Next are the number
    that Asterisk gave the channel, and the extension that the caller dialled.
    """
    target = channel.dial_string.partition("!")[0]
    for number in _DIGITS.findall(target):
        if number != channel.endpoint:
            return str(number)
    for number in (channel.number, exten):
        if is_outside_number(number) and number != channel.endpoint:
            return known_number(number)
    return ""
