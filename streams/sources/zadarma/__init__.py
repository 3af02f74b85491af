"""Zadarma and Novofon: the notifications of their PBX, a form for each event of a call.

No event has a moment but that of the call's beginning, in the account's local time. All other moments are those of the
receipt.
"""
