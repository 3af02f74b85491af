from __future__ import annotations

import random

import pytest

from streams.contract.events import Role
from streams.speech.conversation import Conversation, conversation
from streams.speech.marks import Hit, HitKind, Question, UtteranceMarks

Said = tuple[str, str]
"""Side, and groups: "m", "stage.presentation objection.price ?wh". A customer without any says two words."""


def call(*talk: Said) -> dict[str, UtteranceMarks]:
    """Return marks of a talk in which each utterance takes three seconds."""
    return {f"u{number:02}": marks(side, groups, number * 3_000) for number, (side, groups) in enumerate(talk)}


def marks(side: str, groups: str, start_ms: int) -> UtteranceMarks:
    role: Role = "manager" if side == "m" else "customer"
    hits: list[Hit] = []
    questions: list[Question] = []
    words = 5 if groups or side == "m" else 2
    for at, name in enumerate(groups.split()):
        if name.startswith("?"):
            questions.append(Question("wh", clarifying=False, marked=True, word=0, at_ms=start_ms))
        elif name.startswith("words="):
            words = int(name.removeprefix("words="))
        else:
            kind, _, group = name.partition(".")
            hits.append(Hit(_kind(kind), group, "phrase", at, start_ms + at))
    return UtteranceMarks(
        revision=0,
        final=True,
        role=role,
        stretches=((start_ms, start_ms + 2_500),),
        words=words,
        hits=tuple(hits),
        questions=tuple(questions),
    )


def _kind(kind: str) -> HitKind:
    kinds: dict[str, HitKind] = {
        "stage": "stage",
        "objection": "objection",
        "reaction": "reaction",
        "promise": "promise",
        "next": "next_step",
        "cue": "cue",
        "answer": "answer",
    }
    return kinds[kind]


def stages(of: Conversation) -> list[str]:
    return [f"{one.utterance} {one.stage}{' back' if one.back else ''}" for one in of.stages]


def test_stages_are_in_order_and_may_come_back() -> None:
    heard = conversation(
        call(
            ("m", "stage.introduction"),
            ("c", ""),
            ("m", "stage.need_discovery ?"),
            ("c", ""),
            ("m", "stage.pain ?"),
            ("c", ""),
            ("m", "stage.presentation"),
            ("c", "objection.price"),
            ("m", "reaction.acknowledge"),
            ("c", ""),
            ("m", "stage.presentation"),
            ("m", "stage.proposal"),
        )
    )
    assert stages(heard) == [
        "u00 introduction",
        "u02 need_discovery",
        "u04 pain",
        "u06 presentation",
        "u07 objection",
        "u10 presentation back",
        "u11 proposal",
    ]


def test_questions_about_a_problem_do_not_leave_it() -> None:
    heard = conversation(
        call(("m", ""), ("c", ""), ("m", "stage.pain ?"), ("c", ""), ("m", "stage.need_discovery ?"), ("c", ""))
    )
    assert stages(heard) == ["u00 introduction", "u02 pain"]


@pytest.mark.parametrize(
    ("groups", "stage"), [("?", "need_discovery"), ("words=20", "presentation"), ("words=20 ?", "need_discovery")]
)
def test_a_manager_without_a_phrase_of_a_stage_asks_or_tells(groups: str, stage: str) -> None:
    heard = conversation(call(("m", "stage.introduction"), ("c", ""), ("m", groups)))
    assert stages(heard) == ["u00 introduction", f"u02 {stage}"]


@pytest.mark.parametrize(("answer", "stage"), [("words=20", ["u03 presentation"]), ("words=20 reaction.option", [])])
def test_an_objection_that_is_ignored_is_left_by_telling(answer: str, stage: list[str]) -> None:
    heard = conversation(call(("m", ""), ("c", ""), ("c", "objection.price"), ("m", answer)))
    assert stages(heard) == ["u00 introduction", "u02 objection", *stage]


