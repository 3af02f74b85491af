"""The configuration of boards and rules: one file, one place for each number.

`load` reads the file. Numbers that the workers' settings hold already (short calls, stuck leads, permitted hours) are
not repeated here: `settings` names the workers' file, and boards and rules take them from there.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final, TypeAlias

from msgspec import Meta, Struct

from grafana import pages
from streams.metrics import wording
from streams.metrics.wording import Language
from streams.settings.fields import Number, Span, Text
from streams.settings.reader import Conflict, Parse, Problem, Reader, duration_text
from streams.settings.settings import Settings, SettingsError
from streams.settings.settings import load as load_settings
from streams.sources.registry import SOURCES
from streams.units import HOUR_MS, MINUTE_MS, SECOND_MS

_MATCHER: Final = r'[a-zA-Z_]\w*\s*(?:=~|!~|!=|=)\s*"(?:[^"\\]|\\.)*"'
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")
REPOSITORY_RUNBOOK: Final = "{{ with $externalLabels.runbooks }}{{ . }}/{{ end }}grafana/runbook.md"
"""The path of the runbook in this repository, below the address in Prometheus' external label `runbooks`."""
SUPERVISORS_RUNBOOK: Final[Mapping[Language, str]] = {
    "en": REPOSITORY_RUNBOOK,
    "ru": REPOSITORY_RUNBOOK.replace("grafana/runbook.md", "docs/ru/runbook.md"),
}
"""The same of the alerts for supervisors, in their language."""


NAME: Final = (
    '{{ with printf "manager:callpulse_manager_info:name{manager=%q,team=%q}" $labels.manager $labels.team | query }}'
    '{{ . | first | label "name" }}{{ else }}{{ $labels.manager }}{{ end }}'
)
"""In the text of an alert: the name of its manager, or else the id."""

TEAM_NAME: Final = (
    '{{ with printf "team:callpulse_team_info:name{team=%q}" $labels.team | query }}'
    '{{ . | first | label "name" }}{{ else }}{{ $labels.team }}{{ end }}'
)
"""In the text of an alert: the name of its team, or else the id."""

EXTERNAL_GRAFANA: Final = "{{ with $externalLabels.grafana }}{{ . }}{{ end }}"
"""The address of Grafana that Prometheus' external label `grafana` gives."""
_SHELL: Final = (
    r'{{ if match "^[0-9A-Za-z_.@:+][0-9A-Za-z_.@:+-]*$" $labels.LABEL }}{{ $labels.LABEL }}{{ else }}'
    r'{{ "\x27" }}{{ reReplaceAll "\x27" "\x27\\\x27\x27" $labels.LABEL }}{{ "\x27" }}{{ end }}'
)
"""In a command: the value of a label, quoted for a shell. Senders choose such values.

`\\x27` is a single quote, which would end the string of YAML.
"""
_OF_TEAM: Final = "var-team={{ $labels.team | urlquery }}"

_TEAM: Final[Mapping[Language, str]] = {"en": "team", "ru": "команда"}
"""Before the name of a team, in the table of alerts."""

MANAGER: Final = "{{ $labels.manager | urlquery }}"
"""In an address in the text of an alert: its manager."""


def _board(grafana: str, uid: str, name: str) -> str:
    """Return the address of a board with the alert's manager selected, below the address of Grafana."""
    return f"{grafana}/d/{uid}-{name}?var-manager={MANAGER}"


def _selector(value: object) -> str:
    text = str(value).strip()
    if text and not re.fullmatch(rf"{_MATCHER}(?:\s*,\s*{_MATCHER})*", text):
        raise ValueError(f"""'{text}' are no matchers of labels; write for example 'environment="prod"'""")
    return text


def _name(value: object) -> str:
    text = str(value)
    if not _NAME.fullmatch(text):
        raise ValueError(f'"{text}" is no name; letters, digits, dots, dashes and underscores make one')
    return text


Pause: TypeAlias = Annotated[Span, Meta(ge=MINUTE_MS)]
Count: TypeAlias = Annotated[int, Meta(ge=1)]
Ratio: TypeAlias = Annotated[Number, Meta(ge=0, le=1)]


