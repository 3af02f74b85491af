"""The table of outcomes: the sums of what the leads of one manager contribute.

Enter at `fold`: it adds a change to a row. `view` reads a row as metrics.
"""
