"""Contexts of phrases: the look-ups by word agree with the definition, which tries each context in turn."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.speech.contexts import Contexts, holds
from streams.speech.patterns import Notation

WORDS = ("due", "by", "the", "not", "for", "seven")
TOKENS = (*WORDS, "other", "12", ",", "—", ".", "?")
NOTATION = Notation({"when": ["by", "for"]})
TEXTS = (
    "not _",
    "due (the)? _",
    "due ... _",
    "_ ... due",
    "_ * due",
    "* not _",
    "... due|by _",
    "{when} ... _",
    "^ _",
    "_ $",
    "not _ due",
    "# ... _",
    "_ ... #",
    "not ... the _",
    "_ , due",
    "due ... _ ?",
)


@pytest.mark.parametrize(
    ("context", "text", "held"),
    [
        ("due ... _", "due in two X", True),
        ("due ... _", "due in two days X", False),
        ("due ... _", "due , in two X", True),
        ("due ... _", "due . in X", False),
        ("due ... _", "due X", True),
        ("due ... _", "X due", False),
        ("_ ... due", "X in two due", True),
        ("_ ... due", "X in . due", False),
    ],
)
def test_a_word_within_some_words_of_the_phrase(context: str, text: str, held: bool) -> None:
    forms = text.split()
    at = forms.index("X")
    assert Contexts(NOTATION.context(context, all_forms=False, gap=2)).hold(forms, at, at + 1) == held


@given(
    st.lists(st.sampled_from(TEXTS), min_size=1, max_size=4),
    st.integers(1, 4),
    st.lists(st.sampled_from(TOKENS), min_size=1, max_size=9),
    st.data(),
)
@example(["due ... _"], 2, ["due", ",", "the", "by", "other"], None)
def test_look_ups_agree_with_the_definition(
    texts: list[str], gap: int, forms: list[str], data: st.DataObject | None
) -> None:
    contexts = [one for text in texts for one in NOTATION.context(text, all_forms=False, gap=gap)]
    first = len(forms) - 1 if data is None else data.draw(st.integers(0, len(forms) - 1))
    end = first + 1 if data is None else data.draw(st.integers(first + 1, len(forms)))
    expected = any(holds(context, forms, first, end) for context in contexts)
    assert Contexts(contexts).hold(forms, first, end) == expected
