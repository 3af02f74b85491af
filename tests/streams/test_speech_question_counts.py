"""Questions of a call: clarifying ones in their context, counts, unknown counts, and their score."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.events import Capabilities, Role
from streams.settings.speech import Speech
from streams.speech.clarifying import clarifying
from streams.speech.marks import Question, QuestionType, UtteranceMarks
from streams.speech.question_counts import question_counts
from streams.speech.reading import Reader
from streams.speech.score_questions import NoQuestion, QuestionLabel, QuestionScore, empty_score, score_questions
from tests.lexicons import lexicon
from tests.streams.speech_cases import dialogues, utterance
from tests.streams.speech_questions import bare

Said = tuple[Role, str]
ENGLISH: list[Said] = [
    ("manager", "Good morning, Anna from Key Rentals. How many vans do you have?"),
    ("customer", "Four of them, and two stand in the yard all week, to be honest."),
    ("manager", "And what does that cost you?"),
    ("customer", "About nine hundred."),
    ("manager", "So you lose nine hundred a month?"),
    ("customer", "Yes."),
    ("manager", "Is Friday at ten good for you?"),
]


def read(said: list[Said], *, language: str | None = None) -> dict[str, UtteranceMarks]:
    reader = Reader(lexicon(), Speech())
    events = [utterance(str(at), role, at * 5_000, at * 5_000 + 4_000, text) for at, (role, text) in enumerate(said)]
    return {each.utterance: reader.read(msgspec.structs.replace(each, language=language)) for each in events}


def marks(role: Role, at: int, words: int, *types: QuestionType, **more: Any) -> UtteranceMarks:
    asked = tuple(Question(kind, clarifying=False, marked=True, word=0, at_ms=at) for kind in types)
    return UtteranceMarks(
        revision=0, final=True, role=role, stretches=((at, at + 900),), words=words, questions=asked, **more
    )


def test_marks_have_the_questions_with_their_moments() -> None:
    (found,) = read([("customer", "Добрый день. Сколько это стоит?")]).values()
    assert [(each.type, each.marked, each.word) for each in found.questions] == [("wh", True, 2)]
    assert found.questions[0].at_ms == 4_000 * 10 // 25, "by its letters"
    assert found.language == "ru"


def test_what_follows_up_a_longer_turn_clarifies() -> None:
    assert clarifying(read(ENGLISH), "manager") == {"0": (False,), "2": (True,), "4": (True,), "6": (False,)}


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ([marks("customer", 0, 12), marks("manager", 1, 5, "wh")], (True,)),
        ([marks("customer", 0, 7), marks("manager", 1, 5, "wh")], (False,)),  # nothing to follow up
        ([marks("customer", 0, 6), marks("customer", 1, 6), marks("manager", 2, 5, "wh")], (True,)),
        ([marks("customer", 0, 12), marks("manager", 1, 17, "wh")], (False,)),  # begins with a statement
        ([marks("customer", 0, 12), marks("manager", 1, 5, "rhetorical")], (False,)),
        ([marks("customer", 0, 12), marks("manager", 1, 2), marks("manager", 2, 5, "wh")], (True,)),
        ([marks("customer", 0, 12), marks("manager", 1, 9), marks("manager", 2, 5, "wh")], (False,)),
        (
            [marks("customer", 0, 12), marks("customer", 1, 1, back_channel=True), marks("manager", 2, 5, "wh")],
            (True,),
        ),
        ([marks("customer", 0, 12), marks("manager", 1, 9, "wh", "yes_no")], (True, True)),
        ([marks("customer", 0, 9, back_channel=True), marks("manager", 1, 5, "wh")], (False,)),
    ],
)
def test_a_follow_up_is_the_first_short_utterance_behind_a_longer_turn(
    call: list[UtteranceMarks], expected: tuple[bool, ...]
) -> None:
    numbered = {str(number): each for number, each in enumerate(call)}
    assert list(clarifying(numbered, "manager").values()) == [expected]
    backwards = dict(reversed(numbered.items()))
    assert clarifying(backwards, "manager") == clarifying(numbered, "manager")


def test_questions_are_counted_by_type_and_rhetorical_ones_are_not_asked() -> None:
    counts = question_counts(read([*ENGLISH, ("manager", "Who knows?")]), "manager")
    assert (counts.asked, counts.clarifying) == (4, 2)
    assert {kind: number for kind, number in counts.by_type.items() if number} == {
        "wh": 1,
        "open": 1,
        "declarative": 1,
        "yes_no": 1,
        "rhetorical": 1,
    }
    assert question_counts(read(ENGLISH), "customer").asked == 0


RUSSIAN: list[Said] = [
    ("manager", "здравствуйте сколько у вас машин"),
    ("customer", "пять"),
    ("manager", "все на ходу"),
]


def test_without_punctuation_the_number_of_russian_questions_is_unknown() -> None:
    counts = question_counts(read(RUSSIAN), "manager")
    assert (counts.asked, counts.clarifying) == (None, None)
    assert counts.by_type == {"open": 0, "wh": 1}


def test_a_mark_in_the_transcript_or_the_source_s_own_word_makes_it_known() -> None:
    ended = [*RUSSIAN, ("customer", "Да, все.")]
    assert question_counts(read(ended), "manager").asked == 1
    assert question_counts(read(RUSSIAN), "manager", Capabilities(punctuation=True)).asked == 1
    assert question_counts(read(ended), "manager", Capabilities(punctuation=False)).asked is None
    assert question_counts(read(RUSSIAN), "manager", Capabilities()).asked is None


@pytest.mark.parametrize(("language", "asked"), [("en-GB", 2), (None, 2), ("de", None)])
def test_english_questions_are_counted_by_the_order_of_words(language: str | None, asked: int | None) -> None:
    said: list[Said] = [("manager", "how many vans do you have"), ("manager", "does that work for you")]
    assert question_counts(read(said, language=language), "manager").asked == asked


# -- the labelled dialogues


def measured(half: int, language: str, *, without_marks: bool) -> QuestionScore:
    """Return the score of every other dialogue of a language."""
    score = empty_score()
    reader = Reader(lexicon(), Speech())
    of_language = [dialogue for dialogue in dialogues() if dialogue["language"] == language]
    for dialogue in of_language[half::2]:
        texts = {each["id"]: bare(each["text"]) if without_marks else each["text"] for each in dialogue["utterances"]}
        found = {
            each["id"]: reader.read(
                utterance(each["id"], each["role"], each["start_ms"], each["end_ms"], texts[each["id"]])
            )
            for each in dialogue["utterances"]
        }
        labels = msgspec.convert(dialogue["labels"]["questions"], list[QuestionLabel])
        denied = msgspec.convert(dialogue["labels"]["not_questions"], list[NoQuestion])
        score.add(score_questions(texts, labels, denied, found))
    return score


def both_halves(language: str, *, without_marks: bool) -> QuestionScore:
    score = measured(0, language, without_marks=without_marks)
    score.add(measured(1, language, without_marks=without_marks))
    return score


@pytest.mark.parametrize(
    ("language", "without_marks", "questions", "word_questions", "clarified", "typed"),
    [
        # of each: the least precision and recall
        ("ru", False, (0.98, 0.80), (0.90, 0.93), (0.60, 0.70), 0.88),
        ("ru", True, (0.94, 0.48), (0.86, 0.90), (0.55, 0.45), 0.86),
        ("en", False, (0.95, 0.90), (0.90, 0.90), (0.65, 0.90), 0.88),
        ("en", True, (0.93, 0.80), (0.90, 0.87), (0.62, 0.80), 0.86),
    ],
)
def test_questions_of_the_labelled_dialogues_are_found(
    language: str,
    without_marks: bool,
    questions: tuple[float, float],
    word_questions: tuple[float, float],
    clarified: tuple[float, float],
    typed: float,
) -> None:
    score = both_halves(language, without_marks=without_marks)
    for measure, (precision, recall) in (
        (score.questions, questions),
        (score.word_questions, word_questions),
        (score.clarifying, clarified),
    ):
        assert (measure.precision or 0) >= precision
        assert (measure.recall or 0) >= recall
    assert (score.typed.recall or 0) >= typed
    assert sum(measure.labelled for measure in score.by_type.values()) == score.questions.labelled == 99


# -- the score itself

LABEL = QuestionLabel(
    utterance="u", by="manager", type="wh", clarifying=True, quote="сколько их", marked=False, also=("open",)
)
TEXTS = {"u": "Да понял, сколько их?"}


def scored(*found: Question, labels: tuple[QuestionLabel, ...] = (LABEL,), denied: bool = False) -> QuestionScore:
    of_u = msgspec.structs.replace(marks("manager", 0, 4), questions=found)
    return score_questions(TEXTS, labels, (NoQuestion(utterance="u"),) if denied else (), {"u": of_u})


def question(kind: QuestionType, word: int, *, clarifies: bool = False, marked: bool = False) -> Question:
    return Question(kind, clarifying=clarifies, marked=marked, word=word, at_ms=0)


@pytest.mark.parametrize(
    ("found", "right", "false", "typed"),
    [
        ((), 0, 0, 0),
        ((question("wh", 2),), 1, 0, 1),
        ((question("open", 3),), 1, 0, 1),  # `also`
        ((question("yes_no", 2),), 1, 0, 0),
        ((question("wh", 0),), 0, 1, 0),  # outside the words that are labelled
        ((question("yes_no", 2), question("wh", 3)), 1, 1, 1),
        ((question("wh", 2), question("open", 3)), 1, 0, 1),  # one question in two parts
    ],
)
def test_a_question_is_right_inside_the_words_that_are_labelled(
    found: tuple[Question, ...], right: int, false: int, typed: int
) -> None:
    score = scored(*found)
    assert (score.questions.right, score.questions.found - right, score.typed.met) == (right, false, typed)
    assert (score.questions.labelled, score.by_type["wh"].labelled, score.by_type["wh"].met) == (1, 1, right)


def test_a_mark_in_no_list_may_be_either_and_one_that_is_denied_is_an_error() -> None:
    marked = question("yes_no", 0, marked=True)
    assert (scored(marked, labels=()).questions.found, scored(marked, labels=()).left_out) == (0, 1)
    assert (scored(marked, labels=(), denied=True).questions.found, scored(marked, denied=True).left_out) == (1, 0)


def test_clarifying_is_scored_for_the_manager_and_ratios_of_nothing_are_none() -> None:
    assert scored(question("wh", 2, clarifies=True)).clarifying.f1 == 1.0
    assert scored(question("wh", 2)).clarifying.recall == 0.0
    assert (empty_score().questions.precision, empty_score().questions.recall, empty_score().typed.f1) == (None,) * 3


# -- properties

CALLS = st.lists(
    st.tuples(
        st.sampled_from(["manager", "customer"]),
        st.integers(1, 30),
        st.lists(st.sampled_from(["open", "wh", "yes_no", "rhetorical"]), max_size=2),
        st.booleans(),
    ),
    max_size=8,
)


@given(CALLS, st.randoms(use_true_random=False))
def test_the_order_in_which_utterances_arrive_changes_nothing(call: list[Any], chance: Any) -> None:
    numbered = {
        str(at): marks(role, at * 1_000, words, *types, punctuated=punctuated)
        for at, (role, words, types, punctuated) in enumerate(call)
    }
    mixed = list(numbered.items())
    chance.shuffle(mixed)
    roles: tuple[Role, ...] = ("manager", "customer")
    for role in roles:
        counts = question_counts(numbered, role)
        assert question_counts(dict(mixed), role) == counts
        assert counts.asked is None or counts.clarifying is None or counts.clarifying <= counts.asked
