"""Pipedrive: deals with the history of their stages, amounts and owners, persons with their numbers, and users.

Enter at `poll.py` (the API is asked, from a cursor) and `hook.py` (the webhook is a doorbell, or all there is).
"""
