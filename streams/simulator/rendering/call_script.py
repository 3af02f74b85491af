"""One call in an Asterisk, modelled on recorded sessions: dials, ringing, talks, transfers and hangups."""

from __future__ import annotations

from typing import Final

from streams.contract.events import QUEUE_PREFIX
from streams.simulator.rendering.history import Call, Leg
from streams.simulator.rendering.pbx_facts import INSIDE, OUTSIDE, RING, RINGING, TRUNK, UP, Channel, Recorder
from streams.simulator.rendering.phone_book import NO_NUMBER
from streams.units import SECOND_MS

WAIT_MS: Final = 3 * SECOND_MS
"""The time for which a caller has waited in a queue when the telephone that is answered begins to ring."""
OWN_NUMBER: Final = "+15551000000"
ANONYMOUS: Final = "anonymous"
_CALLERS: Final = ("dial", "queue")
# Causes of ISDN.
_CLEARED: Final = 16
_BUSY: Final = 17
_NO_ANSWER: Final = 19
_CONGESTION: Final = 34


class CallScript:
    """Notes the facts of one call."""

    def __init__(self, recorder: Recorder, call: Call) -> None:
        self._to = recorder
        self._leg = call[0]
        self._next = call[1] if len(call) > 1 else None
        self._open: list[Channel] = []

    def run(self) -> None:
        """Note the call from its first channel to its last."""
        leg = self._leg
        if leg.manager.startswith(QUEUE_PREFIX):
            self._missed(leg, leg.manager.removeprefix(QUEUE_PREFIX))
        elif leg.internal and self._next is not None:
            self._inside(leg, self._next)
        elif leg.direction == "outbound":
            self._out(leg)
        else:
            self._in(leg)

    # -- channels

    def _telephone(self, manager: str, exten: str, parent: Channel | None = None) -> Channel:
        book = self._to.book
        extension = book.extensions[manager]
        made = self._to.channel(f"PJSIP/{extension}", INSIDE, exten, parent)
        made.number, made.person, made.account = extension, book.names[manager], f"acc{extension}"
        return made

    def _new(self, channel: Channel, state: int = 0) -> Channel:
        channel.state = state
        self._open.append(channel)
        self._to.add("new", channel)
        return channel

    def _app(self, channel: Channel, app: str, data: str) -> None:
        self._app_ends(channel)
        channel.app, channel.data = app, data
        self._to.add("app", channel)

    def _app_ends(self, channel: Channel) -> None:
        if channel.app.lower() in _CALLERS:
            self._to.add("app_end", channel)
            channel.app = channel.data = ""

    def _state(self, channel: Channel, state: int) -> None:
        channel.state = state
        self._to.add("state", channel)

    def _dial(self, caller: Channel, dest: Channel, string: str, app: str = "AppDial") -> None:
        dest.exten, dest.connected = caller.exten, caller.number
        dest.number = dest.number or caller.exten
        dest.app, dest.data = app, "(Outgoing Line)"
        self._to.add("app", dest)
        self._to.add("dial", caller, {"dest": dest}, {"string": string})
        caller.connected = dest.number

    def _dialled(self, caller: Channel, dest: Channel, status: str) -> None:
        caller.dial_status = status
        self._to.add("dialled", caller, {"dest": dest}, {"status": status})

    def _hang_up(self, channel: Channel, cause: int, source: str = "") -> None:
        self._app_ends(channel)
        self._to.add("hangup", channel, about={"cause": str(cause), "source": source})
        self._open.remove(channel)
        if all(other.linkedid != channel.linkedid for other in self._open):
            self._to.add("over", channel)

    def _meet(self, *channels: Channel) -> None:
        bridge = self._to.bridge()
        for channel in channels:
            channel.bridge = bridge
            self._to.add("enter", channel)

    def _leave(self, channel: Channel) -> None:
        self._to.add("leave", channel)
        channel.bridge = ""

    # -- calls

    def _out(self, leg: Leg) -> None:
        number = NO_NUMBER if leg.lead is None else self._to.book.number(leg.lead)
        self._to.go_to(leg.started_at)
        mine = self._new(self._telephone(leg.manager, number), RING)
        self._app(mine, "Dial", f"{TRUNK.replace('/', f'/{number}@')},60,TKH")
        far = self._new(self._to.channel(TRUNK, OUTSIDE, "s", mine))
        self._dial(mine, far, f"{number}@{TRUNK.partition('/')[2]}")
        if leg.disposition not in ("busy", "failed"):
            self._state(far, RINGING)
        if leg.answered_at is None:
            self._fails(leg, mine, far)
            return
        self._to.go_to(leg.answered_at)
        self._picked_up(mine, far)
        self._talk(leg, mine, far, caller=mine)

    def _fails(self, leg: Leg, mine: Channel, far: Channel) -> None:
        """End a call without an answer. A call to a machine without a reported answer has rung until the limit."""
        self._to.go_to(leg.ended_at)
        status, far_cause, cause = {
            "busy": ("BUSY", _BUSY, _BUSY),
            "failed": ("CONGESTION", _CONGESTION, _CONGESTION),
            "canceled": ("CANCEL", 0, 127),
        }.get(leg.disposition, ("NOANSWER", 0, _NO_ANSWER))
        source = "" if status == "NOANSWER" else (mine if status == "CANCEL" else far).name
        if source:
            self._request(mine if status == "CANCEL" else far, cause)
        self._dialled(mine, far, status)
        self._hang_up(far, far_cause, source)
        self._hang_up(mine, cause, source or "dialplan/builtin")

    def _inside(self, leg: Leg, other: Leg) -> None:
        extension = self._to.book.extensions[other.manager]
        self._to.go_to(leg.started_at)
        mine, far = self._call_extension(leg.manager, other.manager, extension)
        if leg.answered_at is None:
            self._rings_in_vain(leg, mine, far)
            return
        self._to.go_to(leg.answered_at)
        self._picked_up(mine, far)
        self._talk(leg, mine, far, caller=mine)

    def _call_extension(self, manager: str, to: str, extension: str) -> tuple[Channel, Channel]:
        """Dial from a manager to a colleague, whose telephone rings. Return both channels."""
        mine = self._new(self._telephone(manager, extension), RING)
        self._app(mine, "Dial", f"PJSIP/{extension},20,tTkKhH")
        far = self._new(self._telephone(to, "s", mine))
        self._dial(mine, far, extension)
        self._state(far, RINGING)
        return mine, far

    def _picked_up(self, mine: Channel, far: Channel) -> None:
        self._state(far, UP)
        self._dialled(mine, far, "ANSWER")
        self._state(mine, UP)
        self._meet(far, mine)

    def _caller(self, leg: Leg) -> Channel:
        made = self._to.channel(TRUNK, OUTSIDE, OWN_NUMBER)
        made.number = ANONYMOUS if leg.lead is None else self._to.book.number(leg.lead)
        return self._new(made, RING)

    def _queue(self, caller: Channel, queue: str) -> None:
        self._app(caller, "Answer", "")
        self._state(caller, UP)
        self._app(caller, "Queue", f"{queue},t,,,300")
        self._to.add("join", caller, about={"queue": queue})

    def _missed(self, leg: Leg, queue: str) -> None:
        self._to.go_to(leg.started_at)
        caller = self._caller(leg)
        self._queue(caller, queue)
        self._to.go_to(leg.ended_at)
        waited = {"queue": queue, "hold": str(leg.ended_at // SECOND_MS - leg.started_at // SECOND_MS)}
        if leg.disposition == "canceled":
            self._request(caller, _CLEARED)
            self._to.add("abandon", caller, about=waited)
            self._to.add("left", caller, about=waited)
            self._hang_up(caller, _CLEARED, caller.name)
        else:
            self._to.add("left", caller, about=waited | {"timeout": "1"})
            self._hang_up(caller, _CLEARED, "dialplan/builtin")

    def _in(self, leg: Leg) -> None:
        queued = {"queue": leg.queue or "", "device": f"PJSIP/{self._to.book.extensions[leg.manager]}"}
        queued["member"] = self._to.book.names[leg.manager]
        self._to.go_to(leg.started_at - (WAIT_MS if leg.queue else 0))
        caller = self._caller(leg)
        entered = caller.at_ms
        extension = self._to.book.extensions[leg.manager]
        if leg.queue:
            self._queue(caller, leg.queue)
        else:
            caller.context, caller.exten = "did", extension
            self._app(caller, "Dial", f"PJSIP/{extension},45,tkh")
        self._to.go_to(leg.started_at)
        mine = self._new(self._telephone(leg.manager, "s", caller))
        if leg.queue:
            self._to.add("call_agent", caller, {"dest": mine}, queued)
        self._dial(
            caller, mine, f"PJSIP/{extension}" if leg.queue else extension, "AppQueue" if leg.queue else "AppDial"
        )
        self._state(mine, RINGING)
        if leg.answered_at is None:
            self._rings_in_vain(leg, caller, mine)
            return
        self._to.go_to(leg.answered_at)
        self._state(mine, UP)
        self._dialled(caller, mine, "ANSWER")
        if leg.queue:
            queued["hold"] = str(leg.answered_at // SECOND_MS - entered // SECOND_MS)
            queued["ring"] = str((leg.answered_at - leg.started_at) // SECOND_MS)
            self._to.add("left", caller, {"dest": mine}, queued)
            self._to.add("connect", caller, {"dest": mine}, queued)
        else:
            self._state(caller, UP)
        self._meet(mine, caller)
        talk_end = leg.ended_at if leg.transfer_at is None else leg.transfer_at
        queued["talk"] = str(talk_end // SECOND_MS - leg.answered_at // SECOND_MS)
        self._talk(leg, mine, caller, caller=caller, queued=queued if leg.queue else None)

    def _rings_in_vain(self, leg: Leg, caller: Channel, mine: Channel) -> None:
        self._to.go_to(leg.ended_at)
        if leg.disposition == "busy":
            self._request(mine, _BUSY)
            self._dialled(caller, mine, "BUSY")
            self._hang_up(mine, _BUSY, mine.name)
            self._hang_up(caller, _BUSY, "dialplan/builtin")
        else:
            self._dialled(caller, mine, "NOANSWER")
            self._hang_up(mine, 0)
            self._hang_up(caller, _NO_ANSWER, "dialplan/builtin")

    # -- talks

    def _request(self, channel: Channel, cause: int) -> None:
        self._to.add("request", channel, about={"cause": str(cause)})

    def _talk(
        self, leg: Leg, mine: Channel, far: Channel, *, caller: Channel, queued: dict[str, str] | None = None
    ) -> None:
        """Connect two channels until they hang up, or until the call is transferred."""
        if leg.transfer_at is not None and self._next is not None:
            hand_over = self._attended if leg.how == "attended" else self._blind
            hand_over(leg, self._next, mine, far, caller if queued else None, queued or {})
            return
        self._to.go_to(leg.ended_at)
        first = mine if int(mine.uid.partition(".")[2]) % 2 else far
        self._request(first, _CLEARED)
        if queued is not None:
            self._to.add("complete", caller, {"dest": mine}, queued | {"by": "agent" if first is mine else "caller"})
        self._leave(first)
        second = far if first is mine else mine
        self._leave(second)
        self._hang_up(first, _CLEARED, first.name)
        self._hang_up(second, _CLEARED, first.name)

    def _blind(
        self, leg: Leg, then: Leg, mine: Channel, far: Channel, queued_caller: Channel | None, queued: dict[str, str]
    ) -> None:
        extension = self._to.book.extensions[then.manager]
        self._to.go_to(leg.transfer_at or 0)
        self._to.add("blind", mine, {"transferee": far}, queued | {"exten": extension})
        self._leave(mine)
        far.context, far.exten = INSIDE, extension
        self._leave(far)
        if queued_caller is not None:
            self._to.add("complete", queued_caller, {"dest": mine}, queued | {"by": "transfer"})
        self._hang_up(mine, _CLEARED)
        self._app_ends(far)
        self._to.go_to(then.started_at)
        self._app(far, "Dial", f"PJSIP/{extension},30,tTkKhH")
        other = self._new(self._telephone(then.manager, "s", far))
        self._dial(far, other, extension)
        self._state(other, RINGING)
        if then.answered_at is None:
            self._rings_in_vain(then, far, other)
            return
        self._to.go_to(then.answered_at)
        self._state(other, UP)
        self._dialled(far, other, "ANSWER")
        self._meet(other, far)
        self._talk(then, other, far, caller=far)

    def _attended(
        self, leg: Leg, then: Leg, mine: Channel, far: Channel, queued_caller: Channel | None, queued: dict[str, str]
    ) -> None:
        extension = self._to.book.extensions[then.manager]
        self._to.go_to(then.started_at)
        asking, asked = self._call_extension(leg.manager, then.manager, extension)
        self._to.go_to(then.answered_at or then.started_at)
        self._picked_up(asking, asked)
        self._to.go_to(leg.transfer_at or 0)
        first, second = mine.bridge, asking.bridge
        self._leave(far)
        self._leave(asking)
        far.bridge = second
        self._to.add("enter", far, {"swap": asking})
        parts = {"second": asking, "transferee": far, "target": asked}
        self._to.add("attended", mine, parts, queued | {"first_bridge": first, "second_bridge": second})
        self._leave(mine)
        if queued_caller is not None:
            self._to.add("complete", queued_caller, {"dest": mine}, queued | {"by": "transfer"})
        asked.linkedid = far.linkedid
        self._hang_up(asking, _CLEARED)
        self._hang_up(mine, _CLEARED)
        self._talk(then, asked, far, caller=far)
