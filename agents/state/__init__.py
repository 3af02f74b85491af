"""State: the tables of a worker, their checkpoints, their restore and their rows on disk.

Enter at `tables`; `checkpoint` defines the order in which state becomes durable.
"""
