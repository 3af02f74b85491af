from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.events import Role
from streams.speech import candidates
from streams.speech.forms import forms_of, one_letter_apart, without_neighbour
from streams.speech.groups import LexiconError
from streams.speech.lexicon import File, Lexicon, Match
from streams.speech.words import Words
from tests.lexicons import lexicon as shipped_lexicon


def lexicon(*texts: str, shipped: int = 1) -> Lexicon:
    return Lexicon.load(File(f"file{number}.toml", text, shipped=number < shipped) for number, text in enumerate(texts))


def found(of: Lexicon, text: str, side: Role = "customer", start_ms: int | None = None) -> list[str]:
    words = Words(text)
    return [f"{match.group}: {said(words, match)}" for match in of.find(words, side, start_ms)]


def said(words: Words, match: Match) -> str:
    return words.text[words.places[match.first].start : words.places[match.end - 1].end]


BASE = """
[sets]
day = "понедельник|вторник|~среда|monday"
send = ["~отправить", "~прислать"]

[filler."как бы"]
phrases = ["как бы"]
never = ["как бы не", "как бы то ни было"]

[objection.price]
side = "customer"
forms = "all"
phrases = ["дорогой", "=дорого", "слишком =дорого", "выше бюджета", "too expensive"]
unless = ["не (так|очень)? _", "_ иван"]

[objection.competitor]
side = "customer"
phrases = ["дорого у конкурентов"]

[promise.send]
side = "manager"
phrases = ["{send} (вам)? ... ~предложение", "send|email you"]
gap = 2

[next_step.named]
phrases = ["в|во {day}", "# числа", "on {day}"]

[filler.like]
phrases = ["like"]
when = [", _ ,", "^ _", "it's _ #"]

[stage.introduction]
side = "manager"
within = "start"
span = "30s"
phrases = ["меня зовут"]
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Это, как бы, да", ["как бы: как бы"]),
        ("Это, КАК, бы", ["как бы: КАК, бы"]),
        ("как. Бы", []),
        ("как бы не забыть", []),
        ("как был", []),
        ("это дорого", ["price: дорого"]),
        ("это слишком дорого", ["price: слишком дорого"]),
        ("это не дорого, это не так, дорого", []),
        ("дорогой Иван, вы дороги", ["price: дороги"]),
        ("дорого у конкурентов", ["competitor: дорого у конкурентов"]),
        ("вторник, во вторник и в среду 15-го числа", ["named: во вторник", "named: в среду", "named: 15-го числа"]),
        ("on Monday", ["named: on Monday"]),
        ("it's, like, big. Like this. I like it, it's like 10 boxes", ["like: like", "like: Like", "like: like"]),
        ("вышлю вам", []),
    ],
)
def test_phrases_are_found_where_they_count(text: str, expected: list[str]) -> None:
    assert found(lexicon(BASE), text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Я пришлю предложение", ["send: пришлю предложение"]),
        ("отправлю вам сегодня наше предложение", ["send: отправлю вам сегодня наше предложение"]),
        ("отправлю вам сегодня же предложение", ["send: отправлю вам сегодня же предложение"]),
        ("отправлю вам завтра утром наше новое предложение", []),
        ("отправлю. Предложение", []),
        ("это дорого", []),
        ("I'll email you", ["send: email you"]),
    ],
)
def test_a_group_has_a_side_and_a_gap(text: str, expected: list[str]) -> None:
    # "вам" may be left out, or be one of the words in the gap.
    assert [one for one in found(lexicon(BASE), text, "manager") if one.startswith(("send", "price"))] == expected


def test_what_belongs_to_the_start_of_a_call_counts_there_only() -> None:
    base = lexicon(BASE)
    assert found(base, "меня зовут Анна", "manager", 10_000) == ["introduction: меня зовут"]
    assert found(base, "меня зовут Анна", "manager", 31_000) == []


@pytest.mark.parametrize(
    ("repeats", "between", "hits"), [(1, "", 1), (2, "", 2), (3, "", 1), (20, " вот и", 1), (20, ",", 1)]
)
def test_a_loop_of_the_recogniser_counts_once(repeats: int, between: str, hits: int) -> None:
    text = f"{between} ".join(["как бы"] * repeats)
    assert len(found(lexicon(BASE), text)) == hits


def test_what_is_said_again_in_other_words_is_no_loop() -> None:
    assert len(found(lexicon(BASE), "как бы да, как бы нет, как бы вот, как бы и всё")) == 4


SLIPS = """
[objection.authority]
forms = "all"
phrases = ["надо посоветоваться", "~дорого стоит", "our supplier", "срочная доставка"]
"""


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        ("надо посоветоваться", 1),
        ("надо посаветоваться", 1),
        ("надо посоветоватся", 1),
        ("надо посовветоваться", 1),
        ("надо пособетаваться", 0),
        ("our suplier", 1),
        ("our supplied", 0),
        ("посаветоваться", 0),
        ("срочная доставка", 1),
        ("срочная даставка", 0),
    ],
)
def test_one_slip_is_tolerated_in_a_long_word_of_a_phrase(text: str, hits: int) -> None:
    assert len(found(lexicon(SLIPS), text)) == hits


@pytest.mark.parametrize(("word", "tolerated"), [("посоветоваться", True), ("дорого", False), ("доставка", False)])
def test_a_word_with_a_neighbour_is_not_tolerated(word: str, tolerated: bool) -> None:
    assert without_neighbour(word) == tolerated


@pytest.mark.parametrize(
    ("heard", "word", "apart"),
    [
        ("suplier", "supplier", True),
        ("supplier", "supplier", False),
        ("suppliers", "supplier", False),
        ("expansive", "expensive", True),
        ("sxpplixr", "supplier", False),
    ],
)
def test_words_one_letter_apart(heard: str, word: str, apart: bool) -> None:
    assert one_letter_apart(heard, word) == apart
    assert one_letter_apart(word, heard) == apart


@pytest.mark.parametrize(
    ("word", "forms", "strangers"),
    [
        ("прислать", {"пришлю", "пришлете", "прислал"}, {"присылать"}),
        ("какой", {"какая", "каких"}, {"как"}),
        ("send", {"sends", "sent", "sending"}, {"sender"}),
        ("try", {"tries", "tried", "trying"}, {"trial"}),
        ("price", {"prices", "priced", "pricing"}, {"pricey"}),
    ],
)
def test_forms_are_those_of_one_word(word: str, forms: set[str], strangers: set[str]) -> None:
    assert forms <= forms_of(word)
    assert strangers.isdisjoint(forms_of(word))


NOTATION = """
[cue.a]
phrases = ["(one|two three)? four", "five (six seven|eight)", "nine * ten"]
[cue.asked]
phrases = ["again"]
when = ["_ ?"]
[cue.last]
phrases = ["over"]
when = ["_ $"]
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("four", ["a: four"]),
        ("one four", ["a: one four"]),
        ("two three four", ["a: two three four"]),
        ("five", []),
        ("five six seven", ["a: five six seven"]),
        ("five eight", ["a: five eight"]),
        ("nine or ten", ["a: nine or ten"]),
        ("nine ten", []),
        ("again and so on? again.", ["asked: again"]),
        ("over there. over, over", ["last: over"]),
    ],
)
def test_the_notation_of_phrases(text: str, expected: list[str]) -> None:
    assert found(lexicon(NOTATION), text) == expected


