"""Bitrix24: its call log and its deals, by one incoming webhook; an outgoing webhook is a doorbell.

Enter at `hook.py` (what the portal posts) and `poll.py` (what it answers). Both make the same event of a call.
"""
