"""Kafka outside the worker: clients, topics, readers and producers for the commands.

Enter at `clients`.
"""
