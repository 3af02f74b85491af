"""State: the tables of a worker, their checkpoints, their restore and their rows on disk.

Enter at `worker_state`. `checkpoint` defines the order in which state becomes durable.
"""
