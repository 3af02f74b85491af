"""YAML whose keys are texts, each once in its table. A date stays text: no setting is one."""

from __future__ import annotations

from typing import Any, Final

import yaml

_MERGE: Final = "tag:yaml.org,2002:merge"
_TEXT: Final = "tag:yaml.org,2002:str"
_DATE: Final = "tag:yaml.org,2002:timestamp"


class KeyProblemError(Exception):
    """A key cannot be taken. `mark` is its place."""

    def __init__(self, text: str, mark: yaml.Mark) -> None:
        super().__init__(text)
        self.problem_mark = mark


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {  # noqa: RUF012 - as in the class above
        first: [one for one in found if one[0] != _DATE]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Return a table. Of keys that stand twice YAML would take the last, and rules of access may be such keys."""
        made = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in made.value:
            if not isinstance(key, yaml.ScalarNode):
                raise KeyProblemError("a key is no text", key.start_mark)
            if key.tag not in (_TEXT, _MERGE):
                raise KeyProblemError(f'the key "{key.value}" is no text: write it in quotes', key.start_mark)
            if key.value in seen:
                raise KeyProblemError(f'the key "{key.value}" stands twice', key.start_mark)
            seen.add(key.value)
        return made

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        """Return a value. Half of a surrogate pair, which an escape may write, is no character."""
        made = super().compose_scalar_node(anchor)
        if any("\ud800" <= one <= "\udfff" for one in made.value):
            raise yaml.MarkedYAMLError(problem_mark=made.start_mark)
        return made


def load(text: str) -> Any:
    """Return the content of a text.

    Raises:
        yaml.YAMLError: it is not YAML.
        KeyProblemError: it is, and a key cannot be taken.
        RecursionError: it is nested too deeply.
        Exception: a value is not of the kind that its form or its tag says. PyYAML raises what its conversion raises.
    """
    return yaml.load(text, _Loader)  # noqa: S506 - it is a SafeLoader
