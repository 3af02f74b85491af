"""The expected figures, counted from what the simulator did and not from the events that arrived.

Enter at `truth`.
"""
