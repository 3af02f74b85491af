"""Many phrases looked for at once: one automaton over words, made when a lexicon is loaded.

A node is a set of places in phrases at which a reader may be; each word leads to the next node by one look-up. So the
time for a text depends on what is found in it, and not on the number of phrases.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from streams.speech.forms import TOLERANT_LETTERS, one_letter_apart, without_neighbour
from streams.speech.patterns import Term
from streams.speech.words import PAUSES

MAX_NODES: Final = 400_000


Found: TypeAlias = tuple[int, int, int]
"""A phrase, and the tokens `[first, end)` that are it."""


class Node:
    """Where a reader is after some words. `done` are the phrases that end here; `made` once the edges are there.

    `rare`: a word that no edge names may lead on.
    """

    __slots__ = ("any_word", "digits", "done", "edges", "made", "places", "rare", "tolerant")

    def __init__(self, places: frozenset[int]) -> None:
        self.places = places
        self.made = False
        self.edges: dict[str, Node] = {}
        self.digits: Node | None = None
        self.any_word: Node | None = None
        self.done: tuple[int, ...] = ()
        self.tolerant: dict[str, tuple[str, ...]] = {}
        self.rare: bool = False


class Automaton:
    """Finds phrases, given by their terms. A phrase is known by its place in `phrases`.

    Nodes are made when a text first leads to them, so a lexicon is loaded soon, and what nobody says costs nothing.
    """

    __slots__ = ("_builder", "_root")

    def __init__(self, phrases: Sequence[tuple[Term, ...]]) -> None:
        self._builder = _Builder(phrases)
        self._root: Node = self._builder.root()

    def find(self, forms: list[str]) -> list[Found]:
        """Return every place at which a phrase stands, in order of the first word; overlaps among them."""
        found: list[Found] = []
        if self._builder.full():
            self._root = self._builder.root()
        root = self._root
        first_words, first_digits = root.edges, root.digits
        for first, form in enumerate(forms):
            node = first_words.get(form)
            if node is None:
                if first_digits is None or not form[0].isdigit():
                    continue
                node = first_digits
            self._follow(node, forms, first, found)
        return found

    def _follow(self, node: Node, forms: list[str], first: int, found: list[Found]) -> None:
        """Add the phrases that begin at `first`, whose word led to `node`."""
        at = first + 1
        while True:
            if not node.made:
                self._builder.make(node)
            for phrase in node.done:
                found.append((phrase, first, at))  # noqa: PERF401 - most nodes end no phrase
            after = None
            edges = node.edges
            while at < len(forms) and (edges or node.rare):
                word = forms[at]
                at += 1
                after = edges.get(word)
                if after is not None:
                    break
                if word not in PAUSES:
                    if node.rare:
                        after = _rarer(node, word)
                    break
            if after is None:
                return
            node = after


def _rarer(node: Node, word: str) -> Node | None:
    """Return where a word leads that no edge names: a number, a recogniser's slip, or any word."""
    head = word[0]
    if head.isdigit():
        return node.digits if node.digits is not None else node.any_word
    if not head.isalpha() and head != "[":
        return None
    if node.tolerant and len(word) >= TOLERANT_LETTERS - 1:
        # A slip in one letter leaves the first three letters whole, or the last three.
        for part in (word[:3], "-" + word[-3:]):
            for form in node.tolerant.get(part, ()):
                if one_letter_apart(word, form) and without_neighbour(form):
                    return node.edges[form]
    return node.any_word


class _Builder:
    """Makes the nodes. A place is the number of a phrase and of its next term, in one number."""

    def __init__(self, phrases: Sequence[tuple[Term, ...]]) -> None:
        self._terms: list[Term | None] = []
        self._phrase_at: list[int] = []
        self._nodes: dict[frozenset[int], Node] = {}
        starts: list[int] = []
        for number, terms in enumerate(phrases):
            starts.append(len(self._terms))
            self._terms += [*terms, None]
            self._phrase_at += [number] * (len(terms) + 1)
        self._starts = frozenset(place for start in starts for place in self._reached(start))

    def full(self) -> bool:
        """Return whether there are so many nodes that it is time to begin anew."""
        return len(self._nodes) > MAX_NODES

    def root(self) -> Node:
        """Return the node before the first word; all other nodes are forgotten."""
        self._nodes = {}
        root = Node(self._starts)
        self.make(root)
        return root

    def make(self, node: Node) -> None:
        """Note what ends at a node, and where each word leads from there."""
        by_form: dict[str, set[int]] = {}
        digits: set[int] = set()
        any_word: set[int] = set()
        done: list[int] = []
        tolerant: set[str] = set()
        for place in node.places:
            term = self._terms[place]
            if term is None:
                done.append(self._phrase_at[place])
                continue
            after = self._reached(place + 1)
            for form in term.forms:
                by_form.setdefault(form, set()).update(after)
            if term.digits:
                digits.update(after)
            if term.any_word:
                any_word.update(after)
            tolerant.update(term.tolerant)
        node.done = tuple(sorted(done))
        for form in sorted(tolerant):
            for part in (form[:3], "-" + form[-3:]):
                node.tolerant[part] = (*node.tolerant.get(part, ()), form)
        for form, after_form in by_form.items():
            node.edges[form] = self._node(after_form | any_word | (digits if form[0].isdigit() else set()))
        node.digits = self._node(digits | any_word) if digits else None
        node.any_word = self._node(any_word) if any_word else None
        node.rare = bool(node.tolerant) or node.digits is not None or node.any_word is not None
        node.made = True

    def _reached(self, place: int) -> list[int]:
        """Return the place, and those behind it that are reached without a word."""
        places = [place]
        while (term := self._terms[place]) is not None and term.optional:
            place += 1
            places.append(place)
        return places

    def _node(self, places: set[int]) -> Node:
        key = frozenset(places)
        node = self._nodes.get(key)
        if node is None:
            node = self._nodes[key] = Node(key)
        return node
