from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.speech.words import _MOST_KEPT, _PIECES, Words, _lowered, _Pieces, _scan, count_of, is_word, normal

LETTERS = "авёеЁЙйaсcXyZ 0123456789-'’.,?!—[]<>\u0301\u0306\u0308İßﬁ_"
TEXTS = st.text(st.sampled_from(LETTERS), max_size=60) | st.text(max_size=60)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ещё раз: ВСЁ", ["еще", "раз", "все"]),
        ("е\u0308лка и и\u0306од", ["елка", "и", "йод"]),
        ("ё\u0308\u0308лка е\u0308\u0306 Е\u0306\u0308", ["елка", "ӗ", "ӗ"]),
        ("\u1112\u1161\u11ab cafe\u0301", ["한", "café"]),
        ("На самом-то деле", ["на", "самом", "деле"]),
        ("скажите-ка, что-то, как-нибудь", ["скажите", "что-то", "как-нибудь"]),
        ("кто\u2011то, кое-что, по-моему, во-первых", ["кто-то", "кое-что", "по-моему", "во-первых"]),
        ("follow-up on e-mail", ["follow", "up", "on", "e", "mail"]),
        ("что-то-то", ["что-то"]),
        ("Don’t, it's d'accord", ["don't", "it's", "d'accord"]),
        ("15-го, 15го, 5th, 10:30, 1,5 и 10.5", ["15", "15", "5", "10:30", "1,5", "и", "10.5"]),
        ("3d 8am 100к", ["3", "d", "8", "am", "100", "к"]),
        ("цeна и co", ["цена", "и", "co"]),
        ("IP-телефония", ["ip", "телефония"]),
        ("мой номер [PII] [PHONE_NUMBER-1] [noise] <unk> да", ["мой", "номер", "[pii]", "[pii]", "да"]),
        ("[PHONE NUMBER_2] [A-B-] [UNIT 7 B] [A--B] [-A] [A1B] []", ["[pii]"] * 2),
        ("", []),
        ("... — !", []),
    ],
)
def test_words_have_a_normal_form(text: str, words: list[str]) -> None:
    assert normal(text) == words


@pytest.mark.timeout(20)
@pytest.mark.parametrize("inside", ["INDISTINCT BACKGROUND CONVERSATION.", "A" * 9_000 + "!", "A " * 9_000 + "!"])
def test_the_time_for_a_text_in_brackets_grows_with_its_length_and_no_faster(inside: str) -> None:
    # A few steps more for each letter are no time at all; twice the steps for each would never end.
    assert normal(f"[{inside}]") == []


def test_marks_are_tokens_that_are_no_words() -> None:
    words = Words("Ну, вот... Да?!")
    assert words.forms == ["ну", ",", "вот", "...", "да", "?!"]
    assert words.count() == 3
    assert words.words_before(4) == 2
    assert words.punctuated()
    assert not Words("ну, вот").punctuated()


@pytest.mark.parametrize("text", ["Самом-то деле 15-го", "Ну вот, всё.", "don’t [PII], e-mail"])
def test_a_token_knows_where_it_stands(text: str) -> None:
    words = Words(text)
    covered = [text[place.start : place.end] for place in words.places]
    assert "".join(covered).replace("-", "") == text.replace(" ", "").replace("-", "")


@pytest.mark.fuzz
@given(TEXTS)
def test_places_are_in_order_inside_the_text_and_one_a_token(text: str) -> None:
    words = Words(text)
    assert len(words.places) == len(words.forms)
    before = 0
    for place, form in zip(words.places, words.forms, strict=True):
        assert before <= place.start < place.end <= len(text)
        assert form
        before = place.end


@pytest.mark.fuzz
@example("Ё\u0308\u0306")
@example("\u0958 \u0958\u0301")
@given(TEXTS)
def test_the_normal_form_of_words_is_their_normal_form(text: str) -> None:
    once = normal(text)
    assert normal(" ".join(form.upper() if form == "[pii]" else form for form in once)) == once


@pytest.mark.fuzz
@given(TEXTS)
def test_the_fast_way_finds_what_the_slow_way_finds(text: str) -> None:
    # A hyphen with nothing to join makes the text one for the slow way, and is a mark.
    fast, slow = Words(text), Words(text + " -")
    assert [form for form in fast.forms if is_word(form)] == [form for form in slow.forms if is_word(form)]
    assert [*fast.forms, "-"] == slow.forms or text.rstrip() != text or text.endswith("<") or "[" in text or "<" in text


@given(TEXTS)
def test_words_are_the_same_however_a_text_is_read(text: str) -> None:
    words = Words(text)
    assert len(words.places) == len(words.forms)
    spoken = [token.spoken for token in words.tokens]
    assert [token.form for token in words.tokens] == words.forms
    assert spoken == [is_word(form) for form in words.forms]
    assert words.count() == sum(spoken) == count_of(text)
    if "İ" not in text and "[" not in text and "<" not in text:
        assert words.forms == [form for form, _ in _scan(text, _lowered(text))]


def test_what_may_be_part_of_a_telephone_number_is_not_kept() -> None:
    Words("звоните 8-912-000-11-22 или 555")
    assert "звоните" in _PIECES.known
    assert [piece for piece in _PIECES.known if any(map(str.isdecimal, piece))] == []


def test_no_more_pieces_are_kept_than_there_is_room_for() -> None:
    pieces = _Pieces()
    for number in range(_MOST_KEPT + 10):
        pieces.of("".join(chr(ord("a") + int(digit)) for digit in str(number)))
    assert len(pieces.known) == 10