@pytest.mark.parametrize(
    ("answer", "reaction", "adequate"),
    [
        ("reaction.acknowledge", "u03", True),
        ("reaction.ask_back", "u03", True),
        ("?", "u03", True),
        ("reaction.pressure reaction.argument", "u03", False),
        ("stage.presentation", None, None),
        ("", None, None),
    ],
)
def test_an_objection_has_the_reaction_of_the_manager(answer: str, reaction: str | None, adequate: bool | None) -> None:
    heard = conversation(call(("m", ""), ("c", ""), ("c", "objection.price objection.need"), ("m", answer), ("c", "")))
    (one,) = heard.objections
    assert (one.kind, one.also, one.utterance) == ("price", ("need",), "u02")
    assert (one.reaction, one.adequate) == (reaction, adequate)


@pytest.mark.parametrize(
    ("answer", "objections"),
    [
        ("objection.need", 0),
        ("objection.need cue.contrast", 1),
        ("objection.price", 0),
        ("objection.price cue.contrast", 0),
        ("answer.content", 1),
        ("objection.trust", 1),
    ],
)
def test_an_answer_about_the_situation_is_no_objection(answer: str, objections: int) -> None:
    talk = call(("m", ""), ("c", ""), ("m", "stage.need_discovery ?"), ("c", answer), ("m", ""))
    assert len(conversation(talk).objections) == objections


def test_a_last_refusal_and_the_words_of_a_manager_are_no_objections() -> None:
    assert conversation(call(("m", ""), ("m", "objection.price"), ("c", "objection.need cue.refusal"))).objections == ()


@pytest.mark.parametrize(
    ("last", "step"),
    [
        ((("m", "next.named cue.offer"), ("c", "cue.agreement")), ("u04", True)),
        ((("m", "cue.offer"), ("c", "next.named cue.agreement")), ("u05", True)),
        ((("m", "next.named cue.offer"), ("c", "objection.timing")), None),
        ((("m", "next.named cue.offer"), ("c", "cue.refusal")), None),
        ((("c", "cue.customer_offer"), ("m", "")), ("u04", False)),
        ((("c", "next.vague_time"), ("m", "promise.call")), ("u04", False)),
        ((("m", "cue.offer"), ("c", "next.vague_time")), ("u05", False)),
        ((("c", "next.vague_time"), ("m", "")), None),
        ((("m", "cue.left_open"), ("c", "cue.refusal")), None),
        ((("c", "next.named"), ("m", "next.named cue.offer ?")), None),
        ((("m", "cue.left_open"), ("c", "")), ("u04", False)),
        ((("m", "next.named"), ("c", "cue.agreement")), None),
        ((("m", ""), ("c", "")), None),
    ],
)
def test_a_next_step_is_agreed_with_a_time_or_vague(last: tuple[Said, Said], step: tuple[str, bool] | None) -> None:
    heard = conversation(call(("m", ""), ("c", ""), ("m", ""), ("c", ""), *last)).next_step
    assert (None if heard is None else (heard.utterance, heard.agreed)) == step


def test_what_is_named_early_is_no_next_step() -> None:
    talk = call(("m", "next.named cue.offer"), ("c", "cue.agreement"), *[("m", ""), ("c", "")] * 3)
    assert conversation(talk).next_step is None


def test_the_order_of_arrival_does_not_matter() -> None:
    talk = call(
        ("m", "stage.introduction"),
        ("c", ""),
        ("m", "stage.need_discovery ?"),
        ("c", "objection.price"),
        ("m", "reaction.option"),
        ("m", "next.named cue.offer"),
        ("c", "cue.agreement"),
    )
    names = list(talk)
    for seed in range(20):
        random.Random(seed).shuffle(names)
        assert conversation({name: talk[name] for name in names}) == conversation(talk)


def test_nothing_is_heard_in_nothing() -> None:
    assert conversation({}) == Conversation()


@pytest.mark.parametrize(
    ("question", "answer", "objections"),
    [
        ("?", "objection.trust", 1),
        ("?", "objection.trust cue.contrast", 2),
        ("? next.appointment", "objection.trust", 2),
        ("?", "answer.content", 2),
        ("", "objection.trust", 2),
        ("? cue.opinion", "objection.trust", 2),
    ],
)
def test_an_answer_about_an_objection_is_no_further_one(question: str, answer: str, objections: int) -> None:
    opening = (("m", ""), ("c", ""), ("m", "stage.presentation"), ("c", "objection.need"))
    heard = conversation(call(*opening, ("m", question), ("c", answer), ("m", ""), ("c", "words=9"), ("m", "")))
    assert len(heard.objections) == objections


