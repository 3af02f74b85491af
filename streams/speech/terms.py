"""Terms: the places of a phrase or of its context, each with the words that may stand there."""

from __future__ import annotations


class Term:
    """One place of a phrase. `tolerant` are those of the forms that are long enough for a recogniser's slip.

    `mark` is "^", "$", "," or "?" in a context: a place between words.
    """

    __slots__ = ("any_word", "digits", "forms", "mark", "optional", "tolerant")

    def __init__(
        self,
        forms: frozenset[str] = frozenset(),
        *,
        digits: bool = False,
        any_word: bool = False,
        optional: bool = False,
        mark: str = "",
    ) -> None:
        self.forms: frozenset[str] = forms
        self.digits: bool = digits
        self.any_word: bool = any_word
        self.optional: bool = optional
        self.mark: str = mark
        self.tolerant: tuple[str, ...] = ()

    def copy(self, *, optional: bool) -> Term:
        """Return the same place, optional or not."""
        return Term(self.forms, digits=self.digits, any_word=self.any_word, optional=optional, mark=self.mark)
