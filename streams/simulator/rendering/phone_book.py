"""The extensions of managers, and the numbers of invented leads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from streams.settings.settings import Manager

_FIRST_EXTENSION: Final = 1001
_FIRST_NUMBER: Final = 2_000_000
NO_NUMBER: Final = "115"
"""A dialled number that is no lead: a service of an authority."""


class PhoneBook:
    """The extensions and queues of `managers`, by id and in their order, and numbers for leads.

    Numbers are of area code 555 of North America, which is not assigned: no number belongs to a person.
    """

    def __init__(self, managers: Mapping[str, Manager]) -> None:
        self.extensions: dict[str, str] = {
            manager: str(number) for number, manager in enumerate(managers, _FIRST_EXTENSION)
        }
        self.queues: dict[str, str] = {manager.id: manager.team for manager in managers.values()}
        """The queue of each manager: that of the team."""
        self.names: dict[str, str] = {manager.id: manager.name for manager in managers.values()}
        self._numbers: dict[str, str] = {}

    def number(self, lead: str) -> str:
        """Return the number of a lead, in E.164. A lead always has the same number."""
        found = self._numbers.get(lead)
        if found is None:
            found = self._numbers[lead] = f"+1555{_FIRST_NUMBER + len(self._numbers):07d}"
        return found

    @property
    def numbers(self) -> dict[str, str]:
        """The numbers that were given, by lead."""
        return dict(self._numbers)

    def agent(self, manager: str) -> str:
        """Return the id of a manager in a system with its own ids of people."""
        return f"agent-{self.extensions[manager]}"

    def roster(self, text: str, system: str = "") -> str:
        """Return the text of a settings file with the extension of each manager among its identities.

        With `system`, it has the ids of that system, too.
        """
        lines: list[str] = []
        for line in text.splitlines():
            lines.append(line)
            manager = line.removeprefix('id = "').removesuffix('"')
            if line.startswith('id = "') and manager in self.extensions:
                more = f', {system} = ["{self.agent(manager)}"]' if system else ""
                lines.append(f'identities = {{ extension = ["{self.extensions[manager]}"]{more} }}')
        return "\n".join([*lines, ""])