@pytest.mark.parametrize(
    ("answer", "kinds"),
    [
        ("words=6", []),
        ("words=6 answer.resists", ["need"]),
        ("words=6 answer.timing", ["timing"]),
        ("words=6 answer.timing answer.assent", []),
        ("words=6 answer.timing ?", []),
    ],
)
def test_an_opinion_that_was_asked_for_may_be_an_objection(answer: str, kinds: list[str]) -> None:
    heard = conversation(call(("m", ""), ("c", ""), ("m", "cue.opinion ?"), ("c", answer), ("m", ""), ("c", "words=9")))
    assert [one.kind for one in heard.objections] == kinds


@pytest.mark.parametrize(
    ("answer", "kinds"),
    [
        ("cue.declines words=2", ["timing"]),
        ("cue.declines answer.but answer.assent", []),
        ("answer.timing", ["timing"]),
        ("answer.timing answer.but", []),
        ("answer.price", []),
        ("words=9", []),
    ],
)
def test_no_time_for_the_call_is_an_objection(answer: str, kinds: list[str]) -> None:
    talk = call(("m", "stage.introduction cue.permission ?"), ("c", answer), ("m", ""), ("c", "words=9"), ("m", ""))
    assert [one.kind for one in conversation(talk).objections] == kinds


@pytest.mark.parametrize(
    ("question", "begun"),
    [
        ("?", ["u02 objection", "u04 need_discovery"]),
        ("", ["u02 objection"]),
    ],
)
def test_the_first_open_question_after_an_early_objection_is_need_discovery(question: str, begun: list[str]) -> None:
    talk = call(
        ("m", ""), ("c", ""), ("c", "objection.timing"), ("m", ""), ("m", question), ("c", "words=9"), ("m", "")
    )
    assert stages(conversation(talk))[1:] == begun


ASKED = "stage.need_discovery ?"
OPENING: tuple[Said, ...] = (("m", ""), ("c", ""), ("m", "stage.presentation stage.proposal cue.sum"))


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("cue.sum", []),
        ("cue.sum answer.resists", ["price"]),
        ("cue.sum answer.price words=2", ["price"]),
        ("cue.sum ?", []),
        ("cue.sum answer.assent", []),
        ("words=5", []),
        ("words=5 answer.resists", ["price"]),
        ("words=2 answer.resists", []),
        ("words=2 answer.exclaims", ["price"]),
        ("words=2 answer.exclaims answer.assent", []),
        ("answer.authority", ["authority"]),
        ("answer.assent", []),
        ("answer.assent answer.but", ["price"]),
        ("answer.settled answer.but", []),
        ("stage.pain answer.resists", ["price"]),
        ("stage.proposal", []),
        ("cue.refusal", []),
        ("cue.refusal answer.competitor", ["competitor"]),
        ("objection.need answer.trust", ["trust"]),
    ],
)
def test_what_is_set_against_a_price_is_an_objection(answer: str, kind: list[str]) -> None:
    talk = call(*OPENING, ("c", answer), ("m", ""), ("c", ""), ("m", "?"), ("c", "words=9"))
    heard = conversation(talk)
    assert [one.kind for one in heard.objections] == kind


@pytest.mark.parametrize(
    ("answer", "kinds"),
    [
        ("words=5", []),
        ("words=5 answer.resists", ["need"]),
        ("words=2 answer.resists", []),
        ("answer.timing", ["timing"]),
        ("answer.price answer.trust", ["price"]),
        ("stage.pain", []),
        ("stage.pain answer.price", []),
        ("stage.pain answer.trust", ["trust"]),
        ("answer.exclaims words=2", []),
        ("?", []),
        ("answer.price ?", []),
        ("answer.trust ?", ["trust"]),
        ("answer.trust ? cue.agreement", []),
    ],
)
def test_what_is_set_against_the_product_is_an_objection(answer: str, kinds: list[str]) -> None:
    heard = conversation(call(OPENED, ("c", ""), ("m", "stage.presentation"), ("c", answer), ("m", ""), ("c", "")))
    assert [one.kind for one in heard.objections] == kinds


