"""Questions of one utterance: their detection and their type, with punctuation and without."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.speech.groups import LexiconError
from streams.speech.lexicon import File, Lexicon
from streams.speech.marks import QUESTION_TYPES
from streams.speech.shipped import lexicon
from streams.speech.words import Words, is_word
from tests.streams.speech_questions import asked, bare, lines, of_each, questions, types

# -- with punctuation


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Добрый день. Сколько у вас сотрудников?", ["wh"]),
        ("Почему отказались от прошлого подрядчика?", ["open"]),
        ("С какими трудностями сталкиваетесь?", ["open"]),
        ("С какого числа начинаем?", ["wh"]),
        ("Как часто заказываете?", ["wh"]),
        ("Как вы сейчас решаете эту задачу?", ["open"]),
        ("Как к вам обращаться?", ["wh"]),
        ("Что вас останавливает?", ["open"]),
        ("Сколько машин сейчас? И сколько будет весной?", ["wh", "wh"]),
        ("Расскажите, как устроен отдел.", ["open"]),
        ("Подскажите, пожалуйста, ваш адрес.", ["wh"]),
        ("Можете рассказать о компании?", ["open"]),
        ("Вам удобно в четверг?", ["yes_no"]),
        ("Есть ли у вас склад?", ["yes_no"]),
        ("Тёплый нужен?", ["yes_no"]),
        ("Вы знаете, сколько это стоит?", ["yes_no"]),
        ("Вам в Москву или в Питер?", ["or"]),
        ("Встретимся в среду, да?", ["tag"]),
        ("Это для склада, верно?", ["tag"]),
        ("Пришлю договор, а вы подпишете. Договорились?", ["tag"]),
        ("Значит, нужен большой объём?", ["declarative"]),
        ("Завтра?", ["declarative"]),
        ("Да? Не видел.", ["rhetorical"]),
        ("Четыре часа?!", ["rhetorical"]),
        ("Мне их резать, что ли?", ["rhetorical"]),
        ("Кто же учится, когда работы нет?", ["rhetorical"]),
        ("Кто же у вас принимает решения?", ["wh"]),
        ("Алло?", []),
        ("Десять? Двенадцать? Трудно сказать.", []),
        ("Десять? Хорошо, записал.", ["declarative"]),
        ("Я знаю, как это работает.", []),
        ("Потому что у нас свой склад.", []),
    ],
)
def test_russian_with_punctuation(text: str, found: list[str]) -> None:
    assert types(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("How many people do you have?", ["wh"]),
        ("How do you handle that now?", ["open"]),
        ("How did you hear about us?", ["wh"]),
        ("Why did you switch?", ["open"]),
        ("What made you call?", ["open"]),
        ("What's the address?", ["wh"]),
        ("And it costs what?", ["wh"]),
        ("Tell me about your process.", ["open"]),
        ("Walk me through a typical day.", ["open"]),
        ("Does that work?", ["yes_no"]),
        ("How about I come on Tuesday?", ["yes_no"]),
        ("You know what lawyers are like?", ["declarative"]),
        ("Is that gas as well, or just electric?", ["or"]),
        ("You need it, don't you?", ["tag"]),
        ("Send it again, would you?", ["tag"]),
        ("I'll be there at ten. Okay?", ["tag"]),
        ("For free?", ["declarative"]),
        ("Did you? It must have gone.", ["rhetorical"]),
        ("Only four hours?!", ["rhetorical"]),
        ("Who knows?", ["rhetorical"]),
        ("Hello?", []),
        ("Ten? Twelve? Hard to say.", []),
        ("That's why I'm calling.", []),
        ("What I mean is we deliver.", []),
        ("I know what you want.", []),
    ],
)
def test_english_with_punctuation(text: str, found: list[str]) -> None:
    assert types(text) == found


# -- without


@pytest.mark.parametrize(
    ("language", "missed"),
    [("ru", ["а как обычно оплачиваете"]), ("en", [])],
)
def test_questions_told_by_words_are_found_without_punctuation(language: str, missed: list[str]) -> None:
    assert [text for text in lines(f"questions/{language}_questions.txt") if not asked(text)] == missed


@pytest.mark.parametrize(
    ("language", "mistaken"),
    [
        ("ru", ["сравните сколько платите сейчас и сколько будет", "пришлю вам где мы стоим"]),
        ("en", ["what matters is the result"]),
    ],
)
def test_subordinate_clauses_are_no_questions(language: str, mistaken: list[str]) -> None:
    assert [text for text in lines(f"questions/{language}_statements.txt") if asked(text)] == mistaken


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("да понял хорошо а склад у вас где находится", [("wh", 7)]),
        ("понятно сколько у вас сотрудников и кто принимает решения", [("wh", 1), ("wh", 6)]),
        ("с кем вы сейчас работаете", [("wh", 1)]),
        ("ну вот отлично а по деньгам", [("wh", 3)]),
        ("расскажите как у вас построен отдел продаж", [("open", 0)]),
        ("это для склада верно", [("tag", 3)]),
        ("вам удобно в четверг", [("yes_no", 0)]),
        ("тёплый нужен", []),  # the words do not show a yes-no question
        ("i see and how many do you take in a day", [("wh", 3)]),
        ("ten is plenty what made you download it", [("open", 3)]),
        ("twelve pounds does that work for you", [("yes_no", 2)]),
        ("you pay by the month don't you", [("tag", 5)]),
        ("it costs what", [("wh", 2)]),
    ],
)
def test_where_a_question_begins_without_punctuation(text: str, found: list[tuple[str, int]]) -> None:
    assert [(question.type, question.word) for question in asked(text)] == found
    assert not any(question.marked for question in asked(text))


def test_questions_of_a_telephone_corpus_with_the_marks_taken_off() -> None:
    """Koziev's questions and statements: 225 of 500 questions have a question word that asks (labelled by hand)."""
    by_word = [bare(line) for line in lines("russian_questions/word_questions.txt")]
    statements = [bare(line) for line in lines("russian_questions/statements.txt")]
    found = sum(any(each.type in ("open", "wh", "rhetorical") for each in asked(text)) for text in by_word)
    mistaken = sum(bool(asked(text)) for text in statements)
    assert found / len(by_word) >= 0.85
    assert mistaken / len(statements) <= 0.015


