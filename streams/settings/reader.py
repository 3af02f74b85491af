"""Turn a parsed TOML document, overlaid with environment text, into frozen structs, and collect every problem found.

The module is independent of particular settings. A struct's annotations define the allowed values: `msgspec.Meta` for
ranges, `Parse` for values with a notation of their own (a duration, a zone, a shift). An optional method `conflicts`
finds contradictions between fields.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Self, TypeAlias, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from streams.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, WEEK_MS

T = TypeVar("T", bound=Struct)
Conflict: TypeAlias = tuple[tuple[str, ...], str]
"""Fields that contradict each other (the problem has the key of the first one), and the reason."""

MISSING: Final = object()
_UNITS_MS: Final = {"ms": 1, "s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": WEEK_MS}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d|w)")
_DURATION: Final = re.compile(rf"(?:{_PART.pattern}\s*)+")
_TRUE: Final = ("true", "yes", "on", "1")
_FALSE: Final = ("false", "no", "off", "0")
_QUOTED: Final = 60
_KINDS: Final[Mapping[type, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "an array",
    dict: "a table",
}


class Problem(Struct, frozen=True):
    """One problem of the settings: the dotted key that has to change, and the remedy."""

    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.key}: {self.message}" if self.key else self.message


class Parse(Struct, frozen=True):
    """The notation of a field's value in TOML, for `Annotated[...]`. `read` raises ValueError to refuse a value."""

    read: Callable[[Any], Any]


class FromEnvironment(str):
    """A value of an environment variable: its text, with the variable's name."""

    __slots__ = ("variable",)
    variable: str

    def __new__(cls, text: str, variable: str) -> Self:
        """Return `text` with the name of its variable."""
        made = super().__new__(cls, text)
        made.variable = variable
        return made


def duration(value: object) -> int:
    """Read a span of time such as "90s", "15m", "1h30m" or "30d" as milliseconds. Raises ValueError."""
    text = str(value).strip()
    if isinstance(value, str) and _DURATION.fullmatch(text):
        total = sum(float(number) * _UNITS_MS[unit] for number, unit in _PART.findall(text))
        if math.isfinite(total) and total == int(total):
            return int(total)
        raise ValueError(f"{quoted(value)} is no whole number of milliseconds")
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        raise ValueError(f'{text} has no unit; write "{text}s", "{text}m" or "{text}h"')
    raise ValueError(f'{quoted(value)} is no duration; write for example "90s", "15m", "4h" or "30d"')


def duration_text(ms: int) -> str:
    """Write milliseconds the way `duration` reads them, in the largest unit that divides them."""
    for unit in ("d", "h", "m", "s"):
        if ms and ms % _UNITS_MS[unit] == 0:
            return f"{ms // _UNITS_MS[unit]}{unit}"
    return f"{ms}ms" if ms else "0s"


def toml_key(field: str) -> str:
    """Return the name of a field in TOML: durations are written with their unit, so they lose the `_ms`."""
    return field.removesuffix("_ms")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean X?" for the nearest of `known`, or nothing if none is near."""
    by_folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.7)
    return f"; did you mean {by_folded[near[0]]}?" if near else ""


def quoted(value: object) -> str:
    """Return a value for an error message, shortened."""
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else f'"{value}"'
    return text if len(text) <= _QUOTED else text[: _QUOTED - 2] + '…"'


def kind_of(value: object) -> str:
    """Return TOML's name for the type of a value."""
    return next((name for kind, name in _KINDS.items() if isinstance(value, kind)), f"a {type(value).__name__}")


