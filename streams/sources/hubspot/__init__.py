"""HubSpot: deals with the history of their stages, amounts and owners, contacts with their numbers, and owners.

Enter at `poll.py` (the API is asked, from a cursor) and `hook.py` (an app's webhook is a doorbell).
"""
