"""Questions in English sentences: found by question words and by verbs that stand before their subject."""

from __future__ import annotations

from typing import Final

from streams.speech.marks import QuestionType
from streams.speech.question_cues import (
    ASKING,
    AUXILIARY,
    BARE_TAG,
    BARE_YES_NO,
    ECHO,
    GOVERNOR,
    HARD_GOVERNOR,
    INTERJECTION,
    LOOSE_SUBJECT,
    ME,
    MEASURE,
    NOT_ASKING,
    NOT_BEFORE_AUXILIARY,
    NOT_SUBJECT,
    OPENER,
    OR,
    PREPOSITION,
    REQUEST_OPEN,
    REQUEST_SHORT,
    RHETORICAL,
    SUBJECT,
    TAG,
    YOU,
)
from streams.speech.question_sentences import Sentence

REACH: Final = 4
"""The most words between a question word and its verb: "what sort of thing do"."""
APART: Final = 2
"""A second question of a sentence begins more than this number of words after the first."""
TAGGED_WORDS: Final = 3
CLEFT: Final = 12
"""«What matters is …»: the greatest distance, in words, of "is" from "what"."""
SHORT: Final = 5
NONE: Final[frozenset[str]] = frozenset()
SOUNDS: Final = frozenset({"uh", "um", "er", "erm"})
NO_VERB: Final = YOU | SUBJECT | LOOSE_SUBJECT | AUXILIARY | PREPOSITION | OPENER | ME
WITH_NOUN: Final = frozenset({"how", "what", "which", "whose"})
"""Question words with a possible noun between them and their verb."""
RELATIVE: Final = frozenset({"who", "whom", "which", "where", "when", "whose"})
"""Question words that inside a sentence mostly begin a relative clause."""
MADE: Final = frozenset({"made", "makes", "got", "brings", "brought", "prompted", "happened", "happens"})
"""Verbs that make "what" the subject of a question if they follow it."""
LAST: Final = frozenset({"what", "where", "when", "who"})
BEING: Final = frozenset({"is", "are", "was", "were", "am"})
DOING: Final = frozenset({"do", "does", "did"})
PERSONS: Final = frozenset({"you", "he", "she"})
UNABLE: Final = ("cant", "couldnt", "wouldnt", "wont")
NEGATED: Final = ("n't", "dont", "doesnt", "didnt", "isnt", "arent", "wasnt", "werent", *UNABLE)
BEING_PAIRS: Final = frozenset({("is", "it"), ("are", "those"), ("are", "these"), ("is", "there"), ("are", "there")})
THINGS: Final = frozenset({"it", "that", "this", "your", "these", "those", "anything", "anyone"})
NOT_BEFORE_TAG: Final = frozenset(
    {
        "all",
        "that's",
        "you're",
        "is",
        "was",
        "it's",
        "quite",
        "about",
        "not",
        "just",
        "the",
        "a",
        "to",
        "turn",
        "my",
        "it",
        "are",
        "i'm",
    }
)
OFFERED: Final = frozenset({"i", "we", "you"})
CONTRACTED: Final = ("'s", "'re", "'d", "'ll", "'ve")
BARE: Final = frozenset({"whats", "wheres", "whos", "hows", "whens", "whys"})
OFFERS: Final = frozenset({"i", "we"})
ELLIPTIC: Final = {
    "what": frozenset(
        {"about", "if", "else", "kind", "sort", "time", "day", "size", "type", "for", "number", "colour", "color"}
    ),
    "how": frozenset({"about", "come", "so"}),
    "why": frozenset({"not", "so"}),
    "which": frozenset({"one", "ones", "day", "of"}),
    "who": frozenset({"else"}),
    "where": frozenset({"else", "exactly", "abouts"}),
    "when": frozenset({"exactly"}),
}
"""Words that make a question of the question word before them, without a verb."""
BY_SUBJECT: Final = frozenset({"who", "what"})
"""Question words that are often the subject: "who decides", "what happened"."""
Found = list[tuple[QuestionType, int]]


def marked(sentence: Sentence) -> QuestionType:  # noqa: C901, PLR0911 - rules in order: the first that fits decides
    """Return the type of a sentence that ends with "?"."""
    first, end = sentence.first, sentence.end
    if "!" in sentence.mark:
        return "rhetorical"
    if first == 0 and sentence.is_all(ECHO):
        return "rhetorical"
    if first > 0 and sentence.is_all(TAG):
        return "tag"
    if sentence.has(RHETORICAL, first, end):
        return "rhetorical"
    tag = sentence.tag(TAG | BARE_TAG)
    if tag and end - tag in sentence.commas:
        return "tag"
    if sentence.has(OR, first + 1, end - 1):
        return "or"
    found = _first(sentence)
    if found:
        return found
    if sentence.has(REQUEST_OPEN, first, end):
        return "open"
    if sentence.has(REQUEST_SHORT, first, end):
        return "wh"
    if tag:
        return "tag"
    return "declarative"