class Reader:
    """Reads structs out of plain data. `problems` grows; `origins` has the origin of the value per key."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.origins: dict[str, str] = {}

    def refuse(self, key: str, message: str, value: object = None) -> None:
        """Note a problem. The variable is named if the value came from one."""
        if isinstance(value, FromEnvironment):
            message = f"{message} (from {value.variable})"
        self.problems.append(Problem(key, message))

    def struct(self, cls: type[T], raw: object, key: str) -> T | None:
        """Return `raw` as a `cls`, or None if a field without a default is missing or wrong.

        A wrong field that has a default takes it, so that the rest is checked too; its problem is noted all the same.
        """
        if not isinstance(raw, Mapping):
            self.refuse(key, f"a table was expected, not {kind_of(raw)}", raw)
            return None
        fields = _fields(cls)
        self._unknown(raw, fields, key)
        values: dict[str, Any] = {}
        wrong: set[str] = set()
        for name, field in fields.items():
            before = len(self.problems)
            if name in raw:
                values[field.name] = self.value(field.type, raw[name], join(key, name))
            elif field.required:
                self.refuse(join(key, name), "is missing")
                values[field.name] = MISSING
            if len(self.problems) > before:
                wrong.add(field.name)
        good = {name: value for name, value in values.items() if value is not MISSING}
        if any(field.required and field.name not in good for field in fields.values()):
            return None
        made = cls(**good)
        conflicts: Callable[[], Iterable[Conflict]] = getattr(made, "conflicts", tuple)
        for involved, message in conflicts():
            if wrong.isdisjoint(involved):
                # Not `join`: the name may contain a path inside the field, such as `rules[0].pattern`.
                self.refuse(f"{key}.{toml_key(involved[0])}", message)
        return made

    def _unknown(self, raw: Mapping[str, Any], fields: Iterable[str], key: str) -> None:
        for name in raw:
            if name not in fields:
                hint = did_you_mean(name, fields) or f"; known here: {', '.join(fields)}"
                self.refuse(join(key, name), f"unknown key{hint}", raw[name])

    def value(self, annotation: Any, raw: object, key: str) -> Any:
        """Return `raw` as the annotated type, or MISSING once its problem is noted."""
        annotation, metadata = unwrap(annotation)
        self.origins[key] = raw.variable if isinstance(raw, FromEnvironment) else "file"
        given = raw
        for parse in metadata:
            if isinstance(parse, Parse):
                try:
                    given = parse.read(given)
                except ValueError as error:
                    self.refuse(key, str(error), raw)
                    return MISSING
        origin = get_origin(annotation)
        if isinstance(annotation, type) and issubclass(annotation, Struct):
            made = self.struct(annotation, given, key)
            return MISSING if made is None else made
        if origin is tuple:
            return self._sequence(get_args(annotation), given, key, raw, metadata)
        if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
            return self._mapping(get_args(annotation)[1], given, key)
        return self._leaf(annotation, metadata, given, key, raw)

    def _sequence(self, args: tuple[Any, ...], given: object, key: str, raw: object, metadata: tuple[Any, ...]) -> Any:
        if isinstance(given, FromEnvironment):
            given = [FromEnvironment(part.strip(), given.variable) for part in given.split(",")]
        if not isinstance(given, list | tuple):
            self.refuse(key, f"an array was expected, not {kind_of(given)}", raw)
            return MISSING
        endless = args[-1] is Ellipsis
        if not endless and len(given) != len(args):
            self.refuse(key, f"{len(args)} values are needed, {len(given)} were given", raw)
            return MISSING
        kinds = [args[0]] * len(given) if endless else args
        pairs = enumerate(zip(kinds, given, strict=True))
        made = tuple(self.value(kind, one, f"{key}[{at}]") for at, (kind, one) in pairs)
        if any(one is MISSING for one in made):
            return MISSING
        return self._leaf(tuple[Any, ...], metadata, made, key, raw)

    def _mapping(self, kind: Any, given: object, key: str) -> Any:
        if not isinstance(given, Mapping):
            self.refuse(key, f"a table was expected, not {kind_of(given)}", given)
            return MISSING
        made = {name: self.value(kind, one, join(key, name)) for name, one in given.items()}
        return MISSING if any(one is MISSING for one in made.values()) else made

    def _leaf(self, annotation: Any, metadata: tuple[Any, ...], given: Any, key: str, raw: object) -> Any:
        if get_origin(annotation) is Literal and given not in get_args(annotation):
            known = [str(word) for word in get_args(annotation)]
            hint = did_you_mean(str(given), known)
            self.refuse(key, f"{quoted(given)} is none of {', '.join(known)}{hint}", raw)
            return MISSING
        if isinstance(given, FromEnvironment):
            given = _typed(annotation, str(given))
        limits = [note for note in metadata if isinstance(note, msgspec.Meta)]
        try:
            return msgspec.convert(given, Annotated[annotation, *limits] if limits else annotation)
        except msgspec.ValidationError as error:
            self.refuse(key, _plain(str(error), given, spans=Parse(duration) in metadata), raw)
            return MISSING


def unwrap(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the type inside `Annotated` and `X | None`, and all annotations around it."""
    metadata: tuple[Any, ...] = ()
    while True:
        if get_origin(annotation) is Annotated:
            metadata += annotation.__metadata__
            annotation = annotation.__origin__
        elif get_origin(annotation) in (Union, UnionType) and NoneType in get_args(annotation):
            annotation = next(kind for kind in get_args(annotation) if kind is not NoneType)
        else:
            return annotation, metadata


