"""Twilio, and the systems with a dialect of its interface: status callbacks and the list of calls become legs.

Begin with `hook.py` (a callback becomes a statement) and `join.py` (the statements of a call become its events).
"""
