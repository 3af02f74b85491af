"""The sections of the settings: fields, defaults, ranges, and contradictions between fields."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct

from streams.settings.fields import (
    DAY_MINUTES,
    WEEKDAYS,
    Country,
    Date,
    Days,
    Identifier,
    KafkaName,
    KafkaPrefix,
    Number,
    Region,
    Secret,
    SecretForm,
    Servers,
    Span,
    Text,
    Time,
    Url,
    WorkerName,
    Zone,
    days_text,
    minutes,
    shift_table,
    subdivisions,
)
from streams.settings.identities import Identity, Values
from streams.settings.reader import Conflict, Parse, did_you_mean
from streams.units import DAY_MS

UNASSIGNED: Final = "unassigned"


class Kafka(Struct, frozen=True, kw_only=True):
    """The connection to Kafka and its limits. The security settings are passed to the client unchanged."""

    bootstrap: Servers = "127.0.0.1:9092"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: Text | None = None
    sasl_password: SecretForm = Secret()
    ssl_cafile: Text | None = None
    ssl_certfile: Text | None = None
    ssl_keyfile: Text | None = None
    ssl_password: SecretForm = Secret()
    ssl_check_hostname: bool = True
    partitions: Annotated[int, Meta(ge=1, le=4096)] = 4
    replication: Annotated[int, Meta(ge=1, le=15)] = 1
    session_timeout_ms: Annotated[Span, Meta(ge=1_000, le=1_800_000)] = 10_000
    heartbeat_interval_ms: Annotated[Span, Meta(ge=100)] = 3_000
    commit_interval_ms: Annotated[Span, Meta(ge=50, le=60_000)] = 1_000
    group: KafkaName = "callpulse"
    topic_prefix: KafkaPrefix = ""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the contradictions between fields."""
        if self.heartbeat_interval_ms * 3 > self.session_timeout_ms:
            yield (
                ("heartbeat_interval_ms", "session_timeout_ms"),
                "must be at most a third of session_timeout, so that one lost heartbeat costs no rebalance",
            )
        sasl = self.security_protocol.startswith("SASL")
        for name in ("sasl_mechanism", "sasl_username", "sasl_password"):
            if sasl and not getattr(self, name):
                yield (name, "security_protocol"), f"is needed with security_protocol {self.security_protocol}"
            if not sasl and getattr(self, name):
                yield (name, "security_protocol"), "has no effect: security_protocol is not SASL_SSL or SASL_PLAINTEXT"
        if not self.security_protocol.endswith("SSL"):
            for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_password"):
                if getattr(self, name):
                    yield (name, "security_protocol"), "has no effect: security_protocol is not SSL or SASL_SSL"
        if self.ssl_keyfile and not self.ssl_certfile:
            yield ("ssl_certfile", "ssl_keyfile"), "is needed with ssl_keyfile"


class Worker(Struct, frozen=True, kw_only=True):
    """One worker process: its name, its folder, its port, and how long it may stand still.

    `advertised_url` is the address of this worker's HTTP server for other workers, without a slash at the end; empty
    means `http://` with `http_host` and `http_port`. `store` is the kind of store that keeps rows between starts.
    `web_config` is a file with TLS, passwords and tokens of the port, `web_client` one with the login for ports of
    callpulse.
    """

    id: WorkerName = "worker-1"
    data_dir: Text = "var/callpulse"
    http_host: Text = "127.0.0.1"
    http_port: Annotated[int, Meta(ge=0, le=65_535)] = 8787
    restore_deadline_ms: Annotated[Span, Meta(ge=1_000)] = 300_000
    stall_deadline_ms: Annotated[Span, Meta(ge=1_000)] = 60_000
    batch_records: Annotated[int, Meta(ge=1, le=100_000)] = 4_000
    batch_ms: Annotated[Span, Meta(ge=1, le=1_000)] = 8
    advertised_url: Url = ""
    store: Literal["rocksdb", "memory"] = "rocksdb"
    web_config: Text | None = None
    web_client: Text | None = None


