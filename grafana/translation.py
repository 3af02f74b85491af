"""The texts of boards and alerts in another language. English is the key: `texts/ru.toml` holds the Russian of each.

A section of the file belongs to one board or to the alerts; texts of several boards are in `all`. The sections
`values.*` hold words for values of labels, which are data and no text. A text without an entry stops the build.
"""

from __future__ import annotations

import re
import tomllib
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from grafana.widths import width_of
from streams.metrics.wording import Language

FOLDER: Final = Path(__file__).parent / "texts"
SHARED: Final = "all"
PLACEHOLDER: Final = re.compile(r"<<[^<>]+>>|\{\{.*?\}\}|\$\{[^}]*\}|\$\w+")
"""The placeholders in a text: they are the same in every language."""
_LENGTH: Final = re.compile(r"<<length\.\d+>>")
_COUNTED: Final = "<<length.N>>"
_FIELD: Final = re.compile(r"(?<=\$\{__data\.fields\.)[^}:]+(?=[:}])|(?<=\$\{__data\.fields\[\")[^\"]+(?=\"\]\})")

_TEXTS: Final = frozenset(
    ("title", "description", "noValue", "label", "displayName", "text", "content", "legendFormat")
)
"""The keys of a board's JSON that have texts for readers."""
_SAID_BY_PROPERTY: Final = frozenset(("displayName", "noValue", "description"))
_NO_TEXT: Final = frozenset(("expr", "query", "url", "regex", "rawQuery"))

_QUOTE: Final = "'"

# Prometheus writes spans and shares in English: 1h 20m 5s, 12.5%.
_SPAN_WORDS: Final = {"ms": " мс", "d": " дн", "h": " ч", "m": " мин", "s": " с"}
_RUSSIAN: Final = {
    "humanizeDuration": "".join(f' | reReplaceAll "{unit}" "{word}"' for unit, word in _SPAN_WORDS.items()),
    "humanizePercentage": ' | reReplaceAll "%" " %"',
}
_COMMA: Final = ' | reReplaceAll "[.]" ","'

Say: TypeAlias = Callable[[str], str]


class UntranslatedError(ValueError):
    """Texts without an entry in the file of a language."""


class Translation:
    """The texts of one language. `say` notes missing texts, and `check` raises one error for all of them."""

    def __init__(self, language: Language, sections: Mapping[str, Mapping[str, Any]]) -> None:
        """Take the sections of the file."""
        self.language: Final = language
        self.sections: Final = sections
        self.used: Final[set[tuple[str, str]]] = set()
        self._missing: Final[dict[tuple[str, str], None]] = {}

    @classmethod
    def load(cls, language: Language) -> Translation:
        """Return the translation of a language. English has no file: every text is its own."""
        if language == "en":
            return cls(language, {})
        return cls(language, tomllib.loads((FOLDER / f"{language}.toml").read_text("utf-8")))

    def say(self, section: str, text: str) -> str:
        """Return the text in this language, with its placeholders."""
        if self.language == "en" or not speaks(text):
            return text
        key = _LENGTH.sub(_COUNTED, text)
        for place in (section, SHARED):
            if key in self.sections.get(place, {}):
                self.used.add((place, key))
                said: str = self.sections[place][key]
                if placeholders(said) != placeholders(key):
                    raise ValueError(f"{self.language}.toml, [{place}]: {key!r} and {said!r} differ in placeholders")
                for length in _LENGTH.findall(text):
                    said = said.replace(_COUNTED, length, 1)
                return said
        self._missing[section, key] = None
        return text

    def values(self, label: str) -> Mapping[str, str]:
        """Return the words for the values of a label; there are none in English."""
        words: Mapping[str, str] = self.sections.get("values", {}).get(label, {})
        return words

    def unit(self, section: str, unit: str) -> str:
        """Return the unit in which a board shows a figure; another one where Grafana's has English words."""
        other: str = self.sections.get("units", {}).get(section, {}).get(unit, unit)
        return other

    def check(self) -> None:
        """Raise UntranslatedError if `say` met a text without an entry: it names each text and its section."""
        if self._missing:
            lines = "\n".join(f"[{section}]\n{_toml(text)} = " for section, text in self._missing)
            raise UntranslatedError(
                f"grafana/texts/{self.language}.toml has no text for these; add each to the section that is named, "
                f"or to [{SHARED}] if several boards say it alike (terms: docs/ru/glossary.md):\n{lines}"
            )


def speaks(text: str) -> bool:
    """Return whether a text has words of its own beside placeholders."""
    return text != "__auto" and re.search(r"[A-Za-z]", PLACEHOLDER.sub("", text)) is not None


def placeholders(text: str) -> list[str]:
    """Return the placeholders of a text, sorted."""
    return sorted(PLACEHOLDER.findall(text))


def board(plain: Any, section: str, translation: Translation) -> Any:
    """Return the JSON of a board in the language. Queries and addresses stay as they are."""
    if translation.language == "en":
        return plain

    def say(text: str) -> str:
        return translation.say(section, text)

    def panels(value: Any) -> Any:
        if isinstance(value, dict):
            value = {name: panels(one) for name, one in value.items()}
            return _with_words(value, translation) if "targets" in value else value
        return [panels(one) for one in value] if isinstance(value, list) else value

    def unit(value: str) -> str:
        kind, colon, word = value.partition(":")
        return f"{kind}:{say(word)}" if colon and kind in ("suffix", "prefix") else translation.unit(section, value)

    return _with_units(_said(panels(plain), say), unit)


