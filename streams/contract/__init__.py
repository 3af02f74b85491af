"""The wire format: events, their decoding, the facts between tables, and the topics.

Enter at `events`: it is the contract in code, and docs/events.md in prose.
"""