@pytest.mark.parametrize(
    ("text", "questions_in_it"),
    [("Да? Да?", 2), ("Да? " * 40, 1), ("how many do you have " * 40, 1), ("Сколько? Сколько? Сколько? Когда?", 2)],
)
def test_a_recogniser_s_loop_asks_once(text: str, questions_in_it: int) -> None:
    assert len(asked(text)) == questions_in_it


# -- clarifying in its own words


@pytest.mark.parametrize(
    "text",
    [
        "Правильно понимаю, нужен тёплый склад?",
        "То есть вам важен срок?",
        "Что именно перевозите?",
        "Вы сказали, их пять?",
        "С каких пор так стало?",
        "You mean the small one?",
        "So you need it by Friday?",
        "When you say slow, how slow is it?",
        "Which one do you prefer?",
        "If I understand you, it's the price?",
    ],
)
def test_a_question_clarifies_by_its_own_words(text: str) -> None:
    assert [question.clarifying for question in asked(text)] == [True]


@pytest.mark.parametrize(
    "text", ["Сколько у вас сотрудников?", "Вам удобно в четверг?", "How many people are on the team?"]
)
def test_a_first_question_does_not(text: str) -> None:
    assert [question.clarifying for question in asked(text)] == [False]


# -- files of a user


def test_a_file_of_the_user_adds_cues() -> None:
    own = """
[questions.ru.lists]
requests_open = ["поведайте"]
tags = ["лады"]
[[questions.ru.asks]]
words = ["накой"]
type = "open"
[objection.price]
phrases = ["дорого"]
"""
    found = lexicon([File("own.toml", own)]).questions
    for text, kind in (("поведайте про отдел", "open"), ("Придёте, лады?", "tag"), ("накой вам скидка", "open")):
        assert [question.type for question in found.find(Words(text))] == [kind]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[questions.ru.lists]\ntag = ['да']", 'there is no list "tag"; did you mean tags?'),
        ("[questions.ru.lists]\ntags = ['?']", '"?" has no word'),
        ("[questions.ru.lists]\ntags = ['~не так']", '"~не так" is several words, and "~" stands for the forms of one'),
        ("[[questions.en.asks]]\nwords = ['how come']\ntype = 'open'", '"how come" is several words'),
        (
            "[[questions.en.asks]]\nwords = ['how']\ntype = 'yes_no'",
            'questions.en.asks[0].type: "yes_no" is none of open, wh',
        ),
        ("[questions.fr.lists]\ntags = ['non']", "questions.fr: unknown language; known: ru, en"),
        ("[questions.ru]\nlist = 1", "questions.ru.list: unknown key; did you mean lists?"),
        ("[questions", "own.toml: is no TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(LexiconError, match=re.escape(reason)):
        Lexicon.load([File("own.toml", text)])


# -- properties

RUSSIAN = (
    "а и ну что как когда сколько почему кто где чем у вас вам вы не знаю расскажите скажите есть ли или то там это да "
    "верно договорились потому так цена склад работаете нужен ещё объём"
)
ENGLISH = "and so what how do you is it that's why who don't right okay or tell me about [PII] 12 2.5 it's"
WORDS = st.sampled_from(f"{RUSSIAN} {ENGLISH}".split())
JOINTS = st.sampled_from([" ", " ", " ", ", ", "? ", ". ", "?! ", "… ", " — ", "?"])


@st.composite
def utterances(draw: st.DrawFn) -> str:
    return "".join(draw(WORDS) + draw(JOINTS) for _ in range(draw(st.integers(0, 14))))


def _sentences(text: str) -> Iterator[str]:
    for form in Words(text).forms:
        if form[0] in ".?!…":
            yield form


@given(st.one_of(st.text(max_size=80), utterances()))
@pytest.mark.fuzz
def test_questions_are_in_order_inside_the_utterance_and_no_more_than_there_are_words(text: str) -> None:
    words = Words(text)
    found = questions().find(words)
    places = [question.word for question in found]
    assert places == sorted(set(places))
    assert all(0 <= place < sum(map(is_word, words.forms)) for place in places)
    assert all(question.type in QUESTION_TYPES for question in found)
    assert not any(question.clarifying and question.type == "rhetorical" for question in found)
    assert sum(question.marked for question in found) <= sum("?" in mark for mark in _sentences(text))


@given(utterances())
def test_case_and_the_letter_yo_change_nothing(text: str) -> None:
    found = of_each(text)
    assert of_each(text.upper()) == found
    assert of_each(text.replace("ё", "е")) == found