def _said(value: Any, say: Say, key: str = "") -> Any:
    if isinstance(value, list):
        return [_said(one, say, key) for one in value]
    if isinstance(value, str):
        if key == "url":
            return _FIELD.sub(lambda head: say(head[0]), value)
        return say(value) if key in _TEXTS else value
    if not isinstance(value, dict):
        return value
    said = {name: one if name in _NO_TEXT - {"url"} else _said(one, say, name) for name, one in value.items()}
    if "renameByName" in value:
        said["renameByName"] = {name: say(head) for name, head in value["renameByName"].items()}
    if value.get("id") == "byName":
        said["options"] = say(value["options"])
    if value.get("matcher", {}).get("id") == "byName":
        said["properties"] = _widened(said["properties"], value["matcher"]["options"], said["matcher"]["options"])
    if value.get("id") in _SAID_BY_PROPERTY and isinstance(value.get("value"), str):
        said["value"] = say(value["value"])
    return said


def _widened(properties: list[Any], head: str, said: str) -> list[Any]:
    """Return the properties of a column, at least as wide as its new head; as wide where the old head set the width."""

    def width(given: int) -> int:
        return max(0 if given == width_of(head) else given, width_of(said))

    return [one | {"value": width(one["value"])} if one["id"] == "custom.minWidth" else one for one in properties]


def _with_units(value: Any, unit: Say) -> Any:
    """Return a part of a board with other units: those of panels, and of columns that an override sets."""
    if isinstance(value, list):
        return [_with_units(one, unit) for one in value]
    if not isinstance(value, dict):
        return value
    is_override = value.get("id") == "unit"
    return {
        name: unit(one)
        if name == ("value" if is_override else "unit") and isinstance(one, str)
        else _with_units(one, unit)
        for name, one in value.items()
    }


def _with_words(panel: dict[str, Any], translation: Translation) -> dict[str, Any]:
    """Return the panel with words for the values of labels, in its legends and in the columns of its table."""
    legends = "".join(str(target.get("legendFormat", "")) for target in panel["targets"])
    renames = [
        {"id": "renameByRegex", "options": {"regex": f"/(^|, )({value})(?=$|, )/", "renamePattern": f"$1{word}"}}
        for label in re.findall(r"\{\{(\w+)\}\}", legends)
        for value, word in translation.values(label).items()
    ]
    heads = [
        (label, head)
        for step in panel.get("transformations", ())
        for label, head in step["options"].get("renameByName", {}).items()
    ]
    overrides = [
        {
            "matcher": {"id": "byName", "options": head},
            "properties": [{"id": "mappings", "value": [_mapping(words)]}],
        }
        for label, head in heads
        if (words := translation.values(label))
    ]
    config = panel.get("fieldConfig", {})
    return {
        **panel,
        **({"transformations": [*panel.get("transformations", ()), *renames]} if renames else {}),
        **({"fieldConfig": config | {"overrides": [*overrides, *config["overrides"]]}} if overrides else {}),
    }


def _mapping(words: Mapping[str, str]) -> dict[str, Any]:
    return {
        "type": "value",
        "options": {value: {"text": word, "index": index} for index, (value, word) in enumerate(words.items())},
    }


def rules(template: str, translation: Translation) -> str:
    """Return a template of rules with the annotations of its alerts in the language.

    Raises ValueError for an annotation that is neither one line nor a block that begins with `>-`.
    """
    if translation.language == "en":
        return template
    done: list[str] = []
    lines = deque(template.splitlines())
    inside, audience = -1, ""
    while lines:
        line = lines.popleft()
        if line.strip().startswith("audience: "):
            audience = line.split(": ")[1]
        if not line.strip() or _indent(line) <= inside or inside < 0:
            inside = _indent(line) if line.strip() == "annotations:" else -1
            done.append(line)
            continue
        name, _, value = line.strip().partition(": ")
        more = []
        while lines and _indent(lines[0]) > _indent(line):
            more.append(lines.popleft().strip())
        if (value == ">-") != bool(more):
            raise ValueError(f"write the annotation in one line or with >-: {name}: {value}")
        said = _annotation(name, " ".join(more) or value, audience, translation)
        done.append(f"{' ' * _indent(line)}{name}: '{said.replace(_QUOTE, _QUOTE * 2)}'")
    return "\n".join(done) + "\n"


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _annotation(name: str, value: str, audience: str, translation: Translation) -> str:
    """Return the text of an annotation in the language."""
    if value.startswith('"'):
        raise ValueError(f"write the annotation without quotes or with single ones: {name}: {value}")
    if value.startswith(_QUOTE):
        value = value[1:-1].replace(_QUOTE * 2, _QUOTE)
    if name == "runbook_url" and audience == "supervisor":
        return value.replace("<<runbook>>", "<<runbook_supervisor>>")
    if name.endswith("_url") or name == "command":
        return value
    said = translation.say("alerts", value)
    for function, more in _RUSSIAN.items():
        said = re.sub(rf"\b({function})(?= *\}}\}})", rf"\1{more}{_COMMA}", said)
    return re.sub(r'\bprintf "%[.][1-9]f"(?= *\}\})', rf"\g<0>{_COMMA}", said)


def _toml(text: str) -> str:
    """Return a text as a key of TOML."""
    if '"' in text and "'" not in text:
        return f"'{text}'"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
