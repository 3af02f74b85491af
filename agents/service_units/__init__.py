"""The systemd units of callpulse, which lie beside this module, for the place where it is installed.

Each file is a unit that can be used as it is: callpulse in `/opt/callpulse`, its settings in `/etc/callpulse`.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Final

PROGRAM: Final = Path("/opt/callpulse/bin/callpulse")
"""The program that the files start."""
FOLDER: Final = Path("/etc/callpulse")
"""The folder of the settings, `callpulse.toml`, and of the files of variables, which may hold secrets."""


def names() -> list[str]:
    """Return the names of all units, such as `callpulse-worker@.service`."""
    return sorted(entry.name for entry in files(__name__).iterdir() if entry.name.endswith(".service"))


def unit(name: str, *, program: Path = PROGRAM, folder: Path = FOLDER) -> str:
    """Return the text of a unit that starts `program` and reads its settings in `folder`.

    Raise FileNotFoundError for a name that is none of `names()`, ValueError for a path that a unit cannot hold: one
    that is not absolute, or has a space, a quote, a backslash, `%` or `$` in it.
    """
    for path in (program, folder):
        if not path.is_absolute() or any(sign in "'\"\\%$" or sign.isspace() for sign in str(path)):
            raise ValueError(f"{path}: a unit needs an absolute path without spaces, quotes, backslashes, % and $")
    text = files(__name__).joinpath(name).read_text(encoding="utf-8")
    # In one pass, for a new path may contain an old one.
    places = {str(PROGRAM): str(program), str(FOLDER): str(folder)}
    return re.sub("|".join(map(re.escape, places)), lambda found: places[found[0]], text)
