"""Mango Office: its API of events, `/events/call` for each state of a leg and `/events/summary` at the end of a call.

A call is an `entry_id`, a leg in it a `call_id`. Events come in any order; `seq` counts those of a leg. All moments are
in whole seconds. `talk_time` of a summary is the moment of the answer, 0 for none.
"""
