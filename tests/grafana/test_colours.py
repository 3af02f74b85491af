"""The colours of boards: a reader who does not see red or green can distinguish them all."""

from __future__ import annotations

from itertools import combinations

import pytest

from grafana.common import BLUE, GREEN, GREY, ORANGE, RED, YELLOW

# Machado, Oliveira and Fernandes 2009, severity 1: the perceived part of linear red, green and blue.
SEEN = {
    "everything": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "no green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
}
COLOURS = {"green": GREEN, "yellow": YELLOW, "orange": ORANGE, "red": RED, "blue": BLUE, "grey": GREY}
APART = 15
"""Distance in CIELAB; about six times the just noticeable difference of two fields beside each other."""

Triple = tuple[float, float, float]


def _linear(colour: str) -> Triple:
    red, green, blue = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return _each(red), _each(green), _each(blue)


def _each(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)


def lab(colour: str, who: str) -> Triple:
    """Return the colour in CIELAB (D65) as a kind of vision perceives it."""
    red, green, blue = (
        min(max(sum(a * b for a, b in zip(row, _linear(colour), strict=True)), 0.0), 1.0) for row in SEEN[who]
    )
    x = (0.4124564 * red + 0.3575761 * green + 0.1804375 * blue) / 0.95047
    y = 0.2126729 * red + 0.7151522 * green + 0.0721750 * blue
    z = (0.0193339 * red + 0.1191920 * green + 0.9503041 * blue) / 1.08883
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def distance(one: str, other: str, who: str) -> float:
    """Return the distance of two colours for a kind of vision."""
    return float(sum((a - b) ** 2 for a, b in zip(lab(one, who), lab(other, who), strict=True)) ** 0.5)


@pytest.mark.parametrize("who", SEEN)
def test_every_colour_is_told_from_every_other(who: str) -> None:
    near = {
        pair: round(distance(COLOURS[pair[0]], COLOURS[pair[1]], who))
        for pair in combinations(COLOURS, 2)
        if distance(COLOURS[pair[0]], COLOURS[pair[1]], who) < APART
    }
    assert near == {}


def test_plain_red_and_green_are_not_told_apart_by_everybody() -> None:
    assert distance("#73bf69", "#ff9830", "no red") < 2 * APART < distance("#73bf69", "#ff9830", "everything")


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG 2 defines it, from 1 to 21."""
    parts = (0.2126, 0.7152, 0.0722)
    dark, light = sorted(sum(a * b for a, b in zip(parts, _linear(each), strict=True)) for each in (one, other))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(("board", "least"), [("#181b1f", 3), ("#ffffff", 2.3)], ids=["dark", "light"])
def test_every_colour_is_seen_on_a_dark_and_on_a_light_board(board: str, least: float) -> None:
    faint = {name: contrast(colour, board) for name, colour in COLOURS.items() if contrast(colour, board) < least}
    assert faint == {}
    assert contrast("#e8c81c", "#ffffff") < 2  # a yellow as on traffic lights
