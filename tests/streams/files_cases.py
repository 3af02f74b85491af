"""Mappings and readers for the tests of files."""

from __future__ import annotations

import re
from pathlib import Path

from streams.contract.decoding import Decoder
from streams.contract.events import Event, Rejection, encode
from streams.phone_numbers import lead_key
from streams.settings.settings import Settings, load
from streams.sources.files.mapping import FileMapping
from streams.sources.files.reader import FileReader
from streams.sources.frame import Refused, Translation
from streams.sources.people import People
from streams.sources.registry import SOURCES

FIXTURES = Path(__file__).parents[1] / "fixtures" / "sources"
SECRET = b"a secret of the tests, long enough"
LATEST = 1_795_046_400_000  # the end of 2026-11-18
ROSTER = """
privacy.region = "RU"
results.stages = ["qualified", "presentation", "proposal", "won", "lost"]

[[managers]]
id = "vera.lisina"
identities = { extension = "201", email = "vera.lisina@romashka.example", csv_ru = "Вера Лисина" }
[[managers]]
id = "gleb.ostrov"
identities = { extension = "202", email = "gleb.ostrov@romashka.example", csv_ru = "Глеб Остров" }
[[managers]]
id = "rimma.zueva"
identities = { extension = "203", email = "rimma.zueva@romashka.example", csv_ru = "Римма Зуева" }
"""
STORY = """
[sources.files.csv_ru]
what = "calls"
encoding = "cp1251"
delimiter = ";"
time = "%d.%m.%Y %H:%M:%S"
timezone = "Europe/Moscow"
queue_prefix = "Очередь "

[sources.files.csv_ru.columns]
call = "ID звонка"
started = ["Дата", "Время"]
direction = "Направление"
manager = "Сотрудник"
extension = "Внутренний номер"
lead_number = "Телефон клиента"
wait = "Ожидание"
talk = "Разговор"
disposition = "Результат"

[sources.files.csv_ru.values]
direction = { "Исходящий" = "outbound", "Входящий" = "inbound" }

[sources.files.csv_ru.values.disposition]
"Отвечен" = "answered"
"Не отвечен" = "no_answer"
"Занято" = "busy"
"Отменён" = "canceled"
"Голосовая почта" = "voicemail"
"Ошибка" = "failed"
"Не завершён" = "unfinished"

[sources.files.csv_en]
what = "calls"
time = "%Y-%m-%d %H:%M:%S"
timezone = "Europe/Moscow"

[sources.files.csv_en.columns]
call = "Call ID"
started = "Start time"
direction = "Direction"
email = "Agent"
lead_number = "Customer"
wait = "Ring (s)"
talk = "Talk (s)"
disposition = "Result"

[sources.files.csv_en.values]
disposition = { Missed = "no_answer", Cancelled = "canceled", "In progress" = "unfinished" }

[sources.files.deals_ru]
what = "deals"
source = "csv_ru"
encoding = "cp1251"
delimiter = ";"
decimal = ","
time = "%d.%m.%Y %H:%M:%S"
timezone = "Europe/Moscow"

[sources.files.deals_ru.columns]
deal = "Сделка"
changed = "Изменено"
stage = "Этап"
amount = "Сумма"
currency = "Валюта"
manager = "Ответственный"
lead = "Контакт"
lead_number = "Телефоны"

[sources.files.deals_ru.values.stage]
"Новая" = "new"
"Квалификация" = "qualified"
"Презентация" = "presentation"
"Предложение" = "proposal"
"Успешно" = "won"
"Отказ" = "lost"
"Удалена" = "deleted"

[sources.files.deals_en]
what = "deals"

[sources.files.deals_en.columns]
deal = "Deal"
changed = "Changed at (UTC)"
stage = "Stage"
amount = "Amount"
currency = "Currency"
email = "Owner"
lead = "Contact"
lead_number = "Phones"
"""


def settings_of(text: str, roster: str = ROSTER) -> Settings:
    """Return settings with this roster; without the user ids of a source that the text does not have."""
    known = roster if "csv_ru" in text else re.sub(', csv_ru = "[^"]*"', "", roster)
    return load(known + text, {}, SOURCES)


def reader(settings: Settings, name: str) -> FileReader:
    mapping = settings.named("files", FileMapping)[name]
    return FileReader(name, mapping, People.of(settings, SECRET), SECRET, LATEST)


def read(data: bytes, settings: Settings, name: str, piece: int = 1 << 20) -> Translation:
    """Read a file in pieces, and check that each event is one by the contract."""
    one = reader(settings, name)
    parts = [one.feed(data[at : at + piece]) for at in range(0, len(data), piece)] + [one.finish()]
    events: list[Event] = [event for part in parts for event in part.events]
    refused: list[Refused] = [row for part in parts for row in part.refused]
    for event in events:
        assert encode(_decoded(encode(event))) == encode(event)
    return Translation(events=events, refused=refused, ignored=sum(part.ignored for part in parts))


def _decoded(data: bytes) -> Event:
    found = _CALLS.decode(data)
    found = found if not isinstance(found, Rejection) else _CRM.decode(data)
    assert not isinstance(found, Rejection), found
    return found


_CALLS: Decoder[Event] = Decoder("calls")
_CRM: Decoder[Event] = Decoder("crm")


def key(number: str | None) -> str | None:
    return None if number is None else lead_key(number, SECRET)
