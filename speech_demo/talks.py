"""The two calls that the demo speaks, in English and in Russian."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from streams.contract.events import Role


class Turn(NamedTuple):
    """What a side says, and how long after the other one's end it begins: below 0 it begins before that."""

    role: Role
    text: str
    after_ms: int = 500


class Talk(NamedTuple):
    """A call."""

    manager: str
    turns: tuple[Turn, ...]


TALKS: Final[Mapping[str, Talk]] = MappingProxyType(
    {
        "en": Talk(
            "luis.ortega",
            (
                Turn("manager", "Good morning. My name is Louis, I call from Vector. Is this a good time to talk?"),
                Turn("customer", "Yes, go ahead."),
                Turn("manager", "What problems do you have with your current supplier?", 700),
                Turn("customer", "They are late every month, and nobody answers the phone when we have a question."),
                Turn("manager", "How much does that cost you?", 1_500),
                Turn("customer", "About two days of work each time."),
                Turn("manager", "Basically, we deliver within one day. I can show you how we do it."),
                Turn("customer", "It sounds too expensive for us.", -600),
                Turn("manager", "I understand. Compared to what does it seem expensive?", 2_200),
                Turn("customer", "Compared to the price that we pay now."),
                Turn("manager", "Let us meet on Thursday at ten, and I will send you the offer today."),
                Turn("customer", "Okay, Thursday is fine. Good bye."),
            ),
        ),
        "ru": Talk(
            "anna.weber",
            (
                Turn("manager", "Добрый день! Меня зовут Анна, компания Вектор. Вам удобно сейчас говорить?"),
                Turn("customer", "Да, слушаю вас."),
                Turn("manager", "Скажите, пожалуйста, с какими трудностями вы сталкиваетесь сейчас?", 700),
                Turn("customer", "Поставщик опаздывает каждый месяц, и никто не отвечает на звонки."),
                Turn("manager", "Сколько времени вы на этом теряете?", 1_500),
                Turn("customer", "Примерно два дня каждый раз."),
                Turn("manager", "На самом деле мы привозим заказ за один день. Давайте я расскажу, как это работает."),
                Turn("customer", "Это слишком дорого для нас.", -600),
                Turn("manager", "Понимаю вас. А с чем вы сравниваете?", 2_200),
                Turn("customer", "Мне надо посоветоваться с директором."),
                Turn("manager", "Давайте договоримся на четверг. Я пришлю вам коммерческое предложение."),
                Turn("customer", "Хорошо, договорились. До свидания."),
            ),
        ),
    }
)
