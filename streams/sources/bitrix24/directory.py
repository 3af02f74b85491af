"""The portal's users, and the stages of its pipelines."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from streams.sources.bitrix24.rest import Command, batch
from streams.sources.people import Heard
from streams.sources.polls import Asking, Listed, PollError, Stage

T = TypeVar("T")
_PREFIX: Final = "DEAL_STAGE"
_DEFAULT: Final = "Default pipeline"
_MOST_USERS: Final = 5_000
_PAGE: Final = 50


class _User(Struct):
    ID: str
    NAME: str | None = None
    LAST_NAME: str | None = None
    EMAIL: str | None = None
    UF_PHONE_INNER: str | None = None


class _Category(Struct):
    id: int
    name: str = ""


class _Categories(Struct):
    categories: list[_Category]


class _Status(Struct):
    STATUS_ID: str
    ENTITY_ID: str
    NAME: str = ""
    SORT: int = 0
    SEMANTICS: str | None = None


def listed() -> Asking[list[Listed]]:
    """Request the active users. Raises PollError."""
    found: list[Listed] = []
    for start in range(0, _MOST_USERS, _PAGE):
        command = Command("user.get", {"FILTER": {"ACTIVE": "Y"}, "sort": "ID", "order": "ASC", "start": start})
        users = _decoded((yield from batch({"users": command}))["users"], list[_User])
        for user in users:
            heard = Heard(user=user.ID, extension=user.UF_PHONE_INNER or "", email=user.EMAIL or "")
            name = " ".join(part for part in (user.NAME, user.LAST_NAME) if part)
            found.append(Listed(heard=heard, name=name))
        if len(users) < _PAGE:
            break
    return found


def stages() -> Asking[list[Stage]]:
    """Request the stages of all pipelines of deals, in their order. Raises PollError."""
    first = {"categories": Command("crm.category.list", {"entityTypeId": 2})}
    categories = _decoded((yield from batch(first))["categories"], _Categories).categories
    entities = {_PREFIX: _DEFAULT}
    entities |= {_PREFIX if not one.id else f"{_PREFIX}_{one.id}": one.name for one in categories}
    commands = {
        entity: Command("crm.status.list", {"filter": {"ENTITY_ID": entity}, "order": {"SORT": "ASC"}})
        for entity in entities
    }
    results = yield from batch(commands)
    found: list[Stage] = []
    for entity, pipeline in entities.items():
        rows = sorted(_decoded(results[entity], list[_Status]), key=lambda row: row.SORT)
        found += [
            Stage(
                key=row.STATUS_ID,
                name=row.NAME,
                pipeline=pipeline,
                is_won=row.SEMANTICS == "S",
                is_lost=row.SEMANTICS == "F",
            )
            for row in rows
        ]
    return found


def _decoded(raw: msgspec.Raw, form: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=form, strict=False)
    except msgspec.MsgspecError:
        raise PollError("the portal answers in a form that is not expected") from None
