"""Channel event logging: the rows that `cel_custom` writes, with `events = ALL` and `apps = dial,queue`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from streams.simulator.rendering.pbx_facts import UP, Channel, PbxFact

_AMA_FLAGS: Final = "3"
_TRACED: Final = ("Dial", "Queue")


class _Row(NamedTuple):
    event: str
    extra: dict[str, Any]


def csv(facts: Iterable[PbxFact]) -> Iterator[bytes]:
    """Yield the rows of `Master.csv`, with the columns of `cel_custom.conf.sample`."""
    for fact in facts:
        for row in _rows(fact):
            cells = _cells(fact, row)
            yield ",".join('"' + cell.replace('"', '""') + '"' for cell in cells.values()).encode() + b"\n"


def json_lines(facts: Iterable[PbxFact]) -> Iterator[bytes]:
    """Yield the rows in the form of `format = json`."""
    for fact in facts:
        for row in _rows(fact):
            cells: dict[str, Any] = _cells(fact, row)
            cells["eventextra"] = cells.pop("extra")
            yield json.dumps(cells, ensure_ascii=False).encode() + b"\n"


def _cells(fact: PbxFact, row: _Row) -> dict[str, str]:
    one = fact.channel
    return {
        "eventtype": row.event,
        "eventtime": f"{fact.at_us // 1_000_000}.{fact.at_us % 1_000_000:06d}",
        "name": one.person,
        "num": one.number,
        "ani": "",
        "rdnis": "",
        "dnid": "",
        "exten": one.exten,
        "context": one.context,
        "channame": one.name,
        "appname": one.app,
        "appdata": one.data,
        "amaflags": _AMA_FLAGS,
        "accountcode": one.account,
        "uniqueid": one.uid,
        "linkedid": one.linkedid,
        "peer": "",
        "userfield": "",
        "userdeftype": "",
        "extra": json.dumps(row.extra, separators=(",", ":")) if row.extra else "",
    }


def _rows(fact: PbxFact) -> Iterator[_Row]:
    match fact.what:
        case "new":
            yield _Row("CHAN_START", {})
        case "app" if fact.channel.app in _TRACED:
            yield _Row("APP_START", {})
        case "app_end":
            yield _Row("APP_END", {})
        case "state" if fact.channel.state == UP:
            yield _Row("ANSWER", {})
        case "enter" | "leave":
            bridge = {"bridge_id": fact.channel.bridge, "bridge_technology": "simple_bridge"}
            yield _Row("BRIDGE_ENTER" if fact.what == "enter" else "BRIDGE_EXIT", bridge)
        case "hangup":
            end: dict[str, Any] = {
                "hangupcause": int(fact.about["cause"]),
                "hangupsource": fact.about["source"],
                "dialstatus": fact.channel.dial_status,
            }
            yield _Row("HANGUP", end)
            yield _Row("CHAN_END", {})
        case "over":
            yield _Row("LINKEDID_END", {})
        case "blind":
            to = {"extension": fact.about["exten"], "context": "from-internal", "bridge_id": fact.channel.bridge}
            yield _Row("BLINDTRANSFER", to | _other("transferee_channel", fact.others["transferee"]))
        case "attended":
            others = fact.others
            bridges = {"bridge1_id": fact.about["first_bridge"]}
            about = bridges | _other("channel2", others["second"]) | {"bridge2_id": fact.about["second_bridge"]}
            about |= _other("transferee_channel", others["transferee"])
            yield _Row("ATTENDEDTRANSFER", about | _other("transfer_target_channel", others["target"]))
        case _:
            return


def _other(name: str, channel: Channel) -> dict[str, str]:
    return {f"{name}_name": channel.name, f"{name}_uniqueid": channel.uid}