def _first(sentence: Sentence) -> QuestionType | None:
    """Return the type of the first question by its words, in a sentence with "?"."""
    cues, words, flags, first, end = sentence.cues, sentence.words, sentence.flags, sentence.first, sentence.end
    for at in range(first, end):
        begins = sentence.opened(at) or at in sentence.commas
        if begins and sentence.here[at] & (REQUEST_OPEN | REQUEST_SHORT):
            return "open" if sentence.here[at] & REQUEST_OPEN else _requested(sentence, at)
        if flags[at] & ASKING:
            governed = at > first and bool(
                flags[at - 1] & (HARD_GOVERNOR if _inverted_pronoun(sentence, at) else GOVERNOR)
            )
            after_pair = at > first and begins and bool(flags[at - 1] & GOVERNOR) and not flags[at - 1] & OPENER
            if (begins and not after_pair) or (
                not governed and (_inverted(sentence, at) or at >= end - 2 or words[at] in BY_SUBJECT)
            ):
                return "yes_no" if _offers(sentence, at) else cues.word_question(words, at, end)
        elif flags[at] & AUXILIARY and at + 1 < end and (begins or flags[at + 1] & SUBJECT):
            return "yes_no"
    return None


def unmarked(sentence: Sentence) -> Found:  # noqa: C901 - rules in order: the first that fits decides
    """Return the questions of a sentence without "?": type and place of each.

    Where the text has marks, another mark than "?" denies most questions: only those with a question word and an
    inverted verb, or with an inverted verb and a pronoun, right at the beginning are taken.
    """
    found: Found = []
    cues, words, end = sentence.cues, sentence.words, sentence.end
    bare = not sentence.mark
    opening = sentence.past_openers()
    last = sentence.first - APART - 1
    denied = -1
    at = sentence.first
    while at < end:
        if not sentence.here[at]:
            at += 1
            continue
        here = sentence.here[at]
        begins = at <= opening or (at != denied and sentence.opened(at))
        free = not found or (begins and at - last > APART)
        step = 1
        kind: QuestionType | None = None
        if here & REQUEST_OPEN:
            kind = "open" if free else None
            step = cues.length(words, at, end, REQUEST_OPEN)
        elif here & NOT_ASKING:
            step = cues.length(words, at, end, NOT_ASKING)
            denied = at + step
        elif not free:
            pass
        elif here & REQUEST_SHORT and begins:
            kind = _requested(sentence, at)
            step = cues.length(words, at, end, REQUEST_SHORT)
        elif here & ASKING:
            if _asks(sentence, at, begins=begins) if bare else at <= opening and _inverted_pronoun(sentence, at):
                kind = "yes_no" if _offers(sentence, at) else cues.word_question(words, at, end)
                kind = "rhetorical" if here & RHETORICAL else kind
        elif here & BARE_YES_NO and begins and bare:
            kind = "yes_no"
        elif here & AUXILIARY and _inverts(sentence, at, strictly=at <= opening, begins=begins, bare=bare):
            kind = "rhetorical" if here & RHETORICAL else _inverted_kind(sentence, at)
        if kind is not None:
            found.append((kind, at))
            last = at
            step = max(step, APART)
        at += step
    if bare and not found:
        _without_words(sentence, found)
    return found


def _requested(sentence: Sentence, at: int) -> QuestionType:
    """Return the type of a request such as "can you tell me", by the question word behind it."""
    for place in range(at + 1, min(at + REACH + APART, sentence.end)):
        if sentence.flags[place] & ASKING:
            return sentence.cues.word_question(sentence.words, place, sentence.end)
    return "wh"


def _inverted_kind(sentence: Sentence, at: int) -> QuestionType:
    """Return the type of the question that the auxiliary at `at` begins."""
    end = sentence.end
    if at - sentence.first >= TAGGED_WORDS and sentence.cues.length(sentence.words, at, end, BARE_TAG) == end - at:
        return "tag"
    return "or" if sentence.has(OR, at + 2, end - 1) else "yes_no"


def _without_words(sentence: Sentence, found: Found) -> None:
    """Add questions recognised by their place: a tag at the end, "and the cost" alone, "it costs what"."""
    words, first, end = sentence.words, sentence.first, sentence.end
    flags = sentence.flags
    tag = sentence.tag(BARE_TAG)
    if tag and end - tag - first >= TAGGED_WORDS and (tag > 1 or _one_word_tag(sentence)):
        found.append(("tag", end - tag))
    elif words[end - 1] in LAST and end - first >= APART and not flags[end - 2] & (HARD_GOVERNOR | GOVERNOR | OPENER):
        found.append(("wh", end - 1))
    elif (
        TAGGED_WORDS <= end - first <= SHORT
        and words[end - 2] in ("the", "your")
        and words[end - 3] == "and"
        and sentence.past_openers() >= end - 2
    ):
        found.append(("wh", end - 3))


def _one_word_tag(sentence: Sentence) -> bool:
    """Return whether the last word is a tag, such as "right" in a sentence about the listener, not "that's right"."""
    words, end = sentence.words, sentence.end
    if words[end - 2] in NOT_BEFORE_TAG:
        return False
    return words[sentence.first] == "so" or sentence.listener_between(sentence.first, end - 1)


