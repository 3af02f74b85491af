"""The settings of a kind of file, `[sources.files.NAME]`: its notation, and the meaning of its columns."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

from msgspec import Meta, Struct

from streams.contract.events import DISPOSITIONS, KINDS
from streams.phone_numbers import has_number
from streams.settings.fields import Region, Zone
from streams.settings.reader import Conflict, Parse, did_you_mean, kind_of
from streams.sources.numbers import NumberRules
from streams.sources.times import Fold, SpanForm, Times
from streams.units import DAY_MS

IGNORE: Final = "ignore"
UNFINISHED: Final = "unfinished"
DELETED: Final = "deleted"
PEOPLE: Final = ("manager", "extension", "endpoint", "login", "email", "manager_number")
TIMES: Final = ("started", "answered", "ended", "changed")
SPANS: Final = ("wait", "talk", "duration")
_ENCODINGS: Final = re.compile(
    r"utf-?8(-sig)?|utf-?16(-[lb]e)?|(cp|windows-)125[0-8]|cp(866|437|850)|(iso-?8859-|latin-?)\d{1,2}|koi8-[ru]|ascii"
)
_CALLS: Final = frozenset(
    {
        *("call", "started", "answered", "ended", "wait", "talk", "duration", "direction", "disposition", "kind"),
        *("caller", "callee", "queue", "team", "transferred_to", "how", "lead", "lead_number", *PEOPLE),
    }
)
_DEALS: Final = frozenset(
    {
        *("deal", "changed", "stage", "amount", "currency", "product", "channel", "client_type"),
        *("lead", "lead_number", *PEOPLE),
    }
)
WORDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "direction": ("inbound", "outbound", "internal", IGNORE),
        "disposition": (*DISPOSITIONS, UNFINISHED, IGNORE),
        "kind": KINDS,
        "how": ("blind", "attended"),
    }
)
"""The allowed values of a map. A stage and a manager may be any text, and a stage `deleted` or `ignore`, too."""


def _encoding(value: object) -> str:
    text = str(value).strip().lower().replace("_", "-")
    if not isinstance(value, str) or _ENCODINGS.fullmatch(text) is None:
        raise ValueError(f'{str(value)!r} is no known encoding; write for example "utf-8", "cp1251" or "utf-16"')
    try:
        name = codecs.lookup(text).name
    except LookupError:
        raise ValueError(f"{text!r} is no known encoding") from None
    return "utf-8" if name == "utf-8-sig" else name


def _delimiter(value: object) -> str:
    text = {"tab": "\t", "semicolon": ";", "comma": ","}.get(str(value), str(value))
    if len(text) != 1 or text in "\r\n":
        raise ValueError('must be one character, or "tab"')
    return text


def _column(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | list | dict):
        # A Parse refuses every error with ValueError.
        kind = kind_of(value)
        raise ValueError(f"the name of a column, its number, or an array of them was expected, not {kind}")  # noqa: TRY004  as above
    table: dict[str, Any] = dict(value) if isinstance(value, dict) else {"column": value}
    if isinstance(table.get("column"), str | int):
        table["column"] = [table["column"]]
    return table


ColumnName: TypeAlias = str | int


class Column(Struct, frozen=True, kw_only=True):
    """The place of a value: the name of a column, or its number, from 1. Several are joined with a space.

    The other fields are the notation of this column's values, if it differs from that of the file.
    """

    column: Annotated[tuple[ColumnName, ...], Meta(min_length=1, max_length=16)]
    time: str | None = None
    timezone: Zone | None = None
    fold: Fold | None = None
    spans: SpanForm | None = None

    def conflicts(self) -> Iterator[Conflict]:
        """Yield names that cannot be columns."""
        if any(name == "" or (isinstance(name, int) and name < 1) for name in self.column):
            yield ("column",), "must be the name of a column, or its number, from 1"


ColumnForm: TypeAlias = Annotated[Column, Parse(_column)] | None


class Columns(Struct, frozen=True, kw_only=True):
    """The columns by their meaning. Of calls: `call` to `how`. Of deals: `deal` to `client_type`. Of both: the rest.

    `manager` is the source's name of the person; `extension` to `manager_number` are other identities of the person.
    `caller` and `callee` stand for exports without a direction: the one that is an extension is the manager's.
    """

    call: ColumnForm = None
    started: ColumnForm = None
    answered: ColumnForm = None
    ended: ColumnForm = None
    wait: ColumnForm = None
    talk: ColumnForm = None
    duration: ColumnForm = None
    direction: ColumnForm = None
    disposition: ColumnForm = None
    kind: ColumnForm = None
    caller: ColumnForm = None
    callee: ColumnForm = None
    queue: ColumnForm = None
    team: ColumnForm = None
    transferred_to: ColumnForm = None
    how: ColumnForm = None
    deal: ColumnForm = None
    changed: ColumnForm = None
    stage: ColumnForm = None
    amount: ColumnForm = None
    currency: ColumnForm = None
    product: ColumnForm = None
    channel: ColumnForm = None
    client_type: ColumnForm = None
    lead: ColumnForm = None
    lead_number: ColumnForm = None
    manager: ColumnForm = None
    extension: ColumnForm = None
    endpoint: ColumnForm = None
    login: ColumnForm = None
    email: ColumnForm = None
    manager_number: ColumnForm = None

    def used(self) -> dict[str, Column]:
        """Return the columns that are set, by their meaning."""
        held = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return {name: column for name, column in held if column is not None}


Words: TypeAlias = Mapping[str, str]


class ValueMaps(Struct, frozen=True, kw_only=True):
    """The meanings of the words of a file. Case and repeated spaces make no difference."""

    direction: Words = MappingProxyType({})
    disposition: Words = MappingProxyType({})
    kind: Words = MappingProxyType({})
    how: Words = MappingProxyType({})
    stage: Words = MappingProxyType({})
    manager: Words = MappingProxyType({})

    def conflicts(self) -> Iterator[Conflict]:
        """Yield words without a meaning."""
        for name, allowed in WORDS.items():
            for meaning in getattr(self, name).values():
                if meaning not in allowed:
                    hint = did_you_mean(meaning, allowed) or f"; known here: {', '.join(allowed)}"
                    yield (name,), f'"{meaning}" is no {name}{hint}'


class FileMapping(Struct, frozen=True, kw_only=True):
    """A kind of file: the kind of its rows (`what`), its notation, its columns, and the meanings of its words.

    `source` is the name of the system in events and in the roster's identities; the default is the name of the table.
    `key` names the columns that make a row unique: a row with the same values there is the same row. `constants` are
    values that no column has. `queue_prefix` is the prefix of a manager's name that is the name of a queue. `internal`
    matches the numbers of extensions, for `caller` and `callee`; its first group, if it has one, is the extension.
    """

    memory_ms: ClassVar[int] = DAY_MS
    """An export of yesterday may have calls that a live source reported."""

    what: Literal["calls", "deals"]
    source: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}$")] | None = None
    format: Literal["csv", "json"] = "csv"
    encoding: Annotated[str, Parse(_encoding)] = "utf-8"
    delimiter: Annotated[str, Parse(_delimiter)] = ","
    quote: Annotated[str, Parse(_delimiter)] = '"'
    header: bool = True
    skip_lines: Annotated[int, Meta(ge=0, le=1000)] = 0
    decimal: Literal[".", ","] = "."
    time: str = "iso"
    timezone: Zone | None = None
    fold: Fold | None = None
    spans: SpanForm = "auto"
    columns: Columns = Columns()
    values: ValueMaps = ValueMaps()
    constants: Mapping[str, str] = MappingProxyType({})
    key: Annotated[tuple[ColumnName, ...], Meta(max_length=16)] = ()
    queue_prefix: Annotated[str, Meta(max_length=64)] = ""
    default_queue: Annotated[str, Meta(min_length=1, max_length=64)] = "inbound"
    internal: Annotated[str, Meta(min_length=1, max_length=256)] = r"\d{2,6}"
    region: Region | None = None
    numbers: NumberRules = NumberRules()

    def conflicts(self) -> Iterator[Conflict]:
        """Yield fields that are missing, without effect, or impossible."""
        used = self.columns.used()
        yield from self._unknown(used)
        if missing := list(self._missing({*used, *self.constants})):
            yield ("columns", "what"), f"needs {'; '.join(missing)}"
        for name in TIMES:
            if (column := used.get(name)) is not None:
                yield from self._time_conflicts(name, column)
        columns = (*self.key, *(one for held in used.values() for one in held.column))
        if self.format == "json" and any(isinstance(name, int) for name in columns):
            yield ("columns", "format"), "are named by their keys in JSON, not by numbers"
        if self.format == "csv" and not self.header and any(isinstance(name, str) for name in columns):
            yield ("columns", "header"), "must be numbers where the file has no header"
        if self.delimiter == self.quote:
            yield ("delimiter", "quote"), "and quote must be different characters"
        try:
            re.compile(self.internal)
        except re.error as error:
            yield ("internal",), f"is no regular expression: {error}"
        if has_number(self.default_queue):
            yield ("default_queue",), "looks like a telephone number; these must not be published"

    def _unknown(self, used: Mapping[str, Column]) -> Iterator[Conflict]:
        """Yield columns and constants that rows of this kind do not have, and impossible constants."""
        known = _CALLS if self.what == "calls" else _DEALS
        for place, names in (("columns", used), ("constants", self.constants)):
            for name in names:
                if name not in known:
                    yield (f"{place}.{name}", place), f"is no part of rows of {self.what}{did_you_mean(name, known)}"
        for name, word in self.constants.items():
            if name in WORDS and word not in WORDS[name]:
                yield (f"constants.{name}", "constants"), f'"{word}" is none of {", ".join(WORDS[name])}'
            if name in (*TIMES, *SPANS):
                yield (f"constants.{name}", "constants"), "cannot be the same for all rows"

    def _missing(self, given: set[str]) -> Iterator[str]:
        if self.what == "deals":
            yield from (name for name in ("deal", "changed", "stage") if name not in given)
            return
        if "started" not in given:
            yield "started"
        if "direction" not in given and not {"caller", "callee"} <= given:
            yield "direction, or caller and callee"
        if given.isdisjoint({*PEOPLE, "queue"}) and not {"caller", "callee"} <= given:
            yield f"one of {', '.join(PEOPLE)}, or caller and callee"
        if given.isdisjoint({"ended", "duration", "talk"}):
            yield "one of ended, duration, talk"
        if "transferred_to" in given and "how" not in given:
            yield "how, a column or a constant, beside transferred_to"

    def _time_conflicts(self, name: str, column: Column) -> Iterator[Conflict]:
        form, zone = column.time or self.time, column.timezone or self.timezone
        try:
            Times(form, zone)
        except ValueError as error:
            yield (f"columns.{name}.time" if column.time else "time", "time"), str(error)
            return
        if "%" in form and "%z" not in form and zone is None:
            yield ("timezone",), f"is needed: the times of {name} have no offset"