@lru_cache(maxsize=1024)
def _fields(cls: type[Struct]) -> Mapping[str, msgspec.structs.FieldInfo]:
    """Return the fields of `cls` by their TOML keys. Cached: msgspec reads the annotations anew at every call."""
    return MappingProxyType({toml_key(field.name): field for field in msgspec.structs.fields(cls)})


def environment_fields(cls: type[Struct], key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted key of every setting of `cls` that one variable can hold, with its type; no tables."""
    for field_key, field in _fields(cls).items():
        name = join(key, field_key)
        kind, _ = unwrap(field.type)
        origin = get_origin(kind)
        element = unwrap(get_args(kind)[0])[0] if origin is tuple else kind
        if isinstance(element, type) and issubclass(element, Struct):
            if origin is not tuple:
                yield from environment_fields(element, name)
        elif not (isinstance(origin, type) and issubclass(origin, Mapping)):
            yield name, kind


def named_tables(cls: type[Struct], key: str = "") -> Iterator[tuple[str, type[Struct]]]:
    """Yield the dotted key of every table of `cls` that holds tables by their names, with the form of these."""
    for field_key, field in _fields(cls).items():
        name = join(key, field_key)
        kind, _ = unwrap(field.type)
        origin = get_origin(kind)
        if isinstance(kind, type) and issubclass(kind, Struct):
            yield from named_tables(kind, name)
        elif isinstance(origin, type) and issubclass(origin, Mapping):
            form, _ = unwrap(get_args(kind)[1])
            if isinstance(form, type) and issubclass(form, Struct):
                yield name, form


def join(key: str, name: str) -> str:
    """Return the dotted key of `name` inside `key`, quoted where TOML would need it."""
    name = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"'
    return f"{key}.{name}" if key else name


def _typed(annotation: Any, text: str) -> Any:
    """Return text as the number or boolean that the setting needs; other text stays text, and is refused later."""
    word = text.strip().lower()
    if annotation is bool and word in (*_TRUE, *_FALSE):
        return word in _TRUE
    if annotation in (int, float) and re.fullmatch(r"[+-]?[0-9]{1,18}", word):
        return int(word)
    if annotation is float and re.fullmatch(r"[+-]?[0-9]{1,18}\.[0-9]{1,18}", word):
        return float(word)
    return text


def _plain(error: str, given: object, *, spans: bool) -> str:
    """Reword a validation error for a person who edits the file."""
    bounds = {">=": "at least", ">": "more than", "<=": "at most", "<": "less than"}
    if limit := re.match(r"Expected `\w+` ([<>]=?) (\S+)", error):
        if spans and isinstance(given, int):
            return f"must be {bounds[limit[1]]} {duration_text(int(limit[2]))}, not {duration_text(given)}"
        return f"must be {bounds[limit[1]]} {limit[2]}, not {quoted(given)}"
    if limit := re.match(r"Expected `(\w+)` of length ([<>]=?) (\d+)", error):
        return f"must have {bounds[limit[2]]} {limit[3]} {'characters' if limit[1] == 'str' else 'values'}"
    words = {"int": "a whole number", "str": "text", "bool": "true or false", "float": "a number"}
    if (kind := re.match(r"Expected `(\w+)`, got", error)) and kind[1] in words:
        return f"{words[kind[1]]} was expected, not {quoted(given) if isinstance(given, str) else kind_of(given)}"
    return error[0].lower() + error[1:].replace("`", "")
