"""The open way in: senders that speak callpulse's own events, plain or as CloudEvents, over HTTP.

Enter at `batch.py` (a request's body becomes events and refusals). `acceptance.py` refuses what a worker would refuse,
`signatures.py` checks who signed, `openapi.py` describes it all.
"""