# -- further files


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ('[objection.price]\nadd = ["кусается"]', "цена кусается, дорого", ["price: кусается", "price: дорого"]),
        ('[objection.price]\nremove = ["выше бюджета"]', "выше бюджета, дорого", ["price: дорого"]),
        ('[objection.price]\nphrases = ["кусается"]', "цена кусается, дорого", ["price: кусается"]),
        ("[objection.price]\nenabled = false", "это дорого", []),
        ('[promise.gift]\nphrases = ["подарок"]', "подарок", ["gift: подарок"]),
        ('[sets]\nday = "четверг"', "в четверг, в среду", ["named: в четверг"]),
    ],
)
def test_further_files_change_the_shipped_ones(file: str, text: str, expected: list[str]) -> None:
    assert found(lexicon(BASE, file), text) == expected


def test_an_added_phrase_belongs_to_the_side_of_its_group() -> None:
    more = lexicon(BASE, '[objection.price]\nadd = ["кусается"]')
    assert found(more, "кусается", "manager") == []


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("a = ", "file1.toml: is no TOML"),
        ("[objecton.price]\nadd = ['x']", "file1.toml: objecton: unknown table; did you mean objection?"),
        ("[objection.price]\nphrase = ['x']", "file1.toml: objection.price.phrase: unknown key; did you mean phrases?"),
        ("[objection.price]\nadd = ['x{dey}']", 'file1.toml: objection.price.add[0]: "x{dey}" is no word'),
        (
            "[objection.price]\nadd = ['дорого {dayy}']",
            "file1.toml: objection.price.add[0]: there is no set {dayy}; did you mean day?",
        ),
        ("[objection.price]\nadd = ['']", "file1.toml: objection.price.add[0]: must have at least 1 characters"),
        ("[objection.price]\nadd = ['…']", 'file1.toml: objection.price.add[0]: "…" is no word'),
        ("[objection.price]\nadd = ['(a)? ...']", 'objection.price.add[0]: "(a)? ..." has no word that must be said'),
        (
            "[objection.price]\nadd = ['x']\nunless = ['(a)? _']",
            '"(a)? _" has a side on which every word may be left out',
        ),
        ("[objection.price]\nadd = ['(a b']", '"(a" has no closing bracket'),
        (
            "[filler.x]\nphrases = ['" + " ".join(["(a b|c d|e f|g h|i j)"] * 4) + "']",
            "can be said in more than 400 ways",
        ),
        ("[objection.price]\nadd = ['a|b-c d']", '"b-c" is several words, and one of several may only be one word'),
        (
            "[objection.price]\nremove = ['дораго']",
            'file1.toml: objection.price.remove[0]: there is no phrase "дораго" in this group; did you mean дорогой?',
        ),
        ("[objection.new]\nside = 'both'", "file1.toml: objection.new.phrases: is missing"),
        ("[objection.price]\nadd = ['x']\nside = 'both sides'", "is none of manager, customer, both"),
        ("[objection.price]\nadd = ['x']\nunless = ['не']", 'unless[0]: "не" must have one "_"'),
        ("[objection.price]\nadd = ['x']\nwhen = ['_']", '"_" asks for nothing around the phrase'),
        ("[objection.price]\nadd = ['x']\nspan = '10'", "objection.price.span: 10 has no unit"),
        ("objection = 3", "file1.toml: objection: a table of groups was expected, not a whole number"),
        ("[sets]\nday = 3", "file1.toml: sets.day: words were expected"),
        ("[sets]\na = '{b}'\nb = '{a}'\n[filler.x]\nphrases = ['{a}']", "contains itself"),
        ("[back_channels]\nwords = 3", "file1.toml: back_channels.words: an array was expected"),
        ("[filler.x]\nphrases = ['" + "a " * 17 + "']", "has 17 places, and 16 are allowed"),
    ],
)
def test_a_wrong_file_is_refused_with_its_key_and_the_reason(file: str, problem: str) -> None:
    with pytest.raises(LexiconError) as refused:
        lexicon(BASE, file)
    assert problem in str(refused.value)


