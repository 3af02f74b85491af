"""Pipedrive: deals with the history of their stages, amounts and owners, persons with their numbers, and users.

Begin with `poll.py` (requests to the API, from a cursor) and `hook.py` (the webhook is a doorbell, or the only source).
"""
