"""An Asterisk that has the calls and the presences of a history."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count

from streams.simulator.rendering.call_script import WAIT_MS, CallScript
from streams.simulator.rendering.history import Call, History, Presence
from streams.simulator.rendering.pbx_facts import PbxFact, Recorder, What
from streams.simulator.rendering.phone_book import PhoneBook


class Exchange:
    """Yields the facts of an Asterisk. It has the telephones of `book`, and a queue for each team."""

    def __init__(self, book: PhoneBook) -> None:
        self._recorder = Recorder(book)
        self._paused: dict[str, bool] = {}

    def facts(self, history: History) -> Iterator[PbxFact]:
        """Yield the facts in the order of time."""
        waiting: list[tuple[int, int, PbxFact]] = []
        order = count()
        begins: list[tuple[int, int, Call | Presence]] = [
            (call[0].started_at - WAIT_MS, number, call) for number, call in enumerate(history.calls)
        ]
        begins += [(presence.at, number, presence) for number, presence in enumerate(history.presences)]
        for begin_ms, _, item in sorted(begins, key=lambda begin: begin[:2]):
            while waiting and waiting[0][0] < begin_ms * 1000:
                yield heappop(waiting)[2]
            for fact in self._presence(item) if isinstance(item, Presence) else self._call(item):
                heappush(waiting, (fact.at_us, next(order), fact))
        while waiting:
            yield heappop(waiting)[2]

    def _call(self, call: Call) -> list[PbxFact]:
        CallScript(self._recorder, call).run()
        return self._recorder.take()

    def _presence(self, presence: Presence) -> list[PbxFact]:
        """Return the changes in the queue of the manager's team. A queue has no state for work after a call."""
        manager, state = presence.manager, presence.state
        if state == "after_call":
            return []
        steps: list[What] = []
        paused = self._paused.get(manager)
        if state == "offline":
            steps += ["member_removed"] if paused is not None else []
            self._paused.pop(manager, None)
        else:
            if paused is None:
                steps.append("member_added")
            if (state == "paused") != bool(paused):
                steps.append("member_paused" if state == "paused" else "member_unpaused")
            self._paused[manager] = state == "paused"
        book = self._recorder.book
        about = {"queue": book.queues[manager], "device": f"PJSIP/{book.extensions[manager]}"}
        about["member"] = book.names[manager]
        self._recorder.go_to(presence.at)
        for step in steps:
            reason = presence.reason if step == "member_paused" else None
            self._recorder.add(step, about={**about, "reason": reason or "", "paused": str(int(state == "paused"))})
        return self._recorder.take()
