"""Twilio, and the systems that speak its dialect: status callbacks and the list of calls become legs.

Enter at `hook.py` (a callback becomes a statement) and `join.py` (the statements of a call become its events).
"""
