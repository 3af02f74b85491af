"""HubSpot: deals with the history of their stages, amounts and owners, contacts with their numbers, and owners.

Begin with `poll.py` (requests to the API, from a cursor) and `hook.py` (an app's webhook is a doorbell).
"""