@pytest.mark.parametrize(
    ("offer", "answer", "kinds"),
    [
        ("stage.proposal ?", "answer.authority cue.contrast", ["authority"]),
        ("stage.proposal ?", "answer.authority", []),
        ("stage.presentation ?", "answer.authority cue.contrast", []),
        ("stage.proposal ?", "answer.exclaims words=1", ["price"]),
        ("cue.sum ?", "answer.exclaims words=1", []),
    ],
)
def test_after_an_offer_that_asks_an_objection_needs_a_word_against_it(
    offer: str, answer: str, kinds: list[str]
) -> None:
    opening = (OPENED, ("c", ""), ("m", "stage.presentation stage.proposal"), ("c", "answer.assent"))
    heard = conversation(call(*opening, ("m", offer), ("c", answer), ("m", ""), ("c", "")))
    assert [one.kind for one in heard.objections] == kinds


@pytest.mark.parametrize(
    ("first", "second", "kinds"),
    [
        ("words=2", "answer.competitor", ["competitor"]),
        ("words=5 answer.assent", "answer.competitor", []),
        ("words=2", "answer.assent", []),
    ],
)
def test_a_customer_who_says_a_word_and_then_more_still_answers(first: str, second: str, kinds: list[str]) -> None:
    told = (OPENED, ("c", ""), ("m", "stage.presentation"))
    heard = conversation(call(*told, ("c", first), ("c", second), ("m", ""), ("c", "")))
    assert [one.kind for one in heard.objections] == kinds


@pytest.mark.parametrize(
    ("manager", "answer", "kinds"),
    [
        ("words=9", "answer.authority cue.contrast", ["price", "authority"]),
        ("words=9", "answer.authority", ["price"]),
        ("words=9", "words=5", ["price"]),
        ("words=9", "answer.authority cue.contrast words=3", ["price"]),
        ("words=4", "answer.authority cue.contrast", ["price"]),
    ],
)
def test_against_an_answer_to_an_objection_only_what_is_about_something_is_another(
    manager: str, answer: str, kinds: list[str]
) -> None:
    first = (*OPENING, ("c", "objection.price"), ("m", f"{manager} reaction.option"))
    heard = conversation(call(*first, ("c", answer), ("m", ""), ("c", "")))
    assert [one.kind for one in heard.objections] == kinds


@pytest.mark.parametrize(("opening", "number"), [("cue.small_talk", 6), ("", 2)])
def test_small_talk_begins_no_stage_until_the_manager_comes_to_business(opening: str, number: int) -> None:
    talk = call(OPENED, ("c", ""), ("m", f"{opening} ?"), ("c", ""), ("m", "words=12"), ("c", ""), ("m", ASKED))
    assert stages(conversation(talk))[1].startswith(f"u{number:02} ")


def test_a_manager_who_answers_an_objection_to_the_price_does_not_present() -> None:
    priced = call(*OPENING, ("c", "objection.price"), ("m", "words=12"), ("c", ""))
    told = call(*OPENING[:2], ("m", "stage.presentation"), ("c", "objection.need"), ("m", "words=12"), ("c", ""))
    assert stages(conversation(priced))[-1] == "u03 objection"
    assert stages(conversation(told))[-1] == "u04 presentation back"


@pytest.mark.parametrize(
    ("answer", "kinds"),
    [
        ("cue.sum answer.price words=6 ?", ["price"]),
        ("cue.sum answer.price words=4 ?", []),
        ("cue.sum ?", []),
        ("answer.price ?", []),
    ],
)
def test_another_price_after_an_echo_of_the_price_is_an_objection(answer: str, kinds: list[str]) -> None:
    heard = conversation(call(*OPENING, ("c", answer), ("m", ""), ("c", "")))
    assert [one.kind for one in heard.objections] == kinds


