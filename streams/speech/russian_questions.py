"""Questions in Russian sentences.

Only question words, requests and «ли» indicate a question in words. A yes-no question differs from a statement in tone
only: without "?" it is not found.
"""

from __future__ import annotations

from typing import Final

from streams.speech.marks import QuestionType
from streams.speech.question_cues import (
    ASKING,
    ASKS_TO_KNOW,
    BARE_TAG,
    BARE_YES_NO,
    DECLARATIVE,
    ECHO,
    FAR_GOVERNOR,
    GOVERNOR,
    ME,
    NOT_ASKING,
    OPENER,
    OR,
    PREDICATE,
    PREPOSITION,
    REQUEST_OPEN,
    REQUEST_SHORT,
    RHETORICAL,
    SURELY,
    TAG,
    YOU,
)
from streams.speech.question_sentences import Sentence

FAR: Final = 3
"""The greatest distance, in words, of a governor before a question word."""
NEAR: Final = 5
"""The greatest distance, in words, of a word about the listener after a question word."""
FRAIL_END: Final = 4
"""The most words left, itself included, with which a frail question word at a beginning begins a question."""
AND_WHAT_END: Final = 6
"""The same of «и что» at a beginning; with more words it introduces a clause."""
SELF_END: Final = 5
"""The same of «что мы» and the like at a beginning."""
TOPIC_WORDS: Final = 2
AND: Final = frozenset({"и", "или"})
APART: Final = 2
"""A second question of a sentence begins more than this number of words after the first."""
ECHO_WORDS: Final = 2
TAGGED_WORDS: Final = 3
"""The fewest words before a tag without "?"."""
IF_WORDS: Final = 8
WELL: Final = "ну"
"""The first word of «ну что, как продажи», which only opens the question."""
SELF: Final = frozenset({"сами", "сам", "сама", "обычно", "сейчас"})
SURPRISED: Final = frozenset({"да", "правда", "нет"})
PREDICATE_ENDINGS: Final = (
    "ть", "ют", "ут", "ет", "ит", "ат", "ят", "ли", "ла", "ло", "ем", "им", "шь", "тся", "ться", "лись", "лся", "лась",
    "ете", "ите", "тесь",
)  # fmt: skip
NUMERAL_ENDINGS: Final = ("пять", "шесть", "девять", "десять", "дцать")
Found = list[tuple[QuestionType, int]]


def marked(sentence: Sentence) -> QuestionType:  # noqa: C901, PLR0911 - rules in order: the first that fits decides
    """Return the type of a sentence that ends with "?"."""
    cues, words, first, end = sentence.cues, sentence.words, sentence.first, sentence.end
    if "!" in sentence.mark:
        return "rhetorical"
    if sentence.is_all(TAG):
        if first > 0:
            return "tag"
        if words[first] in SURPRISED:
            return "rhetorical"
    if first == 0 and sentence.is_all(ECHO):
        return "rhetorical"
    if sentence.seen & RHETORICAL and any(map(_rhetorical, sentence.here[first:end])):
        return "rhetorical"
    if sentence.has(OR, first + 1, end):
        return "or"
    tag = sentence.tag(TAG)
    if tag and end - tag in sentence.commas:
        return "tag"
    for at in range(first, end):
        if sentence.flags[at] & ASKING and _asks_marked(sentence, at):
            return cues.word_question(words, at, end)
    if sentence.has(REQUEST_OPEN, first, end):
        return "open"
    if sentence.has(REQUEST_SHORT, first, end):
        return "wh"
    return _without_question_word(sentence)


def _without_question_word(sentence: Sentence) -> QuestionType:
    cues, words, flags, end = sentence.cues, sentence.words, sentence.flags, sentence.end
    at = sentence.past_openers()
    if at < end and words[at] == "если":
        return "open"
    if sentence.begins_with(DECLARATIVE):
        return "declarative"
    if end - at > ECHO_WORDS:
        return "yes_no"
    for place in range(sentence.first, end):
        word = words[place]
        if flags[place] & PREDICATE or cues.of_listener(word):
            return "yes_no"
        if word.endswith(PREDICATE_ENDINGS) and not word.endswith(NUMERAL_ENDINGS):
            return "yes_no"
    return "declarative"