class Thresholds(Struct, frozen=True, kw_only=True):
    """The limits of the definitions. All spans in milliseconds; the targets are (low, high), both included."""

    conversation_ms: Annotated[Span, Meta(ge=1_000)] = 60_000
    short_ms: Annotated[Span, Meta(ge=1_000)] = 120_000
    meaningful_ms: Annotated[Span, Meta(ge=1_000)] = 300_000
    meaningful_target: tuple[Annotated[int, Meta(ge=0)], Annotated[int, Meta(ge=0)]] = (40, 60)
    attempts_target: tuple[Annotated[int, Meta(ge=0)], Annotated[int, Meta(ge=0)]] = (8, 10)
    work_gap_ms: Annotated[Span, Meta(ge=60_000)] = 900_000
    work_block_ms: Annotated[Span, Meta(ge=60_000)] = 7_200_000
    break_after_ms: Annotated[Span, Meta(ge=60_000)] = 10_800_000
    max_call_ms: Annotated[Span, Meta(ge=60_000, le=7 * DAY_MS)] = 14_400_000
    retry_horizon_ms: Annotated[Span, Meta(ge=60_000, le=7 * DAY_MS)] = 21_600_000
    future_ms: Annotated[Span, Meta(ge=0, le=DAY_MS)] = 300_000
    calls_per_lead_day: Annotated[int, Meta(ge=1, le=1_000)] = 3
    # The longest window is 90 days, and its oldest day is only partly inside.
    day_rows: Annotated[int, Meta(ge=91, le=3_660)] = 400
    histogram_ms: Annotated[tuple[Span, ...], Meta(min_length=1, max_length=16)] = (
        6_000,
        20_000,
        60_000,
        120_000,
        180_000,
        300_000,
        600_000,
        1_200_000,
    )

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the contradictions between fields."""
        in_order = (
            ("conversation_ms", "meaningful_ms", "a meaningful call is a conversation"),
            ("short_ms", "meaningful_ms", "a call cannot be short and meaningful"),
            ("work_gap_ms", "work_block_ms", "a pause that ends a block cannot be longer than the block"),
            ("work_block_ms", "break_after_ms", "a break is due after a block, not inside it"),
            ("max_call_ms", "retry_horizon_ms", "a repeated event must be known as long as its call may last"),
            ("conversation_ms", "max_call_ms", "no call would be a conversation"),
            ("meaningful_ms", "max_call_ms", "no call would be meaningful"),
        )
        for low, high, why in in_order:
            if getattr(self, low) > getattr(self, high):
                yield (low, high), f"is longer than {high.removesuffix('_ms')}: {why}"
        for name in ("meaningful_target", "attempts_target"):
            low, high = getattr(self, name)
            if low > high:
                yield (name,), f"{low} to {high} is no range; the lower value comes first"
        if any(left >= right for left, right in itertools.pairwise(self.histogram_ms)) or self.histogram_ms[0] == 0:
            yield ("histogram_ms",), "must increase from one bound to the next, above zero"


class Calendar(Struct, frozen=True, kw_only=True):
    """The dates of holidays. `working_days` are worked although they are holidays; they override the two others."""

    country: Country | None = None
    subdivision: Text | None = None
    extra_holidays: tuple[Date, ...] = ()
    working_days: tuple[Date, ...] = ()

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the contradictions between fields."""
        if self.subdivision and not self.country:
            yield ("subdivision", "country"), "needs a country"
        elif self.subdivision and self.country and self.subdivision not in (known := subdivisions(self.country)):
            hint = did_you_mean(self.subdivision, known) or f"; known: {', '.join(known) or 'none'}"
            yield ("subdivision", "country"), f'"{self.subdivision}" is no subdivision of {self.country}{hint}'
        for both in sorted(set(self.extra_holidays) & set(self.working_days)):
            yield ("working_days", "extra_holidays"), f"{both} is in extra_holidays too"


