"""The way in: HTTP, sockets and files of other systems become contract events in Kafka.

Enter at `sink.py` (how events are stored before a sender is answered). It has no field of any vendor: `streams.sources`
reads what came.
"""
