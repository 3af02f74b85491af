"""Families of objections in the shipped lexicon: a sentence with a hit of each, and a similar one without."""

from __future__ import annotations

from functools import cache

import pytest

from streams.speech.shipped import lexicon
from streams.speech.words import Words

FAMILIES = [
    ("price", "We've gone through the whole training budget.", "We've gone through the whole brochure."),
    ("price", "How do you arrive at a sum like that?", "How do you get to the office?"),
    ("price", "I spent less than that on the lorry.", "It was less than I thought, so we'll take it."),
    ("price", "Isn't there anything cheaper?", "It's the cheapest I've found, I'll take it."),
    ("price", "Why pay extra just for the badge?", "Do I pay extra for delivery?"),
    ("price", "What are we actually paying for here?", "What do we pay for delivery?"),
    ("price", "For eight hundred I can rent a digger.", "Can I rent a digger?"),
    ("price", "A box of gloves costs two pounds.", "A box of gloves came with it."),
    ("price", "And then you bill us for fitting on top.", "The light goes on top of the cupboard."),
    ("timing", "Let's come back to it after the stock count.", "I'll be back at the desk after lunch."),
    ("timing", "This just isn't the best moment.", "Is this the best moment to plant it?"),
    ("timing", "We've got the roofers in this week.", "The roofers left on Monday."),
    ("timing", "We've stopped buying anything new for now.", "We're buying two more this week."),
    ("timing", "We only replaced them in May.", "They were last replaced ten years ago."),
    ("timing", "There are two years left on the contract.", "The contract is two pages long."),
    ("timing", "Once the new hall's finished we could look at it.", "Once it's finished, send me the invoice."),
    ("timing", "We've more urgent things to see to right now.", "Which things are urgent?"),
    ("authority", "My husband would hit the roof.", "My husband would like the blue one."),
    ("authority", "Only the chairman can sign for that.", "The chairman signed it this morning."),
    ("competitor", "Agencies like yours are two a penny.", "An agency gave us your number."),
    ("competitor", "There's no sense in changing.", "Is there a charge for changing the colour?"),
    ("competitor", "We're on the big platform and it works.", "We're on the ring road and it's easy to find."),
    ("competitor", "The others offer longer terms.", "What terms do you offer?"),
    ("competitor", "I've asked around and a bit further too.", "I'll ask around the office who wants one."),
    ("need", "We've already got our own, thanks.", "I've got my own ideas about the colour."),
    ("need", "There's a lifetime's worth of it in the cellar.", "How much is it worth?"),
    ("need", "And what would we even store in it?", "What do other people store in it?"),
    ("need", "Who'd ever bother with that?", "Who'd be our contact?"),
    ("need", "We've been trying to get rid of two of those.", "We've got rid of the old one, so we need a new one."),
    ("need", "Nobody here is ever going to read it.", "Is anybody going to be there on Friday?"),
    ("need", "Half of them still work on paper.", "Half of the order is enough for now."),
    ("need", "That's what we keep a janitor for.", "That's what I need it for."),
    ("trust", "And when it cracks, who's going to come?", "When it's cold, who needs it?"),
    ("trust", "Show us a result first and then we'll talk money.", "Come on Monday first, then on Friday."),
    ("trust", "It always looks easy in the brochure.", "I've got the brochure in front of me."),
    ("trust", "I get a dozen of those emails, so many of these calls.", "I got your email, thanks."),
    ("price", "Столько денег мы не выложим.", "Столько места нам и нужно, спасибо."),
    ("price", "Скидку дайте хорошую, тогда обсудим.", "А скидка за самовывоз есть?"),
    ("price", "Мы закладывали от силы тысяч сорок, не больше.", "Думали на двадцать человек, записывайте."),
    ("price", "А за что тут такие деньги?", "Спасибо вам за всё."),
    ("price", "Оно себя никогда не окупит.", "За год он себя окупил, берём ещё."),
    ("timing", "Достроим цех, тогда поговорим.", "Цех уже достроили, приезжайте."),
    ("timing", "Половина сейчас в отпусках.", "Я как раз вышла из отпуска."),
    ("timing", "Внедрять сейчас некому.", "Есть кому внедрять, айтишник свой."),
    ("timing", "У нас пока другие заботы.", "Другие размеры тоже нужны."),
    ("authority", "Меня хозяин за это уволит.", "Хозяин за это и берётся, звоните ему."),
    ("authority", "Собственник на такое точно не пойдёт.", "Собственник сам приедет и заберёт."),
    ("authority", "Решающее слово у нас не за отделом.", "За отделом закреплён один стол."),
    ("competitor", "Для этого у нас уже есть свой подрядчик.", "Подрядчик нам как раз нужен."),
    ("competitor", "Таких контор сейчас на каждом углу.", "На каждом углу дома нужна камера."),
    ("competitor", "Мы давно сидим на другой программе, привыкли.", "Мы работаем на складе до шести, заезжайте."),
    ("need", "Не нахожу в этом для себя толку.", "Большую пользу вижу, оформляйте."),
    ("need", "Этого добра у нас навалом.", "С добрым утром, слушаю вас."),
    ("need", "Никто у нас этим пользоваться не станет.", "Пользоваться этим будут все, кто в офисе."),
    ("need", "Он за это зарплату получает.", "Зарплату мы выдаём пятого числа."),
    ("trust", "Аванс мы никому больше не платим.", "Аванс мы уже перевели."),
    ("trust", "Нас уже обманули на такой предоплате.", "Встречайте нас у входа."),
    ("trust", "Мне каждый день звонят с таким.", "Мне звонят ровно в девять, записывайте."),
]


LEXICON = cache(lexicon)


def heard(text: str) -> set[str]:
    return {match.group for match in LEXICON().find(Words(text), "customer") if match.kind == "objection"}


@pytest.mark.parametrize(("kind", "objection", "like_it"), FAMILIES)
def test_a_family_of_objections_is_heard_and_a_like_sentence_is_not(kind: str, objection: str, like_it: str) -> None:
    assert (kind in heard(objection), heard(like_it)) == (True, set())