def _offers(sentence: Sentence, at: int) -> bool:
    """Return whether a question word makes an offer: "how about I", "why don't we"."""
    words, end = sentence.words, sentence.end
    if at + 2 >= end:
        return False
    second = words[at + 1]
    return (words[at] in ("how", "what") and second == "about" and words[at + 2] in OFFERS) or (
        words[at] == "why" and second in ("don't", "dont") and words[at + 2] in OFFERED
    )


def _verb(sentence: Sentence, at: int) -> int:
    """Return the place of the auxiliary that belongs to the question word at `at`, or -1."""
    flags, words, end = sentence.flags, sentence.words, sentence.end
    reach = REACH if words[at] in WITH_NOUN else 0
    for place in range(at + 1, min(at + 2 + reach, end)):
        if flags[place] & AUXILIARY:
            return place if place not in sentence.commas and (words[at] != "which" or place > at + 1) else -1
        if flags[place] & (SUBJECT | ME | YOU | OPENER) or place in sentence.commas:
            return -1
    return -1


def _inverted(sentence: Sentence, at: int) -> bool:
    """Return whether a verb stands before its subject behind the question word at `at`."""
    word = sentence.words[at]
    if word.endswith(CONTRACTED) or word in BARE:
        return at + 1 < sentence.end
    verb = _verb(sentence, at)
    return verb >= 0 and verb + 1 < sentence.end and not sentence.flags[verb + 1] & AUXILIARY


def _inverted_pronoun(sentence: Sentence, at: int) -> bool:
    """Return whether a verb stands before a pronoun behind the question word at `at`."""
    verb = _verb(sentence, at)
    if verb < 0 or verb + 1 >= sentence.end:
        return False
    subject = sentence.words[verb + 1]
    return bool(sentence.flags[verb + 1] & SUBJECT) or (sentence.words[verb] in DOING and subject in THINGS)


def _asks(sentence: Sentence, at: int, *, begins: bool) -> bool:  # noqa: C901, PLR0911 - rules in order: the first that fits decides
    """Return whether the question word at `at` begins a question, in a text without marks."""
    words, flags, first = sentence.words, sentence.flags, sentence.first
    word = words[at]
    base = word.partition("'")[0]
    strictly = at <= sentence.past_openers()
    before = at - 1
    while before >= first and words[before] in SOUNDS:
        before -= 1
    if before == first and flags[before] & PREPOSITION and not flags[before] & OPENER:
        return _inverted(sentence, at)
    begins = strictly or (begins and not flags[before] & GOVERNOR)
    following = words[at + 1] if at + 1 < sentence.end else ""
    if begins:
        if not following:
            return strictly and word != "what"
        if _inverted(sentence, at) or following in ELLIPTIC.get(word, NONE):
            return True
        if word == "how" and following and flags[at + 1] & MEASURE:
            return True
        by_subject = word in BY_SUBJECT and (strictly or bool(flags[before] & INTERJECTION))
        return by_subject and not flags[at + 1] & NO_VERB and "is" not in words[at + 2 : min(at + CLEFT, sentence.end)]
    if flags[before] & HARD_GOVERNOR:
        return False
    if _inverted_pronoun(sentence, at):
        return True
    if following in MADE and at + 2 < sentence.end and flags[at + 2] & YOU:
        return True
    if flags[before] & GOVERNOR or base in RELATIVE:
        return False
    return _inverted(sentence, at) or following in MADE or (following == "about" and word in ("how", "what"))


def _inverts(  # noqa: PLR0911 - rules in order: the first that fits decides
    sentence: Sentence, at: int, *, strictly: bool, begins: bool, bare: bool
) -> bool:
    """Return whether the auxiliary at `at` stands before its subject, and so begins a question."""
    flags, words, end = sentence.flags, sentence.words, sentence.end
    if at + 1 >= end or at + 1 in sentence.commas:
        return False
    following = flags[at + 1]
    if words[at + 1 : at + 3] == ["you", "know"] and words[at] not in DOING:
        return False  # "is, you know, rather low"
    if not bare:
        return strictly and bool(following & SUBJECT) and words[at + 1] not in ("i", "we")
    if strictly:
        if words[at].endswith(NEGATED):
            return bool(following & (SUBJECT | LOOSE_SUBJECT))
        return bool(following & (SUBJECT | LOOSE_SUBJECT)) or not following & NOT_SUBJECT
    if not begins and flags[at - 1] & (NOT_BEFORE_AUXILIARY | ASKING):
        return False
    if begins and flags[at - 1] & INTERJECTION:
        return bool(following & (SUBJECT | LOOSE_SUBJECT))
    if words[at] in BEING:
        return words[at + 1] in PERSONS or (words[at], words[at + 1]) in BEING_PAIRS
    return bool(following & SUBJECT) or (words[at] in DOING and words[at + 1] in THINGS)
