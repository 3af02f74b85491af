"""The commands of Kafka's own tool, `kafka-acls.sh`, that give a principal its rights."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import Final

from streams.contract.rights import Right

_PRINCIPAL: Final = re.compile(r"[^\s:]+:.+")


def is_principal(text: str) -> bool:
    """Return whether a text names a principal as Kafka does: its type, a colon, and its name."""
    return _PRINCIPAL.fullmatch(text) is not None


def add_commands(
    rights: Iterable[Right], *, bootstrap: str, principal: str, command_config: str | None = None
) -> list[str]:
    """Return shell commands, each one line, that give `principal` the rights. Together they give no others.

    `bootstrap` is Kafka's address. `command_config` is the file with the settings by which the tool connects.
    """
    operations: dict[tuple[str, str, str], list[str]] = {}
    for right in rights:
        operations.setdefault((right.resource, right.pattern, right.name), []).append(right.operation)
    names: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for (resource, pattern, name), allowed in operations.items():
        names.setdefault((resource, pattern, tuple(allowed)), []).append(name)
    begin = ["kafka-acls.sh", "--bootstrap-server", bootstrap]
    if command_config is not None:
        begin += ["--command-config", command_config]
    begin += ["--add", "--allow-principal", principal]
    return [
        shlex.join(
            [
                *begin,
                *(word for operation in group for word in ("--operation", operation)),
                *(("--resource-pattern-type", pattern) if pattern != "literal" else ()),
                *(word for name in found for word in (f"--{resource}", name)),
            ]
        )
        for (resource, pattern, group), found in names.items()
    ]