def _asks_marked(sentence: Sentence, at: int) -> bool:
    """Return whether the question word at `at` is that of the question in a sentence with "?"."""
    if _denied(sentence, at):
        return False
    before = sentence.before(at)
    if before < sentence.past_openers() or sentence.flags[before] & OPENER:
        return True
    if sentence.flags[before] & GOVERNOR:
        return False
    if not sentence.comma_between(before + 1, at + 1):
        return True
    return sentence.cues.asking[sentence.words[at]].strength == "strong" or before == sentence.first


def unmarked(sentence: Sentence) -> Found:
    """Return the questions of a sentence without "?": type and place of each.

    Where the text has marks, another mark than "?" denies a question, and only requests are taken.
    """
    found: Found = []
    cues, words, flags, end = sentence.cues, sentence.words, sentence.flags, sentence.end
    bare = not sentence.mark
    last = sentence.first - APART - 1
    to_know = -1
    at = sentence.first
    while at < end:
        if not sentence.here[at]:
            at += 1
            continue
        here = sentence.here[at]
        opened = at == sentence.first or bool(flags[at - 1] & OPENER)
        if here & ASKS_TO_KNOW:
            to_know = at + cues.length(words, at, end, ASKS_TO_KNOW)
        if here & REQUEST_OPEN and not (at > sentence.first and words[at - 1] == "не"):
            found.append(("open", at))
            last = at
            at += cues.length(words, at, end, REQUEST_OPEN)
        elif here & NOT_ASKING and _denied(sentence, at):
            begins = at == sentence.first and words[at] == WELL
            at += cues.denies(words, at, end)
            to_know = at if begins else to_know
        else:
            free = not found or (opened and at - last > APART)
            if bare and free and here & ASKING and _asks(sentence, at, to_know, again=bool(found)):
                found.append(("rhetorical" if _rhetorical(here) else cues.word_question(words, at, end), at))
                last = at
            elif bare and not found and here & BARE_YES_NO and not _governed_from_afar(sentence, at - 1):
                found.append(("yes_no", at))
                last = at
            elif free and here & REQUEST_SHORT and opened and not _question_word_behind(sentence, at):
                found.append(("wh", at))
                last = at
            at += 1
    if bare and not found:
        _without_words(sentence, found)
    return found


def _denied(sentence: Sentence, at: int) -> bool:
    """Return whether an entry of `not_asking` stands at `at`. «на чем мы» is none: only «чем мы» compares."""
    compares = sentence.words[at] == "чем" and at > sentence.first and sentence.flags[at - 1] & PREPOSITION
    return not compares and sentence.cues.denies(sentence.words, at, sentence.end) > 0


def _rhetorical(flags: int) -> bool:
    return flags & (RHETORICAL | SURELY) == RHETORICAL


def _without_words(sentence: Sentence, found: Found) -> None:
    """Add questions known by their place: a tag at the end, «а по деньгам» at the end, «а если» at the beginning."""
    words, flags, first, end = sentence.words, sentence.flags, sentence.first, sentence.end
    tag = sentence.tag(BARE_TAG)
    if end - first >= TAGGED_WORDS and words[end - 1] == "ли" and words[end - 2] == "что":
        found.append(("rhetorical", end - 2))
        return
    if tag and end - tag - first >= TAGGED_WORDS:
        found.append(("tag", end - tag))
        return
    for at in range(max(first, end - 4), end - 2):
        if words[at] == "а" and flags[at + 1] & PREPOSITION:
            found.append(("wh", at))
            return
    if TAGGED_WORDS <= end - first <= IF_WORDS and words[first] == "а" and words[first + 1] == "если":
        found.append(("open", first))


def _question_word_behind(sentence: Sentence, at: int) -> bool:
    """Return whether a question word follows a request, which then only introduces it."""
    for place in range(at + 1, sentence.end):  # noqa: SIM110 - `any` makes a generator
        if sentence.flags[place] & ASKING:
            return True
    return False


