"""The variables of the environment: the setting of each, and their overlay over the file's document."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple, get_args, get_origin

from msgspec import Struct

from streams.settings.fields import Secret
from streams.settings.reader import FromEnvironment, Reader, did_you_mean, environment_fields, named_tables, unwrap

PREFIX: Final = "CALLPULSE_"
CONFIG_VARIABLE: Final = "CALLPULSE_CONFIG"
"""The variable with the path of the file. The caller of `load` opens the file; `load` ignores the variable."""
SHORT_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "CALLPULSE_BOOTSTRAP": "kafka.bootstrap",
        "CALLPULSE_WORKER_ID": "worker.id",
        "CALLPULSE_DATA_DIR": "worker.data_dir",
        "CALLPULSE_HTTP_HOST": "worker.http_host",
        "CALLPULSE_HTTP_PORT": "worker.http_port",
        "CALLPULSE_LEAD_SECRET": "privacy.lead_secret",
    }
)
_FILE: Final = "_FILE"
_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]{0,31}")


class _Field(NamedTuple):
    """A setting that one variable can hold. `name` is that of its table in `[table.NAME]`, "" where it has none."""

    key: str
    kind: Any
    name: str = ""
    table: str = ""


class _Variables:
    """The settings by their variables."""

    def __init__(self, form: type[Struct]) -> None:
        self.known = {_variable(key): _Field(key, kind) for key, kind in environment_fields(form)}
        self.known |= {short: self.known[_variable(key)] for short, key in SHORT_NAMES.items()}
        self._tables = [
            (_variable(key) + "__", key, {f"__{_variable(name, '')}": (name, kind) for name, kind in fields})
            for key, fields in ((key, list(environment_fields(kind))) for key, kind in named_tables(form))
        ]

    def find(self, variable: str) -> _Field | None:
        """Return the setting of a variable, or None."""
        if (known := self.known.get(variable)) is not None:
            return known
        for prefix, table, fields in self._tables:
            rest = variable.removeprefix(prefix)
            for suffix, (key, kind) in fields.items() if rest != variable else ():
                name = rest.removesuffix(suffix)
                if name != rest and _NAME.fullmatch(name):
                    return _Field(key, kind, name.lower(), table)
        return None

    def secret_file(self, variable: str) -> _Field | None:
        """Return the secret whose file a variable names, or None for another variable."""
        found = self.find(variable.removesuffix(_FILE)) if variable.endswith(_FILE) else None
        return found if found is not None and Secret in (found.kind, _element(found.kind)) else None

    def like(self, variable: str) -> str:
        """Return the likely intended variable, for an error."""
        candidates = [*self.known]
        for prefix, _, fields in self._tables:
            if variable.startswith(prefix):
                name = variable.removeprefix(prefix).rpartition("__")[0]
                candidates += [prefix + name + suffix for suffix in fields]
        return did_you_mean(variable, candidates)


@lru_cache(maxsize=8)
def _variables(form: type[Struct]) -> _Variables:
    """Return the variables of a form. Cached: to look through all forms takes 90 % of the time of `load`."""
    return _Variables(form)


def secret_files(environ: Mapping[str, str], form: type[Struct]) -> list[str]:
    """Return the variables that name the file of a secret."""
    variables = _variables(form)
    return [one for one, text in environ.items() if text and one.startswith(PREFIX) and variables.secret_file(one)]


def overlay(document: dict[str, Any], environ: Mapping[str, str], form: type[Struct], reader: Reader) -> None:
    """Put the variables into the document, each at the place of its key.

    A variable that names the file of a secret has the content of the file here.
    """
    variables = _variables(form)
    brought: dict[tuple[str, ...], str] = {}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE:
            continue
        field = variables.find(variable)
        if field is None and (field := variables.secret_file(variable)) is not None:
            text = text if field.kind is Secret else ",".join(text.split())  # noqa: PLW2901 - several are stand in lines
        if field is None:
            roster = variable.removeprefix(PREFIX).split("__")[0].lower() in ("teams", "managers")
            hint = "; the roster is set in the file" if roster else variables.like(variable)
            reader.refuse(variable, f"unknown variable{hint}")
            continue
        paths = list(_paths(document, field))
        if len(paths) > 1:
            reader.refuse(variable, f"stands for {' and '.join('.'.join(path) for path in paths)}: rename one of them")
        elif not text:
            continue  # a compose file passes a missing value on as an empty variable
        elif paths[0] in brought and environ[brought[paths[0]]] != text:
            key = ".".join(paths[0])
            reader.refuse(variable, f"says something else than {brought[paths[0]]}, and both set {key}")
        else:
            brought[paths[0]] = variable
            _put(document, list(paths[0]), FromEnvironment(text, variable))


def _element(kind: Any) -> Any:
    return unwrap(get_args(kind)[0])[0] if get_origin(kind) is tuple else None


def _variable(key: str, prefix: str = PREFIX) -> str:
    return prefix + key.upper().replace(".", "__")


def _paths(document: Mapping[str, Any], field: _Field) -> Iterator[tuple[str, ...]]:
    """Yield the place of a setting. The name of a variable has no dash: a table of the file may have one for a `_`."""
    if not field.table:
        yield tuple(field.key.split("."))
        return
    path = field.table.split(".")
    held: Any = document
    for part in path:
        held = held.get(part) if isinstance(held, Mapping) else None
    names = [name for name in held if name.replace("-", "_") == field.name] if isinstance(held, Mapping) else []
    for name in names or [field.name]:
        yield (*path, name, *field.key.split("."))


def _put(document: dict[str, Any], path: list[str], value: FromEnvironment) -> None:
    *tables, last = path
    for name in tables:
        inner = document.setdefault(name, {})
        if not isinstance(inner, dict):
            return  # the file has another type there, which the reader refuses
        document = inner
    document[last] = value
