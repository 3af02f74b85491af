"""Bitrix24: its call log and its deals, by one incoming webhook; an outgoing webhook is a doorbell.

Begin with `hook.py` (requests of the portal) and `poll.py` (its answers). Both make the same event of a call.
"""