class Privacy(Struct, frozen=True, kw_only=True):
    """Keys of telephone numbers. `lead_secret` keys their hash, `region` completes national numbers."""

    lead_secret: SecretForm = Secret()
    region: Region | None = None

    def conflicts(self) -> Iterator[Conflict]:
        """Yield errors inside single fields."""
        if self.lead_secret and len(self.lead_secret.reveal()) < Secret.SHORTEST:
            yield ("lead_secret",), f"is too short to protect numbers; at least {Secret.SHORTEST} characters are needed"


class Shift(Struct, frozen=True, kw_only=True):
    """Planned working time on some weekdays, in the manager's zone, half-open.

    `end` at or before `start` is on the next day; the shift then belongs to the day on which it starts.
    """

    days: Days
    start: Time
    end: Time

    @property
    def start_minutes(self) -> int:
        """Minutes from local midnight to the start, 0-1439."""
        return minutes(self.start)

    @property
    def end_minutes(self) -> int:
        """Minutes from the midnight before the start to the end; above 1440 for a shift that crosses midnight."""
        end = minutes(self.end)
        return end if end > self.start_minutes else end + DAY_MINUTES

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the contradictions between fields."""
        if self.start == self.end:
            yield ("end", "start"), 'is the start too; write "00:00" to "24:00" for a whole day'
        if self.start == "24:00":
            yield ("start",), 'must be before "24:00"'

    def __str__(self) -> str:
        return f"{days_text(self.days)} {self.start}-{self.end}"


ShiftForm: TypeAlias = Annotated[Shift, Parse(shift_table)]


Plan: TypeAlias = Annotated[Number, Meta(ge=0, le=100_000)]


class Team(Struct, frozen=True, kw_only=True):
    """A team. Its zone, shifts, holidays and plan hold for its managers, unless they have their own."""

    id: Identifier
    name: Text = ""
    timezone: Zone | None = None
    shifts: tuple[ShiftForm, ...] = ()
    calendar: Calendar | None = None
    plan_deals: Plan | None = None

    def conflicts(self) -> Iterator[Conflict]:
        """Yield shifts that overlap."""
        yield from _overlaps(self.shifts)


class Manager(Struct, frozen=True, kw_only=True):
    """A salesperson. `id` is what events carry; `timezone` is an IANA zone; no shifts means never on shift.

    `plan_deals` is how many deals the manager is to win a month, None without a plan. `identities` are read by sources.
    """

    id: Identifier
    name: str
    team: str = UNASSIGNED
    timezone: str = "UTC"
    shifts: tuple[Shift, ...] = ()
    plan_deals: float | None = None
    identities: tuple[Identity, ...] = ()


class RosterEntry(Struct, frozen=True, kw_only=True):
    """A manager as written in the file, before the team and the default zone fill the gaps."""

    id: Identifier
    name: Text = ""
    team: Identifier = UNASSIGNED
    timezone: Zone | None = None
    shifts: tuple[ShiftForm, ...] | None = None
    plan_deals: Plan | None = None
    identities: Mapping[str, Values] = MappingProxyType({})

    def conflicts(self) -> Iterator[Conflict]:
        """Yield shifts that overlap."""
        yield from _overlaps(self.shifts or ())


def _overlaps(shifts: tuple[Shift, ...]) -> Iterator[Conflict]:
    """Yield the first two shifts that overlap in a minute of the week."""
    spans = sorted(
        (day * DAY_MINUTES + shift.start_minutes, day * DAY_MINUTES + shift.end_minutes, WEEKDAYS[day], str(shift))
        for shift in shifts
        for day in (WEEKDAYS.index(name) for name in shift.days)
    )
    if not spans:
        return
    again = (spans[0][0] + 7 * DAY_MINUTES, spans[0][1] + 7 * DAY_MINUTES, *spans[0][2:])
    for left, right in itertools.pairwise([*spans, again]):
        if left[1] > right[0]:
            yield ("shifts",), f'"{left[3]}" and "{right[3]}" overlap on {right[2]}'
            return
