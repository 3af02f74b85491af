"""Kafka: clients with errors in words, topics, readers and senders, for the commands and for the worker.

Enter at `clients`.
"""
