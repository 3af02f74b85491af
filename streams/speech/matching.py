"""The search for many phrases at once: one automaton over words, made when a lexicon is loaded.

A node is a set of places in phrases that a text may have reached; each word leads to the next node by one look-up. So
the time for a text depends on the phrases found in it, and not on the number of phrases.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Final, cast

from streams.speech.candidates import Candidate, Phrase
from streams.speech.forms import TOLERANT_LETTERS, one_letter_apart, without_neighbour
from streams.speech.terms import Term
from streams.speech.words import PAUSES, Token, Words

MAX_NODES: Final = 400_000

MASK_BITS: Final = 61
"""The number of bits of a node's mask: as many as compiled code keeps in one machine word."""

_PAUSE: Final = 0
_MARK: Final = 1
_NUMBER: Final = 2
_PLAIN: Final = 3
_SLIP: Final = 4
_STRANGER: Final = 5
"""The kinds of tokens, for nodes without an edge for the token.

`_SLIP` is a word that differs in one letter from a form that tolerates this, `_STRANGER` a word that is a form of no
phrase.
"""


class Node:
    """A state of the automaton after some words.

    `done` are the phrases that end here; `made` is true once the edges exist.

    `rare`: a number, a slip or any word may lead on without an edge. `goes_on`: a next word is possible. `mask` has the
    bit of each word with an edge (`bit_of`).
    """

    __slots__ = ("any_word", "digits", "done", "edges", "goes_on", "made", "mask", "places", "rare", "tolerant")

    def __init__(self, places: frozenset[int]) -> None:
        self.places = places
        self.made = False
        self.edges: dict[str, Node] = {}
        self.digits: Node | None = None
        self.any_word: Node | None = None
        self.done: list[Phrase] = []
        self.tolerant: dict[str, tuple[str, ...]] = {}
        self.rare: bool = False
        self.goes_on: bool = False
        self.mask: int = 0


class Note:
    """A note on a token by a `Vocabulary`: the node to which it leads in each automaton, its kind, and its bit."""

    __slots__ = ("bit", "customer", "kind", "manager", "of", "telling_customer", "telling_manager")

    def __init__(self, of: Vocabulary, kind: int, bit: int) -> None:
        self.of: Vocabulary = of
        self.bit: int = bit
        self.manager: Node | None = None
        self.customer: Node | None = None
        self.telling_manager: Node | None = None
        self.telling_customer: Node | None = None
        self.kind: int = kind


class Vocabulary:
    """Notes on tokens for four automata. The tokens hold the notes.

    Each side has one automaton of all its phrases, and one of the phrases of stages and objections, which tell sides.
    """

    __slots__ = ("_customer", "_forms", "_manager", "_telling_customer", "_telling_manager")

    def __init__(
        self,
        manager: Automaton,
        customer: Automaton,
        telling_manager: Automaton,
        telling_customer: Automaton,
        forms: Forms,
    ) -> None:
        self._manager: Automaton = manager
        self._customer: Automaton = customer
        self._telling_manager: Automaton = telling_manager
        self._telling_customer: Automaton = telling_customer
        self._forms: Forms = forms

    def note(self, token: Token) -> Note:
        """Return the note on a token, made at the first use."""
        if token.phrases is not None:
            known = cast("Note", token.phrases)
            if known.of is self:
                return known
        form = token.form
        made = Note(self, self._kind(form), bit_of(form))
        made.manager = self._manager.first(form)
        made.customer = self._customer.first(form)
        made.telling_manager = self._telling_manager.first(form)
        made.telling_customer = self._telling_customer.first(form)
        token.phrases = made
        return made

    def _kind(self, form: str) -> int:
        if form in PAUSES:
            return _PAUSE
        head = form[0]
        if head.isdigit():
            return _NUMBER
        if not head.isalpha() and head != "[":
            return _MARK
        if self._forms.may_slip(form):
            return _SLIP
        return _PLAIN if self._forms.have(form) else _STRANGER


class Automaton:
    """Finds phrases. `terms` are the terms of each of the `phrases`.

    Nodes are made when a text first leads to them, so a lexicon loads fast, and unused phrases take no time.
    """

    __slots__ = ("_builder", "_root")

    def __init__(self, phrases: Sequence[Phrase], terms: Sequence[tuple[Term, ...]]) -> None:
        self._builder = _Builder(phrases, terms)
        self._root: Node = self._builder.root()

    def first(self, form: str) -> Node | None:
        """Return the node after the first word of a phrase; None if no phrase begins with the word."""
        node = self._root.edges.get(form)
        return self._root.digits if node is None and form[0].isdigit() else node

    def full(self) -> bool:
        """Return whether there are so many nodes that they should be made anew."""
        return self._builder.full()

    def renew(self) -> None:
        """Drop all nodes and make a new first one. Earlier `Note`s are invalid then."""
        self._root = self._builder.root()

    def find(self, words: Words, known: Vocabulary, *, is_manager: bool, telling: bool) -> list[Candidate]:
        """Return every place at which a phrase stands, in order of the first word; overlaps among them.

        `known` is the vocabulary of which this automaton is the one of the manager, or of the customer; `telling`: the
        one of the phrases that tell sides.
        """
        found: list[Candidate] = []
        notes = [known.note(token) for token in words.tokens]
        for first, note in enumerate(notes):
            if telling:
                node = note.telling_manager if is_manager else note.telling_customer
            else:
                node = note.manager if is_manager else note.customer
            if node is not None:
                self._follow(node, words.forms, notes, first, found)
        return found

    def _follow(self, node: Node, forms: list[str], notes: list[Note], first: int, found: list[Candidate]) -> None:
        """Add the phrases that begin at `first`, whose word led to `node`."""
        at = first + 1
        tokens = len(notes)
        while True:
            if not node.made:
                self._builder.make(node)
            for phrase in node.done:
                found.append(Candidate(phrase, first, at))  # noqa: PERF401 - compiled, a loop is faster than a list more
            if not node.goes_on or at == tokens:
                return
            note = notes[at]
            while note.kind == _PAUSE:
                at += 1
                if at == tokens:
                    return
                note = notes[at]
            after = _after(node, forms[at], note)
            if after is None:
                return
            at += 1
            node = after