class Prometheus(Struct, frozen=True, kw_only=True):
    """The jobs and labels of callpulse in Prometheus, the intervals of rules, and addresses in alerts.

    `job` is that of the workers, of which `workers` should answer. Processes that take events in have jobs whose names
    begin with `gateway_job`, one job for each kind of process. `selector` are matchers of labels that every query of a
    metric gets. A scrape that was missed is bridged for `missed_scrapes_ms`. `runbook` is the address of the runbook;
    the name of the alert follows after a `#`. `grafana` is the address before that of each board.
    """

    job: Annotated[str, Parse(_name)] = "callpulse"
    workers: Count = 1
    gateway_job: Annotated[str, Parse(_name)] = "callpulse-gateway"
    selector: Annotated[str, Parse(_selector)] = ""
    interval_ms: Annotated[Span, Meta(ge=SECOND_MS)] = 30 * SECOND_MS
    results_interval_ms: Annotated[Span, Meta(ge=SECOND_MS)] = MINUTE_MS
    missed_scrapes_ms: Annotated[Span, Meta(ge=10 * SECOND_MS)] = 2 * MINUTE_MS
    runbook: Text = REPOSITORY_RUNBOOK
    grafana: Text = EXTERNAL_GRAFANA


class Alerts(Struct, frozen=True, kw_only=True):
    """The thresholds of the alerts; docs/alerts.md gives the reasons for the defaults."""

    silence_ms: Pause = 20 * MINUTE_MS
    feed_silence_ms: Pause = 10 * MINUTE_MS
    break_ms: Pause = 90 * MINUTE_MS
    source_silence_ms: Pause = 30 * MINUTE_MS
    crm_silence_ms: Pause = 2 * HOUR_MS
    lag_ms: Annotated[Span, Meta(ge=SECOND_MS)] = MINUTE_MS
    event_delay_ms: Annotated[Span, Meta(ge=SECOND_MS)] = MINUTE_MS
    drop_ratio: Ratio = 0.5
    drop_talk_ms: Pause = 30 * MINUTE_MS
    stuck_leads: Count = 5
    consultation_shift_ms: Pause = 6 * HOUR_MS
    week_proposals: Count = 20
    rejected_records: Count = 5
    rejected_ratio: Ratio = 0.01
    call_ends_lost: Count = 5
    call_ends_lost_ratio: Ratio = 0.02
    spool_ratio: Ratio = 0.5
    spool_age_ms: Pause = 5 * MINUTE_MS
    unauthenticated: Count = 20
    clock_ms: Annotated[Span, Meta(ge=SECOND_MS)] = 30 * SECOND_MS
    link_gaps: Count = 3
    unpushed: Count = 10
    poll_silence_ms: Pause = 15 * MINUTE_MS
    drift_legs: Count = 5
    drift_ratio: Ratio = 0.02
    provisional_days: Count = 3
    transcript_silence_ms: Pause = 26 * HOUR_MS
    transcript_calls: Count = 20
    short_calls: Count = 15
    short_rise: Ratio = 0.25
    over_called_leads: Count = 3
    broken_promises: Count = 5
    kept_ratio: Ratio = 0.7
    norm_ratio: Ratio = 0.75
    pace_ratio: Ratio = 0.8
    duplicates: Count = 100

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the contradictions between fields."""
        if self.feed_silence_ms > self.silence_ms:
            why = f"is longer than silence ({duration_text(self.silence_ms)})"
            yield ("feed_silence_ms", "silence_ms"), f"{why}: managers would be called silent while the feed is down"


class Boards(Struct, frozen=True, kw_only=True):
    """The look of boards.

    Each pair of ratios has the values at which a colour changes, from the worse to the better one.

    `uid` is the prefix of the address of each board, and the tag by which boards link to each other. The counts are the
    fewest deals or leads from which a figure is shown at all.
    """

    uid: Annotated[str, Parse(_name), Meta(max_length=20)] = "callpulse"
    refresh_ms: Annotated[Span, Meta(ge=SECOND_MS)] = 10 * SECOND_MS
    short_ratio: tuple[Ratio, Ratio] = (0.5, 0.7)
    next_step_ratio: tuple[Ratio, Ratio] = (0.3, 0.5)
    kept_ratio: tuple[Ratio, Ratio] = (0.7, 0.9)
    signature_deals: Count = 3
    norm_deals: Count = 5
    funnel_leads: Count = 20


class _File(Struct, frozen=True, kw_only=True):
    settings: Text | None = None
    language: Language = "en"
    prometheus: Prometheus = Prometheus()
    alerts: Alerts = Alerts()
    boards: Boards = Boards()


class Config(Struct, frozen=True, kw_only=True):
    """The values that boards and rules are generated with, in one language. `settings` are those of the workers."""

    language: Language = "en"
    prometheus: Prometheus = Prometheus()
    alerts: Alerts = Alerts()
    boards: Boards = Boards()
    settings: Settings = Settings()

    @property
    def uid(self) -> str:
        """The prefix of the address of each board: one Grafana may have boards in several languages."""
        return self.boards.uid if self.language == "en" else f"{self.boards.uid}-{self.language}"

    @property
    def folder(self) -> str:
        """The folder below the output with the files of this language; English ones are in the output itself."""
        return "" if self.language == "en" else self.language

    def words(self) -> Mapping[str, str]:
        """Return the values of the words in templates and texts.

        A span has three: `silence` is 20m as PromQL writes it, `silence.s` its seconds, `silence.text` is for readers.
        `length.N` is the N-th bound of the settings' histogram of talk, from 0 on.
        """
        settings, language = self.settings, self.language
        known = dict(wording.words(settings, language))
        known["name"] = NAME
        known["team_name"] = TEAM_NAME
        known["of_team"] = _OF_TEAM
        for label in ("manager", "team", "source", "reason"):
            known[f"shell.{label}"] = _SHELL.replace("LABEL", label)
        known["team_word"] = _TEAM[language]
        for place, ms in enumerate((0, *settings.thresholds.histogram_ms)):
            known[f"length.{place}"] = wording.span(ms, language)
        known["manager_board"] = _board(self.prometheus.grafana, self.uid, "manager")
        known["leads_board"] = _board(self.prometheus.grafana, self.uid, "leads")
        known["manager_page"] = pages.of_manager(settings.links.manager, "${__data.fields.Id:percentencode}")
        # A space is %20 everywhere in an address; urlquery writes a plus.
        known["manager_page.alert"] = pages.of_manager(
            settings.links.manager, '{{ $labels.manager | urlquery | reReplaceAll "[+]" "%20" }}'
        )
        known["long_first_call.s"] = f"{settings.results.long_first_call_ms / SECOND_MS:g}"
        for name, ms in (
            ("session_timeout", settings.kafka.session_timeout_ms),
            ("restore_deadline", settings.worker.restore_deadline_ms),
        ):
            known[name] = wording.span(ms, language)
        for table in (self.prometheus, self.alerts, self.boards):
            for field in table.__struct_fields__:
                known.update(_words(field, getattr(table, field), language))
        own = self.prometheus.runbook
        known["runbook_supervisor"] = SUPERVISORS_RUNBOOK[language] if own == REPOSITORY_RUNBOOK else own
        known["uid"] = self.uid
        return known


def _words(field: str, value: object, language: Language) -> Iterator[tuple[str, str]]:
    name = field.removesuffix("_ms")
    if isinstance(value, int) and name != field:
        yield name, duration_text(value)
        yield f"{name}.s", f"{value / SECOND_MS:g}"
        yield f"{name}.h", f"{value / HOUR_MS:g}"
        yield f"{name}.text", wording.span(value, language)
    elif isinstance(value, float):
        yield name, f"{value:g}"
        yield f"{name}.text", wording.percent(value, language)
    elif isinstance(value, int | str):
        yield name, str(value)


def load(path: Path) -> Config:
    """Return the configuration of a file. Raises SettingsError with all problems, OSError without a file."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([Problem("", f"the file is not TOML: {error}")]) from None
    reader = Reader()
    read = reader.struct(_File, document, "")
    if read is None or reader.problems:
        raise SettingsError(reader.problems)
    settings = Settings()
    if read.settings is not None:
        settings = load_settings((path.parent / read.settings).read_text("utf-8"), {}, SOURCES)
    return Config(
        language=read.language, prometheus=read.prometheus, alerts=read.alerts, boards=read.boards, settings=settings
    )
