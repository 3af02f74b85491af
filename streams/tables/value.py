"""What rows are made of: objects that are what their plain data is.

Compiled, their attributes are read as fast as those of a struct in C; interpreted, they are objects like any.
"""

from __future__ import annotations

from mypy_extensions import mypyc_attr


@mypyc_attr(acyclic=True)
class Plain:
    """Compared, hashed and shown by what `packed` gives. One that changes sets `__hash__` to None."""

    __slots__ = ()

    def packed(self) -> tuple[object, ...]:
        """Return all of it as plain data, in the order in which it is written."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain) and type(other) is type(self) and self.packed() == other.packed()

    def __hash__(self) -> int:
        return hash(self.packed())

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self.packed()}"
