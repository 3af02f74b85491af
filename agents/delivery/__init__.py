"""Delivery: records from Kafka to the agents in batches, and what agents send on.

Enter at `transport` for what comes in, at `outbox` for what goes out.
"""
