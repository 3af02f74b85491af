"""The table of outcomes: the sums of the contributions of one manager's leads.

Begin with `fold`, which adds a change to a row. `view` reads a row as metrics.
"""