def _asks(sentence: Sentence, at: int, to_know: int, *, again: bool) -> bool:  # noqa: C901, PLR0911, PLR0912 - rules in order: the first that fits decides
    """Return whether the question word at `at` begins a question, in a text without marks.

    `again`: it is not the first.
    """
    cues, words, flags = sentence.cues, sentence.words, sentence.flags
    strength = cues.asking[words[at]].strength
    before = sentence.before(at)
    if before >= sentence.first and flags[before] & YOU and strength != "frail":
        further = sentence.before(before)
        if further < sentence.first or flags[further] & OPENER:
            return True
    if before < sentence.first or before + 1 == to_know:
        if strength == "beginning" and at + 1 < sentence.end and flags[at + 1] & ME:
            return sentence.end - at <= SELF_END
        return strength != "frail" or _frail_asks(sentence, at)
    listener = sentence.listener_between(at + 1, at + 1 + NEAR)
    if flags[before] & OPENER:
        if words[before] in AND and not again and _governed_before(sentence, before):
            return False
        if flags[before] & GOVERNOR and strength != "strong" and not listener:
            return False
        if words[before] == "и" and strength == "beginning":
            return listener or (before == sentence.first and sentence.end - before <= AND_WHAT_END)
        return strength != "frail" or _frail_asks(sentence, at)
    if flags[before] & GOVERNOR:
        return False
    if _governed_from_afar(sentence, before):
        return False
    if _topic_before(sentence, before):
        return True
    if strength == "strong":
        return True
    if at == sentence.end - 1:
        short = at - sentence.first <= ECHO_WORDS
        return short or words[sentence.first] in ("а", "и") or sentence.listener_between(sentence.first, at)
    if strength == "weak":
        measured = words[at] == "как" and cues.word_question(words, at, sentence.end) == "wh"
        acts = at + 2 < sentence.end and words[at + 1] in SELF and sentence.listener_between(at + 2, at + 3)
        return measured or acts or bool(flags[before] & YOU) or sentence.listener_between(at + 1, at + 2)
    return strength == "beginning" and (
        cues.word_question(words, at, sentence.end) != cues.asking[words[at]].type
        or words[at + 1] == "именно"
        or bool(cues.you_endings and words[at + 1].endswith(cues.you_endings))
    )


def _governed_from_afar(sentence: Sentence, before: int) -> bool:
    """Return whether a verb such as «знаю» stands up to `FAR` words back, with no new sentence since."""
    for place in range(before, max(sentence.first, before - FAR) - 1, -1):
        if sentence.flags[place] & OPENER:
            return False
        if sentence.flags[place] & FAR_GOVERNOR:
            return True
    return False


def _governed_before(sentence: Sentence, before: int) -> bool:
    """Return whether the question word before «и» is governed: «посчитаем сколько сейчас и сколько потом»."""
    for place in range(before - 1, sentence.first, -1):
        if sentence.flags[place] & ASKING:
            return bool(sentence.flags[sentence.before(place)] & GOVERNOR)
        if sentence.flags[place] & OPENER:
            return False
    return False


def _topic_before(sentence: Sentence, before: int) -> bool:
    """Return whether «а» and one or two words stand before the question word: «а монтаж кто делает»."""
    for place in range(before, max(sentence.first, before - TOPIC_WORDS) - 1, -1):
        if sentence.words[place] == "а":
            return place < before
        if sentence.flags[place] & (OPENER | GOVERNOR | ASKING):
            return False
    return False


def _frail_asks(sentence: Sentence, at: int) -> bool:
    left = sentence.end - at
    for place in range(at + 1, min(at + 1 + NEAR, sentence.end)):
        if sentence.flags[place] & ME and not (sentence.words[place] == "мы" and left <= FRAIL_END):
            return False
    return left <= FRAIL_END or (left <= 2 * FRAIL_END and sentence.listener_between(at + 1, at + 1 + FRAIL_END))
