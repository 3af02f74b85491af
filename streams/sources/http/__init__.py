"""The open way in: senders of callpulse's own events, plain or as CloudEvents, over HTTP.

Begin with `batch.py` (a request's body becomes events and refusals). `acceptance.py` refuses events that a worker would
refuse, `signatures.py` checks signatures, `openapi.py` makes the description of the interface.
"""
