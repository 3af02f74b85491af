"""Amazon Connect: contact events, which EventBridge posts to an API destination, become legs.

Begin with `hook.py` (an event becomes a statement) and `join.py` (the contacts of a call become its legs).
"""
