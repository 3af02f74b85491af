"""The variables of the environment: which setting each of them sets, and how they are put over the file's document."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct

from streams.settings.reader import FromEnvironment, Reader, did_you_mean, environment_names

PREFIX: Final = "CALLPULSE_"
CONFIG_VARIABLE: Final = "CALLPULSE_CONFIG"
"""Names the file; for whoever opens it. `load` only lets it pass."""
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


def overlay(document: dict[str, Any], environ: Mapping[str, str], form: type[Struct], reader: Reader) -> None:
    """Put the variables into the document, each where its key says."""
    keys = {PREFIX + key.upper().replace(".", "__"): key for key in environment_names(form)}
    brought: dict[str, str] = {}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE:
            continue
        key = SHORT_NAMES.get(variable) or keys.get(variable)
        if key is None:
            roster = variable.removeprefix(PREFIX).split("__")[0].lower() in ("teams", "managers")
            hint = "; the roster is set in the file" if roster else did_you_mean(variable, [*keys, *SHORT_NAMES])
            reader.refuse(variable, f"unknown variable{hint}")
        elif not text:
            continue  # a compose file hands over what it was not given as an empty variable
        elif key in brought and environ[brought[key]] != text:
            reader.refuse(variable, f"says something else than {brought[key]}, and both set {key}")
        else:
            brought[key] = variable
            _put(document, key.split("."), FromEnvironment(text, variable))


def _put(document: dict[str, Any], path: list[str], value: FromEnvironment) -> None:
    *tables, last = path
    for name in tables:
        inner = document.setdefault(name, {})
        if not isinstance(inner, dict):
            return  # the file holds something else there, which the reader will refuse
        document = inner
    document[last] = value