def bit_of(word: str) -> int:
    """Return the bit of a word in the masks of nodes.

    A node without the bit has no edge for the word. With it the node may have one: several words have the same bit. The
    mask saves look-ups in vain. They read other parts of the memory, which takes most of the time of a search.
    """
    return 1 << (hash(word) % MASK_BITS)


def _after(node: Node, word: str, note: Note) -> Node | None:
    """Return the node to which a token leads; None if no phrase goes on with it."""
    kind = note.kind
    if kind != _STRANGER and node.mask & note.bit:
        after = node.edges.get(word)
        if after is not None:
            return after
    if not node.rare or kind == _MARK:
        return None
    if kind == _NUMBER and node.digits is not None:
        return node.digits
    if kind == _SLIP and node.tolerant:
        return _slipped(node, word)
    return node.any_word


def _slipped(node: Node, word: str) -> Node | None:
    """Return the node to which a word leads that may be a slip in one letter of a form, or any word."""
    # A slip in one letter leaves the first three letters unchanged, or the last three.
    for part in (word[:3], "-" + word[-3:]):
        for form in node.tolerant.get(part, ()):
            if one_letter_apart(word, form) and without_neighbour(form):
                return node.edges[form]
    return node.any_word


class Forms:
    """The set of all forms in some phrases, and of words that differ in one letter from a form that tolerates a slip.

    A slip leaves the first half of a form unchanged, or the last. The halves are noted by the length of the form.
    """

    __slots__ = ("_all", "_halves")

    def __init__(self, phrases: Sequence[tuple[Term, ...]]) -> None:
        self._all: set[str] = set()
        for one in {term.forms for terms in phrases for term in terms}:
            self._all |= one
        self._halves: dict[str, list[str]] = {}
        for form in sorted({form for terms in phrases for term in terms for form in term.tolerant}):
            half = (len(form) - 1) // 2
            for part in (f"{len(form)}{form[:half]}", f"{len(form)}-{form[-half:]}"):
                self._halves.setdefault(part, []).append(form)

    def have(self, word: str) -> bool:
        """Return whether the word is a form of some phrase."""
        return word in self._all

    def may_slip(self, word: str) -> bool:
        """Return whether the word may be a form that tolerates a slip, with one."""
        if len(word) < TOLERANT_LETTERS - 1:
            return False
        for length in range(max(len(word) - 1, TOLERANT_LETTERS), len(word) + 2):
            half = (length - 1) // 2
            for part in (f"{length}{word[:half]}", f"{length}-{word[-half:]}"):
                for form in self._halves.get(part, ()):
                    if one_letter_apart(word, form):
                        return True
        return False


class _Builder:
    """Makes the nodes. A place is the number of a phrase and of its next term, in one number."""

    def __init__(self, phrases: Sequence[Phrase], terms: Sequence[tuple[Term, ...]]) -> None:
        self._terms: list[Term | None] = []
        self._phrase_at: list[Phrase] = []
        self._nodes: dict[frozenset[int], Node] = {}
        starts: list[int] = []
        for phrase, places in zip(phrases, terms, strict=True):
            starts.append(len(self._terms))
            self._terms += [*places, None]
            self._phrase_at += [phrase] * (len(places) + 1)
        self._starts = frozenset(place for start in starts for place in self._reached(start))

    def full(self) -> bool:
        """Return whether there are so many nodes that they should be made anew."""
        return len(self._nodes) > MAX_NODES

    def root(self) -> Node:
        """Return the node before the first word; all other nodes are dropped."""
        self._nodes = {}
        root = Node(self._starts)
        self.make(root)
        return root

    def make(self, node: Node) -> None:
        """Set the phrases that end at a node, and the edges of its words."""
        by_form: dict[str, set[int]] = {}
        digits: set[int] = set()
        any_word: set[int] = set()
        done: list[Phrase] = []
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
        node.done = sorted(set(done), key=attrgetter("number"))
        for form in sorted(tolerant):
            for part in (form[:3], "-" + form[-3:]):
                node.tolerant[part] = (*node.tolerant.get(part, ()), form)
        for form, after_form in by_form.items():
            node.edges[form] = self._node(after_form | any_word | (digits if form[0].isdigit() else set()))
        node.digits = self._node(digits | any_word) if digits else None
        node.any_word = self._node(any_word) if any_word else None
        node.rare = bool(node.tolerant) or node.digits is not None or node.any_word is not None
        node.goes_on = node.rare or bool(node.edges)
        mask = 0
        for form in node.edges:
            mask |= bit_of(form)
        node.mask = mask
        node.made = True

    def _reached(self, place: int) -> list[int]:
        """Return the place, and those after it that are reached without a word."""
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
