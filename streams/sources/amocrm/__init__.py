"""amoCRM and Kommo: deals with their stages, amounts and managers, contacts with their numbers, notes of calls.

Begin with `poll.py` (requests to the API, from a cursor) and `hook.py` (the webhook is a doorbell).
"""
