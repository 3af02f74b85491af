"""The base class of the values in rows: they are compared, hashed and shown by their plain data.

Compiled, their attributes are read as fast as those of a struct in C; interpreted, they are ordinary objects.
"""

from __future__ import annotations

from mypy_extensions import mypyc_attr


@mypyc_attr(acyclic=True)
class Plain:
    """A value that is compared, hashed and shown by `packed`. A mutable subclass sets `__hash__` to None."""

    __slots__ = ()

    def packed(self) -> tuple[object, ...]:
        """Return the attributes as plain data, in the order in which they are written."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain) and type(other) is type(self) and self.packed() == other.packed()

    def __hash__(self) -> int:
        return hash(self.packed())

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self.packed()}"
