"""Aircall: its webhooks, each with the whole state of a call at that moment, and its list of calls.

Moments are in whole seconds. `call.hungup` comes at the end, `call.ended` about 30 s later with complete data.
"""
