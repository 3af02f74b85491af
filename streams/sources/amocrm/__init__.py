"""amoCRM and Kommo: deals with their stages, amounts and managers, contacts with their numbers, notes of calls.

Enter at `poll.py` (the API is asked, from a cursor) and `hook.py` (the webhook is a doorbell).
"""