def test_everything_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(LexiconError) as refused:
        lexicon("[filler.a]\nphrases = ['#)', 'a', '=']", "[filler]\nb = 1", "x = 1")
    assert len(refused.value.problems) == 4


def test_the_version_is_that_of_the_content() -> None:
    assert lexicon(BASE).version == lexicon(BASE).version
    others = [BASE + " ", BASE.replace("как бы не", "как бы и")]
    assert len({lexicon(text).version for text in (BASE, *others)}) == 3


# -- properties

WORDS = ["как", "бы", "не", "то", "есть", "дорого", "x", ",", "."]
PHRASES = st.lists(st.lists(st.sampled_from(WORDS[:7]), min_size=1, max_size=4).map(" ".join), min_size=1, max_size=6)
TALK = st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join)


@given(PHRASES, TALK)
def test_what_is_found_is_what_a_plain_search_finds(phrases: list[str], text: str) -> None:
    listed = ", ".join(f'"{phrase}"' for phrase in dict.fromkeys(phrases))
    of = lexicon(f"[cue.a]\nphrases = [{listed}]")
    words = Words(text)
    matches = of.find(words, "manager")
    tokens = [(at, form) for at, form in enumerate(words.forms) if form != ","]
    every = set()
    for phrase in phrases:
        parts = phrase.split()
        for at in range(len(tokens) - len(parts) + 1):
            window = tokens[at : at + len(parts)]
            if [form for _, form in window] == parts:
                every.add((window[0][0], window[-1][0] + 1))
    spans = [(match.first, match.end) for match in matches]
    assert set(spans) <= every
    assert all(one[1] <= other[0] for one, other in pairwise(spans)), "two hits of one kind overlap"
    looped = len(every) >= 3
    for first, end in every - set(spans):
        rivals = [span for span in spans if span[0] < end and first < span[1]]
        assert looped or any(span[1] - span[0] >= end - first for span in rivals), "a longer phrase was passed over"


@given(TALK)
def test_reading_again_finds_the_same(text: str) -> None:
    of = lexicon(BASE)
    assert of.find(Words(text), "customer") == of.find(Words(text), "customer")


SIDES: tuple[Role, ...] = ("manager", "customer")


def test_few_candidates_are_sorted_as_many_are(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [" ".join(["you know, как бы, it's too expensive, дорого, kind of"] * times) for times in range(1, 6)]
    texts += ["на самом деле это дорого, мы подумаем, перезвоните в четверг в десять, а сколько это стоит, как бы"]
    of = shipped_lexicon()
    by_few: dict[int, list[list[Match]]] = {}
    for few in (0, 1_000):
        monkeypatch.setattr(candidates, "FEW", few)
        by_few[few] = [of.find(Words(text), side, 0) for text in texts for side in SIDES]
    assert by_few[0] == by_few[1_000]
    assert max(map(len, by_few[0])) > 5
