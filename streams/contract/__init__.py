"""The wire format: events, their decoding, the facts between tables, and the topics.

Begin with `events`, the contract in code; docs/events.md describes it in prose.
"""
