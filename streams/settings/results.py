"""The sections that define results: stages and reasons of the CRM, money, and targets.

Each has its defaults and ranges, and finds contradictions between fields, like those of `streams.settings.sections`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta, Struct

from streams.settings.fields import Currency, Identifier, Number, Span, TimeRange, WholeDays, Word, range_minutes
from streams.settings.reader import Conflict
from streams.units import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

WON: Final = "won"
LOST: Final = "lost"
PRESENTATION: Final = "presentation"
PROPOSAL: Final = "proposal"
OTHER: Final = "other"
"""The name of every value that the settings do not list."""
NONE: Final = "none"
"""The name of a missing value."""
RESERVED: Final = (OTHER, NONE)
DIMENSIONS: Final = ("products", "client_types", "channels")


class Results(Struct, frozen=True, kw_only=True):
    """The definition of progress and results of a lead, and the values of the CRM that are shown by name.

    `stages` are in order and end with `won` and `lost`; the *rank* of a stage is its place up to `won`. Spans are in
    milliseconds.
    """

    stages: Annotated[tuple[Word, ...], Meta(max_length=7)] = ("qualified", PRESENTATION, PROPOSAL, WON, LOST)
    reasons: Annotated[tuple[Word, ...], Meta(max_length=6)] = (
        "spec_clarification",
        "sending_proposal",
        "price_objection",
        "reminder",
    )
    products: tuple[Identifier, ...] = ()
    client_types: tuple[Identifier, ...] = ()
    channels: tuple[Identifier, ...] = ("phone", "email", "messenger", "meeting")
    max_values: Annotated[int, Meta(ge=1, le=20)] = 8
    mentor_after: Annotated[int, Meta(ge=1, le=100)] = 3
    stuck_after: Annotated[int, Meta(ge=1, le=100)] = 5
    attention_series: Annotated[int, Meta(ge=0, le=20)] = 8
    # A manager's figures reach 180 days back: an older lead changes none of them.
    lead_expiry_ms: Annotated[WholeDays, Meta(ge=181 * DAY_MS, le=3_660 * DAY_MS)] = 400 * DAY_MS
    permitted_hours: TimeRange = "08:00-21:00"
    long_first_call_ms: Annotated[Span, Meta(ge=1_000)] = 300_000
    quick_close: Annotated[int, Meta(ge=1, le=100)] = 3

    @property
    def lead_expiry_days(self) -> int:
        """Days without an event after which a lead's row is forgotten, 181-3660."""
        return self.lead_expiry_ms // DAY_MS

    @property
    def permitted_from_minute(self) -> int:
        """Minutes from local midnight to the first minute in which leads may be called, 0-1439."""
        return range_minutes(self.permitted_hours)[0]

    @property
    def permitted_to_minute(self) -> int:
        """Minutes from local midnight to the end of the permitted hours (exclusive), 1-1440."""
        return range_minutes(self.permitted_hours)[1]

    def conflicts(self) -> Iterator[Conflict]:
        """Yield errors inside the lists, and contradictions between fields."""
        yield from self._in_the_lists()
        yield from self._in_the_stages()
        for name in DIMENSIONS:
            if (count := len(getattr(self, name))) > self.max_values:
                yield ("max_values", name), f"is less than the {count} values that {name} names"
        if self.stuck_after < self.mentor_after:
            why = f"is less than mentor_after ({self.mentor_after})"
            yield ("stuck_after", "mentor_after"), f"{why}: a lead would be stuck before its consultation is due"

    def _in_the_lists(self) -> Iterator[Conflict]:
        for name in ("stages", "reasons", *DIMENSIONS):
            values: tuple[str, ...] = getattr(self, name)
            for value in dict.fromkeys(value for value in values if values.count(value) > 1):
                yield (name,), f'names "{value}" twice'
            for value in RESERVED:
                if value in values:
                    yield (name,), f'"{value}" is kept for values that have no name here; choose another word'

    def _in_the_stages(self) -> Iterator[Conflict]:
        if self.stages[-2:] != (WON, LOST):
            yield ("stages",), f'the last two must be "{WON}" and "{LOST}"'
        for stage in (PRESENTATION, PROPOSAL):
            if stage not in self.stages:
                yield ("stages",), f'must name "{stage}": the funnel and conversion are measured by it'
        if PROPOSAL in self.stages and PRESENTATION in self.stages[self.stages.index(PROPOSAL) :]:
            yield ("stages",), f'"{PRESENTATION}" must come before "{PROPOSAL}"'


class Costs(Struct, frozen=True, kw_only=True):
    """The cost of one touch of a lead, in `economics.currency`; `costs["call"]` is `costs.call`."""

    call: Annotated[Number, Meta(ge=0, le=1e6)] = 1.0
    email: Annotated[Number, Meta(ge=0, le=1e6)] = 0.1
    messenger: Annotated[Number, Meta(ge=0, le=1e6)] = 0.1
    meeting: Annotated[Number, Meta(ge=0, le=1e6)] = 25.0

    def __getitem__(self, channel: str) -> float:
        """Return the cost of a touch by `channel`. Raises KeyError for a channel that has no cost."""
        if channel not in self.__struct_fields__:
            raise KeyError(channel)
        cost: float = getattr(self, channel)
        return cost


CHANNELS: Final[tuple[str, ...]] = Costs.__struct_fields__
"""The channels of touches, in the order in which they are shown."""


class Economics(Struct, frozen=True, kw_only=True):
    """Money: `currency` is that of the costs and of each manager's mean amount; amounts in `currencies` are summed."""

    currency: Currency = "EUR"
    currencies: Annotated[tuple[Currency, ...], Meta(min_length=1, max_length=8)] = ("EUR",)
    costs: Costs = Costs()

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the contradictions between fields."""
        if self.currency not in self.currencies:
            yield ("currencies", "currency"), f'must name "{self.currency}", which is economics.currency'
        if len(set(self.currencies)) < len(self.currencies):
            yield ("currencies",), "names a currency twice"


class Targets(Struct, frozen=True, kw_only=True):
    """The rule by which a realistic target follows from a manager's own history.

    All three are ratios of won deals to first calls. `gain` is added to the ratio of the last quarter; the target then
    lies between `floor` and `cap`.
    """

    gain: Annotated[Number, Meta(ge=0, le=1)] = 0.0075
    floor: Annotated[Number, Meta(ge=0, le=1)] = 0.01
    cap: Annotated[Number, Meta(ge=0, le=1)] = 0.05

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the contradictions between fields."""
        if self.floor > self.cap:
            yield ("floor", "cap"), f"is more than cap ({self.cap:g})"
