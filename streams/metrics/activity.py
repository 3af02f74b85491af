"""The catalogue of a manager's activity: calls, talk, presence, work, repeats.

Words in braces stand for settings; `streams.metrics.wording` fills them in.
"""

from __future__ import annotations

from typing import Final

from streams.metrics.metric import Count, of_manager

ACTIVITY: Final = (
    of_manager(
        "calls",
        "Finished legs in the window, by direction. A leg is one manager's part in a call.",
        "window",
        "direction",
        measure=1,
    ),
    of_manager(
        "calls_by_kind",
        "Finished legs in the window (today, 30d, 90d), by kind of call: cold, targeted, inbound, repeat; unknown "
        "where no source said.",
        "window",
        "kind",
        measure=1,
    ),
    of_manager("calls_by_disposition", "Finished legs today, by how they ended.", "window", "disposition", measure=1),
    of_manager(
        "answered_calls",
        "Finished legs in the window (1h, today, 7d, 30d) that a person answered.",
        "window",
        measure=12,
    ),
    of_manager(
        "connect_ratio",
        "Dials answered by a person, divided by dials (finished outbound legs), in the window (today, 7d, 30d).",
        "window",
        unit="ratio",
        measure=12,
        over=(Count("dials that a person answered"), Count("dials", "calls", (("direction", "outbound"),))),
    ),
    of_manager(
        "short_call_ratio",
        "Answered legs with less than {short} of talk, divided by answered legs whose talk time is known, in the "
        "window (today, 7d, 30d).",
        "window",
        unit="ratio",
        measure=16,
        over=(
            Count("answered legs with less than {short} of talk"),
            Count("answered legs whose talk time is known", "calls_talked", (("le", "+Inf"),)),
        ),
    ),
    of_manager(
        "meaningful_calls",
        "Answered legs with {meaningful} of talk or more in the window (today, 7d, 30d); a good day has "
        "{meaningful_target}.",
        "window",
        measure=11,
    ),
    of_manager(
        "conversations",
        "Answered legs with {conversation} of talk or more in the window (today, 30d).",
        "window",
        measure=17,
    ),
    of_manager(
        "attempts_per_contact",
        "Dials (finished outbound legs) divided by dials that a person answered, in the window (30d); "
        "{attempts_target} are usual.",
        "window",
        unit="ratio",
        measure=11,
        over=(Count("dials", "calls", (("direction", "outbound"),)), Count("dials that a person answered")),
    ),
    of_manager(
        "talk_time_seconds",
        "Sum of talk time of the legs that ended in the window; legs closed by timeout are left out.",
        "window",
        unit="seconds",
        measure=1,
    ),
    of_manager(
        "calls_talked",
        "Answered legs of today with a known talk time of at most `le` seconds (cumulative, like a histogram).",
        "window",
        "le",
        measure=16,
    ),
    of_manager(
        "calls_timed_out",
        "Legs today whose end never came and that were closed after the longest call allowed ({max_call}). They count "
        "as calls, not as talk time. More than a few mean that the telephony source loses events.",
        "window",
        measure=24,
    ),
    of_manager(
        "internal_calls",
        "Finished legs today between colleagues: chats and consultations. No other figure of calls counts them.",
        "window",
        measure=1,
    ),
    of_manager(
        "internal_talk_seconds",
        "Sum of talk time of the internal legs of today.",
        "window",
        unit="seconds",
        measure=1,
    ),
    of_manager("calls_in_progress", "Legs that have begun and not ended, without internal ones.", measure=1),
    of_manager(
        "longest_call_in_progress_seconds",
        "How long the oldest of the legs in progress has lasted; 0 without one.",
        unit="seconds",
        measure=1,
    ),
    of_manager(
        "last_activity_timestamp_seconds",
        "When the manager's last telephony event happened (event time); not exported before the first.",
        unit="seconds",
        measure=24,
    ),
    of_manager(
        "idle_seconds",
        "On shift and with no leg in progress: time since the manager's last telephony event or the start of the "
        "shift, whichever is later. 0 otherwise.",
        unit="seconds",
        measure=24,
    ),
    of_manager(
        "on_shift",
        "1 while the roster's shift covers the moment, it is no holiday and the manager's last presence is not "
        "offline; for managers without shifts: 1 while their last presence, at most 16 h old, is not offline.",
        measure=3,
    ),
    of_manager(
        "presence",
        "1, with the state that the manager's telephone or desktop last reported; not exported before the first.",
        "state",
        measure=3,
    ),
    of_manager(
        "work_block_seconds",
        "Length of the current run of calling (gaps of less than {work_gap} between telephony activity); 0 when the "
        "last activity is {work_gap} ago or longer and no leg is in progress.",
        unit="seconds",
        measure=15,
    ),
    of_manager(
        "work_blocks",
        "Runs of calling of {work_block} or more that began today.",
        "window",
        measure=15,
    ),
    of_manager(
        "breaks_missed",
        "Breaks of {work_gap} not taken today: for each run of calling that began today, one for every full "
        "{break_after} it went on without pause.",
        "window",
        measure=15,
    ),
    of_manager(
        "open_leads_by_calls",
        "Open leads of the manager by number of calls in the last 30 days (calls: 1, 2, 3, 4, 5+).",
        "calls",
        measure=17,
    ),
    of_manager(
        "calls_per_lead",
        "Repeats per lead: calls of the last 30 days on the manager's open leads, divided by those leads.",
        "window",
        unit="ratio",
        measure=17,
        over=(Count("calls on open leads"), Count("open leads", "open_leads_by_calls")),
    ),
    of_manager(
        "leads_over_called",
        "Leads of the manager that were dialled more than {calls_per_lead_day} today.",
        "window",
        measure=23,
    ),
)
