"""A simulated day on the event socket of FreeSWITCH: live events agree with the ends.

The tables of a day and a week are compared in `test_adapters.py`.
"""

from __future__ import annotations

import pytest

from streams.contract.events import CallAnswered, CallEnded, CallStarted
from tests.history.adapters import of_event_socket
from tests.history.departments import made


@pytest.mark.slow
def test_starts_and_answers_say_what_the_ends_say() -> None:
    """Also of unanswered calls to short external numbers: without a bridge they cannot be told from extensions."""
    events = of_event_socket(made())
    starts = {one.id.rpartition(":")[0]: one for one in events if isinstance(one, CallStarted)}
    answers = {one.id.rpartition(":")[0]: one.at for one in events if isinstance(one, CallAnswered)}
    ends = [one for one in events if isinstance(one, CallEnded) and not one.manager.startswith("queue:")]
    assert len(ends) > 500
    for end in ends:
        start = starts[end.id.rpartition(":")[0]]
        told = (start.at, start.direction, start.lead, start.internal, start.call, start.manager)
        assert told == (end.started_at, end.direction, end.lead, end.internal, end.call, end.manager)
        assert answers.get(end.id.rpartition(":")[0]) == end.answered_at
    assert {end.internal is True for end in ends if end.lead is None and end.answered_at is None} == {True, False}