@pytest.mark.parametrize(
    ("question", "answer", "kinds"),
    [
        ("?", "objection.need", ["price"]),
        ("?", "objection.need cue.contrast", ["price", "need"]),
        ("?", "objection.need cue.refusal", ["price", "need"]),
        ("?", "objection.authority", ["price", "authority"]),
        ("? reaction.option", "objection.need", ["price", "need"]),
    ],
)
def test_the_answer_to_a_question_about_an_objection_is_no_further_one(
    question: str, answer: str, kinds: list[str]
) -> None:
    first = (*OPENING, ("c", "objection.price"), ("m", question))
    heard = conversation(call(*first, ("c", answer), ("m", "words=9"), ("c", "words=12")))
    assert [one.kind for one in heard.objections] == kinds


@pytest.mark.parametrize(("answer", "kinds"), [("objection.timing next.named", []), ("objection.timing", ["timing"])])
def test_who_names_another_time_for_an_appointment_does_not_object(answer: str, kinds: list[str]) -> None:
    opening = (OPENED, ("c", ""), ("m", "stage.presentation"), ("c", "answer.assent"))
    heard = conversation(call(*opening, ("m", "cue.offer next.named ?"), ("c", answer), ("m", ""), ("c", "")))
    assert [one.kind for one in heard.objections] == kinds


@pytest.mark.parametrize(
    ("opening", "answer", "kind"),
    [
        ("words=8", "cue.own_case", ["need"]),
        ("words=8", "cue.own_case answer.competitor", ["competitor"]),
        ("words=5", "cue.own_case", []),
        ("?", "cue.own_case", []),
        ("", "cue.own_case stage.need_discovery", []),
        ("words=8", "answer.timing", ["timing"]),
        ("words=4", "answer.timing", []),
        ("words=8", "answer.competitor", []),
    ],
)
def test_how_it_is_done_already_is_an_objection_at_the_beginning(opening: str, answer: str, kind: list[str]) -> None:
    heard = conversation(call(("m", opening), ("c", answer), ("m", ""), ("c", "")))
    assert [one.kind for one in heard.objections] == kind


def test_a_product_and_its_price_may_begin_in_one_utterance() -> None:
    assert stages(conversation(call(*OPENING, ("c", "")))) == [
        "u00 introduction",
        "u02 presentation",
        "u02 proposal",
    ]


def test_a_sum_without_a_phrase_of_a_price_is_a_proposal_after_the_presentation() -> None:
    talk = (("m", ""), ("c", ""), ("m", "stage.presentation"), ("c", ""), ("m", "cue.sum"))
    assert stages(conversation(call(*talk)))[-1] == "u04 proposal"


def test_a_question_for_a_quantity_leaves_the_problem() -> None:
    heard = conversation(call(("m", ""), ("c", ""), ("m", "stage.pain"), ("c", ""), ("m", "cue.volume ?"), ("c", "")))
    assert stages(heard)[-1] == "u04 need_discovery"


def test_a_customer_who_begins_with_the_price_tells_a_need() -> None:
    heard = conversation(call(("m", ""), ("c", "stage.proposal"), ("m", ""), ("c", "")))
    assert stages(heard) == ["u00 introduction", "u01 need_discovery"]


@pytest.mark.parametrize(("number", "stage"), [(3, ["u03 next_step"]), (1, [])])
def test_an_attempt_at_an_appointment_counts_in_the_second_half(number: int, stage: list[str]) -> None:
    talk = [("m", ""), ("c", ""), ("m", ""), ("c", ""), ("c", ""), ("c", "")]
    talk[number] = ("m", "cue.appointment")
    assert stages(conversation(call(*talk))) == ["u00 introduction", *stage]


def test_the_next_step_begins_with_the_offer_of_its_time() -> None:
    talk = (("m", ""), ("c", ""), ("m", "cue.offer next.named"), ("c", "next.named cue.agreement"))
    heard = conversation(call(*talk))
    assert stages(heard) == ["u00 introduction", "u02 next_step"]


def test_a_time_that_the_customer_refuses_is_not_agreed() -> None:
    talk = (("m", ""), ("c", ""), ("m", "cue.offer next.named"), ("c", "next.named cue.refusal cue.customer_offer"))
    step = conversation(call(*talk)).next_step
    assert step is not None
    assert (step.utterance, step.agreed) == ("u03", False)


OPENED: Said = ("m", "stage.introduction")


