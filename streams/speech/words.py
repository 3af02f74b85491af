"""Words of an utterance: its text in the normal form for the comparison with phrases.

The normal form is lower case, with «е» for «ё». A word with a hyphen is several words («follow-up»), except where the
hyphen makes another word («как-нибудь», «по-моему»); particles that change no meaning fall away («самом-то»,
«скажите-ка»). Commas, dashes and marks that end a sentence are tokens too: no phrase reaches across an end.
`[PII]` and other names in capitals inside brackets stand for a word that was hidden; `[noise]` is no word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final, NamedTuple

from streams.contract.events import SpokenWord

HIDDEN: Final = "[pii]"
"""The normal form of a word that the recogniser hid."""
PAUSES: Final = frozenset({",", ";", ":", "—", "–", "-", "(", ")", '"', "«", "»", "“", "”"})
"""Marks inside a sentence. A phrase reaches across them."""
ENDS: Final = frozenset(".?!…")
"""Marks that end a sentence: a token is one whose first character is among them."""

_WORD: Final = r"[\w\u0300-\u036f]+(?:['’ʼ\u2010\u2011-][\w\u0300-\u036f]+)*"
_TOKENS: Final = re.compile(
    r"[0-9]+(?:[.,:][0-9]+)*(?:-?(?:го|му|ый|ой|ая|ое|ые|ых|ом|ю|я|е|й|х|м|st|nd|rd|th)\b)?"
    rf"|{_WORD}|[.?!…]+|[,;:—–()«»“”\"-]|\[[^\[\]]*\]|<[^<>]*>"
)
_PLAIN: Final = re.compile(r"\w+(?:'\w+)*|[.?!…]+|[,;:—–()«»“”\"]")
"""The same tokens, where a text has nothing of `_SPECIAL` in it: several times as fast."""
_SPECIAL: Final = re.compile("[\\[<’ʼ\u2010\u2011\u0300-\u036f0-9-]")
_MIXED: Final = re.compile("[a-z][а-я]|[а-я][a-z]")
_END: Final = re.compile("[.?!…](?![0-9])")
_DIGIT: Final = re.compile(r"\d")
_MOST_KEPT: Final = 32_768
_LONGEST_KEPT: Final = 40
_MARKS_OF_E: Final = re.compile("е[\u0300-\u036f]+")
_WORD_ALONE: Final = re.compile(_WORD)
_HYPHEN: Final = re.compile("[\u2010\u2011-]")
_LOOKALIKES: Final = str.maketrans("aceopxykmtbh", "асеорхукмтвн")
_ONLY_LOOKALIKES: Final = re.compile("[aceopxykmtbhа-я]+")
_LATIN: Final = re.compile("[a-z]")
_CYRILLIC: Final = re.compile("[а-я]")
_OF_CYRILLIC_SCRIPT: Final = re.compile("[\u0400-\u04ff]")
_ORDINAL: Final = re.compile(r"([0-9]+(?:[.,:][0-9]+)*)-?[^\W0-9_]+")
# Between two repeats stands a separator, so there is one way to read a text: with several, the time doubles a letter.
_HIDDEN: Final = re.compile(r"\[[A-Z]+(?:[-_ ][A-Z]+)*[-_ ]?[0-9]*\]")

_ASKING_WORDS: Final = (
    "кто кого кому кем ком что чего чему чем где куда откуда когда как какой какая какое какие какого какую каком "
    "каким какими каких какому почему зачем отчего сколько чей чья чье чьи"
)
_ASKING: Final = frozenset(_ASKING_WORDS.split())
_INDEFINITE: Final = ("то", "нибудь", "либо")
_PARTICLES: Final = ("то", "ка", "таки")
_JOINING: Final = ("кое", "по", "из", "во", "в")


class Place(NamedTuple):
    """The place of a token in the text: `text[start:end]`."""

    start: int
    end: int


class Token:
    """A word or mark, shared by all texts while its piece is kept: so each look-up for it happens once.

    `phrases` and `questions` are notes of the lexicon, and of the cues of questions, that used it last. A note names
    the object that made it, so another lexicon makes a new one.
    """

    __slots__ = ("form", "phrases", "questions", "spoken")

    def __init__(self, form: str) -> None:
        self.form: str = form
        self.spoken: bool = is_word(form)
        self.phrases: object = None
        self.questions: object = None


class _Piece:
    """A piece of text between two spaces: its tokens, and the number of words among them; `only` if it is one token.

    `ends`: a mark in it ends a sentence.
    """

    __slots__ = ("count", "ends", "only", "text", "tokens")

    def __init__(self, text: str) -> None:
        lowered = _lowered(text)
        plain = (
            _SPECIAL.search(lowered) is None
            and _MIXED.search(lowered) is None
            and unicodedata.is_normalized("NFC", lowered)
        )
        forms = _PLAIN.findall(lowered) if plain else [form for form, _ in _scan(text, lowered)]
        self.text: str = text
        self.tokens: list[Token] = [Token(form) for form in forms]
        self.count: int = sum([token.spoken for token in self.tokens])
        self.only: Token | None = self.tokens[0] if len(self.tokens) == 1 else None
        self.ends: bool = _END.search(text) is not None


class _Pieces:
    """A cache of pieces: most words of a talk occur in it again."""

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: dict[str, _Piece] = {}

    def of(self, text: str) -> _Piece:
        """Return a piece."""
        piece = self.known.get(text)
        if piece is None:
            piece = _Piece(text)
            if may_be_kept(text):
                if len(self.known) >= _MOST_KEPT:
                    self.known.clear()
                self.known[text] = piece
        return piece


_PIECES: Final = _Pieces()


class Words:
    """The tokens of a text, in order: words and marks. `forms[i]` is the normal form of token `i`.

    `places` is made at the first use.
    """

    __slots__ = ("_count", "_pieces", "_places", "_punctuated", "forms", "text", "tokens")

    def __init__(self, text: str) -> None:
        self.text = text
        self._places: list[Place] | None = None
        self._pieces: list[_Piece] = []
        self._count: int = 0
        self._punctuated: bool = False
        self.tokens: list[Token] = []
        self.forms: list[str] = []
        if "[" in text or "<" in text or "İ" in text:  # tokens with spaces, or with another length in lower case
            scanned = list(_scan(text, _lowered(text)))
            self.forms = [form for form, _ in scanned]
            self.tokens = [Token(form) for form in self.forms]
            self._count = sum([token.spoken for token in self.tokens])
            self._places = [place for _, place in scanned]
            self._punctuated = _END.search(text) is not None
            return
        known = _PIECES.known
        forms, tokens, pieces = self.forms, self.tokens, self._pieces
        count = 0
        punctuated = False
        for part in text.split():
            piece = known.get(part)
            if piece is None:
                piece = _PIECES.of(part)
            pieces.append(piece)
            only = piece.only
            if only is None:
                for token in piece.tokens:
                    tokens.append(token)
                    forms.append(token.form)
            else:
                tokens.append(only)
                forms.append(only.form)
            count += piece.count
            if piece.ends:
                punctuated = True
        self._count = count
        self._punctuated = punctuated

    @property
    def places(self) -> list[Place]:
        """Return the place of each token in the text."""
        if self._places is None:
            self._places = [place for _, place in _scan(self.text, _lowered(self.text))]
        return self._places

    def count(self) -> int:
        """Return the number of words among the tokens."""
        return self._count

    def words_before(self, token: int) -> int:
        """Return the number of words before a token: the place of a word among the words."""
        return sum([one.spoken for one in self.tokens[:token]])

    def starts(self, words: tuple[SpokenWord, ...]) -> list[int]:
        """Return the start of each word, or nothing if `words` are not those of this text."""
        starts: list[int] = []
        pieces = self._pieces
        same = len(pieces) == len(words)
        for number, word in enumerate(words):
            text = word.text
            # Most often the pieces of the text are the words, and comparing takes less than looking the word up.
            count = pieces[number].count if same and pieces[number].text == text else count_of(text)
            if count == 1:
                starts.append(word.start_ms)
            else:
                starts += [word.start_ms] * count
        return starts if len(starts) == self._count else []

    def language(self) -> str:
        """Return "ru" if a letter is Cyrillic, else "": other scripts do not identify a language."""
        return "ru" if not self.text.isascii() and _OF_CYRILLIC_SCRIPT.search(self.text) else ""

    def punctuated(self) -> bool:
        """Return whether a mark ends a sentence in this text."""
        return self._punctuated


def may_be_kept(text: str) -> bool:
    """Return whether a word may be kept for the next utterances: one with a digit may be part of a telephone number."""
    return len(text) <= _LONGEST_KEPT and _DIGIT.search(text) is None


def is_word(form: str) -> bool:
    """Return whether a token is a word and no mark."""
    return form[0].isalnum() or form == HIDDEN or form[0] == "_"


def normal(text: str) -> list[str]:
    """Return the words of a text in their normal form, without marks."""
    return [form for form in Words(text).forms if is_word(form)]


def count_of(text: str) -> int:
    """Return the number of words of a text, which is most often a single word."""
    piece = _PIECES.known.get(text)
    return Words(text).count() if piece is None else piece.count


def _lowered(text: str) -> str:
    """Return the text in lower case, with «е» for «ё» and as many characters as before."""
    lowered = text.lower()
    if len(lowered) != len(text):
        lowered = "".join(one if len(one := letter.lower()) == 1 else letter for letter in text)
    return lowered.replace("ё", "е") if "ё" in lowered else lowered


def _scan(text: str, lowered: str) -> Iterator[tuple[str, Place]]:
    """Yield each token with its place. The slow way, for texts with anything but plain words and marks."""
    for found in _TOKENS.finditer(lowered):
        token, start, end = found[0], found.start(), found.end()
        first = token[0]
        if first == "[":
            if _HIDDEN.fullmatch(text, start, end):
                yield HIDDEN, Place(start, end)
        elif first == "<":
            continue
        elif first in PAUSES or first in ENDS:
            yield token, Place(start, end)
        else:
            yield from _parts(token, start)


def _parts(token: str, start: int) -> Iterator[tuple[str, Place]]:
    """Yield the words of a token that may have hyphens in it, each with its place."""
    if ordinal := _ORDINAL.fullmatch(token):
        yield ordinal[1], Place(start, start + len(token))
        return
    pieces = _HYPHEN.split(token)
    end = start + len(token)
    while len(pieces) > 1 and pieces[-1] in _PARTICLES and not (pieces[-1] in _INDEFINITE and pieces[-2] in _ASKING):
        pieces.pop()  # the place still covers the particle
    if len(pieces) > 1 and (pieces[0] in _JOINING or (pieces[-1] in _INDEFINITE and pieces[-2] in _ASKING)):
        yield "-".join(map(_form, pieces)), Place(start, end)
        return
    at = start
    for number, piece in enumerate(pieces):
        stop = end if number == len(pieces) - 1 else at + len(piece)
        if len(pieces) > 1 and "0" <= piece[0] <= "9":
            for found in _TOKENS.finditer(piece):
                yield from _parts(found[0], at + found.start())
        else:
            yield _form(piece), Place(at, stop)
        at = stop + 1


def _form(word: str) -> str:
    """Return the normal form of a word: one apostrophe, composed letters, one script."""
    if word.isascii():
        return word
    word = word.replace("’", "'").replace("ʼ", "'")
    if not unicodedata.is_normalized("NFC", word):
        word = _composed(word)
    if _LATIN.search(word) and _CYRILLIC.search(word) and _ONLY_LOOKALIKES.fullmatch(word):
        return word.translate(_LOOKALIKES)
    return word


def _composed(word: str) -> str:
    """Return the word with each letter and its marks as one letter, where there is one. The dots of «ё» fall away."""
    apart = _MARKS_OF_E.sub(_without_dots, unicodedata.normalize("NFD", word))
    composed = unicodedata.normalize("NFC", apart)
    # Some letters of other scripts are never composed, and their marks are no part of a word here.
    return composed if _WORD_ALONE.fullmatch(composed) else word


def _without_dots(found: re.Match[str]) -> str:
    return found[0].replace("\u0308", "")