def test_a_wrong_number_has_no_more_than_an_introduction() -> None:
    heard = conversation(call(OPENED, ("c", "cue.wrong_number"), ("m", "stage.need_discovery ?"), ("c", "")))
    assert stages(heard) == ["u00 introduction"]


def test_a_call_to_remind_finds_no_need_and_presents_nothing() -> None:
    asks, tells = ("m", "stage.need_discovery ?"), ("m", "words=12")
    reminder = call(("m", "stage.introduction cue.reminder"), ("c", ""), asks, ("c", ""), tells)
    other = call(OPENED, ("c", ""), asks, ("c", ""), tells)
    assert stages(conversation(reminder)) == ["u00 introduction"]
    assert stages(conversation(other)) == ["u00 introduction", "u02 need_discovery", "u04 presentation"]


@pytest.mark.parametrize(
    ("said", "answer", "kinds"),
    [
        ("words=6 stage.pain", "cue.taken_up", ["need"]),
        ("words=6 stage.pain", "", []),
        ("words=2 stage.pain", "cue.taken_up", []),
        ("words=6 stage.pain ?", "cue.taken_up", []),
        ("words=6 stage.pain answer.assent", "cue.taken_up", []),
        ("words=6 stage.pain cue.agreement", "cue.taken_up", []),
    ],
)
def test_what_the_manager_takes_up_is_an_objection(said: str, answer: str, kinds: list[str]) -> None:
    heard = conversation(call(OPENED, ("c", ""), ("m", "stage.presentation"), ("c", said), ("m", answer), ("c", "")))
    assert [one.kind for one in heard.objections] == kinds


@pytest.mark.parametrize(("problem", "kinds"), [("", ["need"]), (" stage.pain", [])])
def test_who_tells_of_a_problem_sets_nothing_against_the_product(problem: str, kinds: list[str]) -> None:
    answer = ("c", f"words=6 answer.resists{problem}")
    heard = conversation(call(OPENED, ("c", ""), ("m", "stage.presentation"), answer, ("m", ""), ("c", "")))
    assert [one.kind for one in heard.objections] == kinds


@pytest.mark.parametrize(
    ("answer", "after", "stage"),
    [
        ("reaction.option stage.proposal cue.sum", "", "u04 proposal"),
        ("reaction.option stage.proposal", "", "u03 objection"),
        ("reaction.acknowledge", "words=12", "u06 presentation"),
        ("reaction.acknowledge", "words=12 cue.farewell", "u03 objection"),
        ("reaction.acknowledge", "stage.pain", "u03 objection"),
    ],
)
def test_an_objection_that_is_taken_up_is_left_by_terms_and_by_telling_on(answer: str, after: str, stage: str) -> None:
    said = (OPENED, ("c", ""), ("m", "stage.presentation"), ("c", "objection.price"), ("m", answer), ("c", ""))
    assert stages(conversation(call(*said, ("m", after), ("c", ""))))[-1].removesuffix(" back") == stage


def test_a_need_is_found_by_asking_and_a_price_is_not_left_by_what_it_includes() -> None:
    told = call(OPENED, ("c", ""), ("m", "stage.need_discovery"), ("c", ""))
    assert stages(conversation(told)) == ["u00 introduction"]
    priced = call(OPENED, ("c", ""), ("m", "stage.proposal"), ("c", ""), ("m", "stage.presentation cue.sum"))
    assert stages(conversation(priced))[-1] == "u02 proposal"


@pytest.mark.parametrize(("set_against", "agreed"), [("", True), (" objection.price", False)])
def test_a_time_in_an_objection_is_no_agreed_step(set_against: str, agreed: bool) -> None:
    offer = ("m", "cue.offer next.named")
    answer = ("c", f"next.named cue.agreement{set_against}")
    step = conversation(call(OPENED, ("c", ""), ("m", "stage.presentation"), offer, answer, ("m", ""))).next_step
    assert (step is not None and step.agreed) is agreed


def test_who_tells_who_they_are_and_asks_wants_to_know_the_need() -> None:
    told = ("m", "stage.introduction stage.presentation stage.need_discovery ?")
    assert stages(conversation(call(OPENED, ("c", ""), told, ("c", "")))) == ["u00 introduction", "u02 need_discovery"]
